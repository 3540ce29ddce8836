"""Watch the people of a recording in 3D, on a page in the browser of this computer.

The page is served on 127.0.0.1 alone and loads nothing from elsewhere; no browser is opened. Depth
as points, people as coloured skeletons with lasting numbers, guessed joints as open cages,
ellipsoids of uncertainty, frame rate and dropped frames; play, pause, seek, speed. Ctrl-C ends it.
SOURCE is what `residualpose predict` reads. Needs the extra live.

Examples:
  residualpose live walk.npz
  residualpose live rosbag2_folder --loop --smooth 1 --port 9000
  residualpose live 'day1/*.tif' --camera cam.json --depth-unit 0.0002
  residualpose live walk.bag --as-camera --loop
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Annotated

import tyro

from residualpose.errors import UsageError
from residualpose.sources import FrameSource, open_source
from residualpose.tracking.follower import MAX_STRENGTH

if TYPE_CHECKING:
    from residualpose.estimator import PoseEstimator
    from residualpose.frames import DepthFrame
    from residualpose.live.playback import Shown


@dataclass(frozen=True, slots=True)
class Options:
    """What to watch, and how."""

    source: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="SOURCE")]
    """File, folder, glob or recording of depth images."""
    camera: Annotated[str | None, tyro.conf.arg(metavar="NAME|FILE|NUMBERS")] = None
    """A sensor, a .json file, or fx,fy,cx,cy in pixels. Default: the source's own."""
    depth_unit: Annotated[str | None, tyro.conf.arg(metavar="m|mm|SCALE")] = None
    """Unit of the stored numbers, where the source does not say; SCALE is metres per unit."""
    model: Annotated[str | None, tyro.conf.arg(metavar="NAME|PATH")] = None
    """A bundled model (see `residualpose models`) or a model folder. Default: the bundled one."""
    smooth: Annotated[float, tyro.conf.arg(metavar="STRENGTH")] = 0.0
    """Joints move steadily: 0 is off, 1 suits people who walk, 4 is the most."""
    fps: Annotated[float, tyro.conf.arg(metavar="RATE")] = 30.0
    """Frames a second, for a recording that holds no times."""
    speed: Annotated[float, tyro.conf.arg(metavar="TIMES")] = 1.0
    """Times the recording's own pace, to begin with."""
    loop: bool = False
    """Begin again after the last frame."""
    as_camera: bool = False
    """Show the recording as a camera would send it: at its own pace, without pause or seek; frames
    that come while one is worked on are dropped and counted."""
    port: Annotated[int, tyro.conf.arg(metavar="PORT")] = 8080
    """Where the page is served; the next that is free, if it is taken."""


def run(options: Options) -> int:
    """Serve until Ctrl-C."""
    _check(options)
    source = open_source(options.source, options.camera, options.depth_unit)
    from residualpose.estimator import PoseEstimator
    from residualpose.live import LivePage, Playback

    playback = None if options.as_camera else Playback(source, options.fps, options.loop)
    if playback is not None:
        playback.set_speed(options.speed)
    estimate = PoseEstimator(options.model)
    total = _Total()
    # Ctrl-C is how this command ends.
    with suppress(KeyboardInterrupt), LivePage(options.port, playback) as page:
        sys.stdout.write(f"{page.url}  (Ctrl-C ends)\n")
        sys.stdout.flush()
        if playback is None:
            shown = _dropping(source, estimate, options)
        else:
            shown = playback.frames(partial(estimate.stream, track=True, smooth=options.smooth))
        for one in shown:
            page.show(one.frame, one.poses, one.number, one.dropped)
            total.add(one)
    sys.stdout.write(f"{total.summary()}\n")
    return 0


class _Total:
    """What was shown, from the first frame on."""

    def __init__(self) -> None:
        self._frames, self._dropped = 0, 0
        self._start_s = self._end_s = 0.0

    def add(self, shown: Shown) -> None:
        self._end_s = monotonic()
        self._start_s = self._start_s or self._end_s
        self._frames, self._dropped = self._frames + 1, self._dropped + shown.dropped

    def summary(self) -> str:
        rate = max(self._frames - 1, 0) / max(self._end_s - self._start_s, 1e-3)
        return f"{self._frames} frames shown, {rate:.1f} a second, {self._dropped} dropped"


def _check(options: Options) -> None:
    if not 0 <= options.smooth <= MAX_STRENGTH:
        raise UsageError(
            f"--smooth: expected 0 (off) to {MAX_STRENGTH:g}, found {options.smooth:g}"
        )
    if not 0 < options.fps < 1e4:
        raise UsageError(f"--fps: expected frames a second, found {options.fps}")
    if not 0 < options.speed <= 100:
        raise UsageError(f"--speed: expected up to 100 times, found {options.speed:g}")
    if not 0 <= options.port < 65536:
        raise UsageError(f"--port: expected 0 to 65535 (0: any that is free), found {options.port}")


def _dropping(source: FrameSource, estimate: PoseEstimator, options: Options) -> Iterator[Shown]:
    """The newest frame each time, with how many came in between."""
    from residualpose.live.playback import Shown, as_camera

    def numbered() -> Iterator[DepthFrame]:
        for number, frame in enumerate(as_camera(source, options.fps, options.loop)):
            yield replace(frame, index=number)

    last = -1
    for frame, poses in estimate.live(numbered(), track=True, smooth=options.smooth):
        yield Shown(frame, poses, frame.index, frame.index - last - 1)
        last = frame.index
