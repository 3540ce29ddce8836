"""What the live page draws, as arrays: in place, of the right size, nothing of what is absent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from residualpose import Camera, DepthFrame, Origin, Poses
from residualpose.live import figures, meshes
from residualpose.skeleton import HEAD, NECK

CAMERA = Camera(60, 60, 31.5, 23.5)


@pytest.fixture
def person(standing_m: np.ndarray) -> Poses:
    """One who stands, all joints measured."""
    joints_m = standing_m[None]
    covariance = np.tile(np.diag([1e-4, 4e-4, 9e-4]), (1, 15, 1, 1))
    return Poses(
        CAMERA.project(joints_m), joints_m, np.full((1, 15), 0.9), np.array([0.9]),
        np.full((1, 15), Origin.MEASURED), covariance, CAMERA, person_id=np.array([3]),
    )  # fmt: skip


def ends(rods: figures.Instances) -> np.ndarray:
    """(N, 2, 3) both ends of rods, as a viewer would place them."""
    along = Rotation.from_quat(np.roll(rods.wxyzs, -1, axis=-1)).apply([0, 0, 1])
    half = 0.5 * rods.scales[:, 2:] * along
    return np.stack([rods.positions_m - half, rods.positions_m + half], axis=1)


def test_rods_join_the_joints(person: Poses) -> None:
    limbs = person.skeleton.limb_array
    assert ends(figures.rods(person)) == pytest.approx(person.joints_m[0][limbs], abs=1e-5)


def test_a_rod_straight_back_is_no_trouble(person: Poses) -> None:
    joints_m = person.joints_m.copy()
    joints_m[0, HEAD] = joints_m[0, NECK] - [0, 0, 0.3]
    place = person.skeleton.limbs.index((NECK, HEAD))
    rod = ends(figures.rods(replace(person, joints_m=joints_m)))[place]
    assert rod == pytest.approx(joints_m[0, [NECK, HEAD]], abs=1e-5)


def test_guessed_joints_are_cages_and_absent_ones_nothing(person: Poses) -> None:
    origin, joints_m = person.origin.copy(), person.joints_m.copy()
    origin[0, 6], origin[0, 7] = Origin.PRIOR, Origin.ABSENT
    joints_m[0, 7] = np.nan
    poses = replace(person, origin=origin, joints_m=joints_m)
    balls, cages = figures.marks(poses, guessed=False), figures.marks(poses, guessed=True)
    assert len(balls.positions_m) == 13
    assert cages.positions_m == pytest.approx(joints_m[0, [6]])
    rods = figures.rods(poses)
    assert len(rods.positions_m) == 13
    whole = np.linalg.norm(joints_m[0, 4] - joints_m[0, 6])
    guessed = rods.scales[:, 0] < figures.ROD_RADIUS_M
    assert rods.scales[guessed, 2] == pytest.approx(whole - figures.CAGE_RADIUS_M, abs=1e-5)


def test_colours_go_by_number_not_by_place(person: Poses) -> None:
    two = Poses(
        *(np.concatenate([getattr(person, name)] * 2) for name in (
            "joints_px", "joints_m", "joint_score", "person_score", "origin", "covariance_m2",
        )), CAMERA, person_id=np.array([5, 3]),
    )  # fmt: skip
    colours = figures.marks(two, guessed=False).colours.reshape(2, 15, 3)
    assert (colours[1] == figures.marks(person, guessed=False).colours).all()
    assert (colours[0] != colours[1]).any()


def test_shells_are_two_deviations_long(person: Poses) -> None:
    turn = Rotation.from_euler("xyz", [0.3, -0.8, 1.1]).as_matrix()
    covariance = turn @ np.diag([1e-4, 4e-4, 9e-4]) @ turn.T
    poses = replace(person, covariance_m2=np.broadcast_to(covariance, (1, 15, 3, 3)))
    shells = figures.shells(poses)
    axes = (
        Rotation.from_quat(np.roll(shells.wxyzs, -1, axis=-1)).as_matrix() * shells.scales[:, None]
    )
    again = axes @ axes.swapaxes(-1, -2) / figures.SHELL_DEVIATIONS**2
    assert again == pytest.approx(np.broadcast_to(covariance, (15, 3, 3)), abs=1e-7)


def test_nobody_gives_empty_arrays_that_can_be_padded() -> None:
    nobody = Poses.empty(CAMERA)
    for found in (
        figures.rods(nobody),
        figures.marks(nobody, guessed=True),
        figures.shells(nobody),
    ):
        padded = found.padded(4)
        assert not found.positions_m.size
        assert padded.scales.shape == (4, 3)
        assert not padded.scales.any()
        assert np.linalg.norm(padded.wxyzs, axis=-1) == pytest.approx(1)


def test_points_are_the_readings_of_a_grid() -> None:
    depth_m = np.full((48, 64), 2.0)
    depth_m[:, :32] = 0
    frame = DepthFrame(depth_m, CAMERA)
    points_m = np.concatenate(figures.cloud(frame, 48 * 64))
    assert len(points_m) == 48 * 32
    assert len(np.concatenate(figures.cloud(frame, 800))) == 24 * 16
    u, v = np.round(CAMERA.project(points_m)).astype(int).T
    assert points_m[:, 2] == pytest.approx(frame.depth_m[v, u])


def test_a_click_means_the_nearest_joint_or_nobody(person: Poses) -> None:
    at = person.joints_m[0, 6]
    assert figures.person_at(person, np.zeros(3), at * 2) == (0, 6)
    beside = np.array([1.5, 0.0, 0.0]) + at
    assert figures.person_at(person, np.zeros(3), beside) is None
    assert figures.person_at(person, np.zeros(3), -at) is None
    assert figures.person_at(Poses.empty(CAMERA), np.zeros(3), at) is None


@pytest.mark.parametrize("make", [meshes.rod, meshes.ball, meshes.cage])
def test_meshes_face_outwards(make: Callable[[], meshes.Mesh]) -> None:
    mesh = make()
    a, b, c = mesh.vertices[mesh.faces].swapaxes(0, 1).astype(np.float64)
    normal = np.cross(b - a, c - a)
    volume = (a * normal).sum() / 6
    assert volume > 0
    assert mesh.faces.max() < len(mesh.vertices)
