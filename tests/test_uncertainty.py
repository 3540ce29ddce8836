"""Ellipsoids and balls: they hold the share of Student's t errors that they promise."""

from __future__ import annotations

import numpy as np
import pytest

from residualpose import UsageError, ellipsoid_radius, probability_within


@pytest.mark.parametrize("share", [0.01, 0.3, 0.68, 0.95, 0.999])
def test_it_holds_the_share_of_errors_with_heavy_tails(share: float) -> None:
    rng = np.random.default_rng(0)
    # Student's t with 5 degrees of freedom and the identity as covariance.
    error = rng.normal(size=(400_000, 3)) * np.sqrt(3 / rng.chisquare(5, (400_000, 1)))
    inside = (np.linalg.norm(error, axis=1) <= ellipsoid_radius(share)).mean()
    assert inside == pytest.approx(share, abs=0.003)


def test_the_radii_that_the_docs_name() -> None:
    assert ellipsoid_radius(0.68) == pytest.approx(1.65, abs=0.005)
    assert ellipsoid_radius(0.95) == pytest.approx(3.12, abs=0.005)


@pytest.mark.parametrize("share", [0.0, 1.0, 95.0, float("nan")])
def test_other_shares_are_refused(share: float) -> None:
    with pytest.raises(UsageError, match="share: expected more than 0 and less than 1"):
        ellipsoid_radius(share)


@pytest.mark.parametrize("sd_m", [(0.05, 0.05, 0.05), (0.02, 0.02, 0.3), (0.01, 0.2, 0.2)])
def test_a_ball_holds_the_share_of_errors_whatever_the_ellipsoid(sd_m: tuple) -> None:
    rng = np.random.default_rng(1)
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    error = rng.normal(size=(400_000, 3)) * np.sqrt(3 / rng.chisquare(5, (400_000, 1))) * sd_m
    length_m = np.linalg.norm(error @ turn.T, axis=1)
    covariance = turn * np.square(sd_m) @ turn.T
    for distance_m in (0.03, 0.1, 0.3):
        found = probability_within(covariance, distance_m)
        assert found.dtype == np.float32
        assert float(found) == pytest.approx((length_m <= distance_m).mean(), abs=0.01)


def test_a_ball_about_the_unknown_holds_what_nobody_knows() -> None:
    covariance = np.full((2, 15, 3, 3), np.nan)
    covariance[1, 4] = np.eye(3) * 1e-4
    found = probability_within(covariance, 0.1)
    assert found.shape == (2, 15) and found[1, 4] > 0.99
    assert np.isnan(found).sum() == 29


@pytest.mark.parametrize("distance_m", [0.0, -0.1, float("nan")])
def test_no_ball_is_refused(distance_m: float) -> None:
    with pytest.raises(UsageError, match="distance_m: expected more than 0"):
        probability_within(np.eye(3), distance_m)
