"""The floor is found where it is seen, and a wall is never taken for it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from residualpose.camera import Camera
from residualpose.pipeline.body_frame import trunk_down
from residualpose.pipeline.floor import find_floor

CAMERA = Camera(72.0, 72.0, 40.0, 32.0)
SHAPE = (64, 80)


def room_m(down: np.ndarray, height_m: float, wall_m: float, noise_m: float = 0.01) -> np.ndarray:
    """(64, 80) depth of a floor and of a wall square to the camera's level forward direction."""
    v, u = np.mgrid[: SHAPE[0], : SHAPE[1]]
    rays = np.stack([(u - CAMERA.cx) / CAMERA.fx, (v - CAMERA.cy) / CAMERA.fy, np.ones(SHAPE)], -1)
    along = np.array([0, 0, 1.0]) - down[2] * down
    with np.errstate(divide="ignore"):
        planes = [height_m / np.maximum(rays @ down, 1e-9)]
        if np.linalg.norm(along) > 0.3:
            planes.append(wall_m / np.maximum(rays @ (along / np.linalg.norm(along)), 1e-9))
    depth_m = np.min(planes, axis=0)
    return depth_m + np.random.default_rng(0).normal(0, noise_m, SHAPE)


def upright(standing_m: np.ndarray, down: np.ndarray) -> np.ndarray:
    """(1, 3) the trunk of a person who stands as gravity says, 3 m before the camera."""
    turn = Rotation.align_vectors(down[None], [[0.0, 1.0, 0.0]])[0]
    return trunk_down((standing_m - standing_m.mean(0))[None] @ turn.as_matrix().T + [0, 0, 3.0])


def unit(*vector: float) -> np.ndarray:
    return np.array(vector) / np.linalg.norm(vector)


@pytest.mark.parametrize(
    "down",
    [unit(0, 1, 0.25), unit(0.15, 1, 0.6), unit(0, 0, 1), unit(0.2, -0.1, 1), unit(0, 1, 1.2)],
    ids=["eye", "rolled", "overhead", "tilted overhead", "high"],
)
def test_the_floor_is_found_at_any_tilt(down: np.ndarray, standing_m: np.ndarray) -> None:
    depth_m = room_m(down, 1.8, 4.0)
    plane = find_floor(depth_m.astype(np.float32), CAMERA, upright(standing_m, down))
    assert plane.dtype == np.float32
    assert np.degrees(np.arccos(np.clip(plane[:3] @ down, -1, 1))) < 1.5
    assert plane[3] == pytest.approx(1.8, abs=0.04)


def test_taking_every_third_cell_turns_nothing(standing_m: np.ndarray) -> None:
    down = unit(0, 1, 0.6)
    depth_m = room_m(down, 1.8, 99.0, noise_m=0.0)
    plane = find_floor(depth_m.astype(np.float32), CAMERA, upright(standing_m, down))
    np.testing.assert_allclose(plane, [*down, 1.8], atol=1e-4)


def test_a_wall_is_no_floor(standing_m: np.ndarray) -> None:
    wall = np.full(SHAPE, 3.5, np.float32)
    level = upright(standing_m, np.array([0.0, 1.0, 0.0]))
    assert np.isnan(find_floor(wall, CAMERA, level)).all()
    # The same image is a floor to a camera under which people stand.
    overhead = upright(standing_m, np.array([0.0, 0.0, 1.0]))
    np.testing.assert_allclose(find_floor(wall, CAMERA, overhead), [0, 0, 1, 3.5], atol=1e-3)


def test_a_table_hides_no_floor_below_it(standing_m: np.ndarray) -> None:
    depth_m = room_m(np.array([0.0, 0.0, 1.0]), 2.8, 9.0)
    depth_m[5:45, 5:60] -= 0.8
    overhead = upright(standing_m, np.array([0.0, 0.0, 1.0]))
    plane = find_floor(depth_m.astype(np.float32), CAMERA, overhead)
    assert plane[3] == pytest.approx(2.8, abs=0.03)


def test_who_sees_nothing_or_nobody_finds_none(standing_m: np.ndarray) -> None:
    down = unit(0, 1, 0.25)
    person, depth_m = upright(standing_m, down), room_m(down, 1.8, 4.0).astype(np.float32)
    unknown = np.full((1, 3), np.nan)
    for surface_m, trunks in (
        (np.zeros(SHAPE, np.float32), person),
        (depth_m, np.zeros((0, 3))),
        (depth_m, unknown),
        (np.ones((2, 2), np.float32), person),
    ):
        assert np.isnan(find_floor(surface_m, CAMERA, trunks)).all()
    few = depth_m * (np.random.default_rng(1).random(SHAPE) < 0.3)
    assert np.isfinite(find_floor(few, CAMERA, np.concatenate([person, unknown]))).all()
