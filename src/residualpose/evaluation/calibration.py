"""Do the covariances tell the truth? The share of true joints inside their ellipsoids."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from residualpose.poses import Origin
from residualpose.uncertainty import ellipsoid_radius

LEVELS = np.round(np.arange(0.05, 1.0, 0.05), 2)
"""Shares that the ellipsoids of the curve promise."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """Shares of true joints inside the ellipsoids that should hold 68 % and 95 % of them."""

    joints: int
    inside68: float
    inside95: float
    sd_factor: float
    """What standard deviations would have to be multiplied by to make the 68 % right."""

    @classmethod
    def of(cls, distance2: np.ndarray) -> Calibration:
        """From squared Mahalanobis distances, NaN where there is none."""
        known = distance2[np.isfinite(distance2)]
        if not len(known):
            return cls(0, float("nan"), float("nan"), float("nan"))
        factor = np.sqrt(np.quantile(known, 0.68)) / ellipsoid_radius(0.68)
        return cls(len(known), inside(known, 0.68), inside(known, 0.95), float(factor))


def inside(distance2: np.ndarray, level: float) -> float:
    """Share of the known distances inside the ellipsoid that promises `level`."""
    known = distance2[np.isfinite(distance2)]
    return float((known <= ellipsoid_radius(level) ** 2).mean()) if len(known) else float("nan")


def squared_distances(error_m: np.ndarray, covariance_m2: np.ndarray) -> np.ndarray:
    """(...) squared Mahalanobis distance of (..., 3) errors; NaN where error or covariance is."""
    known = np.isfinite(error_m).all(-1) & np.isfinite(covariance_m2).all((-1, -2))
    # In double precision, and never singular: a micrometre is below any sensor.
    covariance = covariance_m2[known].astype(np.float64) + 1e-12 * np.eye(3)
    error = error_m[known].astype(np.float64)
    result = np.full(known.shape, np.nan)
    solved = np.linalg.solve(covariance, error[..., None])[..., 0]
    result[known] = (error * solved).sum(-1)
    return result


def calibration_curve(distance2: np.ndarray) -> list[float]:
    """Share inside, for each of LEVELS."""
    return [inside(distance2, float(level)) for level in LEVELS]


def by_origin(distance2: np.ndarray, origin: np.ndarray) -> dict[str, Calibration]:
    """Calibration of measured, nearby and guessed joints, as far as there are any."""
    kinds = (Origin.MEASURED, Origin.NEIGHBOUR, Origin.PRIOR)
    parts = {kind.name.lower(): Calibration.of(distance2[origin == kind]) for kind in kinds}
    return {name: part for name, part in parts.items() if part.joints}
