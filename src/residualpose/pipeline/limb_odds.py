"""How strongly the limb fields, and depth where it is known, tie two joint candidates together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from residualpose.pipeline.body_evidence import reach_m
from residualpose.pipeline.peaks import Peaks
from residualpose.skeleton import ITOP15

_JOINTS = len(ITOP15.joints)
_LIMBS = ITOP15.limb_array
_SAMPLES = 12
"""Points at which the field is read along a limb."""


@dataclass(frozen=True, slots=True)
class LimbPairs:
    """Every two candidates that could be the ends of one limb."""

    start: np.ndarray
    """(E,) row of the candidate that the limb comes from."""
    end: np.ndarray
    """(E,) row of the candidate that it goes to."""
    agreement: np.ndarray
    """(E,) mean component of the field along the way from start to end, -1..1."""


def limb_pairs(peaks: Peaks, limb_fields: np.ndarray) -> LimbPairs:
    """Reads the fields (28, h, w) along the way between all candidates that a limb may connect."""
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
    return LimbPairs(start, end, agreement)


def limb_odds(peaks: Peaks, pairs: LimbPairs) -> np.ndarray:
    """(N, N) log odds that two candidates are the ends of one limb; 0: no such limb exists."""
    weaker = np.minimum(peaks.score[pairs.start], peaks.score[pairs.end])
    odds = 16.0 * (np.minimum(pairs.agreement, 0.7) - 0.25 * weaker)
    # Of a limb seen end-on, the field says little.
    length_px = np.linalg.norm(peaks.xy_px[pairs.end] - peaks.xy_px[pairs.start], axis=1)
    odds = np.where(odds < 0, odds * np.clip((length_px - 1.0) / 4.0, 0.0, 1.0), odds)
    matrix = np.zeros((len(peaks), len(peaks)))
    matrix[pairs.start, pairs.end] = matrix[pairs.end, pairs.start] = odds
    return matrix


def out_of_reach(joint: np.ndarray, points_m: np.ndarray) -> np.ndarray:
    """(N, N) 0..1: how surely two candidates are farther apart than one person reaches."""
    distance_m = np.linalg.norm(points_m[:, None] - points_m, axis=-1)
    excess_m = np.nan_to_num(distance_m - reach_m()[joint[:, None], joint])
    return np.clip(excess_m / 0.2, 0.0, 1.0)


def metres_per_px(xy_px: np.ndarray, points_m: np.ndarray) -> np.ndarray | None:
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
