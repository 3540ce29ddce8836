"""Measure how well people are followed, on rendered recordings of which the truth is known.

Scenes: four people crossing, two leaving the picture and coming back, one sitting down, three
behind a pillar. Each frame is rendered and goes through the model (a fifth of a second), then
through tracking, unsmoothed and smoothed, live and two-sided. The row frame by frame is what the
detector gives: nobody is followed, so that its missed and false people are no fault of tracking.
m/s2 is the jitter (RMS error of the joints' acceleration), bones how much limb lengths vary, delay
in frames. Needs the extra synthetic.

Examples:
  residualpose bench tracking
  residualpose bench tracking --scene crossing --seed 11 12 13 --keep scenes --json tracking.json
"""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from residualpose.cli.progress import progress_bar
from residualpose.cli.tables import write_report, write_table
from residualpose.errors import UsageError

if TYPE_CHECKING:
    from residualpose.estimator import PoseEstimator
    from residualpose.evaluation.followed_scene import FollowedScene
    from residualpose.evaluation.tracking import TrackingScore

_BODIES = 8
_DETECTOR = "frame by frame"


@dataclass(frozen=True, slots=True)
class Options:
    """What to render and follow."""

    scene: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME ...")] = ("crossing", "sitting")
    """Any of crossing, leaving, sitting, occluded."""
    seconds: Annotated[float, tyro.conf.arg(metavar="S")] = 20.0
    """Length of each scene, at 30 frames a second."""
    smooth: Annotated[float, tyro.conf.arg(metavar="STRENGTH")] = 1.0
    """Strength of the smoothing, 0 to 4."""
    model: Annotated[str | None, tyro.conf.arg(metavar="NAME|PATH", help_behavior_hint="")] = None
    """A bundled model or a model folder. Default: the bundled one."""
    seed: Annotated[tuple[int, ...], tyro.conf.arg(metavar="N ...")] = (11,)
    """Who walks where, in what clothes: each scene is rendered with each. Tracking was set on 1 to
    5."""
    keep: Annotated[Path | None, tyro.conf.arg(metavar="DIR", help_behavior_hint="")] = None
    """Keep what was found in each scene here, and take it from here the next time."""
    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE", help_behavior_hint="")] = None
    """Write the numbers here too."""


def run(options: Options) -> int:
    """Render, follow and show."""
    from residualpose.estimator import PoseEstimator
    from residualpose.evaluation.tracking import pooled
    from residualpose.synthetic.sequences import SCENES

    unknown = next((name for name in options.scene if name not in SCENES), None)
    if unknown is not None or not options.scene:
        raise UsageError(f"--scene: expected any of {', '.join(SCENES)}, found {unknown!r}")
    if not 1 <= options.seconds <= 3600:
        raise UsageError(f"--seconds: expected 1 to 3600, found {options.seconds:g}")
    if not options.seed:
        raise UsageError("--seed: expected at least one number")
    estimate = PoseEstimator(options.model)
    report: dict[str, object] = {}
    for scene in options.scene:
        runs = [
            _scores(_recorded(options, scene, seed, estimate), options.smooth)
            for seed in options.seed
        ]
        scores = {name: pooled([run[name] for run in runs]) for name in runs[0]}
        _show(scene, scores, options.seconds * len(runs))
        report[scene] = {name: asdict(score) for name, score in scores.items()}
    if options.json is not None:
        seen = {"model": estimate.model.name, "seed": options.seed, "seconds": options.seconds}
        write_report(options.json, report | seen)
    return 0


def _recorded(options: Options, scene: str, seed: int, estimate: PoseEstimator) -> FollowedScene:
    """What the model finds in a scene, rendered or as kept."""
    from residualpose.evaluation.followed_scene import FollowedScene

    if options.keep is None:
        return _render(options, scene, seed, estimate)
    model = estimate.model.sha256[:12]
    path = options.keep / f"{scene}_{seed}_{options.seconds:g}s_{model}.npz"
    if path.exists():
        return FollowedScene.load(path)
    try:
        options.keep.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--keep {options.keep}: expected a folder ({error.strerror})") from None
    followed = _render(options, scene, seed, estimate)
    followed.save(path)
    return followed


def _render(options: Options, scene: str, seed: int, estimate: PoseEstimator) -> FollowedScene:
    from residualpose.evaluation.followed_scene import stacked_scene
    from residualpose.synthetic.bodies import make_bank
    from residualpose.synthetic.sequences import render_sequence
    from residualpose.synthetic.walking import RATE_HZ

    frames = []
    with progress_bar("frames") as progress:
        total = round(options.seconds * RATE_HZ)
        task = progress.add_task("frames", total=total, note=f"{scene} {seed}")
        for one in render_sequence(make_bank(_BODIES, seed), scene, options.seconds, seed):
            frames.append((one.joints_m, one.visible, one.frame.time_s, estimate(one.frame)))
            progress.advance(task)
    return stacked_scene(frames)


def _scores(scene: FollowedScene, smooth: float) -> dict[str, TrackingScore]:
    from residualpose.evaluation.tracking import score_tracking
    from residualpose.synthetic.walking import RATE_HZ
    from residualpose.tracking import follow

    runs = {_DETECTOR: list(scene.found)}
    for name, strength, live in (
        ("tracked", 0.0, False), ("smoothed live", smooth, True), ("smoothed", smooth, False),
    ):  # fmt: skip
        times = map(float, scene.time_s)
        timed = ((None, poses, t) for poses, t in zip(scene.found, times, strict=True))
        runs[name] = [one.poses for one in follow(timed, strength, live)]
    truth = scene.joints_m, scene.visible, RATE_HZ
    return {name: score_tracking(poses, *truth) for name, poses in runs.items()}


_COLUMNS = (
    "", "MOTA", "switches", "/min", "missed", "false", "people", "MPJPE mm", "m/s2", "bones mm",
    "delay",
)  # fmt: skip


def _show(scene: str, scores: dict[str, TrackingScore], seconds: float) -> None:
    rows = []
    for name, s in scores.items():
        # Without identities there is nothing to switch.
        followed = (f"{s.mota:.3f}", str(s.switches), f"{60 * s.switches / seconds:.1f}")
        rows.append(
            (name, *(("", "", "") if name == _DETECTOR else followed),
             str(s.missed), str(s.false), str(s.people), f"{s.mpjpe_mm:.1f}",
             f"{s.jitter_m_s2:.1f}", f"{s.bone_sd_mm:.1f}", f"{s.delay_frames:.1f}")
        )  # fmt: skip
    write_table(scene, _COLUMNS, rows)
    ratio = scores[_DETECTOR].jitter_m_s2 / scores["smoothed live"].jitter_m_s2
    sys.stdout.write(f"jitter is {ratio:.1f} times smaller live\n")
