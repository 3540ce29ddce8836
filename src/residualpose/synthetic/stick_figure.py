"""A person of nominal size as capsules: enough to see which poses put a limb through the body."""

from __future__ import annotations

import numpy as np

from residualpose.synthetic.body_pose import REFERENCE_DIRECTION, SEGMENT_PARENT, SEGMENTS

SEGMENT_LENGTH_M = np.array(
    [
        *(0.10, 0.14, 0.26, 0.09, 0.22),
        *(0.29, 0.25, 0.17, 0.29, 0.25, 0.17),
        *(0.42, 0.42, 0.20, 0.42, 0.42, 0.20),
    ]
)
"""(17,) length of each segment of an adult of 1.75 m."""

_START_OFFSET_M = np.zeros((17, 3))
_START_OFFSET_M[[5, 8]] = [[0.18, -0.01, 0.21], [-0.18, -0.01, 0.21]]
_START_OFFSET_M[[11, 14]] = [[0.09, 0.0, -0.02], [-0.09, 0.0, -0.02]]
"""Where limbs start, in the frame of the parent segment, from the parent's start."""

_LIMB_ROOTS = (5, 8, 11, 14)
_ARMS = ((5, 6, 7), (8, 9, 10))
_LEGS = ((11, 12), (14, 15))

_TORSO_BOXES = (
    (0, 0.155, 0.105, -0.08, 0.12),
    (1, 0.135, 0.095, -0.02, 0.16),
    (2, 0.150, 0.105, -0.02, 0.25),
)
"""Segment, half width and half depth of its elliptic section, lowest and highest point, metres."""

_SEAT_M, _FLOOR_SLACK_M = 0.10, 0.05
"""Flesh below the hips, and how far a hand may dip."""


def segment_ends(rotations: np.ndarray) -> np.ndarray:
    """Start and end points (..., 17, 2, 3) in metres of the segments; mid-hip at the origin.

    Args:
        rotations: (..., 17, 3, 3) world rotations.
    """
    ends = np.zeros((*rotations.shape[:-3], len(SEGMENTS), 2, 3))
    along = np.einsum("...sij,sj->...si", rotations, REFERENCE_DIRECTION)
    for segment, parent in enumerate(SEGMENT_PARENT):
        if segment in _LIMB_ROOTS:
            offset = rotations[..., parent, :, :] @ _START_OFFSET_M[segment]
            ends[..., segment, 0, :] = ends[..., parent, 0, :] + offset
        elif parent >= 0:
            ends[..., segment, 0, :] = ends[..., parent, 1, :]
        step = along[..., segment, :] * SEGMENT_LENGTH_M[segment]
        ends[..., segment, 1, :] = ends[..., segment, 0, :] + step
    return ends


def _points_along(ends: np.ndarray, segment: int, share: np.ndarray) -> np.ndarray:
    start, end = ends[..., segment, 0, None, :], ends[..., segment, 1, None, :]
    return start + share[:, None] * (end - start)


def _arm_points(ends: np.ndarray, arm: tuple[int, int, int]) -> np.ndarray:
    """Points (..., 11, 3) from the elbow to the finger tips."""
    forearm = _points_along(ends, arm[1], np.linspace(0.0, 1.0, 7))
    hand = _points_along(ends, arm[2], np.linspace(0.25, 1.0, 4))
    return np.concatenate([forearm, hand], axis=-2)


def _inside_torso(points: np.ndarray, ends: np.ndarray, rotations: np.ndarray) -> np.ndarray:
    hit = np.zeros(points.shape[:-2], dtype=bool)
    for segment, half_width, half_depth, low, high in _TORSO_BOXES:
        local = (points - ends[..., segment, 0, None, :]) @ rotations[..., segment, :, :]
        across = (local[..., 0] / half_width) ** 2 + (local[..., 1] / half_depth) ** 2
        hit |= np.any((across < 1) & (local[..., 2] > low) & (local[..., 2] < high), axis=-1)
    return hit


def _closer_than(first: np.ndarray, second: np.ndarray, distance_m: float) -> np.ndarray:
    gap = first[..., :, None, :] - second[..., None, :, :]
    return np.any(np.sum(gap**2, axis=-1) < distance_m**2, axis=(-2, -1))


def collides(rotations: np.ndarray) -> np.ndarray:
    """Whether an arm or leg passes through the torso, the head or another limb, (...) bool.

    Args:
        rotations: (..., 17, 3, 3) world rotations.
    """
    ends = segment_ends(rotations)
    head = _points_along(ends, 4, np.array([0.35, 0.65]))
    arms = [_arm_points(ends, arm) for arm in _ARMS]
    upper_arms = [_points_along(ends, arm[0], np.linspace(0.3, 1.0, 4)) for arm in _ARMS]
    along = np.linspace(0.15, 1.0, 6)
    legs = [np.concatenate([_points_along(ends, s, along) for s in leg], -2) for leg in _LEGS]
    shins = [_points_along(ends, leg[1], along) for leg in _LEGS]
    hit = _closer_than(arms[0], arms[1], 0.065) | _closer_than(shins[0], shins[1], 0.085)
    hit |= _closer_than(shins[0], legs[1][..., :6, :], 0.10)
    hit |= _closer_than(shins[1], legs[0][..., :6, :], 0.10)
    for arm, other_upper in zip(arms, upper_arms[::-1], strict=True):
        hit |= _inside_torso(arm, ends, rotations) | _closer_than(arm, head, 0.105)
        hit |= _closer_than(arm, other_upper, 0.075)
        for leg in legs:
            hit |= _closer_than(arm, leg, 0.085)
    for shin in shins:
        hit |= _inside_torso(shin, ends, rotations)
    return hit


def arms_below_floor(rotations: np.ndarray) -> np.ndarray:
    """Whether an arm reaches below legs and torso, so that the body could not rest, (...) bool."""
    low = segment_ends(rotations)[..., 2].min(axis=-1)
    support = np.minimum(low[..., :3].min(axis=-1) - _SEAT_M, low[..., 11:].min(axis=-1))
    return low[..., 5:11].min(axis=-1) < support - _FLOOR_SLACK_M


def legs_below_torso(rotations: np.ndarray) -> np.ndarray:
    """Whether a leg reaches below the torso, (...): somebody so lying would hover."""
    low = segment_ends(rotations)[..., 2].min(axis=-1)
    return low[..., 11:].min(axis=-1) < low[..., :3].min(axis=-1) - 2 * _FLOOR_SLACK_M


def impossible(rotations: np.ndarray) -> np.ndarray:
    """Whether the body passes through itself or an arm through the floor, (...) bool."""
    return collides(rotations) | arms_below_floor(rotations)
