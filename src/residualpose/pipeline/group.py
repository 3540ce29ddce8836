"""Joint candidates and limb fields -> the people of one image, in 2D.

What the fields leave no doubt about becomes pieces; `assemble` then divides all pieces into people
at once, by limbs and by geometry, so that a missing joint does not cut a person in two and a
neighbour's limb is not taken.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from residualpose.errors import ResidualPoseError
from residualpose.pipeline.assemble import assemble
from residualpose.pipeline.body_evidence import evidence_rows
from residualpose.pipeline.limb_odds import (
    LimbPairs,
    limb_odds,
    limb_pairs,
    metres_per_px,
    out_of_reach,
)
from residualpose.pipeline.peaks import Peaks, find_peaks
from residualpose.pipeline.pieces import Pieces, product, sums
from residualpose.skeleton import ITOP15

_JOINTS = len(ITOP15.joints)
_FIELDS = 2 * len(ITOP15.limbs)
_CERTAIN, _LEAD = 0.35, 0.3
"""A limb is certain from this agreement on, and if it leads its rivals by that much."""
_MIN_JOINTS = 3
_SHADOW_ODDS, _SHADOW_REACH = 4.0, 0.015
"""Log odds against a candidate in the shadow of a stronger one of the other side at the same place,
and how near that is, as a share of the grid's mean side."""
_ON_TOP, _ON_TOP_M = 0.06, 0.25
"""Two joints coincide when they are nearer than this part of the person's extent, and in metres."""
_COVERED = 0.6
"""Share of a person's joints that, lying on a better person's, make it no person."""


@dataclass(frozen=True, slots=True)
class People2D:
    """The P people of one image, best first."""

    joints_px: np.ndarray
    """(P, 15, 2) float32 pixels of the maps' grid; NaN where absent."""
    joint_score: np.ndarray
    """(P, 15) float32 in 0..1; 0 where absent."""
    person_score: np.ndarray
    """(P,) float32 in 0..1."""
    peak_index: np.ndarray
    """(P, 15) int64 row of the joint in the peaks; -1 where absent."""

    def __post_init__(self) -> None:
        people = len(self.person_score)
        expected = {
            "joints_px": (people, _JOINTS, 2),
            "joint_score": (people, _JOINTS),
            "peak_index": (people, _JOINTS),
        }
        for field, shape in expected.items():
            if np.shape(getattr(self, field)) != shape:
                found = np.shape(getattr(self, field))
                raise ValueError(f"{field}: expected {shape}, got {found}")

    def __len__(self) -> int:
        return len(self.person_score)


def group_people(part_maps: np.ndarray, limb_fields: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The people in part maps (15, h, w) and limb fields (28, h, w) of one resolution.

    Returns:
        joints_px (P, 15, 2), pixels of that grid, NaN where absent, and joint_score (P, 15).
    """
    if np.ndim(part_maps) != 3 or len(part_maps) != _JOINTS:
        raise ResidualPoseError(f"part_maps: expected ({_JOINTS}, h, w), got {np.shape(part_maps)}")
    expected = (_FIELDS, *np.shape(part_maps)[1:])
    if np.shape(limb_fields) != expected:
        raise ResidualPoseError(f"limb_fields: expected {expected}, got {np.shape(limb_fields)}")
    people = group(find_peaks(np.asarray(part_maps)), np.asarray(limb_fields))
    return people.joints_px, people.joint_score


def group(peaks: Peaks, limb_fields: np.ndarray, points_m: np.ndarray | None = None) -> People2D:
    """Divides joint candidates into people.

    Args:
        peaks: N candidates in pixels of the fields' grid.
        limb_fields: (28, h, w) unit vectors along limbs, near 0 elsewhere.
        points_m: (N, 3) position of each candidate in the camera frame, metres; NaN unknown.
    """
    if not len(peaks):
        return _people(peaks, np.zeros((0, 0), dtype=bool), None)
    pairs = limb_pairs(peaks, limb_fields)
    odds = limb_odds(peaks, pairs)
    points_m = np.full((len(peaks), 3), np.nan) if points_m is None else np.asarray(points_m)
    far = out_of_reach(peaks.joint, points_m)
    # Only a doubt: the pixel of a true joint may show what is behind it.
    odds = odds - far * (1.0 + 0.4 * np.maximum(odds, 0.0))
    piece = _certain_pieces(peaks, pairs, odds)
    member = (np.arange(piece.max() + 1)[:, None] == piece).astype(np.float32)
    within = product(product(member, odds), member.T)
    # One joint may err; that most of a piece errs alike is no accident.
    size = member.sum(axis=1)
    far = product(product(member, far), member.T)
    several = np.minimum.outer(size, size) > 1
    within -= 2.0 * far * (several & (far > 0.6 * np.outer(size, size)))
    area_px = float(np.prod(np.shape(limb_fields)[1:]))
    scale = metres_per_px(peaks.xy_px, points_m)
    shadow = _in_shadow(peaks, limb_fields.shape[1:])
    support = member @ (5.0 * (peaks.score - 0.45) - _SHADOW_ODDS * shadow) + 0.5 * np.diag(within)
    np.fill_diagonal(within, 0.0)
    pieces = Pieces(
        joints=member @ np.eye(_JOINTS, dtype=np.float32)[peaks.joint],
        evidence=sums(member, evidence_rows(peaks.joint, peaks.xy_px, area_px, scale)),
        support=support.astype(np.float32),
        affinity=within.astype(np.float32),
    )
    owner = assemble(pieces)[piece]
    return _people(peaks, np.arange(owner.max() + 1)[:, None] == owner, points_m)


def _in_shadow(peaks: Peaks, grid: tuple[int, ...]) -> np.ndarray:
    """(N,) 0..1: how surely a candidate is the other side's joint, seen by a network in doubt.

    Where it cannot tell front from back, the network marks a right elbow as a left one too, only
    weaker. Unpunished, such shadows would form a second person who stands inside the first.
    """
    partner = np.asarray(ITOP15.mirror)[peaks.joint]
    twin = (partner[:, None] == peaks.joint) & (partner != peaks.joint)[:, None]
    distance_px = np.linalg.norm(peaks.xy_px[:, None] - peaks.xy_px, axis=-1)
    near = np.clip(2.0 - distance_px / (_SHADOW_REACH * np.sqrt(np.prod(grid))), 0.0, 1.0)
    weaker = np.clip(10.0 * (peaks.score - peaks.score[:, None]), 0.0, 1.0)
    return (twin * near * weaker).max(axis=1, initial=0.0)


def _certain_pieces(peaks: Peaks, pairs: LimbPairs, odds: np.ndarray) -> np.ndarray:
    """(N,) piece of each candidate: sets that limbs without a rival hold together."""
    rival = np.maximum(
        _best_rival(pairs.start * _JOINTS + peaks.joint[pairs.end], pairs.agreement),
        _best_rival(pairs.end * _JOINTS + peaks.joint[pairs.start], pairs.agreement),
    )
    certain = (pairs.agreement > _CERTAIN) & (pairs.agreement > rival + _LEAD)
    certain &= odds[pairs.start, pairs.end] > 0
    order = np.argsort(-pairs.agreement[certain], kind="stable")
    start, end = pairs.start[certain][order].tolist(), pairs.end[certain][order].tolist()
    piece = list(range(len(peaks)))
    joints = (1 << peaks.joint).tolist()
    for a, b in zip(start, end, strict=True):
        a, b = _root(piece, a), _root(piece, b)
        # A person has no joint twice: of such a piece, the weakest limb holds nothing.
        if a != b and not joints[a] & joints[b]:
            piece[b] = a
            joints[a] |= joints[b]
    return np.unique([_root(piece, row) for row in range(len(piece))], return_inverse=True)[1]


def _root(parent: list[int], row: int) -> int:
    while parent[row] != row:
        row = parent[row]
    return row


def _best_rival(key: np.ndarray, agreement: np.ndarray) -> np.ndarray:
    """(E,) the largest agreement among the others of the same key; -1 where there is none."""
    order = np.lexsort((-agreement, key))
    sorted_key, value = key[order], agreement[order]
    first = np.searchsorted(sorted_key, sorted_key)
    second = np.minimum(first + 1, len(key) - 1)
    is_first = first == np.arange(len(key))
    has_second = sorted_key[second] == sorted_key if len(key) else is_first
    has_second &= second > first
    rival = np.empty(len(key))
    rival[order] = np.where(is_first, np.where(has_second, value[second], -1.0), value[first])
    return rival


def _people(peaks: Peaks, member: np.ndarray, points_m: np.ndarray | None) -> People2D:
    """The result from (P, N) membership, sorted by score."""
    member = member[member.sum(axis=1) >= _MIN_JOINTS]
    index = np.full((len(member), _JOINTS), -1, dtype=np.int64)
    person, peak = np.nonzero(member)
    index[person, peaks.joint[peak]] = peak
    seen = index >= 0
    score = np.zeros(index.shape, dtype=np.float32)
    joints_px = np.full((*index.shape, 2), np.nan, dtype=np.float32)
    score[seen], joints_px[seen] = peaks.score[index[seen]], peaks.xy_px[index[seen]]
    person_score = score.mean(axis=1)
    order = np.argsort(-person_score, kind="stable")
    lifted = None if points_m is None else np.where(seen[..., None], points_m[index], np.nan)
    order = order[_not_covered(joints_px[order], None if lifted is None else lifted[order])]
    return People2D(joints_px[order], score[order], person_score[order], index[order])


def _not_covered(joints_px: np.ndarray, points_m: np.ndarray | None) -> np.ndarray:
    """(P,) False for a person that lies on a better one, joint on joint of either side.

    Args:
        joints_px: (P, 15, 2) people, best first.
        points_m: (P, 15, 3) the same in 3D, which tells two people in one line of sight apart.
    """
    keep = np.ones(len(joints_px), dtype=bool)
    if len(keep) < 2:
        return keep
    count = np.isfinite(joints_px[..., 0]).sum(axis=1)
    low, high = np.nanmin(joints_px, axis=1), np.nanmax(joints_px, axis=1)
    size_px = np.linalg.norm(high - low, axis=1)
    on_top = _within(joints_px, _ON_TOP * size_px)
    if points_m is not None:
        unknown = np.isnan(points_m).any(-1)
        on_top &= unknown | _within(points_m, np.full(len(points_m), _ON_TOP_M))
    covers = on_top.sum(axis=-1) >= _COVERED * count
    for other in range(1, len(joints_px)):
        keep[other] = not (keep[:other] & covers[:other, other]).any()
    return keep


def _within(joints: np.ndarray, reach: np.ndarray) -> np.ndarray:
    """(P, P, 15) whether each joint of the second is within the first's reach of its joint.

    Or of that joint's partner; a joint that either lacks is not near.
    """
    both = np.stack([joints, joints[:, list(ITOP15.mirror)]], axis=1)
    distance = np.linalg.norm(both[:, None] - joints[None, :, None], axis=-1)
    return (distance < reach[:, None, None, None]).any(axis=2)
