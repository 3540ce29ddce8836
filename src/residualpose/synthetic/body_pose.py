"""BodyPose: how a body is bent, independent of its shape. What poses.py makes and bodies.py skins.

World frame of synthetic people: z up, metres, floor at z = 0. A person in the reference stance
(all rotations the identity) stands upright, faces +y, has the own right hand at +x, arms hanging
straight down with the palms to the thighs, feet pointing to +y.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SEGMENTS = (
    "pelvis", "abdomen", "chest", "neck", "head",
    "upper_arm_r", "forearm_r", "hand_r", "upper_arm_l", "forearm_l", "hand_l",
    "thigh_r", "shin_r", "foot_r", "thigh_l", "shin_l", "foot_l",
)  # fmt: skip
"""The rigid segments of a body, in order."""

SEGMENT_PARENT = (-1, 0, 1, 2, 3, 2, 5, 6, 2, 8, 9, 0, 11, 12, 0, 14, 15)
"""Index of each segment's parent."""

SEGMENT_MIRROR = (0, 1, 2, 3, 4, 8, 9, 10, 5, 6, 7, 14, 15, 16, 11, 12, 13)
"""Index of each segment's left-right partner."""

REFERENCE_DIRECTION = np.array(
    [[0, 0, 1.0]] * 5 + [[0, 0, -1.0]] * 6 + ([[0, 0, -1.0]] * 2 + [[0, 1.0, 0]]) * 2
)
"""(17, 3) direction of each segment, from its parent's end outwards, in the reference stance."""


@dataclass(frozen=True, slots=True)
class BodyPose:
    """World rotations of the segments of one person."""

    rotations: np.ndarray
    """(17, 3, 3) float64: world rotation G of each segment, which points along
    G @ REFERENCE_DIRECTION."""
    lift_m: float = 0.0
    """Height of the lowest point of the body above the floor (a jump, a seat); 0 = touching it."""
    source: str = ""
    """Where the pose came from: a clip and frame, or the procedural family."""

    def __post_init__(self) -> None:
        if np.shape(self.rotations) != (len(SEGMENTS), 3, 3):
            raise ValueError(f"rotations: expected (17, 3, 3), got {np.shape(self.rotations)}")
