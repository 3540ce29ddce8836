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
from residualpose.pipeline.body_evidence import LIMB_LENGTHS_M, evidence_rows
from residualpose.pipeline.limb_odds import (
    LimbPairs,
    between,
    kind_table,
    limb_odds,
    limb_pairs,
    metres_per_px,
    out_of_reach,
)
from residualpose.pipeline.limb_paths import LIMB_FROM, LIMB_TO
from residualpose.pipeline.peaks import Peaks, find_peaks
from residualpose.pipeline.pieces import Pieces, product, united
from residualpose.skeleton import ITOP15

_JOINTS = len(ITOP15.joints)
_FIELDS = 2 * len(ITOP15.limbs)
_CERTAIN, _LEAD = 0.25, 0.1
"""A limb is certain from this agreement on, and if it leads its rivals by that much."""
_MIN_JOINTS = 3
_DOLL = 0.4
"""Whose limbs are mostly shorter than this part of a grown person's is nobody: a child of one year
has longer ones."""
_TWINS = kind_table(
    np.array([(joint, twin) for joint, twin in enumerate(ITOP15.mirror) if joint != twin])
)
"""Each joint of a side and its partner of the other."""
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
    points_m = np.full((len(peaks), 3), np.nan) if points_m is None else np.asarray(points_m)
    if not len(peaks):
        return _people(peaks, np.zeros(0, dtype=np.int64), points_m)
    pairs = limb_pairs(peaks, limb_fields)
    odds = limb_odds(peaks, pairs)
    far = out_of_reach(peaks.joint, points_m)
    # Only a doubt: the pixel of a true joint may show what is behind it.
    odds -= far * (1.0 + 0.4 * np.maximum(odds, 0.0))
    piece = _certain_pieces(peaks, pairs, odds)
    member = (np.arange(piece.max() + 1)[:, None] == piece).astype(np.float64)
    within = product(product(member, odds), member.T)
    # One joint may err; that most of a piece errs alike is no accident.
    far = product(product(member, far), member.T)
    size = member.sum(axis=1)
    several = size > 1
    within -= 2.0 * far * (several & several[:, None] & (far > 0.6 * (size * size[:, None])))
    height, width = limb_fields.shape[1:]
    real = 5.0 * (peaks.score - 0.45) - _SHADOW_ODDS * _in_shadow(peaks, height * width)
    support = member @ real + 0.5 * within.diagonal()
    np.fill_diagonal(within, 0.0)
    scale = metres_per_px(peaks.xy_px, points_m)
    rows = evidence_rows(peaks.joint, peaks.xy_px, height * width, scale)
    pieces = Pieces(
        evidence=product(member.astype(np.float32), rows),
        support=support.astype(np.float32),
        affinity=within.astype(np.float32),
    )
    return _people(peaks, assemble(pieces)[piece], points_m)


def _in_shadow(peaks: Peaks, area_px: int) -> np.ndarray:
    """(N,) 0..1: how surely a candidate is the other side's joint, seen by a network in doubt.

    Where it cannot tell front from back, the network marks a right elbow as a left one too, only
    weaker. Unpunished, such shadows would form a second person who stands inside the first.
    """
    _, row, twin = between(peaks.joint, _TWINS)
    across_px = peaks.xy_px[row] - peaks.xy_px[twin]
    distance_px = np.sqrt((across_px * across_px).sum(axis=1))
    near = 2.0 - distance_px / (_SHADOW_REACH * np.sqrt(area_px))
    weaker = 10.0 * (peaks.score[twin] - peaks.score[row])
    sure = np.maximum(np.minimum(near, 1.0), 0.0) * np.maximum(np.minimum(weaker, 1.0), 0.0)
    shadow = np.zeros(len(peaks))
    np.maximum.at(shadow, row, sure)
    return shadow


def _certain_pieces(peaks: Peaks, pairs: LimbPairs, odds: np.ndarray) -> np.ndarray:
    """(N,) piece of each candidate: sets that limbs without a rival hold together."""
    agreement = np.full(odds.shape, -1.0)
    agreement[pairs.start, pairs.end] = agreement[pairs.end, pairs.start] = pairs.agreement
    leading = _leading(peaks.joint, agreement)
    certain = leading & leading.T & (agreement > _CERTAIN) & (odds > 0)
    start, end = pairs.start, pairs.end
    limbs = np.flatnonzero(certain[start, end])
    start, end = start[limbs], end[limbs]
    order = np.argsort(-agreement[start, end], kind="stable")
    joined = zip(start[order].tolist(), end[order].tolist(), strict=True)
    first = united(joined, 1 << peaks.joint)
    return (np.cumsum(first == np.arange(len(first))) - 1)[first]


def _leading(joint: np.ndarray, agreement: np.ndarray) -> np.ndarray:
    """(N, N) bool: the second leads all others of its joint by `_LEAD` in agreeing with the first.

    Args:
        joint: (N,) joint of each candidate, in order.
        agreement: (N, N) of each two.
    """
    new = np.empty(len(joint), dtype=bool)
    new[0] = True
    np.not_equal(joint[1:], joint[:-1], out=new[1:])
    first, kind = np.flatnonzero(new), np.cumsum(new) - 1
    best = np.maximum.reduceat(agreement, first, axis=1)
    near = agreement >= (best - _LEAD)[:, kind]
    return near & (np.add.reduceat(near, first, axis=1, dtype=np.int64) == 1)[:, kind]


def _people(peaks: Peaks, owner: np.ndarray, points_m: np.ndarray) -> People2D:
    """The result from the (N,) owners of the peaks, -1 for nobody, sorted by score."""
    owned = np.flatnonzero(owner >= 0)
    index = np.full((owner.max(initial=-1) + 1, _JOINTS), -1, dtype=np.int64)
    index[owner[owned], peaks.joint[owned]] = owned
    index = index[(index >= 0).sum(axis=1) >= _MIN_JOINTS]
    joints_m = np.where((index >= 0)[..., None], points_m[index], np.nan)
    real = ~_dolls(joints_m)
    if not real.any():
        return _nobody()
    index, joints_m = index[real], joints_m[real]
    score = np.where(index >= 0, peaks.score[index], 0.0)
    person_score = score.sum(axis=1) / np.float32(_JOINTS)
    order = np.argsort(-person_score, kind="stable")
    index, score, person_score = index[order], score[order], person_score[order]
    joints_px = np.where((index >= 0)[..., None], peaks.xy_px[index], np.nan)
    if len(index) > 1:
        keep = not_covered(joints_px, joints_m[order])
        index, score, person_score = index[keep], score[keep], person_score[keep]
        joints_px = joints_px[keep]
    return People2D(joints_px, score, person_score, index)


def _dolls(joints_m: np.ndarray) -> np.ndarray:
    """(P,) True where most limbs of (P, 15, 3) joints, NaN unknown, are too short for anybody."""
    along_m = joints_m[:, LIMB_TO] - joints_m[:, LIMB_FROM]
    size = np.sqrt((along_m * along_m).sum(axis=-1)) / LIMB_LENGTHS_M
    return 2 * (size < _DOLL).sum(axis=1) > (size >= 0).sum(axis=1)


def _nobody() -> People2D:
    nothing = np.zeros((0, _JOINTS), dtype=np.float32)
    return People2D(
        np.zeros((0, _JOINTS, 2), dtype=np.float32), nothing, nothing[:, 0],
        np.zeros((0, _JOINTS), dtype=np.int64),
    )  # fmt: skip


def not_covered(joints_px: np.ndarray, points_m: np.ndarray) -> np.ndarray:
    """(P,) False for a person that lies on a better one, joint on joint of either side.

    Args:
        joints_px: (P, 15, 2) people, best first.
        points_m: (P, 15, 3) the same in 3D, which tells two people in one line of sight apart.
    """
    keep = np.ones(len(joints_px), dtype=bool)
    count = np.isfinite(joints_px[..., 0]).sum(axis=1)
    extent = np.fmax.reduce(joints_px, axis=1) - np.fmin.reduce(joints_px, axis=1)
    size_px = np.sqrt((extent * extent).sum(axis=1))
    on_top = _within(joints_px, _ON_TOP * size_px)
    covers = on_top.sum(axis=-1) >= _COVERED * count
    if not np.triu(covers, 1).any():
        return keep  # depth can only speak against it
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
    places = joints.transpose(2, 0, 1)
    both = np.stack([places, places[..., list(ITOP15.mirror)]], axis=2)
    across = both[:, :, None] - places[:, None, :, None]
    distance = np.sqrt((across * across).sum(axis=0))
    return (distance < reach[:, None, None, None]).any(axis=2)
