"""Rotation matrices, vectorised over leading axes. Columns are a segment's own right, front, up.

Right-handed world with z up; a positive angle turns counter-clockwise about the axis.
"""

from __future__ import annotations

import numpy as np

from residualpose.synthetic.body_pose import SEGMENT_MIRROR

MIRROR = np.diag([-1.0, 1.0, 1.0])
"""Reflection that swaps left and right of a person facing +y."""


def unit(vectors: np.ndarray) -> np.ndarray:
    """Vectors (..., 3) scaled to length one; zero vectors stay zero."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.maximum(length, 1e-12)


def _about(axis: int, angle_rad: np.ndarray) -> np.ndarray:
    angle_rad = np.asarray(angle_rad, dtype=np.float64)
    first, second = (axis + 1) % 3, (axis + 2) % 3
    matrix = np.zeros((*angle_rad.shape, 3, 3))
    matrix[..., axis, axis] = 1.0
    matrix[..., first, first] = matrix[..., second, second] = np.cos(angle_rad)
    matrix[..., second, first] = np.sin(angle_rad)
    matrix[..., first, second] = -np.sin(angle_rad)
    return matrix


def about_x(angle_rad: np.ndarray | float) -> np.ndarray:
    """Rotations (..., 3, 3) about x: up goes to the back."""
    return _about(0, np.asarray(angle_rad))


def about_y(angle_rad: np.ndarray | float) -> np.ndarray:
    """Rotations (..., 3, 3) about y: up goes to the right."""
    return _about(1, np.asarray(angle_rad))


def about_z(angle_rad: np.ndarray | float) -> np.ndarray:
    """Rotations (..., 3, 3) about z: front goes to the left."""
    return _about(2, np.asarray(angle_rad))


def from_rotation_vectors(vectors_rad: np.ndarray) -> np.ndarray:
    """Rotations (..., 3, 3) about axes (..., 3) whose length is the angle (Rodrigues)."""
    angle = np.linalg.norm(vectors_rad, axis=-1)[..., None, None]
    x, y, z = np.moveaxis(unit(vectors_rad), -1, 0)
    zero = np.zeros_like(x)
    cross = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=-1)
    cross = cross.reshape(*x.shape, 3, 3)
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * (cross @ cross)


def swing(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Smallest rotations (..., 3, 3) that take unit vectors start (..., 3) to end (..., 3).

    Opposite vectors turn about y, the way an arm is raised sideways above the head.
    """
    start, end = np.broadcast_arrays(start, end)
    axis = np.cross(start, end)
    sine = np.linalg.norm(axis, axis=-1)
    cosine = np.sum(start * end, axis=-1)
    axis = np.where((sine < 1e-6)[..., None], np.array([0.0, 1.0, 0.0]), unit(axis))
    return from_rotation_vectors(axis * np.arctan2(sine, cosine)[..., None])


def frame_from_up(up: np.ndarray, right_hint: np.ndarray) -> np.ndarray:
    """Rotations (..., 3, 3) whose third column is up and whose first is closest to right_hint."""
    up = unit(up)
    right = unit(right_hint - np.sum(right_hint * up, axis=-1, keepdims=True) * up)
    return np.stack([right, np.cross(up, right), up], axis=-1)


def frame_from_right(right: np.ndarray, up_hint: np.ndarray) -> np.ndarray:
    """Rotations (..., 3, 3) whose first column is right and whose third is closest to up_hint."""
    right = unit(right)
    up = unit(up_hint - np.sum(up_hint * right, axis=-1, keepdims=True) * right)
    return np.stack([right, np.cross(up, right), up], axis=-1)


def frame_from_front(front: np.ndarray, right_hint: np.ndarray) -> np.ndarray:
    """Rotations (..., 3, 3) whose second column is front, first closest to right_hint."""
    front = unit(front)
    right = unit(right_hint - np.sum(right_hint * front, axis=-1, keepdims=True) * front)
    return np.stack([right, front, np.cross(right, front)], axis=-1)


def mirrored(rotations: np.ndarray) -> np.ndarray:
    """Rotations (..., 3, 3) as a mirror between left and right shows them."""
    return MIRROR @ rotations @ MIRROR


def mirror_people(rotations: np.ndarray) -> np.ndarray:
    """Rotations (..., 17, 3, 3) of people seen in a mirror: left and right change places."""
    return mirrored(rotations[..., SEGMENT_MIRROR, :, :])
