"""Patches lie about the joints, tell what lies behind what, and name other candidates."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from residualpose.camera import Camera
from residualpose.pipeline.around import (
    CANDIDATE_SCALE_M,
    CANDIDATES,
    FAINT_SCORE,
    N_AROUND,
    OPINION_SCALE_M,
    PATCH,
    SIDE,
    SURFACE_SCALE_M,
    Look,
    around,
)
from residualpose.pipeline.maps import Maps
from residualpose.pipeline.normalise import NetworkInput
from residualpose.pipeline.peaks import MIN_SCORE, find_peaks
from residualpose.skeleton import L_HAND, R_HAND

STRIDE, CELLS = 2, (48, 64)
CAMERA = Camera(80.0, 80.0, 64.5, 48.5)
"""Of the network's input: a cell is 5 cm at 2 m."""
WALL_M, BEHIND_M = 2.0, 0.1
STRAIGHT = np.eye(3)


def blob(x_m: float, y_m: float, height: float = 1.0) -> np.ndarray:
    """A map with one peak, for a joint so far from the axis at the depth of joints."""
    grid = CAMERA.resized(1 / STRIDE, 1 / STRIDE)
    rows, cols = np.indices(CELLS)
    col, row = grid.project(np.array([x_m, y_m, WALL_M + BEHIND_M]))
    return height * np.exp(-0.5 * ((rows - row) ** 2 + (cols - col) ** 2) / 1.5**2)


@pytest.fixture
def look() -> Callable[..., Look]:
    """Makes looks at a wall, `BEHIND_M` behind which the given peaks of joints lie."""

    def make(*blobs: tuple[int, float, float, float]) -> Look:
        parts, fields = (np.zeros((count, *CELLS), np.float32) for count in (15, 28))
        for joint, x_m, y_m, height in blobs:
            parts[joint] = np.maximum(parts[joint], blob(x_m, y_m, height))
        depth_m = np.full((CELLS[0] * STRIDE, CELLS[1] * STRIDE), WALL_M, np.float32)
        maps = Maps(parts, fields, np.full_like(parts, BEHIND_M), STRIDE)
        return Look.of(NetworkInput(depth_m, CAMERA), maps, FAINT_SCORE)

    return make


def person(x_m: float = 0.0, y_m: float = 0.0, z_m: float = WALL_M + BEHIND_M) -> np.ndarray:
    """(15, 3) all joints of it in one place."""
    return np.tile(np.array([x_m, y_m, z_m], np.float32), (15, 1))


def patches(shown: np.ndarray) -> np.ndarray:
    """(15, 4, SIDE, SIDE)."""
    return shown[:, : 4 * PATCH].reshape(15, 4, SIDE, SIDE)


def candidates(shown: np.ndarray) -> np.ndarray:
    """(15, CANDIDATES, 4)."""
    return shown[:, 4 * PATCH :].reshape(15, CANDIDATES, 4)


def test_a_patch_lies_about_the_joint_and_its_partner_s_map_beside_it(
    look: Callable[..., Look],
) -> None:
    seen = look((R_HAND, 0.0, 0.0, 1.0))
    shown = around(seen, person(), STRAIGHT)
    assert shown.shape == (15, N_AROUND) and shown.dtype == np.float32
    own, partners = patches(shown)[R_HAND, 0], patches(shown)[L_HAND, 1]
    np.testing.assert_array_equal(own, partners)
    assert np.unravel_index(own.argmax(), own.shape) == (SIDE // 2, SIDE // 2)
    assert not patches(shown)[L_HAND, 0].any() and not patches(shown)[R_HAND, 1].any()
    right = patches(around(seen, person(0.1, -0.05), STRAIGHT))[R_HAND, 0]
    assert np.unravel_index(right.argmax(), right.shape) == (SIDE // 2 + 1, SIDE // 2 - 2)


def test_surfaces_and_opinions_are_told_from_the_joint_s_depth(look: Callable[..., Look]) -> None:
    _, _, opinion, surface = patches(around(look(), person(z_m=2.04), STRAIGHT))[R_HAND]
    np.testing.assert_allclose(surface, -0.04 / SURFACE_SCALE_M, atol=1e-6)
    np.testing.assert_allclose(opinion, (BEHIND_M - 0.04) / OPINION_SCALE_M, atol=1e-6)


def test_where_nothing_is_read_the_surface_is_far_and_outside_of_the_image_it_is_not(
    look: Callable[..., Look],
) -> None:
    seen = look()
    seen.surface_m[:] = 0
    _, _, opinion, surface = patches(around(seen, person(), STRAIGHT))[R_HAND]
    assert (surface == 1).all() and not opinion.any()
    own, _, opinion, surface = patches(around(seen, person(40.0), STRAIGHT))[R_HAND]
    assert (surface == -1).all() and not opinion.any() and not own.any()


def test_candidates_are_named_best_first_from_the_joint_in_the_frame_of_the_ray(
    look: Callable[..., Look],
) -> None:
    seen = look((R_HAND, -0.5, 0.0, 0.2), (R_HAND, 0.4, 0.3, 0.9))
    turned = np.array([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]])
    shown = around(seen, person(), turned)
    best, second, third = candidates(shown)[R_HAND]
    grid_m = 0.02  # tops of peaks are found to a part of a cell
    np.testing.assert_allclose(
        best[:3] * CANDIDATE_SCALE_M, np.array([0.4, 0.3, 0]) @ turned, atol=grid_m
    )
    np.testing.assert_allclose(
        second[:3] * CANDIDATE_SCALE_M, np.array([-0.5, 0, 0]) @ turned, atol=grid_m
    )
    assert best[3] > 0.8 and FAINT_SCORE < second[3] <= 0.2
    assert not third.any() and not candidates(shown)[L_HAND].any()


def test_of_an_unknown_joint_nothing_is_shown(look: Callable[..., Look]) -> None:
    joints = person()
    joints[R_HAND] = np.nan
    shown = around(look((R_HAND, 0.0, 0.0, 1.0)), joints, STRAIGHT)
    assert not shown[R_HAND].any() and shown[L_HAND].any() and np.isfinite(shown).all()


def test_only_high_peaks_are_joints(look: Callable[..., Look]) -> None:
    seen = look((R_HAND, -0.5, 0.0, 0.2), (R_HAND, 0.4, 0.3, 0.9), (L_HAND, 0.0, 0.0, 0.7))
    peaks, points = seen.joints()
    expected = find_peaks(seen.maps.part_maps, MIN_SCORE)
    assert len(seen.peaks) == 3 and len(peaks) == len(points.points_m) == 2
    for name in ("joint", "xy_px", "score"):
        np.testing.assert_array_equal(getattr(peaks, name), getattr(expected, name))
    alone = look((L_HAND, 0.0, 0.0, 0.7))
    assert alone.joints()[0] is alone.peaks
