"""A recording under the hands of a viewer: play, pause, another place, another speed, once more."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from threading import Condition
from time import monotonic, sleep

from residualpose.frames import DepthFrame
from residualpose.poses import Poses
from residualpose.sources import FrameSource

Estimate = Callable[[Iterator[DepthFrame]], Iterator[Poses]]
MAX_STEP_S = 1.0
"""A gap in a recording's times is waited for at most this long."""


@dataclass(frozen=True, slots=True)
class Shown:
    """One frame to look at."""

    frame: DepthFrame
    poses: Poses
    number: int
    """Place in the recording, or among the frames that a camera has sent, from 0."""
    dropped: int = 0
    """Frames lost since the one before, for want of time."""


class Playback:
    """Every frame of a recording in order, at the recording's own pace where the work allows it.

    The methods may be called from any thread, while one thread iterates over `frames`.
    """

    def __init__(self, source: FrameSource, fps: float = 30.0, loop: bool = False) -> None:
        """Begin at the first frame, playing.

        Args:
            source: The recording.
            fps: Frames a second, where the recording holds no times.
            loop: Begin again after the last frame.
        """
        self._counts = [len(part) for part in source.split()]
        self.count = sum(self._counts)
        self._source, self._frame_s, self._loop = source, 1 / fps, loop
        self._changed = Condition()
        self._playing = True
        self._closed = False
        self._target: int | None = 0
        """Where to go on; None while a stretch is being shown."""
        self._speed = 1.0

    @property
    def playing(self) -> bool:
        """Whether frames follow one another by themselves."""
        return self._playing

    def play(self, on: bool) -> None:
        """Go on, or hold still; at the end, going on begins again."""
        with self._changed:
            self._playing = on
            self._changed.notify_all()

    def seek(self, number: int) -> None:
        """Show the frame at this place (from 0, kept inside), and go on from there if playing."""
        with self._changed:
            self._target = min(max(number, 0), self.count - 1)
            self._changed.notify_all()

    def set_speed(self, speed: float) -> None:
        """Times the recording's own pace."""
        with self._changed:
            self._speed = speed
            self._changed.notify_all()

    def close(self) -> None:
        """End the iteration."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def frames(self, estimate: Estimate) -> Iterator[Shown]:
        """Frames with their people, until closed.

        Args:
            estimate: Frames to poses, in order, reading ahead if it likes. Called anew after every
                seek: people who are followed get new numbers then.
        """
        while (start := self._take_target()) is not None:
            due_s = monotonic()
            last: DepthFrame | None = None
            for number, (frame, poses) in enumerate(self._stretch(estimate, start), start):
                if last is not None:
                    due_s = self._wait_for_turn(
                        due_s, step_s(last.time_s, frame.time_s, self._frame_s)
                    )
                if self._target is not None or self._closed:
                    break
                last = frame
                yield Shown(frame, poses, number)
            else:
                self._end()

    def _stretch(self, estimate: Estimate, start: int) -> Iterator[tuple[DepthFrame, Poses]]:
        waiting: deque[DepthFrame] = deque()

        def noted() -> Iterator[DepthFrame]:
            for frame in frames_from(self._source, self._counts, start):
                waiting.append(frame)
                yield frame

        return ((waiting.popleft(), poses) for poses in estimate(noted()))

    def _take_target(self) -> int | None:
        """Where to begin, as soon as anybody wants to; None when closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._target is not None or self._closed)
            start, self._target = self._target, None
            return None if self._closed else start

    def _end(self) -> None:
        """After the last frame: the first again, or a pause until somebody plays."""
        with self._changed:
            if not self._loop:
                self._playing = False
            self._changed.wait_for(
                lambda: self._playing or self._target is not None or self._closed
            )
            if self._target is None:
                self._target = 0

    def _wait_for_turn(self, due_s: float, pause_s: float) -> float:
        """Wait until the next frame is due, or somebody goes elsewhere; returns when it was due."""
        with self._changed:
            while self._target is None and not self._closed:
                # Time lost once is not made up for by a burst of frames.
                now = monotonic()
                next_s = max(due_s + pause_s / self._speed, now - pause_s)
                if self._playing and now >= next_s:
                    return next_s
                self._changed.wait(next_s - now if self._playing else None)
        return monotonic()


def step_s(before_s: float | None, now_s: float | None, otherwise_s: float) -> float:
    """Seconds between two frames of a recording, as it is played; gaps are cut short."""
    if before_s is None or now_s is None:
        return otherwise_s
    return min(max(now_s - before_s, 0.0), MAX_STEP_S)


def frames_from(source: FrameSource, counts: Sequence[int], start: int) -> Iterator[DepthFrame]:
    """The frames of a source after the first `start`, without reading these where that can be.

    Args:
        source: Of any number of files.
        counts: Frames of each file.
        start: Fewer than there are.
    """
    place = 0
    while start >= counts[place]:
        start -= counts[place]
        place += 1
    file, later = source.files[place], source.files[place + 1 :]
    first, step = file.frames.start or 0, file.frames.step or 1
    skip = 0 if first < 0 or step < 0 else start
    file = (
        replace(file, frames=slice(first + skip * step, file.frames.stop, step)) if skip else file
    )
    rest = replace(source, files=(file, *later))
    yield from islice(rest, start - skip, None)


def as_camera(source: FrameSource, fps: float, loop: bool) -> Iterator[DepthFrame]:
    """The frames of a recording at its own pace, whether anybody is ready for them or not."""
    due_s = monotonic()
    while True:
        last_s: float | None = None
        for frame in source:
            due_s += step_s(last_s, frame.time_s, 1 / fps)
            sleep(max(0.0, due_s - monotonic()))
            yield frame
            last_s = frame.time_s
        if not loop:
            return
