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


CURVE_M = np.round(np.arange(0.0, 0.2501, 0.005), 3)
"""Limits of the PCK curve."""
AUC_LIMIT_M = 0.15
"""The area under the curve is its mean up to here, as MPI-INF-3DHP has it."""


def pck_curve(joints_m: np.ndarray, truth_m: np.ndarray) -> np.ndarray:
    """Share of correct joints at each of CURVE_M; NaN without truth."""
    distance = np.linalg.norm(np.asarray(joints_m) - truth_m, axis=-1)
    labelled = np.isfinite(truth_m).all(-1)
    if not labelled.any():
        return np.full(len(CURVE_M), np.nan)
    ordered = np.sort(np.where(np.isfinite(distance), distance, np.inf)[labelled])
    return np.searchsorted(ordered, CURVE_M, side="left") / len(ordered)


def area_under_curve(curve: np.ndarray) -> float:
    """Mean of a `pck_curve` over the limits up to AUC_LIMIT_M."""
    return float(curve[CURVE_M <= AUC_LIMIT_M].mean())
