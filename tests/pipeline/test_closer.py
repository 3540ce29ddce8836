"""Closer looks: the right window, the right size, and the right person in it."""

from __future__ import annotations

import numpy as np
import pytest

from residualpose import Camera, DepthFrame
from residualpose.pipeline.closer import (
    CLOSE_M,
    MIN_DEPTH_M,
    closer_look,
    same_person,
)
from residualpose.skeleton import ITOP15

CAMERA = Camera(366.0, 366.0, 255.5, 211.5)
FOCAL_PX = 171.0
HEIGHT_M = 1.6


def person(distance_m: float, across_m: float = 0.0) -> np.ndarray:
    """(15, 3) joints, a column of them, all at one distance."""
    joints_m = np.zeros((len(ITOP15.joints), 3), np.float32)
    joints_m[:, 0] = across_m
    joints_m[:, 1] = np.linspace(-HEIGHT_M / 2, HEIGHT_M / 2, len(joints_m))
    joints_m[:, 2] = distance_m
    return joints_m


def frame(depth_m: float = 4.0, camera: Camera = CAMERA) -> DepthFrame:
    return DepthFrame(np.full((424, 512), depth_m, np.float32), camera, "a frame")


@pytest.mark.parametrize("distance_m", [2.4, 3.2])
def test_somebody_far_away_looks_as_large_as_somebody_near(distance_m: float) -> None:
    look = closer_look(frame(), person(distance_m), FOCAL_PX)
    _, shown = look.shown()
    pixels = shown.camera.project(person(distance_m))
    height_px = np.ptp(pixels[:, 1])
    assert height_px == pytest.approx(FOCAL_PX * HEIGHT_M / CLOSE_M, rel=0.01)
    assert distance_m - look.nearer_m == pytest.approx(CLOSE_M)


def test_nothing_is_enlarged_beyond_what_the_camera_has() -> None:
    look = closer_look(frame(), person(8.0), FOCAL_PX)
    assert look.focal_px == pytest.approx(CAMERA.fx)


@pytest.mark.parametrize(
    ("distance_m", "camera"), [(1.2, CAMERA), (5.0, Camera(150.0, 150.0, 255.5, 211.5))]
)
def test_who_cannot_be_seen_better_is_seen_again_as_before(
    distance_m: float, camera: Camera
) -> None:
    look = closer_look(frame(camera=camera), person(distance_m), FOCAL_PX)
    assert look.focal_px == FOCAL_PX and look.nearer_m == 0
    view, shown = look.shown()
    np.testing.assert_array_equal(view.depth_m, shown.depth_m)


def test_the_window_holds_the_person_and_lies_where_it_says() -> None:
    joints_m = person(3.0, across_m=0.7)
    joints_m[:4] = np.nan
    look = closer_look(frame(), joints_m, FOCAL_PX)
    assert look.frame.source == "a frame"
    inside_px = look.frame.camera.project(joints_m[4:])
    np.testing.assert_allclose(inside_px + look.corner_px, CAMERA.project(joints_m[4:]))
    assert (inside_px > 20).all()
    assert (inside_px < np.array([look.frame.width, look.frame.height])).all()
    assert look.frame.width < 300


def test_somebody_well_found_gets_a_narrower_window() -> None:
    joints_m = person(3.0)
    few = joints_m.copy()
    few[1:-1:3] = np.nan
    well, badly = (closer_look(frame(), joints, FOCAL_PX) for joints in (joints_m, few))
    assert badly.frame.width - well.frame.width == pytest.approx(2 * 0.25 * CAMERA.fx / 3, abs=2)


def test_joints_that_are_wrong_by_metres_do_not_make_a_huge_window() -> None:
    joints_m = person(6.0)
    joints_m[:3] = [[-9, -5, 6], [9, 4, 6], [0, 0, 6]]
    fine = Camera(1500.0, 1500.0, 1999.5, 1499.5)
    look = closer_look(DepthFrame(np.ones((3000, 4000), np.float32), fine), joints_m, FOCAL_PX)
    _, shown = look.shown()
    assert max(shown.depth_m.shape) <= 528 and look.focal_px < 1500


@pytest.mark.parametrize("across_m", [-4.4, 4.4])
def test_windows_stay_in_the_frame(across_m: float) -> None:
    tiny = person(6.0, across_m) * np.array([1, 0.05, 1], np.float32)
    look = closer_look(frame(), tiny, FOCAL_PX)
    assert look.frame.width >= 16 and look.frame.height >= 16
    assert (look.corner_px >= 0).all()
    assert look.corner_px[0] + look.frame.width <= 512
    view, _ = look.shown()
    assert min(view.depth_m.shape) >= 16


def test_surfaces_seem_nearer_and_holes_stay() -> None:
    seen = frame(3.6)
    seen.depth_m[200:, 255:] = 0
    seen.depth_m[:200, 255:] = 1.0  # somebody in front would be behind the camera
    look = closer_look(seen, person(3.6), FOCAL_PX)
    view, shown = look.shown()
    wall, hole, before = (np.isclose(view.depth_m, depth) for depth in (3.6, 0.0, 1.0))
    assert wall.any() and hole.any() and before.any()
    np.testing.assert_allclose(shown.depth_m[wall], CLOSE_M, atol=1e-5)
    assert (shown.depth_m[hole] == 0).all()
    assert (shown.depth_m[before] == np.float32(MIN_DEPTH_M)).all()


def test_the_same_person_is_who_has_most_joints_where_they_were() -> None:
    here, beside = person(3.0), person(3.0, across_m=0.5)
    near = here + np.float32(0.05)
    assert same_person(here, np.stack([beside, near])) == 1
    assert same_person(here, beside[None]) is None
    assert same_person(here, np.zeros((0, 15, 3))) is None
    few = here.copy()
    few[2:] = np.nan
    assert same_person(few, near[None]) is None
