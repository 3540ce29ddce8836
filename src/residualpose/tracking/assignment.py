"""Who is who: people known so far against people found, in 3D."""

from __future__ import annotations

import numpy as np
from lap import lapjv

_FLOOR_M = 0.05
"""Error that every joint has beside its covariance."""
_WORST_M = 0.8
"""A joint's distance counts at most so much: one wild joint is not another person."""
_REACH_M, _REACH_M_S = 0.4, 0.8
"""Whoever is farther from where they should be is somebody else: at once, and more each second."""
_STALE_M_S = 0.25
"""What a second unseen costs: somebody just seen is the likelier one."""
_MIN_JOINTS = 3
_FORBIDDEN = 1e3
"""Far above any true cost, and not so far that sums lose the digits that tell those apart."""


def costs(
    expected_m: np.ndarray,
    expected_m2: np.ndarray,
    found_m: np.ndarray,
    found_m2: np.ndarray,
    unseen_s: np.ndarray,
) -> np.ndarray:
    """(T, P) metres by which each person found misses each one known; infinite where too far.

    The mean distance of the joints that both have, each weighted by its precision.

    Args:
        expected_m: (T, J, 3) joints as predicted.
        expected_m2: (T, J, 3, 3) their covariance.
        found_m: (P, J, 3).
        found_m2: (P, J, 3, 3).
        unseen_s: (T,) seconds since each was seen.
    """
    away = np.linalg.norm(found_m[None] - expected_m[:, None], axis=-1)
    variance = np.trace(expected_m2, axis1=-2, axis2=-1)[:, None]
    variance = variance + np.trace(found_m2, axis1=-2, axis2=-1)[None] + _FLOOR_M**2
    both = np.isfinite(away) & np.isfinite(variance)
    weight = np.where(both, 1 / np.where(both, variance, 1.0), 0.0)
    near = np.minimum(np.where(both, away, 0.0), _WORST_M + unseen_s[:, None, None])
    mean = (weight * near).sum(-1) / np.maximum(weight.sum(-1), 1e-12)
    possible = (mean < _REACH_M + _REACH_M_S * unseen_s[:, None]) & (both.sum(-1) >= _MIN_JOINTS)
    return np.where(possible, mean + _STALE_M_S * unseen_s[:, None], np.inf)


def assign(cost: np.ndarray) -> np.ndarray:
    """(P,) row of `cost` (T, P) given to each column, -1 for none; as many as can be, cheapest."""
    if not cost.size:
        return np.full(cost.shape[1], -1)
    affordable = np.where(np.isfinite(cost), cost, _FORBIDDEN)
    _, rows = lapjv(affordable, extend_cost=True, return_cost=False)
    possible = (rows >= 0) & np.isfinite(cost[rows, np.arange(len(rows))])
    return np.where(possible, rows, -1)
