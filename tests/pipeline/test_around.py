"""Patches lie about the joints and tell what lies behind what."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from residualpose.camera import Camera
from residualpose.pipeline.around import (
    N_AROUND,
    N_PATCHES,
    OPINION_SCALE_M,
    SIDE,
    SURFACE_SCALE_M,
    Look,
    around,
)
from residualpose.pipeline.maps import Maps
from residualpose.pipeline.normalise import NetworkInput
from residualpose.skeleton import L_HAND, R_HAND

STRIDE, CELLS = 2, (48, 64)
CAMERA = Camera(80.0, 80.0, 64.5, 48.5)
"""Of the network's input: a cell is 5 cm at 2 m."""
WALL_M, BEHIND_M = 2.0, 0.1


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
        return Look.of(NetworkInput(depth_m, CAMERA), maps)

    return make


def person(x_m: float = 0.0, y_m: float = 0.0, z_m: float = WALL_M + BEHIND_M) -> np.ndarray:
    """(15, 3) all joints of it in one place."""
    return np.tile(np.array([x_m, y_m, z_m], np.float32), (15, 1))


def alone(look: Look, joints_m: np.ndarray) -> np.ndarray:
    """(15, N_AROUND) around one person."""
    return around([look], joints_m[None])[0]


def patches(shown: np.ndarray) -> np.ndarray:
    """(15, 4, SIDE, SIDE)."""
    return shown[:, :N_PATCHES].reshape(15, 4, SIDE, SIDE)


def maps_at(shown: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(15, 15) part maps, (15, 28) fields and (15, 15) opinions where each joint is."""
    parts, fields, opinions = np.split(shown[:, N_PATCHES:], [15, 43], axis=1)
    return parts, fields, opinions


def test_a_patch_lies_about_the_joint_and_its_partner_s_map_beside_it(
    look: Callable[..., Look],
) -> None:
    seen = look((R_HAND, 0.0, 0.0, 1.0))
    shown = alone(seen, person())
    assert shown.shape == (15, N_AROUND) and shown.dtype == np.float32
    own, partners = patches(shown)[R_HAND, 0], patches(shown)[L_HAND, 1]
    np.testing.assert_array_equal(own, partners)
    assert np.unravel_index(own.argmax(), own.shape) == (SIDE // 2, SIDE // 2)
    assert not patches(shown)[L_HAND, 0].any() and not patches(shown)[R_HAND, 1].any()
    right = patches(alone(seen, person(0.1, -0.05)))[R_HAND, 0]
    assert np.unravel_index(right.argmax(), right.shape) == (SIDE // 2 + 1, SIDE // 2 - 2)


def test_surfaces_and_opinions_are_told_from_the_joint_s_depth(look: Callable[..., Look]) -> None:
    _, _, opinion, surface = patches(alone(look(), person(z_m=2.04)))[R_HAND]
    np.testing.assert_allclose(surface, -0.04 / SURFACE_SCALE_M, atol=1e-6)
    np.testing.assert_allclose(opinion, (BEHIND_M - 0.04) / OPINION_SCALE_M, atol=1e-6)


def test_where_nothing_is_read_the_surface_is_far_and_outside_of_the_image_it_is_not(
    look: Callable[..., Look],
) -> None:
    seen = look()
    seen.surface_m[:] = 0
    _, _, opinion, surface = patches(alone(seen, person()))[R_HAND]
    assert (surface == 1).all() and not opinion.any()
    own, _, opinion, surface = patches(alone(seen, person(40.0)))[R_HAND]
    assert (surface == -1).all() and not opinion.any() and not own.any()


def test_all_maps_are_told_where_each_joint_is(look: Callable[..., Look]) -> None:
    seen = look((R_HAND, 0.0, 0.0, 1.0), (L_HAND, 0.4, 0.3, 0.9))
    seen.maps.limb_fields[5] = 0.25
    assert seen.maps.offset_m is not None
    seen.maps.offset_m[L_HAND] = 0.2
    joints = person()
    joints[L_HAND, :2] = 0.4, 0.3
    parts, fields, opinions = maps_at(alone(seen, joints))
    assert parts[0, R_HAND] == pytest.approx(1, abs=0.02) and parts[0, L_HAND] < 0.05
    assert parts[L_HAND, L_HAND] == pytest.approx(0.9, abs=0.06) and parts[L_HAND, R_HAND] < 0.05
    np.testing.assert_array_equal(fields, np.tile(np.arange(28) == 5, (15, 1)) * np.float32(0.25))
    expected = np.where(np.arange(15) == L_HAND, 0.1, 0.0) / OPINION_SCALE_M
    np.testing.assert_allclose(opinions, np.tile(expected, (15, 1)), atol=1e-6)
    outside = maps_at(alone(seen, person(40.0)))
    assert not any(of.any() for of in outside)


def test_of_an_unknown_joint_nothing_is_shown(look: Callable[..., Look]) -> None:
    joints = person()
    joints[R_HAND] = np.nan
    shown = alone(look((R_HAND, 0.0, 0.0, 1.0)), joints)
    assert not shown[R_HAND].any() and shown[L_HAND].any() and np.isfinite(shown).all()


def test_people_seen_together_and_apart_are_shown_their_own_look(look: Callable[..., Look]) -> None:
    one, other = look((R_HAND, 0.0, 0.0, 1.0)), look((L_HAND, 0.1, 0.0, 1.0))
    people = np.stack([person(), person(0.1), person(0.05, 0.1)])
    shown = around([one, other, one], people)
    for row, (seen, joints_m) in enumerate(zip([one, other, one], people, strict=True)):
        np.testing.assert_array_equal(shown[row], alone(seen, joints_m))
    assert not np.array_equal(shown[0], shown[2])
