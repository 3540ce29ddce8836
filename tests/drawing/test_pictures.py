"""Overlays, 3D pictures and shading: sizes, places, and marks of measured and guessed joints."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from residualpose.camera import Camera
from residualpose.drawing import (
    draw_canvases,
    draw_overlay,
    draw_overlay_large,
    draw_pose3d,
    shade_depth,
)
from residualpose.drawing.ground import find_ground
from residualpose.drawing.palette import PERSON_RGB
from residualpose.drawing.shade import HOLE_RGB, display_scale
from residualpose.drawing.view3d import fit_view, splat, turned
from residualpose.errors import ResidualPoseError
from residualpose.poses import Origin, Poses
from residualpose.skeleton import HEAD, ITOP15, L_HAND, NECK, R_HAND

CAMERA = Camera(150.0, 150.0, 79.5, 59.5)
STANDING = np.array([
    [0, -0.75, 3], [0, -0.5, 3], [-0.2, -0.48, 3], [0.2, -0.48, 3], [-0.45, -0.3, 3],
    [0.45, -0.3, 3], [-0.6, -0.1, 2.9], [0.6, -0.1, 2.9], [0, -0.1, 3], [-0.12, 0.1, 3],
    [0.12, 0.1, 3],
    [-0.13, 0.5, 3], [0.13, 0.5, 3], [-0.13, 0.88, 3], [0.13, 0.88, 3],
])  # fmt: skip


def room_depth(height: int = 120, width: int = 160) -> np.ndarray:
    """A wall at 4 m over a floor one metre below the camera."""
    v = (np.arange(height)[:, None] - 59.5) / 150
    floor = np.where(v > 0, 1.0 / np.maximum(v, 1e-6), np.inf)
    depth_m = np.minimum(np.broadcast_to(floor, (height, width)), 4.0).astype(np.float32)
    depth_m[:10, :10] = 0
    return depth_m


def people(joints_m: np.ndarray, origin: int = Origin.MEASURED) -> Poses:
    joints_m = np.asarray(joints_m, dtype=np.float64).reshape(-1, 15, 3)
    known = np.isfinite(joints_m).all(-1)
    return Poses(
        CAMERA.project(joints_m), joints_m, np.full(known.shape, 0.8), np.full(len(joints_m), 0.9),
        np.where(known, origin, 0), np.tile(np.eye(3) * 4e-4, (*known.shape, 1, 1)), CAMERA,
    )  # fmt: skip


def with_origin(poses: Poses, joint: int, origin: Origin) -> Poses:
    marks = poses.origin.copy()
    marks[:, joint] = origin
    return Poses(
        poses.joints_px, poses.joints_m, poses.joint_score, poses.person_score, marks,
        poses.covariance_m2, poses.camera,
    )  # fmt: skip


def closeness(picture: np.ndarray, rgb: tuple[int, int, int]) -> np.ndarray:
    return np.abs(picture.astype(int) - rgb).sum(-1)


def test_shading_keeps_shape_and_shows_holes_and_nearness() -> None:
    depth_m = room_depth()
    depth_m[20:40, 60:90] = 1.5
    depth_m[50, 50] = np.nan
    picture = shade_depth(depth_m)
    assert picture.shape == (120, 160, 3)
    assert picture.dtype == np.uint8
    assert tuple(picture[3, 3]) == HOLE_RGB == tuple(picture[50, 50])
    assert (picture[depth_m > 0] != HOLE_RGB).any(-1).all()
    assert picture[30, 75].mean() > picture[30, 130].mean() + 40


@pytest.mark.parametrize("fill", [0.0, np.nan, 2.0])
def test_flat_and_empty_images_are_drawn(fill: float) -> None:
    assert shade_depth(np.full((16, 20), fill, np.float32)).shape == (16, 20, 3)


@pytest.mark.parametrize(
    ("shape", "scale"),
    [((60, 80), 6.0), ((100, 100), 5.0), ((240, 320), 2.0), ((480, 640), 1.0)],
)
def test_small_frames_are_enlarged_by_whole_factors(shape: tuple[int, int], scale: float) -> None:
    assert display_scale(*shape) == scale


def test_large_frames_are_reduced() -> None:
    assert max(round(s * display_scale(1536, 2048)) for s in (1536, 2048)) == 1280


def test_overlay_has_the_input_size_and_marks_the_joint() -> None:
    depth_m, poses = room_depth(), people(STANDING)
    picture, bare = draw_overlay(depth_m, poses), shade_depth(depth_m)
    assert picture.shape == (120, 160, 3)
    assert picture.dtype == np.uint8
    u, v = np.round(poses.joints_px[0, HEAD]).astype(int)
    assert closeness(picture[v, u], PERSON_RGB[0]) < 60
    assert closeness(bare[v, u], PERSON_RGB[0]) > 150
    assert (picture[:, :20] == bare[:, :20]).all()


def test_large_overlay_keeps_pixel_centres() -> None:
    depth_m, poses = room_depth(), people(STANDING)
    picture = draw_overlay_large(depth_m, poses)
    assert picture.shape[1] == 480
    assert picture.shape[0] > 360
    x, y = np.round((poses.joints_px[0, NECK] + 0.5) * 3 - 0.5).astype(int)
    assert closeness(picture[y, x], PERSON_RGB[0]) < 30


def test_each_origin_is_drawn_differently() -> None:
    depth_m, poses = room_depth(), people(STANDING)
    u, v = np.round((poses.joints_px[0, R_HAND] + 0.5) * 3 - 0.5).astype(int)
    around = np.s_[v - 8 : v + 9, u - 8 : u + 9]
    seen = {
        origin: draw_overlay_large(depth_m, with_origin(poses, R_HAND, origin))[around]
        for origin in Origin
    }
    bare = draw_overlay_large(depth_m, Poses.empty(CAMERA))[around]
    for one in Origin:
        for other in Origin:
            assert (one == other) == bool((seen[one] == seen[other]).all())
    assert (seen[Origin.PRIOR][8, 8] == bare[8, 8]).all(), "a guessed joint is hollow"
    assert (seen[Origin.ABSENT] == bare).mean() > 0.95


def test_people_and_their_sides_have_their_own_colours() -> None:
    poses = people(np.stack([STANDING, STANDING + np.array([0.9, 0, 0.2])]))
    picture = draw_overlay(room_depth(), poses)
    spots = np.round(poses.joints_px).astype(int)
    right, left = (picture[tuple(spots[0, j][::-1])].mean() for j in (R_HAND, L_HAND))
    assert right > left + 40
    assert closeness(picture[tuple(spots[1, HEAD][::-1])], PERSON_RGB[1]) < 60


def test_colour_and_number_go_by_who_it_is_not_by_the_row() -> None:
    both = people(np.stack([STANDING - np.array([0.7, 0, 0]), STANDING + np.array([0.7, 0, 0])]))
    followed = replace(both, person_id=np.array([4, 2]))
    picture = draw_overlay(room_depth(), followed)
    for row, number in enumerate(followed.person_id):
        u, v = np.round(followed.joints_px[row, HEAD]).astype(int)
        assert closeness(picture[v, u], PERSON_RGB[number]) < 60
    assert (draw_overlay(room_depth(), followed[::-1]) == picture).all()
    large, other = (
        draw_overlay_large(room_depth(), replace(both, person_id=np.array(ids)))
        for ids in ([0, 1], [7, 8])  # seven colours: only the numbers differ
    )
    rows = np.flatnonzero((large != other).any((1, 2)))
    assert len(rows) and rows.max() < 3 * followed.joints_px[:, HEAD, 1].min()


def test_nobody_leaves_the_depth_picture() -> None:
    depth_m = room_depth()
    assert (draw_overlay(depth_m, Poses.empty(CAMERA)) == shade_depth(depth_m)).all()
    assert (Poses.empty(CAMERA).plot(depth_m) == shade_depth(depth_m)).all()


def test_missing_and_far_outside_joints_are_no_problem() -> None:
    joints_m = np.stack([STANDING, np.full((15, 3), np.nan), STANDING * [80, 80, 1]])
    joints_m[0, HEAD] = np.nan
    assert draw_overlay(room_depth(), people(joints_m)).shape == (120, 160, 3)


def test_a_wrong_depth_shape_is_explained() -> None:
    with pytest.raises(ResidualPoseError, match=r"\(H, W\)"):
        draw_overlay(np.zeros((4, 4, 3)), Poses.empty(CAMERA))


def test_pose3d_marks_origins_and_survives_nobody() -> None:
    depth_m, joints_m = room_depth(), STANDING[None]
    origin = np.full((1, 15), Origin.MEASURED)
    picture = draw_pose3d(depth_m, CAMERA, joints_m, origin)
    guessed = origin.copy()
    guessed[0, [R_HAND, L_HAND]] = Origin.PRIOR
    assert picture.shape == (760, 1200, 3)
    assert picture.dtype == np.uint8
    assert (picture != draw_pose3d(depth_m, CAMERA, joints_m, guessed)).any()
    nobody = draw_pose3d(depth_m, CAMERA, np.zeros((0, 15, 3)), np.zeros((0, 15)))
    assert nobody.shape == picture.shape
    unknown = draw_pose3d(depth_m * 0, CAMERA, np.full((1, 15, 3), np.nan), origin)
    assert unknown.shape == picture.shape


def test_pose3d_shows_a_depth_error_from_the_side() -> None:
    depth_m, origin = room_depth(), np.full((1, 15), Origin.MEASURED)
    wrong = STANDING.copy()
    wrong[R_HAND] *= 1.1
    right, moved = (draw_pose3d(depth_m, CAMERA, j[None], origin) for j in (STANDING, wrong))
    assert (right != moved)[60:380, 720:].any(-1).sum() > 100


def test_canvases_of_the_original_command() -> None:
    depth_m, poses = room_depth(), people(STANDING)
    canvases = draw_canvases(depth_m, poses, poses.joints_m + np.array([0.05, 0, 0.1]))
    assert (canvases.canvas_2d == draw_overlay_large(depth_m, poses)).all()
    assert canvases.canvas_3d_prior.shape == canvases.canvas_3d_regressed.shape
    assert (canvases.canvas_3d_prior != canvases.canvas_3d_regressed).any()


@pytest.mark.parametrize("found", [0, 1])
def test_the_floor_is_found_under_a_tilted_camera(found: int) -> None:
    tilt = np.radians(14)
    down = np.array([0, np.cos(tilt), np.sin(tilt)])
    v, u = np.mgrid[:120, :160]
    rays = CAMERA.rays(np.stack([u, v], -1))
    with np.errstate(divide="ignore"):
        to_floor = 1.3 / np.maximum(rays @ down, 1e-9)
    depth_m = np.minimum(to_floor, 5.0) + np.random.default_rng(3).normal(0, 0.005, u.shape)
    standing = (STANDING[None, :] - [0, 0, 3]) @ _about_x(tilt).T + [0, 0, 3]
    ground = find_ground(depth_m.astype(np.float32), CAMERA, standing[:found], ITOP15)
    assert ground.measured
    assert ground.height_m == pytest.approx(1.3, abs=0.02)
    on_floor = CAMERA.backproject(np.stack([u, v], -1), to_floor)[to_floor < 5]
    assert ground.to_ground(on_floor)[:, 1] == pytest.approx(0, abs=0.03)


def _about_x(angle: float) -> np.ndarray:
    """Turns y towards z."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[1, 0, 0], [0, c, -s], [0, s, c]])


def test_an_overhead_camera_is_recognised_by_its_people() -> None:
    overhead = np.stack([STANDING[:, 0], STANDING[:, 2] - 3, 2.0 + STANDING[:, 1]], -1)
    nothing = np.zeros((120, 160), np.float32)
    ground = find_ground(nothing, CAMERA, overhead[None], ITOP15)
    assert not ground.measured
    assert ground.R_ground_camera[1] == pytest.approx([0, 0, -1])
    assert ground.height_m == pytest.approx(overhead[:, 2].max() + 0.08)


def test_where_no_floor_is_seen_it_lies_under_the_lowest_thing() -> None:
    nobody = np.zeros((0, 15, 3))
    wall = np.full((120, 160), 3.0, np.float32)
    ground = find_ground(wall, CAMERA, nobody, ITOP15)
    assert not ground.measured and ground.height_m == pytest.approx(1.18, abs=0.03)
    tiny = find_ground(np.zeros((4, 4), np.float32), CAMERA, nobody, ITOP15)
    assert not tiny.measured and np.isfinite(tiny.height_m)


def test_views_fit_their_box_and_draw_near_over_far() -> None:
    corners = np.array([[-1.0, 0, -4], [1, 2, -2], [1, 0, -2], [-1, 2, -4]])
    view = fit_view(turned(0.4, 0.3), corners, np.array([10, 20, 210, 320]), 7.0)
    xy, _ = view.project(corners)
    assert xy.min(0).tolist() >= [9.9, 19.9]
    assert (xy.max(0) <= [210.1, 320.1]).all()
    canvas = np.zeros((9, 9, 3), np.uint8)
    at, size = np.array([[4.0, 4.0], [4.0, 4.0]]), np.array([3, 3])
    splat(canvas, at, np.array([1.0, 2.0]), np.array([[200, 0, 0], [0, 200, 0]]), size)
    assert canvas[3:6, 3:6].tolist() == [[[200, 0, 0]] * 3] * 3
    assert canvas.sum() == 9 * 200
