"""Who is who: people known so far against people found, in 3D."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment

from residualpose.tracking.kalman import squared_distance

_FLOOR_M = 0.04
"""Added to every joint's uncertainty: what two frames differ by without any error."""
_WORST = 16.0
"""A joint's squared distance counts at most so much: one wild joint is not another person."""
_REACH_M, _REACH_M_S = 0.45, 1.6
"""Whoever is farther from where they should be is somebody else: at once, and more each second."""
_MIN_JOINTS = 3
_FORBIDDEN = 1e6


def costs(
    expected_m: np.ndarray,
    expected_m2: np.ndarray,
    found_m: np.ndarray,
    found_m2: np.ndarray,
    unseen_s: np.ndarray,
) -> np.ndarray:
    """(T, P) how badly each person found fits each one known; infinite where it cannot be.

    The negative log-likelihood of the joints that both have, a joint on average.

    Args:
        expected_m: (T, J, 3) joints as predicted.
        expected_m2: (T, J, 3, 3) their covariance.
        found_m: (P, J, 3).
        found_m2: (P, J, 3, 3).
        unseen_s: (T,) seconds since each was seen.
    """
    offset = found_m[None] - expected_m[:, None]
    spread = expected_m2[:, None] + found_m2[None] + _FLOOR_M**2 * np.eye(3)
    both = np.isfinite(offset).all(-1) & np.isfinite(spread).all((-2, -1))
    offset = np.where(both[..., None], offset, 0.0)
    spread = np.where(both[..., None, None], spread, np.eye(3))
    distance2 = np.minimum(squared_distance(offset, spread), _WORST)
    joints = np.maximum(both.sum(-1), 1)
    unlikely = distance2 + np.linalg.slogdet(spread)[1]
    cost = np.where(both, unlikely, 0.0).sum(-1) / joints
    return np.where(_within_reach(offset, both, unseen_s), cost, np.inf)


def _within_reach(offset: np.ndarray, both: np.ndarray, unseen_s: np.ndarray) -> np.ndarray:
    away = np.where(both, np.linalg.norm(offset, axis=-1), np.nan)
    enough = both.sum(-1) >= _MIN_JOINTS
    away = np.where(enough[..., None], away, np.inf)
    reach = _REACH_M + _REACH_M_S * np.asarray(unseen_s)[:, None]
    return np.nanmedian(away, axis=-1) < reach


def assign(cost: np.ndarray) -> np.ndarray:
    """(P,) row of `cost` (T, P) given to each column, -1 for none; as many as can be, cheapest."""
    rows = np.full(cost.shape[1], -1)
    if not cost.size:
        return rows
    chosen, columns = linear_sum_assignment(np.where(np.isfinite(cost), cost, _FORBIDDEN))
    possible = np.isfinite(cost[chosen, columns])
    rows[columns[possible]] = chosen[possible]
    return rows
