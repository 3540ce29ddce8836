"""What a joint's covariance promises: how large an ellipsoid holds which share of true joints.

Errors are not Gaussian: most joints lie near, some on the other arm. They follow Student's t
distribution in three dimensions with 5 degrees of freedom and the covariance of the joint, as seen
on rendered people (docs/evaluation.md).
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from residualpose.errors import UsageError


@lru_cache
def ellipsoid_radius(share: float) -> float:
    """Standard deviations within which this share of true joints lies, by `Poses.covariance_m2`.

    A joint x lies in the ellipsoid around m where (x - m)^T C^-1 (x - m) <= radius^2: 68 % in 1.65
    and 95 % in 3.12 standard deviations.

    Args:
        share: of true joints, 0 < share < 1.

    Raises:
        UsageError: no such share.
    """
    if not 0 < share < 1:
        raise UsageError(f"share: expected more than 0 and less than 1, got {share}")
    low, high = 0.0, math.pi / 2
    for _ in range(60):
        a = (low + high) / 2
        low, high = (a, high) if float(_share(np.array(a))) < share else (low, a)
    return math.sqrt(3) * math.tan(low)


def probability_within(covariance_m2: np.ndarray, distance_m: float) -> np.ndarray:
    """How probably each joint lies within a distance of the truth, by `Poses.covariance_m2`.

    Args:
        covariance_m2: (..., 3, 3) square metres; NaN unknown.
        distance_m: more than 0, metres.

    Returns:
        (...) float32 in 0..1; NaN where the covariance is unknown.

    Raises:
        UsageError: a distance of 0 or less.
    """
    if not distance_m > 0:
        raise UsageError(f"distance_m: expected more than 0, got {distance_m}")
    # An error is C^1/2 u times a length, u being any direction: 64 of them stand for all.
    u = _directions()
    spread_m2 = np.einsum("dij,...ij->...d", u[:, :, None] * u[:, None], covariance_m2)
    angle = np.arctan(distance_m / np.sqrt(3 * np.maximum(spread_m2, 1e-12)))
    return _share(angle).mean(-1).astype(np.float32)


def _share(angle: np.ndarray) -> np.ndarray:
    """Share of errors within sqrt(3) tan(angle) standard deviations.

    It is an incomplete beta function (3/2, 5/2) of sin^2 angle.
    """
    waves = np.sin(2 * angle) / 4 - np.sin(4 * angle) / 4 - np.sin(6 * angle) / 12
    return (angle + waves) * (2 / np.pi)


@lru_cache
def _directions() -> np.ndarray:
    """(64, 3) unit vectors evenly over half a sphere: a Fibonacci lattice."""
    number = np.arange(64) + 0.5
    z, turn = 1 - number / 64, number * np.pi * (3 - 5**0.5)
    flat = np.sqrt(1 - z * z)
    return np.stack([flat * np.cos(turn), flat * np.sin(turn), z], axis=-1)
