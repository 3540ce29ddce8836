"""Covariances: errors drawn from them are where they promise; others are not."""

from __future__ import annotations

import numpy as np
import pytest

from residualpose import Origin
from residualpose.evaluation.calibration import (
    LEVELS,
    Calibration,
    by_origin,
    calibration_curve,
    squared_distances,
)


@pytest.fixture
def drawn() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    root = rng.normal(0, 0.03, (2000, 15, 3, 3))
    # Student's t with 5 degrees of freedom, of unit variance.
    unit = rng.normal(size=(2000, 15, 3)) * np.sqrt(3 / rng.chisquare(5, (2000, 15, 1)))
    error_m = np.einsum("njab,njb->nja", root, unit)
    return error_m, (root @ root.swapaxes(-1, -2)).astype(np.float32)


def test_honest_covariances_hold_what_they_promise(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    distance2 = squared_distances(*drawn)
    found = Calibration.of(distance2)
    assert found.joints == 30_000
    assert found.inside68 == pytest.approx(0.68, abs=0.01)
    assert found.inside95 == pytest.approx(0.95, abs=0.005)
    assert found.sd_factor == pytest.approx(1, abs=0.02)
    np.testing.assert_allclose(calibration_curve(distance2), LEVELS, atol=0.015)


def test_too_sure_by_a_factor_says_that_factor(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    found = Calibration.of(squared_distances(2 * drawn[0], drawn[1]))
    assert found.sd_factor == pytest.approx(2, abs=0.04)
    assert found.inside68 < 0.3


def test_what_is_missing_does_not_count(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    error_m, covariance_m2 = drawn[0][:4].copy(), drawn[1][:4].copy()
    error_m[0, :3] = np.nan
    covariance_m2[1, 0] = np.nan
    distance2 = squared_distances(error_m, covariance_m2)
    assert np.isnan(distance2).sum() == 4
    assert Calibration.of(distance2).joints == 56
    nothing = Calibration.of(np.full((2, 15), np.nan))
    assert nothing.joints == 0 and np.isnan(nothing.inside68)
    assert np.isnan(calibration_curve(np.full((2, 15), np.nan))).all()


def test_origins_are_told_apart() -> None:
    distance2 = np.array([[1.0, 100.0, np.nan]])
    origin = np.array([[Origin.MEASURED, Origin.PRIOR, Origin.NEIGHBOUR]])
    parts = by_origin(distance2, origin)
    assert set(parts) == {"measured", "prior"}
    assert parts["measured"].inside68 == 1 and parts["prior"].inside95 == 0
