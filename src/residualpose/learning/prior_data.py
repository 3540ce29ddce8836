"""Joints to fit the limb prior on: posed bodies without images, in a level camera frame."""

from __future__ import annotations

import numpy as np

from residualpose.synthetic.bodies import BodyBank, part_transforms, posed_joints
from residualpose.synthetic.body_pose import SEGMENTS, BodyPose
from residualpose.synthetic.poses import PoseLibrary

_LEVEL_CAMERA_WORLD = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
"""World axes (x right, y ahead, z up) to a level camera's (x right, y down, z forward)."""

_CHEST = SEGMENTS.index("chest")
_LEGS = [SEGMENTS.index(name) for name in ("thigh_r", "shin_r", "thigh_l", "shin_l")]
_UPRIGHT_COSINE = 0.9
_ATTEMPTS = 50


def stands(pose: BodyPose) -> bool:
    """Whether the chest, both thighs and both shins are within 26 degrees of the vertical."""
    return bool((pose.rotations[[_CHEST, *_LEGS], 2, 2] > _UPRIGHT_COSINE).all())


def sample_joints(
    bank: BodyBank, poses: PoseLibrary, count: int, seed: int = 0, standing: float = 0.0
) -> np.ndarray:
    """(N, 15, 3) joints in metres of random bodies in random poses and headings.

    Camera frame of a level camera at the body's origin: x right, y down, z forward.

    Args:
        bank: bodies to pose.
        poses: poses to draw from.
        count: N.
        seed: seed of everything drawn.
        standing: share of the people who have to stand upright; the others are drawn as they come.
    """
    rng = np.random.default_rng(seed)
    joints = np.empty((count, 15, 3))
    for i in range(count):
        body, pose = int(rng.integers(len(bank))), _draw(poses, rng, rng.random() < standing)
        world = posed_joints(bank, body, *part_transforms(bank, body, pose)).numpy()
        heading = rng.uniform(-np.pi, np.pi)
        c, s = np.cos(heading), np.sin(heading)
        turn = np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
        joints[i] = world @ turn.T @ _LEVEL_CAMERA_WORLD.T
    return joints


def _draw(poses: PoseLibrary, rng: np.random.Generator, standing: bool) -> BodyPose:
    """A pose; one that stands if asked for, unless the library has hardly any."""
    pose = poses.sample(rng)
    for _ in range(_ATTEMPTS if standing else 0):
        if stands(pose):
            break
        pose = poses.sample(rng)
    return pose
