"""Tracker: gives the people of each frame the numbers that they had in the frames before."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from residualpose.poses import Poses
from residualpose.tracking.assignment import assign, costs
from residualpose.tracking.bones import Bones
from residualpose.tracking.evidence import apart, found_twice, has_room, trunk_centres
from residualpose.tracking.kalman import Belief, first_belief, predict, update
from residualpose.tracking.newcomers import claim, who_is_who
from residualpose.tracking.reentry import JUST_SEEN_M, LOST_M, behind, place_costs
from residualpose.tracking.strays import Glance
from residualpose.tracking.track import SURE_AFTER, VAGUE_DEPTH_SD_M, Track

_SURE_SCORE = 0.35
"""People found with less only go on as somebody just seen: they are no news."""
_UNSURE_S = 0.1
"""Somebody new who is missed for longer was a mistake."""
_JUST_S = 0.2
"""Seen within this time, or in the frame before, somebody is where predicted."""
_PATIENCE_S, _HIDDEN_PATIENCE_S = 2.5, 8.0
"""Whoever is unseen for longer gets a new number when coming back; the time behind somebody counts
for the second only."""
_DIFFUSION = 1.0
"""Of the acceleration, m^2/s^3: half a metre of doubt after a second unseen."""
_CLEAR_SCORE, _CLEAR_SD_M, _VAGUE_SD_M = 0.45, 0.04, 0.10
"""People found with less are mostly half hidden."""
_JUMP = 3.0
"""Minus log probability that somebody just seen is found farther off than frames agree."""


@dataclass(slots=True)
class Tracker:
    """Follows people by assignment in 3D: trunks go on at constant velocity between frames."""

    foresight_frames: int = 0
    """So many frames after somebody came into sight it is settled who that is."""
    tracks: list[Track] = field(default_factory=list)
    """Everybody followed now."""
    _next_id: int = 0
    _time_s: float | None = None
    _just_s: float = _JUST_S

    def step(self, poses: Poses, time_s: float) -> list[Track | None]:
        """The track of each person of a frame; None for somebody found twice.

        Args:
            poses: People of the frame.
            time_s: Time of the frame; later than the one before.
        """
        dt_s = self._move_on(time_s)
        predicted = {track: track.centre for track in self.tracks}
        found: list[Track | None] = [None] * len(poses)
        once = ~found_twice(poses)
        whole = once & np.isfinite(trunk_centres(poses)).all(-1)
        sure = whole & (poses.person_score >= _SURE_SCORE) & has_room(poses)
        just = [track for track in self.tracks if time_s - track.seen_s <= self._just_s]
        # Those seen just now have the first choice; the lost come back as newcomers.
        self._match(poses, time_s, just, JUST_SEEN_M, whole, sure, found)
        self._match(poses, time_s, self.tracks, LOST_M, whole, sure, found)
        believed = [track for track in just if track.believed]
        self._match_pieces(poses, time_s, believed, once, sure, found)
        for person in _free(sure & apart(poses, _taken(found)), found):
            found[person] = self._born(poses, person, time_s, dt_s)
        self._miss(time_s, dt_s)
        self._note(poses, found, predicted, time_s)
        self._settle(time_s)
        self.tracks = [track for track in self.tracks if _alive(track, time_s)]
        return found

    def believe_all(self) -> None:
        """Number also the new ones who were never missed: no more frames will come."""
        newcomers = [t for t in self.tracks if t.id < 0 and (t.believed or not t.missed)]
        for one in newcomers:
            if not one.believed:
                claim(one, self.tracks, self._time_s or 0.0)
        self._name(newcomers, newcomers)

    def _move_on(self, time_s: float) -> float:
        dt_s = 0.0 if self._time_s is None else max(time_s - self._time_s, 0.0)
        self._time_s, self._just_s = time_s, max(_JUST_S, dt_s + 1e-6)
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
        whole: np.ndarray,
        sure: np.ndarray,
        found: list[Track | None],
    ) -> None:
        """Give people to tracks by where trunks can have gone."""
        tracks, free = [t for t in tracks if t.seen_s != time_s], _free(whole, found)
        if not tracks or not free:
            return
        unseen_s = np.array([time_s - track.seen_s for track in tracks])
        depth_sd_m = np.array([track.depth_sd_m for track in tracks])
        found_m = trunk_centres(poses)[free]
        cost = place_costs(_centres(tracks), found_m, unseen_s, depth_sd_m, doubt_m)
        lost, doubted = unseen_s > self._just_s, np.array([not track.believed for track in tracks])
        if doubt_m == LOST_M:
            cost[~lost] += _JUMP
            cost[:, ~sure[free]] = np.inf
        cost[np.ix_(lost | doubted, ~sure[free])] = np.inf
        for person, row in zip(free, assign(cost).tolist(), strict=True):
            if row >= 0 and not lost[row]:
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
        track.belief = update(track.belief, *joints)
        track.centre = update(track.centre, *centre)
        track.bones.observe(*joints, poses.origin[person], time_s - track.seen_s)
        track.seen_s, track.hits = time_s, track.hits + 1
        track.hides, track.hidden_s = False, 0.0
        sight = track.centre.position_m / np.linalg.norm(track.centre.position_m)
        track.depth_sd_m = float(np.sqrt(sight @ track.centre.position_covariance_m2 @ sight))

    def _miss(self, time_s: float, dt_s: float) -> None:
        """Let those not seen go on; whoever vanished behind somebody stays behind somebody."""
        missed = [track for track in self.tracks if track.seen_s != time_s]
        if not missed:
            return
        present = [track for track in self.tracks if time_s - track.seen_s <= self._just_s]
        ways_m, covered = behind(_centres(missed), _centres(present))
        for track, way_m, hides in zip(missed, ways_m, covered.tolist(), strict=True):
            track.missed += 1
            track.coast(dt_s)
            track.hides |= hides
            if track.hides:
                track.hidden_s += dt_s
                track.shift(np.nan_to_num(way_m))

    def _note(
        self,
        poses: Poses,
        found: list[Track | None],
        predicted: dict[Track, Belief],
        time_s: float,
    ) -> None:
        """Keep where trunks were found and thought to be, for as long as frames wait."""
        centre_m = trunk_centres(poses)
        rows = {track: row for row, track in enumerate(found) if track is not None}
        for track in self.tracks:
            found_m = centre_m[rows[track]] if track in rows else np.full(3, np.nan)
            before = predicted.get(track, track.centre)
            track.way.glances.append(Glance(time_s, found_m, before, track.centre))
            if len(track.way.glances) > self.foresight_frames + 1:
                track.way.glances.popleft()

    def _born(self, poses: Poses, person: int, time_s: float, dt_s: float) -> Track:
        joints = poses.joints_m[person].astype(float), poses.covariance_m2[person].astype(float)
        bones = Bones.unknown(poses.skeleton)
        bones.observe(*joints, poses.origin[person], dt_s)
        centre = first_belief(*_centre(poses, person))
        track = Track(first_belief(*joints), centre, bones, time_s, time_s)
        self.tracks.append(track)
        return track

    def _settle(self, time_s: float) -> None:
        """Say who the newcomers are whose time has come."""
        newcomers = [track for track in self.tracks if track.id < 0 and track.believed]
        for one in newcomers:
            if one.hits == SURE_AFTER and one.seen_s == time_s:
                claim(one, self.tracks, time_s)
        due = [one for one in newcomers if one.hits + one.missed > self.foresight_frames]
        self._name(newcomers, due)

    def _name(self, newcomers: list[Track], due: list[Track]) -> None:
        """Number those due; the others only have their say."""
        if not due:
            return
        for one, lost in zip(newcomers, who_is_who(newcomers), strict=True):
            if one not in due:
                continue
            if lost is None:
                one.id = self._next_id
                self._next_id += 1
            else:
                one.is_same_as(lost)
                self.tracks = [track for track in self.tracks if track is not lost]
                for other in newcomers:
                    other.claims.pop(lost, None)
            one.claims = {}


def _alive(track: Track, time_s: float) -> bool:
    unseen_s = time_s - track.seen_s - 1e-6
    if track.id < 0:
        return track.believed or unseen_s <= _UNSURE_S
    return unseen_s - track.hidden_s <= _PATIENCE_S and unseen_s <= _HIDDEN_PATIENCE_S


def _taken(found: list[Track | None]) -> np.ndarray:
    return np.array([track is not None for track in found], bool)


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
    return centre_m, _VAGUE_SD_M**2 * (np.eye(3) - along) + VAGUE_DEPTH_SD_M**2 * along
