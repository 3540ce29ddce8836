"""PCK: the share of correct joints. A joint that was not found counts as wrong."""

from __future__ import annotations

import numpy as np

PCK_LIMIT_M = 0.10
"""The distance that the field's tables use (ITOP's "mAP")."""


def correct_joints(
    joints_m: np.ndarray, truth_m: np.ndarray, limit_m: float = PCK_LIMIT_M
) -> np.ndarray:
    """(..., J): 1 where a joint is strictly within the limit, 0 where not, NaN without truth."""
    distance = np.linalg.norm(np.asarray(joints_m) - truth_m, axis=-1)
    labelled = np.isfinite(truth_m).all(-1)
    return np.where(labelled, distance < limit_m, np.nan)  # NaN < limit is False: a miss
