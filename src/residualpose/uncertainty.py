"""What a joint's covariance promises: how large an ellipsoid holds which share of true joints."""

from __future__ import annotations

import math
from functools import lru_cache

from residualpose.errors import UsageError


@lru_cache
def ellipsoid_radius(share: float) -> float:
    """Standard deviations within which this share of true joints lies, by `Poses.covariance_m2`.

    A joint x lies in the ellipsoid around m where (x - m)^T C^-1 (x - m) <= radius^2. Errors are
    not Gaussian: most joints lie near, some on the other arm. They follow Student's t distribution
    in three dimensions with 5 degrees of freedom and the covariance C, as seen on rendered people
    (docs/evaluation.md), which holds 68 % in 1.65 and 95 % in 3.12 standard deviations.

    Args:
        share: of true joints, 0 < share < 1.

    Raises:
        UsageError: no such share.
    """
    if not 0 < share < 1:
        raise UsageError(f"share: expected more than 0 and less than 1, got {share}")
    # With radius^2 = 3 tan^2 a, the share is an incomplete beta function (3/2, 5/2) of sin^2 a.
    low, high = 0.0, math.pi / 2
    for _ in range(60):
        a = (low + high) / 2
        inside = a + math.sin(2 * a) / 4 - math.sin(4 * a) / 4 - math.sin(6 * a) / 12
        low, high = (a, high) if inside * 2 / math.pi < share else (low, a)
    return math.sqrt(3) * math.tan(low)
