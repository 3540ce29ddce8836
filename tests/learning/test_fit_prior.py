"""Fitting a prior: any heading, any camera, any size, from noisy poses."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from residualpose.errors import ResidualPoseError
from residualpose.learning.fit_prior import PriorFit, fit_mixture, fit_prior
from residualpose.pipeline.complete import LimbPrior
from residualpose.skeleton import ITOP15, L_FOOT, L_HAND, L_KNEE, R_ELBOW, R_HAND

PLACE_M = np.array([0, 0, 3.0])
FRONT = np.array([
    (0, -0.50, -0.02), (0, -0.26, 0), (-0.18, -0.25, 0), (0.18, -0.25, 0), (-0.24, 0.03, 0.02),
    (0.24, 0.03, 0.02), (-0.22, 0.10, -0.23), (0.22, 0.10, -0.23), (0, 0, 0), (-0.10, 0.25, 0),
    (0.10, 0.25, 0), (-0.11, 0.72, -0.04), (0.11, 0.72, -0.04), (-0.11, 1.18, 0.06),
    (0.11, 1.18, 0.06),
])  # fmt: skip
"""Facing the camera (z forward, y down), forearms pointing at it."""
MISSING = [R_ELBOW, R_HAND, L_HAND, L_KNEE, L_FOOT]
FAST = PriorFit(components=2, iterations=15)


def poses(count: int, seed: int) -> np.ndarray:
    """FRONT with jittered joints, any heading."""
    rng = np.random.default_rng(seed)
    jitter = rng.normal(0, 0.02, (count, 15, 3))
    turn = Rotation.from_euler("y", rng.uniform(-np.pi, np.pi, (count, 1))).as_matrix()
    return np.einsum("nij,npj->npi", turn, FRONT + jitter) + PLACE_M


@pytest.fixture(scope="module")
def prior() -> LimbPrior:
    return fit_prior(poses(1500, 0), settings=FAST)


def error_m(prior: LimbPrior, pose: np.ndarray) -> float:
    hidden = pose.copy()
    hidden[MISSING] = np.nan
    completed, covariance = prior.complete(hidden)
    assert (np.linalg.eigvalsh(covariance[MISSING]) > 0).all()
    return float(np.linalg.norm(completed[MISSING] - pose[MISSING], axis=-1).mean())


@pytest.mark.parametrize("heading_deg", [0, 60, 150, -100])
def test_heading_does_not_matter(prior: LimbPrior, heading_deg: float) -> None:
    turn = Rotation.from_euler("y", heading_deg, degrees=True).as_matrix()
    assert error_m(prior, FRONT @ turn.T + [1.0, 0.2, 4.0]) < 0.05


@pytest.mark.parametrize(("axis", "angle_deg"), [("x", 40), ("x", 90), ("z", 90), ("z", 180)])
def test_camera_tilt_does_not_matter(prior: LimbPrior, axis: str, angle_deg: float) -> None:
    turn = Rotation.from_euler(axis, angle_deg, degrees=True).as_matrix()
    assert error_m(prior, FRONT @ turn.T + PLACE_M) < 0.12


def test_mirrored_axes_are_recognised(prior: LimbPrior) -> None:
    assert error_m(prior, FRONT * [1, -1, 1] + PLACE_M) < 0.05


def test_children_keep_their_size(prior: LimbPrior) -> None:
    assert error_m(prior, 0.65 * FRONT + PLACE_M) < 0.06


def test_left_and_right_are_treated_alike(prior: LimbPrior) -> None:
    pose = poses(1, 5)[0]
    pose[R_HAND] = np.nan
    mirrored = pose[list(ITOP15.mirror)] * [-1, 1, 1]
    expected = prior.complete(pose)[0][list(ITOP15.mirror)] * [-1, 1, 1]
    np.testing.assert_allclose(prior.complete(mirrored)[0], expected, atol=0.02)


def test_no_trunk_no_heading_nothing_made_up(prior: LimbPrior) -> None:
    pose = np.full((15, 3), np.nan)
    pose[[11, 13]] = FRONT[[11, 13]]
    completed, covariance = prior.complete(pose)
    assert np.isnan(completed).all(-1).sum() == 13
    assert np.isnan(covariance).all((1, 2)).sum() == 13


def test_fit_is_deterministic_and_leaves_out_incomplete_poses() -> None:
    data = poses(300, 1)
    first = fit_prior(data, settings=FAST)
    again = fit_prior(data, settings=FAST)
    np.testing.assert_array_equal(first.mean, again.mean)
    holes = np.concatenate([data, np.full((20, 15, 3), np.nan)])
    np.testing.assert_array_equal(fit_prior(holes, settings=FAST).mean, first.mean)


def test_gravity_may_point_anywhere() -> None:
    data = poses(800, 2)
    turn = Rotation.from_euler("x", 70, degrees=True).as_matrix()
    prior = fit_prior(data @ turn.T, turn @ [0.0, 1.0, 0.0], FAST)
    assert error_m(prior, FRONT + PLACE_M) < 0.05


def test_too_few_or_misshapen_poses_are_refused() -> None:
    with pytest.raises(ResidualPoseError, match="got 10"):
        fit_prior(poses(10, 3))
    with pytest.raises(ResidualPoseError, match="15, 3"):
        fit_prior(np.zeros((100, 14, 3)))


def test_mixture_finds_two_clusters() -> None:
    rng = np.random.default_rng(0)
    data = np.concatenate([rng.normal(-2, 0.3, (300, 2)), rng.normal(2, 0.5, (100, 2))])
    weights, mean, covariance = fit_mixture(data, 2, 30, 0.01, 0.0, rng)
    order = np.argsort(mean[:, 0])
    np.testing.assert_allclose(weights[order], [0.75, 0.25], atol=0.01)
    np.testing.assert_allclose(mean[order], [[-2, -2], [2, 2]], atol=0.15)
    spread = np.sqrt(covariance[order][:, [0, 1], [0, 1]])
    np.testing.assert_allclose(spread, [[0.3, 0.3], [0.5, 0.5]], rtol=0.2)
