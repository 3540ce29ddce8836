"""Ellipsoids: they hold the share of Student's t errors that they promise."""

from __future__ import annotations

import numpy as np
import pytest

from residualpose import UsageError, ellipsoid_radius


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
