"""Poses for the limb prior: who stands, and how many of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from residualpose.skeleton import L_FOOT, L_HIP, NECK, R_FOOT, R_HIP, TORSO

if TYPE_CHECKING:
    from residualpose.synthetic.shards import Cast

pytest.importorskip("torch", reason="needs the train extra")


def bent(segments: list[str], degrees: float) -> bool:
    """Whether a body stands whose named segments are turned forwards."""
    from residualpose.learning.prior_data import stands
    from residualpose.synthetic.body_pose import SEGMENTS, BodyPose

    rotations = np.tile(np.eye(3), (17, 1, 1))
    turn = Rotation.from_euler("x", degrees, degrees=True).as_matrix()
    rotations[[SEGMENTS.index(segment) for segment in segments]] = turn
    return stands(BodyPose(rotations))


def test_arms_do_not_matter_but_legs_and_chest_do() -> None:
    assert bent([], 0)
    assert bent(["upper_arm_r", "forearm_r", "head"], 120)
    assert bent(["thigh_l", "shin_l"], 15)
    for segment in ("chest", "thigh_l", "shin_r"):
        assert not bent([segment], 40)


def upright(joints_m: np.ndarray) -> np.ndarray:
    """Whether both feet are well below the hips and the hips below the neck, (N, 15, 3)."""
    size = np.linalg.norm(joints_m[:, NECK] - joints_m[:, TORSO], axis=-1)
    legs = joints_m[:, [R_FOOT, L_FOOT], 1] - joints_m[:, [R_HIP, L_HIP], 1]
    trunk = joints_m[:, TORSO, 1] - joints_m[:, NECK, 1]
    return (legs.min(1) > 2.4 * size) & (trunk > 0.8 * size)


def test_the_share_that_stands_is_the_share_asked_for(tiny_cast: Cast) -> None:
    from residualpose.learning.prior_data import sample_joints

    share = [
        upright(sample_joints(tiny_cast.bank, tiny_cast.poses, 60, 3, standing)).mean()
        for standing in (0.0, 1.0)
    ]
    assert share[1] > 0.95 > 0.8 > share[0]


def test_conventions_move_joints_on_the_body_not_towards_the_camera(standing_m: np.ndarray) -> None:
    from residualpose.conventions import CONVENTIONS
    from residualpose.learning.train_prior import every_convention

    own, *moved = every_convention(standing_m[None])
    np.testing.assert_array_equal(own, standing_m[None])
    assert len(moved) == len(CONVENTIONS)
    # Turned about the vertical, everything turns with the person: nothing depends on the camera.
    turn = Rotation.from_euler("y", 100, degrees=True).as_matrix()
    for one, other in zip(moved, every_convention(standing_m[None] @ turn.T)[1:], strict=True):
        np.testing.assert_allclose(other, one @ turn.T, atol=1e-5)
