"""Tracker: gives the people of each frame the numbers that they had in the frames before."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from residualpose.poses import Poses
from residualpose.tracking.assignment import assign, costs
from residualpose.tracking.evidence import found_twice, has_room, trunk_centres
from residualpose.tracking.kalman import Belief, first_belief, predict, update, update_velocity
from residualpose.tracking.reentry import JUST_SEEN_M, LOST_M, behind, place_costs

SURE_AFTER = 3
"""Frames in which somebody new must be found to be believed."""
_SURE_SCORE = 0.35
"""People found with less only go on as somebody just seen: they are no news."""
_UNSURE_S = 0.1
"""Somebody new who is missed for longer was a mistake."""
_JUST_S = 0.2
"""Seen within this time, somebody is where predicted."""
_PATIENCE_S, _HIDDEN_PATIENCE_S = 2.5, 8.0
"""Whoever is unseen for longer gets a new number when coming back; the time behind somebody counts
for the second only."""
_DIFFUSION = 1.0
"""Of the acceleration, m^2/s^3: half a metre of doubt after a second unseen."""
_CLEAR_SCORE, _CLEAR_SD_M, _VAGUE_SD_M, _VAGUE_DEPTH_SD_M = 0.45, 0.04, 0.10, 0.5
"""People found with less are mostly half hidden, and seem as near as what is in front of them."""
_JUMP = 3.0
"""Minus log probability that somebody just seen is found farther off than frames agree."""
_COAST_SD_M_S, _SLOWING_S, _SLOWING_DEPTH_S = 0.2, 0.7, 0.2
"""Unseen people go on, and slow down; in depth sooner, as bodies half hidden seem to come nearer
to what hides them."""


@dataclass(slots=True, eq=False)
class Track:
    """One person over time."""

    belief: Belief
    """(J,) joints."""
    centre: Belief
    """() middle of the trunk."""
    seen_s: float
    """When the person was seen last."""
    id: int = -1
    """The person's number; -1 until there is no doubt."""
    hits: int = 1
    """Frames in which the person was found."""
    missed: int = 0
    """Frames in which the person was not found, ever."""
    depth_sd_m: float = _VAGUE_DEPTH_SD_M
    """How well the depth of the trunk was known then."""
    hides: bool = False
    """Went out of sight behind somebody."""
    hidden_s: float = 0.0
    """How long ago."""


@dataclass(slots=True)
class Tracker:
    """Follows people by assignment in 3D: trunks go on at constant velocity between frames."""

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
        dt_s = self._move_on(time_s)
        found: list[Track | None] = [None] * len(poses)
        once = ~found_twice(poses)
        whole = once & np.isfinite(trunk_centres(poses)).all(-1)
        sure = whole & (poses.person_score >= _SURE_SCORE) & has_room(poses)
        named = [track for track in self.tracks if track.id >= 0]
        just = [track for track in named if time_s - track.seen_s <= _JUST_S]
        # Those seen just now have the first choice, those in doubt the last.
        self._match(poses, time_s, just, JUST_SEEN_M, whole, found)
        self._match(poses, time_s, named, LOST_M, sure, found)
        unnamed = [track for track in self.tracks if track.id < 0]
        self._match(poses, time_s, unnamed, LOST_M, sure, found)
        self._match_pieces(poses, time_s, just, once, sure, found)
        for person in np.flatnonzero(sure).tolist():
            if found[person] is None:
                found[person] = self._born(poses, person, time_s)
        self._miss(time_s, dt_s)
        self.tracks = [track for track in self.tracks if _alive(track, time_s)]
        return found

    def believe_all(self) -> None:
        """Number also the new ones who were never missed: no more frames will come."""
        for track in self.tracks:
            if track.id < 0 and not track.missed:
                self._name(track)

    def _move_on(self, time_s: float) -> float:
        dt_s = 0.0 if self._time_s is None else max(time_s - self._time_s, 0.0)
        self._time_s = time_s
        for track in self.tracks:
            track.belief = predict(track.belief, dt_s, np.array(_DIFFUSION))
            track.centre = predict(track.centre, dt_s, np.array(_DIFFUSION))
        return dt_s

    def _match(
        self,
        poses: Poses,
        time_s: float,
        tracks: list[Track],
        doubt_m: tuple[float, float],
        eligible: np.ndarray,
        found: list[Track | None],
    ) -> None:
        """Give people to tracks by where trunks can have gone."""
        tracks, free = [t for t in tracks if t.seen_s != time_s], _free(eligible, found)
        if not tracks or not free:
            return
        unseen_s = np.array([time_s - track.seen_s for track in tracks])
        depth_sd_m = np.array([track.depth_sd_m for track in tracks])
        found_m = trunk_centres(poses)[free]
        cost = place_costs(_centres(tracks), found_m, unseen_s, depth_sd_m, doubt_m)
        if doubt_m == LOST_M:
            cost[unseen_s <= _JUST_S] += _JUMP
        for person, row in zip(free, assign(cost).tolist(), strict=True):
            if row >= 0:
                found[person] = tracks[row]
                self._see(tracks[row], poses, person, time_s)

    def _match_pieces(
        self,
        poses: Poses,
        time_s: float,
        tracks: list[Track],
        eligible: np.ndarray,
        sure: np.ndarray,
        found: list[Track | None],
    ) -> None:
        """Give limbs without a trunk to those who are where predicted, joint by joint."""
        tracks, free = [t for t in tracks if t.seen_s != time_s], _free(eligible, found)
        if not tracks or not free:
            return
        cost = costs(
            np.stack([track.belief.position_m for track in tracks]),
            np.stack([track.belief.position_covariance_m2 for track in tracks]),
            poses.joints_m[free], poses.covariance_m2[free],
            np.array([time_s - track.seen_s for track in tracks]),
        )  # fmt: skip
        for person, row in zip(free, assign(cost).tolist(), strict=True):
            # Pieces show that somebody is there, but would drag the body along.
            found[person] = tracks[row] if row >= 0 else None
            if row >= 0 and sure[person]:
                self._see(tracks[row], poses, person, time_s)

    def _see(self, track: Track, poses: Poses, person: int, time_s: float) -> None:
        joints = poses.joints_m[person].astype(float), poses.covariance_m2[person].astype(float)
        centre = _centre(poses, person)
        if time_s - track.seen_s > _JUST_S:
            # Where they should be was a guess: to keep half of it would lose them again.
            track.belief = first_belief(*joints)
            if poses.person_score[person] < _CLEAR_SCORE:
                centre = _at_depth(centre[0], track.centre.position_m), centre[1]
            track.centre = first_belief(*centre)
        else:
            track.belief = update(track.belief, *joints)
            track.centre = update(track.centre, *centre)
        track.seen_s, track.hits = time_s, track.hits + 1
        track.hides, track.hidden_s = False, 0.0
        sight = track.centre.position_m / np.linalg.norm(track.centre.position_m)
        track.depth_sd_m = float(np.sqrt(sight @ track.centre.position_covariance_m2 @ sight))
        if track.id < 0 and track.hits >= SURE_AFTER:
            self._name(track)

    def _miss(self, time_s: float, dt_s: float) -> None:
        """Let those not seen go on; whoever vanished behind somebody stays behind somebody."""
        missed = [track for track in self.tracks if track.seen_s != time_s]
        if not missed:
            return
        present = [track for track in self.tracks if time_s - track.seen_s <= _JUST_S]
        ways_m, covered = behind(_centres(missed), _centres(present))
        for track, way_m, hides in zip(missed, ways_m, covered.tolist(), strict=True):
            track.missed += 1
            track.centre = _coast(track.centre, dt_s)
            track.hides |= hides
            if track.hides:
                track.hidden_s += dt_s
                track.centre = _moved(track.centre, np.nan_to_num(way_m))

    def _born(self, poses: Poses, person: int, time_s: float) -> Track:
        joints = poses.joints_m[person].astype(float), poses.covariance_m2[person].astype(float)
        track = Track(first_belief(*joints), first_belief(*_centre(poses, person)), time_s)
        self.tracks.append(track)
        return track

    def _name(self, track: Track) -> None:
        track.id = self._next_id
        self._next_id += 1


def _alive(track: Track, time_s: float) -> bool:
    unseen_s = time_s - track.seen_s - 1e-6
    if track.id < 0:
        return unseen_s <= _UNSURE_S
    return unseen_s - track.hidden_s <= _PATIENCE_S and unseen_s <= _HIDDEN_PATIENCE_S


def _free(eligible: np.ndarray, found: list[Track | None]) -> list[int]:
    return [p for p, track in enumerate(found) if track is None and eligible[p]]


def _centres(tracks: list[Track]) -> np.ndarray:
    """(T, 3)."""
    return np.array([track.centre.position_m for track in tracks]).reshape(-1, 3)


def _centre(poses: Poses, person: int) -> tuple[np.ndarray, np.ndarray]:
    """(3,) trunk of somebody found, and (3, 3) its noise."""
    centre_m = trunk_centres(poses)[person]
    if poses.person_score[person] >= _CLEAR_SCORE:
        return centre_m, _CLEAR_SD_M**2 * np.eye(3)
    sight = centre_m / np.linalg.norm(centre_m)
    along = np.outer(sight, sight)
    return centre_m, _VAGUE_SD_M**2 * (np.eye(3) - along) + _VAGUE_DEPTH_SD_M**2 * along


def _at_depth(found_m: np.ndarray, expected_m: np.ndarray) -> np.ndarray:
    """(3,) where somebody was found, but as far away as expected."""
    sight = found_m / np.linalg.norm(found_m)
    return found_m + (expected_m - found_m) @ sight * sight


def _coast(belief: Belief, dt_s: float) -> Belief:
    """Somebody unseen goes on, a little slower."""
    sight = belief.position_m / np.linalg.norm(belief.position_m)
    along = (belief.velocity_m_s @ sight) * sight
    slower = np.exp(-dt_s / _SLOWING_S) * (belief.velocity_m_s - along)
    slower = slower + np.exp(-dt_s / _SLOWING_DEPTH_S) * along
    return update_velocity(belief, slower, _COAST_SD_M_S, np.ones(slower.shape[:-1], bool))


def _moved(belief: Belief, way_m: np.ndarray) -> Belief:
    return Belief(belief.mean + np.concatenate([way_m, np.zeros(3)]), belief.covariance)
