"""Which person found is which true one."""

from __future__ import annotations

import numpy as np

from residualpose.tracking.assignment import assign


def match_people(
    joints_m: np.ndarray, truth_m: np.ndarray, within_m: float
) -> list[tuple[int, int]]:
    """Pairs (found, true), one each, by the median distance of the joints that both have.

    Args:
        joints_m: (P, J, 3) people found, NaN where a joint is missing.
        truth_m: (Q, J, 3) true people.
        within_m: people farther apart than this are not paired.
    """
    if not len(joints_m) or not len(truth_m):
        return []
    distance = np.linalg.norm(joints_m[:, None] - truth_m[None], axis=-1)
    ordered = np.sort(distance, axis=-1)  # NaN last
    known = np.isfinite(distance).sum(-1)
    middle = np.maximum(known - 1, 0) // 2
    median = np.take_along_axis(ordered, middle[..., None], -1)[..., 0]
    found = assign(np.where((known > 0) & (median < within_m), median, np.inf))
    return sorted((int(found[q]), int(q)) for q in np.flatnonzero(found >= 0))
