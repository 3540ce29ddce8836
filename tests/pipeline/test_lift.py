"""Lifting: holes, edges, occluders and offsets, one candidate at a time."""

from __future__ import annotations

import numpy as np
import pytest

from residualpose.camera import Camera
from residualpose.pipeline.lift import LiftedPoints, lift
from residualpose.pipeline.peaks import Peaks
from residualpose.poses import Origin

GRID = Camera(72.0, 72.0, 19.5, 14.5)
SHAPE = (30, 40)
JOINT = 6


def blob(x: float, y: float, sd: float = 1.5) -> np.ndarray:
    """(15, h, w) maps with one joint at a place."""
    maps = np.zeros((15, *SHAPE), np.float32)
    v, u = np.mgrid[: SHAPE[0], : SHAPE[1]]
    maps[JOINT] = np.exp(-0.5 * ((u - x) ** 2 + (v - y) ** 2) / sd**2)
    return maps


def lift_one(
    surface_m: np.ndarray,
    x: float = 20.0,
    y: float = 15.0,
    offset_m: np.ndarray | None = None,
    score: float = 1.0,
) -> LiftedPoints:
    peaks = Peaks(np.array([JOINT]), np.float32([[x, y]]), np.float32([score]))
    return lift(peaks, blob(x, y), offset_m, surface_m.astype(np.float32), GRID)


def offsets(value_m: float) -> np.ndarray:
    other = np.full((15, *SHAPE), 9.0, np.float32)  # those of other joints must not matter
    other[JOINT] = value_m
    return other


def test_a_plain_surface_plus_the_offset_is_measured() -> None:
    found = lift_one(np.full(SHAPE, 2.0), 21.3, 12.8, offsets(0.07))
    expected = GRID.backproject(np.array([21.3, 12.8]), np.array(2.07))
    np.testing.assert_allclose(found.points_m[0], expected, atol=1e-4)
    assert found.origin[0] == Origin.MEASURED
    assert found.points_m.dtype == found.covariance_m2.dtype == np.float32


def test_without_offsets_joints_lie_on_the_surface() -> None:
    assert lift_one(np.full(SHAPE, 2.0)).points_m[0, 2] == pytest.approx(2.0)


def test_a_hole_at_the_pixel_takes_its_neighbours_and_says_so() -> None:
    surface = np.full(SHAPE, 2.0)
    surface[14:17, 19:22] = 0
    found = lift_one(surface, offset_m=offsets(0.05))
    assert found.points_m[0, 2] == pytest.approx(2.05, abs=1e-3)
    assert found.origin[0] == Origin.NEIGHBOUR


def test_a_large_hole_is_bridged_with_doubt() -> None:
    surface = np.full(SHAPE, 2.0)
    surface[12:19, 17:24] = 0
    near, far = lift_one(np.full(SHAPE, 2.0)), lift_one(surface)
    assert far.points_m[0, 2] == pytest.approx(2.0, abs=1e-3)
    assert far.origin[0] == Origin.NEIGHBOUR
    assert far.covariance_m2[0, 2, 2] > 4 * near.covariance_m2[0, 2, 2]


def test_without_depth_there_is_no_point() -> None:
    surface = np.full(SHAPE, 2.0)
    surface[8:23, 13:28] = 0
    found = lift_one(surface)
    assert np.isnan(found.points_m).all() and np.isnan(found.covariance_m2).all()
    assert found.origin[0] == Origin.ABSENT


def test_a_thin_limb_before_a_wall_stays_on_the_limb() -> None:
    """Most cells around a wrist show the wall; the confident ones show the wrist."""
    surface = np.full(SHAPE, 4.0)
    surface[:, 19:22] = 2.0
    found = lift_one(surface, offset_m=offsets(0.02))
    assert found.points_m[0, 2] == pytest.approx(2.02, abs=1e-3)
    assert found.origin[0] == Origin.MEASURED


def test_a_candidate_just_off_the_edge_is_not_put_on_the_wall() -> None:
    """The nearest cell shows the wall, the weight of the cells lies on the body."""
    surface = np.full(SHAPE, 4.0)
    surface[:, :20] = 2.0
    maps = blob(18.5, 15.0)
    peaks = Peaks(np.array([JOINT]), np.float32([[19.6, 15.0]]), np.float32([1.0]))
    found = lift(peaks, maps, offsets(0.05), surface.astype(np.float32), GRID)
    assert found.points_m[0, 2] == pytest.approx(2.05, abs=1e-3)
    assert found.origin[0] == Origin.NEIGHBOUR


def test_a_joint_behind_another_person_is_no_measurement() -> None:
    found = lift_one(np.full(SHAPE, 1.5), offset_m=offsets(0.45))
    assert found.points_m[0, 2] == pytest.approx(1.95, abs=1e-3)
    assert found.origin[0] == Origin.NEIGHBOUR


@pytest.mark.parametrize("x", [-0.4, 0.0, 39.0, 39.4])
def test_the_border_of_the_image_is_no_obstacle(x: float) -> None:
    for y in (-0.4, 29.4):
        found = lift_one(np.full(SHAPE, 3.0), x, y, offsets(0.1))
        assert found.points_m[0, 2] == pytest.approx(3.1, abs=1e-3)
        assert found.origin[0] == Origin.MEASURED


def test_doubt_grows_along_the_ray_with_disagreement_and_across_it_with_a_low_score() -> None:
    rng = np.random.default_rng(0)
    sure = lift_one(np.full(SHAPE, 2.0)).covariance_m2[0]
    rough = lift_one(2.0 + rng.normal(0, 0.1, SHAPE)).covariance_m2[0]
    faint = lift_one(np.full(SHAPE, 2.0), score=0.2).covariance_m2[0]
    ray = GRID.rays(np.array([20.0, 15.0]))
    ray /= np.linalg.norm(ray)
    assert ray @ rough @ ray > 2 * (ray @ sure @ ray)
    assert faint[0, 0] > 4 * sure[0, 0]
    for covariance in (sure, rough, faint):
        np.testing.assert_allclose(covariance, covariance.T, atol=1e-9)
        assert np.linalg.eigvalsh(covariance).min() > 0


def test_candidates_do_not_influence_each_other() -> None:
    rng = np.random.default_rng(1)
    surface = rng.choice([0.0, 2.0, 3.0], SHAPE).astype(np.float32)
    maps = rng.uniform(0, 1, (15, *SHAPE)).astype(np.float32)
    offset = rng.normal(0, 0.05, (15, *SHAPE)).astype(np.float32)
    xy = rng.uniform([0, 0], [39, 29], (12, 2)).astype(np.float32)
    peaks = Peaks(np.arange(12), xy, rng.uniform(0.2, 1, 12).astype(np.float32))
    together = lift(peaks, maps, offset, surface, GRID)
    for i in range(12):
        one = Peaks(peaks.joint[i : i + 1], xy[i : i + 1], peaks.score[i : i + 1])
        alone = lift(one, maps, offset, surface, GRID)
        np.testing.assert_allclose(alone.points_m[0], together.points_m[i], rtol=1e-6)
        assert alone.origin[0] == together.origin[i]


def test_no_candidates_no_points() -> None:
    none = Peaks(np.zeros(0, np.int64), np.zeros((0, 2), np.float32), np.zeros(0, np.float32))
    found = lift(none, blob(5, 5), None, np.ones(SHAPE, np.float32), GRID)
    assert found.points_m.shape == (0, 3) and found.origin.shape == (0,)
    assert found.covariance_m2.shape == (0, 3, 3)
