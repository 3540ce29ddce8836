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
    agreement = _limb_agreement(peaks, limb_fields)
    affinity = _limb_odds(peaks, agreement)
    if not len(peaks):
        return _people(peaks, np.zeros((0, 0), dtype=bool))
    piece = _certain_pieces(peaks, agreement)
    member = np.eye(piece.max() + 1)[:, piece]
    within = member @ affinity @ member.T
    support = member @ (5.0 * (peaks.score - 0.45)) + 0.5 * np.diag(within)
    pieces = Pieces(
        joints=member @ np.eye(_JOINTS)[peaks.joint],
        evidence=Evidence.of_peaks(
            peaks.joint, peaks.xy_px, float(np.prod(np.shape(limb_fields)[1:]))
        ).combined(member),
        support=support,
        affinity=within - np.diag(np.diag(within)),
    )
    owner = assemble(pieces)[piece]
    return _people(peaks, np.arange(owner.max() + 1)[:, None] == owner)


def _limb_agreement(peaks: Peaks, limb_fields: np.ndarray) -> np.ndarray:
    """(N, N) mean of the field's component along the way between two candidates; NaN: no limb."""
    agreement = np.full((len(peaks), len(peaks)), np.nan)
    of_joint = np.eye(_JOINTS, dtype=bool)[:, peaks.joint]
    limb, start, end = np.nonzero(of_joint[_LIMBS[:, 0], :, None] & of_joint[_LIMBS[:, 1], None])
    way = peaks.xy_px[end] - peaks.xy_px[start]
    length = np.maximum(np.linalg.norm(way, axis=1, keepdims=True), 1e-6)
    at = peaks.xy_px[start, None] + way[:, None] * np.linspace(0.05, 0.95, _SAMPLES)[:, None]
    col, row = np.rint(at).astype(np.int64).transpose(2, 0, 1)
    height, width = limb_fields.shape[1:]
    row, col = np.clip(row, 0, height - 1), np.clip(col, 0, width - 1)
    unit = way / length
    along = (
        limb_fields[2 * limb[:, None], row, col] * unit[:, :1]
        + limb_fields[2 * limb[:, None] + 1, row, col] * unit[:, 1:]
    )
    agreement[start, end] = agreement[end, start] = np.clip(along, -1.0, 1.0).mean(axis=1)
    return agreement


def _limb_odds(peaks: Peaks, agreement: np.ndarray) -> np.ndarray:
    """(N, N) log odds that two candidates are the ends of one limb; 0 for pairs that are no limb."""
    weaker = np.minimum(peaks.score[:, None], peaks.score)
    odds = 16.0 * (np.minimum(agreement, 0.7) - 0.25 * weaker)
    # Of a limb seen end-on, the field says little.
    length = np.linalg.norm(peaks.xy_px[:, None] - peaks.xy_px, axis=-1)
    odds = np.where(odds < 0, odds * np.clip((length - 1.0) / 4.0, 0.0, 1.0), odds)
    return np.nan_to_num(odds)


def _certain_pieces(peaks: Peaks, agreement: np.ndarray) -> np.ndarray:
    """(N,) piece of each candidate: sets that limbs without a rival hold together."""
    rival = np.full_like(agreement, -1.0)
    of_joint = [np.flatnonzero(peaks.joint == joint) for joint in range(_JOINTS)]
    for start, end in _LIMBS:
        block = np.nan_to_num(agreement[np.ix_(of_joint[start], of_joint[end])])
        rivals = np.maximum(_others_max(block), _others_max(block.T).T)
        rival[np.ix_(of_joint[start], of_joint[end])] = rivals
        rival[np.ix_(of_joint[end], of_joint[start])] = rivals.T
    certain = (np.nan_to_num(agreement) > _CERTAIN) & (agreement > rival + _LEAD)
    return _without_doubles(peaks, np.where(certain, agreement, 0.0))


def _others_max(block: np.ndarray) -> np.ndarray:
    """For each entry, the largest of the other entries of its row; -1 where there is none."""
    if block.shape[1] < 2:
        return np.full_like(block, -1.0)
    top = np.sort(block, axis=1)[:, -2:]
    return np.where(block >= top[:, 1:], top[:, :1], top[:, 1:])


def _without_doubles(peaks: Peaks, strength: np.ndarray) -> np.ndarray:
    """(N,) connected component, the weakest limbs cut of any that holds a joint twice."""
    strength = strength.copy()
    while True:
        piece = connected_components(coo_matrix(strength), directed=False)[1]
        joints = np.zeros((piece.max() + 1, _JOINTS), dtype=np.int64)
        np.add.at(joints, (piece, peaks.joint), 1)
        double = (joints > 1).any(axis=1)[piece]
        if not double.any():
            return piece
        inside = np.where(double[:, None] & (strength > 0), strength, np.inf)
        a, b = np.unravel_index(np.argmin(inside), inside.shape)
        strength[a, b] = strength[b, a] = 0.0


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
