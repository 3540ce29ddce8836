"""Tracker: gives the people of each frame the numbers that they had in the frames before."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from residualpose.poses import Poses
from residualpose.skeleton import L_HIP, L_SHOULDER, NECK, R_HIP, R_SHOULDER, TORSO
from residualpose.tracking.assignment import assign, costs
from residualpose.tracking.kalman import Belief, first_belief, predict, update, update_velocity

SURE_AFTER = 3
"""Frames in which somebody new must be found to be believed."""
_UNSURE_S = 0.1
"""Somebody new who is missed for longer was a mistake."""
_JUST_S = 0.2
"""Seen within this time, somebody is where predicted."""
_SURE_SCORE = 0.35
"""People found with less only go on as somebody just seen: they are no news."""
_PATIENCE_S = 2.5
"""Whoever is unseen for longer gets a new number when coming back."""
_DIFFUSION = 1.0
"""Of the joints' acceleration, m^2/s^3: half a metre of doubt after a second unseen."""
_COAST_SD_M_S, _SLOWING = 0.2, 0.97
"""Unseen people go on as one piece, each frame a little slower."""
_SAME_M = 0.25
"""Median distance of the joints below which two people found are one, found twice."""
_TRUNK = [NECK, R_SHOULDER, L_SHOULDER, TORSO, R_HIP, L_HIP]


@dataclass(slots=True, eq=False)
class Track:
    """One person over time."""

    belief: Belief
    """(J,) joints."""
    seen_s: float
    """When the person was seen last."""
    id: int = -1
    """The person's number; -1 until there is no doubt."""
    hits: int = 1
    """Frames in which the person was found."""
    missed: int = 0
    """Frames in which the person was not found, ever."""


@dataclass(slots=True)
class Tracker:
    """Follows people by assignment in 3D: joints go on at constant velocity between frames."""

    tracks: list[Track] = field(default_factory=list)
    """Everybody followed now."""
    _next_id: int = 0
    _time_s: float | None = None

    def step(self, poses: Poses, time_s: float) -> list[Track | None]:
        """The track of each person of a frame; None for somebody found twice.

        Args:
            poses: People of the frame.
            time_s: Time of the frame; later than the one before.
        """
        self._move_on(time_s)
        found: list[Track | None] = [None] * len(poses)
        once = ~_found_twice(poses)
        sure = once & (poses.person_score >= _SURE_SCORE)
        # Those seen just now have the first choice, those in doubt the last.
        ranks = [_rank(track, time_s) for track in self.tracks]
        for rank, eligible in ((0, once), (1, sure), (2, once)):
            chosen = [t for t, r in zip(self.tracks, ranks, strict=True) if r == rank]
            free = [p for p, track in enumerate(found) if track is None and eligible[p]]
            self._match(poses, time_s, chosen, free, found)
        for person in range(len(poses)):
            if found[person] is None and sure[person]:
                found[person] = self._born(poses, person, time_s)
        for track in self.tracks:
            if track.seen_s != time_s:
                track.missed += 1
                track.belief = _coast(track.belief)
        self.tracks = [track for track in self.tracks if self._alive(track, time_s)]
        return found

    def believe_all(self) -> None:
        """Number also the new ones who were never missed: no more frames will come."""
        for track in self.tracks:
            if track.id < 0 and not track.missed:
                self._name(track)

    def _move_on(self, time_s: float) -> None:
        dt_s = 0.0 if self._time_s is None else max(time_s - self._time_s, 0.0)
        self._time_s = time_s
        for track in self.tracks:
            track.belief = predict(track.belief, dt_s, np.array(_DIFFUSION))

    def _match(
        self,
        poses: Poses,
        time_s: float,
        tracks: list[Track],
        free: list[int],
        found: list[Track | None],
    ) -> None:
        if not tracks or not free:
            return
        cost = costs(
            np.stack([track.belief.position_m for track in tracks]),
            np.stack([track.belief.position_covariance_m2 for track in tracks]),
            poses.joints_m[free], poses.covariance_m2[free],
            np.array([time_s - track.seen_s for track in tracks]),
        )  # fmt: skip
        for person, row in zip(free, assign(cost).tolist(), strict=True):
            if row < 0:
                continue
            track = found[person] = tracks[row]
            joints, noise = poses.joints_m[person], poses.covariance_m2[person]
            track.belief = update(track.belief, joints.astype(float), noise.astype(float))
            track.seen_s, track.hits = time_s, track.hits + 1
            if track.id < 0 and track.hits >= SURE_AFTER:
                self._name(track)

    def _born(self, poses: Poses, person: int, time_s: float) -> Track:
        joints = poses.joints_m[person].astype(float)
        track = Track(first_belief(joints, poses.covariance_m2[person].astype(float)), time_s)
        self.tracks.append(track)
        return track

    def _name(self, track: Track) -> None:
        track.id = self._next_id
        self._next_id += 1

    def _alive(self, track: Track, time_s: float) -> bool:
        patience_s = _PATIENCE_S if track.id >= 0 else _UNSURE_S
        return time_s - track.seen_s <= patience_s + 1e-6


def _rank(track: Track, time_s: float) -> int:
    if track.id < 0:
        return 2
    return 0 if time_s - track.seen_s <= _JUST_S else 1


def _coast(belief: Belief) -> Belief:
    """Somebody unseen: limbs stop swinging, the whole body goes on with its trunk."""
    velocity = belief.velocity_m_s
    trunk = velocity[_TRUNK]
    trunk = trunk[np.isfinite(trunk).all(-1)]
    if not len(trunk):
        return belief
    whole = np.broadcast_to(_SLOWING * trunk.mean(0), velocity.shape)
    return update_velocity(belief, whole, _COAST_SD_M_S, np.ones(len(velocity), bool))


def _found_twice(poses: Poses) -> np.ndarray:
    """(P,) which people are where somebody of a higher score already is."""
    twice = np.zeros(len(poses), bool)
    kept: list[int] = []
    for person in np.argsort(-poses.person_score, kind="stable").tolist():
        away = np.linalg.norm(poses.joints_m[kept] - poses.joints_m[person], axis=-1)
        away = np.where(np.isfinite(away), away, np.inf)
        twice[person] = bool(kept) and float(np.median(away, axis=-1).min()) < _SAME_M
        if not twice[person]:
            kept.append(person)
    return twice
