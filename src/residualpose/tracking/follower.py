"""Follower: poses of frames in, the same poses with lasting numbers and steady joints out."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from time import monotonic
from typing import Generic, TypeVar

import numpy as np

from residualpose.errors import UsageError
from residualpose.frames import DepthFrame
from residualpose.poses import Origin, Poses
from residualpose.tracking.smoother import Smoother
from residualpose.tracking.track import Track
from residualpose.tracking.tracker import Tracker

Payload = TypeVar("Payload")

FRAME_S = 1 / 30
"""Time between frames that carry no time stamp."""
FORESIGHT_FRAMES = 10
"""Later frames that recordings wait for: more change nothing in where joints are, and who came into
sight is the less clear the longer the way is ago on which somebody was lost."""
MAX_STRENGTH = 4.0


@dataclass(slots=True)
class _Held(Generic[Payload]):
    payload: Payload
    poses: Poses
    tracks: list[Track | None]
    number: int
    time_s: float


@dataclass(frozen=True, slots=True)
class Followed(Generic[Payload]):
    """One frame with its people followed."""

    payload: Payload
    """What came with the frame."""
    poses: Poses
    rows: np.ndarray
    """(P,) place of each person among those that were found in the frame."""


class Follower(Generic[Payload]):
    """Follows the people of one recording or camera.

    Live, every frame is answered at once. Otherwise frames wait until later ones have shown who was
    real and where the joints went; `lag_frames` says for how many.
    """

    def __init__(self, smooth: float = 0.0, live: bool = False) -> None:
        """Begin with nobody.

        Args:
            smooth: How steady joints are: 0 leaves them alone, 1 suits people who walk, 2 takes
                twice as long to follow.
            live: Answer at once, from the past alone.

        Raises:
            UsageError: smooth is not in 0..4.
        """
        if not 0 <= smooth <= MAX_STRENGTH:
            raise UsageError(f"smooth: expected 0 (off) to {MAX_STRENGTH:g}, got {smooth}")
        self.lag_frames = 0 if live else FORESIGHT_FRAMES
        self._smooth = smooth
        self._tracker = Tracker(self.lag_frames)
        self._smoothers: dict[Track, Smoother] = {}
        self._held: deque[_Held[Payload]] = deque()
        self._number = 0
        self._time_s: float | None = None

    def push(
        self, payload: Payload, poses: Poses, time_s: float | None = None
    ) -> Iterator[Followed[Payload]]:
        """Take in one frame; yields the frame that is ready, if one is.

        Args:
            payload: Given back with the poses.
            poses: People of the frame.
            time_s: When it was taken; None, or not later than the frame before: a thirtieth later.
        """
        now = self._now(time_s)
        tracks = self._tracker.step(poses, now)
        if self._smooth:
            self._see(poses, tracks, now)
        self._held.append(_Held(payload, poses, tracks, self._number, now))
        self._number += 1
        if len(self._held) > self.lag_frames:
            yield self._ready(self._held.popleft())

    def flush(self) -> Iterator[Followed[Payload]]:
        """The frames still held, at the end of the recording."""
        self._tracker.believe_all()
        while self._held:
            yield self._ready(self._held.popleft())

    def _now(self, time_s: float | None) -> float:
        last = self._time_s
        if last is None:
            self._time_s = 0.0 if time_s is None else time_s
        elif time_s is None or not time_s > last:
            self._time_s = last + FRAME_S
        else:
            self._time_s = time_s
        return self._time_s

    def _see(self, poses: Poses, tracks: list[Track | None], now: float) -> None:
        rows = {track: row for row, track in enumerate(tracks) if track is not None}
        followed = set(self._tracker.tracks)
        waiting = {track for held in self._held for track in held.tracks}
        for track in [t for t in self._smoothers if t not in followed and t not in waiting]:
            del self._smoothers[track]
        joints = len(poses.skeleton.joints)
        for track in self._tracker.tracks:
            if track not in self._smoothers:
                self._smoothers[track] = Smoother(track.bones, self._smooth, self.lag_frames)
        for track, smoother in self._smoothers.items():
            if (row := rows.get(track)) is not None:
                found = poses.joints_m[row], poses.covariance_m2[row], poses.origin[row]
            else:
                unseen = np.full((joints, 3, 3), np.nan)
                found = unseen[..., 0], unseen, np.full(joints, Origin.ABSENT)
            smoother.see(now, *found)

    def _ready(self, held: _Held[Payload]) -> Followed[Payload]:
        sure = {row: t for row, t in enumerate(held.tracks) if t is not None and t.id >= 0}
        if self.lag_frames and not self._smooth:
            # Steady joints are put right by the frames around; these would be another person's.
            sure = {row: t for row, t in sure.items() if not t.way.strays(held.time_s)}
        kept, named = np.array(list(sure), np.int64), list(sure.values())
        ids = np.array([track.id for track in named], np.int64)
        poses = replace(held.poses[kept], person_id=ids)
        if not self._smooth or not len(poses):
            return Followed(held.payload, poses, kept)
        ago = self._number - 1 - held.number
        steady = np.stack([self._smoothers[track].steady(ago)[0] for track in named])
        joints_m = np.where(np.isfinite(steady), steady, poses.joints_m)
        camera = poses.camera
        shift_px = camera.project(joints_m) - camera.project(poses.joints_m)
        joints_px = poses.joints_px + np.nan_to_num(shift_px)
        poses = replace(poses, joints_m=joints_m, joints_px=joints_px)
        return Followed(held.payload, poses, kept)


def follow(
    frames: Iterable[tuple[Payload, Poses, float | None]], smooth: float = 0.0, live: bool = False
) -> Iterator[Followed[Payload]]:
    """All frames of one recording, each with its people followed; arguments as for Follower."""
    follower = Follower[Payload](smooth, live)
    for payload, poses, time_s in frames:
        yield from follower.push(payload, poses, time_s)
    yield from follower.flush()


def follow_stream(
    estimate: Callable[[Iterator[DepthFrame]], Iterator[Poses]],
    frames: Iterable[DepthFrame],
    smooth: float,
) -> Iterator[Poses]:
    """The poses of a recording's frames, followed by the frames' own times.

    Args:
        estimate: Frames to poses, in order, reading ahead if it likes.
        frames: The recording.
        smooth: As for Follower.
    """
    times: deque[float | None] = deque()

    def noted() -> Iterator[DepthFrame]:
        for frame in frames:
            times.append(frame.time_s)
            yield frame

    found = ((None, poses, times.popleft()) for poses in estimate(noted()))
    return (followed.poses for followed in follow(found, smooth))


def follow_live(
    pairs: Iterable[tuple[DepthFrame, Poses]], smooth: float
) -> Iterator[tuple[DepthFrame, Poses]]:
    """Frames of a camera with their poses, followed at once; without time stamps, by the clock."""

    def timed() -> Iterator[tuple[DepthFrame, Poses, float | None]]:
        for frame, poses in pairs:
            yield frame, poses, monotonic() if frame.time_s is None else frame.time_s

    return ((one.payload, one.poses) for one in follow(timed(), smooth, live=True))
