"""Joints to fit the limb prior on: posed bodies without images, in a level camera frame."""

from __future__ import annotations

import numpy as np

from residualpose.synthetic.bodies import BodyBank, part_transforms, posed_joints
from residualpose.synthetic.poses import PoseLibrary

_LEVEL_CAMERA_WORLD = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
"""World axes (x right, y ahead, z up) to a level camera's (x right, y down, z forward)."""


def sample_joints(bank: BodyBank, poses: PoseLibrary, count: int, seed: int = 0) -> np.ndarray:
    """(N, 15, 3) joints in metres of random bodies in random poses and headings.

    Camera frame of a level camera at the body's origin: x right, y down, z forward.
    """
    rng = np.random.default_rng(seed)
    joints = np.empty((count, 15, 3))
    for i in range(count):
        body, pose = int(rng.integers(len(bank))), poses.sample(rng)
        world = posed_joints(bank, body, *part_transforms(bank, body, pose)).numpy()
        heading = rng.uniform(-np.pi, np.pi)
        c, s = np.cos(heading), np.sin(heading)
        turn = np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
        joints[i] = world @ turn.T @ _LEVEL_CAMERA_WORLD.T
    return joints
