"""MPJPE and PA-MPJPE: mean distances, which mean little without the share of joints they cover."""

from __future__ import annotations

import numpy as np

_ENOUGH_JOINTS = 4
"""A similarity fits three joints almost exactly, whatever they are."""
RECALLS = np.arange(1, 21) / 20
"""Shares of all joints for which it is asked how far off the surest are."""


def joint_errors_m(joints_m: np.ndarray, truth_m: np.ndarray) -> np.ndarray:
    """(..., J) distance of each joint to its truth; NaN where either is missing."""
    return np.linalg.norm(np.asarray(joints_m) - truth_m, axis=-1)


def aligned_errors_m(joints_m: np.ndarray, truth_m: np.ndarray) -> np.ndarray:
    """(N, J) distances after the best rotation, shift and scale of each person (PA-MPJPE).

    NaN where a joint is missing, and for people with fewer than four joints.
    """
    errors = np.full(joints_m.shape[:2], np.nan)
    for i, (joints, truth) in enumerate(zip(joints_m, truth_m, strict=True)):
        both = np.isfinite(joints).all(-1) & np.isfinite(truth).all(-1)
        if both.sum() >= _ENOUGH_JOINTS:
            aligned = similarity_aligned(joints[both], truth[both])
            errors[i, both] = np.linalg.norm(aligned - truth[both], axis=-1)
    return errors


def surest_errors_m(errors_m: np.ndarray, sure: np.ndarray, labelled: int) -> list[float]:
    """Mean distance of the surest joints that make up each of `RECALLS` of all labelled ones.

    What remains for somebody who leaves out whatever is less sure. NaN from where on not so many
    joints were found.

    Args:
        errors_m: (N, J) distance of each joint to its truth; NaN where it was not found.
        sure: (N, J) how sure each joint is said to be; of what ties, the worse comes first.
        labelled: how many there were to find.
    """
    found = np.isfinite(errors_m)
    order = np.lexsort((-errors_m[found], -sure[found]))
    so_far = np.cumsum(errors_m[found][order])
    counts = np.maximum(np.ceil(RECALLS * labelled - 1e-9).astype(int), 1)
    return [
        float(so_far[count - 1] / count) if count <= len(so_far) else float("nan")
        for count in counts
    ]


def similarity_aligned(points: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Points (N, 3) turned, scaled and shifted onto the target (N, 3) in the least-squares sense.

    Umeyama 1991, equations 40-43: no reflections.
    """
    points, target = np.asarray(points, np.float64), np.asarray(target, np.float64)
    p, q = points - points.mean(0), target - target.mean(0)
    u, strength, vt = np.linalg.svd(q.T @ p)
    sign = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    scale = (strength * sign).sum() / max(float((p**2).sum()), 1e-12)
    return scale * p @ ((u * sign) @ vt).T + target.mean(0)
