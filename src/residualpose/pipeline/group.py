"""Joint candidates and limb fields -> the people of one image, in 2D.

What the fields leave no doubt about becomes pieces; `assemble` then divides all pieces into people
at once, by limbs and by geometry, so that a missing joint does not cut a person in two and a
neighbour's limb is not taken.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from residualpose.pipeline.assemble import Pieces, assemble
from residualpose.pipeline.body_evidence import Evidence, reach_m
from residualpose.pipeline.peaks import Peaks, find_peaks
from residualpose.skeleton import ITOP15

_JOINTS = len(ITOP15.joints)
_LIMBS = ITOP15.limb_array
_SAMPLES = 12
"""Points at which the field is read along a limb."""
_CERTAIN, _LEAD = 0.35, 0.3
"""A limb is certain from this agreement on, and if it leads its rivals by that much."""
_MIN_JOINTS = 3


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
        raise ValueError(f"part_maps: expected ({_JOINTS}, h, w), got {np.shape(part_maps)}")
    expected = (2 * len(_LIMBS), *np.shape(part_maps)[1:])
    if np.shape(limb_fields) != expected:
        raise ValueError(f"limb_fields: expected {expected}, got {np.shape(limb_fields)}")
    people = group(find_peaks(part_maps), limb_fields)
    return people.joints_px, people.joint_score


def group(
    peaks: Peaks, limb_fields: np.ndarray, points_m: np.ndarray | None = None
) -> People2D:
    """Divides joint candidates into people.

    Args:
        peaks: N candidates in pixels of the fields' grid.
        limb_fields: (28, h, w) unit vectors along limbs, near 0 elsewhere.
        points_m: (N, 3) position of each candidate in the camera frame, metres; NaN unknown.
    """
    if not len(peaks):
        return _people(peaks, np.zeros((0, 0), dtype=bool))
    pairs = _limb_pairs(peaks, limb_fields)
    affinity, metres_per_px = _limb_odds(peaks, pairs), None
    if points_m is not None:
        affinity = _gated(affinity, peaks.joint, points_m)
        metres_per_px = _metres_per_px(peaks.xy_px, points_m)
    piece = _certain_pieces(peaks, pairs, affinity)
    member = np.eye(piece.max() + 1)[:, piece]
    within = member @ affinity @ member.T
    area_px = float(np.prod(np.shape(limb_fields)[1:]))
    evidence = Evidence.of_peaks(peaks.joint, peaks.xy_px, area_px, metres_per_px)
    pieces = Pieces(
        joints=member @ np.eye(_JOINTS)[peaks.joint],
        evidence=evidence.combined(member),
        support=member @ (5.0 * (peaks.score - 0.45)) + 0.5 * np.diag(within),
        affinity=within - np.diag(np.diag(within)),
    )
    owner = assemble(pieces)[piece]
    return _people(peaks, np.arange(owner.max() + 1)[:, None] == owner)


@dataclass(frozen=True, slots=True)
class _LimbPairs:
    """Every two candidates that could be the ends of one limb."""

    start: np.ndarray
    end: np.ndarray
    agreement: np.ndarray
    """(E,) mean component of the field along the way from start to end, -1..1."""


def _limb_pairs(peaks: Peaks, limb_fields: np.ndarray) -> _LimbPairs:
    of_joint = np.eye(_JOINTS, dtype=bool)[:, peaks.joint]
    limb, start, end = np.nonzero(of_joint[_LIMBS[:, 0], :, None] & of_joint[_LIMBS[:, 1], None])
    way = peaks.xy_px[end] - peaks.xy_px[start]
    unit = way / np.maximum(np.linalg.norm(way, axis=1, keepdims=True), 1e-6)
    at = peaks.xy_px[start, None] + way[:, None] * np.linspace(0.05, 0.95, _SAMPLES)[:, None]
    col, row = np.rint(at).astype(np.int64).transpose(2, 0, 1)
    height, width = limb_fields.shape[1:]
    row, col = np.clip(row, 0, height - 1), np.clip(col, 0, width - 1)
    along_x = limb_fields[2 * limb[:, None], row, col] * unit[:, :1]
    along_y = limb_fields[2 * limb[:, None] + 1, row, col] * unit[:, 1:]
    agreement = np.clip(np.nan_to_num(along_x + along_y), -1.0, 1.0).mean(axis=1)
    return _LimbPairs(start, end, agreement)


def _limb_odds(peaks: Peaks, pairs: _LimbPairs) -> np.ndarray:
    """(N, N) log odds that two candidates are the ends of one limb; 0 for pairs that are no limb."""
    weaker = np.minimum(peaks.score[pairs.start], peaks.score[pairs.end])
    odds = 16.0 * (np.minimum(pairs.agreement, 0.7) - 0.25 * weaker)
    # Of a limb seen end-on, the field says little.
    length_px = np.linalg.norm(peaks.xy_px[pairs.end] - peaks.xy_px[pairs.start], axis=1)
    odds = np.where(odds < 0, odds * np.clip((length_px - 1.0) / 4.0, 0.0, 1.0), odds)
    matrix = np.zeros((len(peaks), len(peaks)))
    matrix[pairs.start, pairs.end] = matrix[pairs.end, pairs.start] = odds
    return matrix


def _gated(affinity: np.ndarray, joint: np.ndarray, points_m: np.ndarray) -> np.ndarray:
    """Affinity with doubt cast on two candidates farther apart than a person reaches."""
    distance_m = np.linalg.norm(points_m[:, None] - points_m, axis=-1)
    excess_m = np.nan_to_num(distance_m - reach_m()[joint[:, None], joint])
    far = np.clip(excess_m / 0.2, 0.0, 1.0)
    # Only doubt: the pixel of a true joint may show what is behind it.
    return affinity - far * (1.5 + 0.7 * np.maximum(affinity, 0.0))


def _metres_per_px(xy_px: np.ndarray, points_m: np.ndarray) -> np.ndarray | None:
    """(N,) metres that a pixel spans at each candidate's depth; None where that cannot be told."""
    known = np.isfinite(points_m).all(axis=1) & (points_m[:, 2] > 0)
    if known.sum() < 2:
        return None
    slope = points_m[known, :2] / points_m[known, 2:]
    offset_px = xy_px[known] - xy_px[known].mean(axis=0)
    spread = float((offset_px**2).sum())
    per_focal = float((offset_px * (slope - slope.mean(axis=0))).sum()) / max(spread, 1e-6)
    if per_focal <= 0:
        return None
    return np.where(known, points_m[:, 2] * per_focal, np.nan)


def _certain_pieces(peaks: Peaks, pairs: _LimbPairs, affinity: np.ndarray) -> np.ndarray:
    """(N,) piece of each candidate: sets that limbs without a rival hold together."""
    rival = np.maximum(
        _best_rival(pairs.start * _JOINTS + peaks.joint[pairs.end], pairs.agreement),
        _best_rival(pairs.end * _JOINTS + peaks.joint[pairs.start], pairs.agreement),
    )
    certain = (pairs.agreement > _CERTAIN) & (pairs.agreement > rival + _LEAD)
    certain &= affinity[pairs.start, pairs.end] > 0
    start, end = pairs.start[certain], pairs.end[certain]
    strength = pairs.agreement[certain]
    while True:
        graph = coo_matrix((strength, (start, end)), shape=(len(peaks), len(peaks)))
        piece = connected_components(graph, directed=False)[1]
        count = np.bincount(piece * _JOINTS + peaks.joint, minlength=_JOINTS * (piece.max() + 1))
        double = (count.reshape(-1, _JOINTS) > 1).any(axis=1)[piece[start]]
        if not double.any():
            return piece
        # A person has no joint twice: the weakest limb of such a piece is cut.
        keep = np.arange(len(start)) != np.argmin(np.where(double, strength, np.inf))
        start, end, strength = start[keep], end[keep], strength[keep]


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


def _people(peaks: Peaks, member: np.ndarray) -> People2D:
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
    return People2D(joints_px[order], score[order], person_score[order], index[order])
