"""Changes that make new poses of given ones: swaps of halves and arms, mirror, lean, jitter."""

from __future__ import annotations

import numpy as np

from residualpose.synthetic.body_pose import SEGMENT_PARENT
from residualpose.synthetic.rotations import about_x, from_rotation_vectors

_UPPER = tuple(range(1, 11))
_ARMS = ((5, 6, 7), (8, 9, 10))
_JITTER_RAD = np.radians(5.0) / np.sqrt(3.0)
_LEAN_RAD = np.radians(2.5)
_UPRIGHT_COSINE = 0.6

_HINGES = ((5, 6, 1.0), (8, 9, 1.0), (11, 12, -1.0), (14, 15, -1.0))
"""Upper and lower segment of elbows and knees, and the sign of their bend about x."""


def swap_upper_body(rotations: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The legs of one pose (17, 3, 3) below the torso, head and arms of the other.

    Poses with a pelvis far from upright stay whole: their halves do not fit elsewhere.
    """
    if min(rotations[0, 2, 2], other[0, 2, 2]) < _UPRIGHT_COSINE:
        return rotations
    swapped = rotations.copy()
    swapped[list(_UPPER)] = rotations[0] @ other[0].T @ other[list(_UPPER)]
    return swapped


def swap_arm(rotations: np.ndarray, other: np.ndarray, side: int) -> np.ndarray:
    """The pose (17, 3, 3) with the right (side 0) or left (1) arm of the other, chest to chest."""
    swapped = rotations.copy()
    arm = list(_ARMS[side])
    swapped[arm] = rotations[2] @ other[2].T @ other[arm]
    return swapped


def hinge_angles(rotations: np.ndarray) -> np.ndarray:
    """Bend (..., 4) of right and left elbow, right and left knee; negative is overstretched."""
    angles = []
    for upper, lower, sign in _HINGES:
        relative = np.swapaxes(rotations[..., upper, :, :], -1, -2) @ rotations[..., lower, :, :]
        angles.append(sign * np.arctan2(relative[..., 2, 1], relative[..., 2, 2]))
    return np.stack(angles, axis=-1)


def unstretch(rotations: np.ndarray) -> np.ndarray:
    """Poses (..., 17, 3, 3) with overstretched elbows and knees made straight."""
    fixed = rotations.copy()
    overstretched = np.maximum(-hinge_angles(rotations), 0.0)
    for column, (_, lower, sign) in enumerate(_HINGES):
        turn = about_x(sign * overstretched[..., column])
        for segment in (lower, lower + 1):
            # The hand or foot follows: it turns about the lower limb's hinge.
            world = (
                rotations[..., lower, :, :]
                @ turn
                @ np.swapaxes(rotations[..., lower, :, :], -1, -2)
            )
            fixed[..., segment, :, :] = world @ rotations[..., segment, :, :]
    return fixed


def jitter(rotations: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The pose (17, 3, 3), every joint turned a little (5 degrees rms) and the whole leaning."""
    turns = from_rotation_vectors(rng.normal(0.0, _JITTER_RAD, (len(rotations), 3)))
    lean = from_rotation_vectors(np.append(rng.normal(0.0, _LEAN_RAD, 2), 0.0))
    world = np.empty_like(rotations)
    for segment, parent in enumerate(SEGMENT_PARENT):
        world[segment] = turns[segment] @ (world[parent] if parent >= 0 else lean)
    return unstretch(world @ rotations)
