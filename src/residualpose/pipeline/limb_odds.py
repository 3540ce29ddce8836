"""How strongly the limb fields, and depth where it is known, tie two joint candidates together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from residualpose.pipeline.body_evidence import reach_m
from residualpose.pipeline.peaks import Peaks
from residualpose.skeleton import ITOP15

_JOINTS = len(ITOP15.joints)
_SAMPLES = np.linspace(0.05, 0.95, 12)[:, None]
"""Places along a limb, as shares of it, at which the field is read."""


@dataclass(frozen=True, slots=True)
class LimbPairs:
    """Every two candidates that could be the ends of one limb."""

    start: np.ndarray
    """(E,) row of the candidate that the limb comes from."""
    end: np.ndarray
    """(E,) row of the candidate that it goes to."""
    length_px: np.ndarray
    """(E,) distance between the two."""
    agreement: np.ndarray
    """(E,) mean component of the field along the way from start to end, -1..1."""


def kind_table(pairs: np.ndarray) -> np.ndarray:
    """(15, 15) the number of each of (K, 2) pairs of joints, by first and second; -1: no pair."""
    table = np.full((_JOINTS, _JOINTS), -1)
    table[tuple(pairs.T)] = np.arange(len(pairs))
    return table


_LIMBS = kind_table(ITOP15.limb_array)


def between(joint: np.ndarray, table: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Kind (E,), first (E,) and second (E,) of all pairs of candidates of given joints.

    Args:
        joint: (N,) joint of each candidate.
        table: (15, 15) as `kind_table` makes it.
    """
    kind = table[joint[:, None], joint]
    first, second = np.nonzero(kind >= 0)
    return kind[first, second], first, second


def limb_pairs(peaks: Peaks, limb_fields: np.ndarray) -> LimbPairs:
    """Reads the fields (28, h, w) along the way between all candidates that a limb may connect."""
    limb, start, end = between(peaks.joint, _LIMBS)
    x, y = peaks.xy_px.T
    way_x, way_y = x[end] - x[start], y[end] - y[start]
    length_px = np.sqrt(way_x * way_x + way_y * way_y)
    safe_px = np.maximum(length_px, 1e-6)
    height, width = limb_fields.shape[1:]
    # Samples come first, so that what numpy repeats are long rows.
    row = _cells(y[start] + way_y * _SAMPLES, height)
    col = _cells(x[start] + way_x * _SAMPLES, width)
    cell = (2 * height * width) * limb + row * width + col
    flat = limb_fields.reshape(-1)
    along = flat[cell] * (way_x / safe_px) + flat[cell + height * width] * (way_y / safe_px)
    along = np.where(np.isnan(along), np.float32(0.0), along)
    along = np.minimum(np.maximum(along, -1.0), 1.0)
    return LimbPairs(start, end, length_px, along.sum(axis=0) / len(_SAMPLES))


def _cells(at_px: np.ndarray, count: int) -> np.ndarray:
    """The nearest of `count` cells to each place."""
    cell = np.rint(at_px).astype(np.int64)
    return np.minimum(np.maximum(cell, 0, out=cell), count - 1, out=cell)


def limb_odds(peaks: Peaks, pairs: LimbPairs) -> np.ndarray:
    """(N, N) log odds that two candidates are the ends of one limb; 0: no such limb exists."""
    weaker = np.minimum(peaks.score[pairs.start], peaks.score[pairs.end])
    odds = 16.0 * (np.minimum(pairs.agreement, 0.7) - 0.25 * weaker)
    # Of a limb seen end-on, the field says little.
    seen = np.minimum(np.maximum((pairs.length_px - 1.0) / 4.0, 0.0), 1.0)
    odds = np.where(odds < 0, odds * seen, odds)
    matrix = np.zeros((len(peaks), len(peaks)))
    matrix[pairs.start, pairs.end] = matrix[pairs.end, pairs.start] = odds
    return matrix


def out_of_reach(joint: np.ndarray, points_m: np.ndarray) -> np.ndarray:
    """(N, N) 0..1: how surely two candidates are farther apart than one person reaches."""
    across_m = points_m.T[:, :, None] - points_m.T[:, None]
    across_m *= across_m
    excess = np.sqrt(across_m.sum(axis=0)) - reach_m()[joint[:, None], joint]
    excess /= 0.2
    excess[np.isnan(excess)] = 0.0
    return np.minimum(np.maximum(excess, 0.0, out=excess), 1.0, out=excess)


def metres_per_px(xy_px: np.ndarray, points_m: np.ndarray) -> np.ndarray | None:
    """(N,) metres that a pixel spans at each candidate's depth; None where that cannot be told."""
    depth_m = points_m[:, 2]
    known = np.isfinite(points_m.sum(axis=1)) & (depth_m > 0)
    rows = np.flatnonzero(known)
    if len(rows) < 2:
        return None
    slope = points_m[rows, :2] / depth_m[rows, None]
    offset_px = xy_px[rows]
    offset_px -= offset_px.sum(axis=0) / len(rows)
    slope -= slope.sum(axis=0) / len(rows)
    spread = float((offset_px * offset_px).sum())
    per_focal = float((offset_px * slope).sum()) / max(spread, 1e-6)
    if per_focal <= 0:
        return None
    return np.where(known, depth_m * per_focal, np.nan)
