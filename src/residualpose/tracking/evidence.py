"""What a person found in one frame is worth: somebody whole, a piece of somebody, or a double."""

from __future__ import annotations

import numpy as np

from residualpose.poses import Poses
from residualpose.skeleton import L_HIP, L_SHOULDER, NECK, R_HIP, R_SHOULDER, TORSO

_TRUNK = [NECK, R_SHOULDER, L_SHOULDER, TORSO, R_HIP, L_HIP]
_SAME_M = 0.25
"""Median distance of the joints below which two people found are one, found twice."""
_INSIDE_M = 0.12
"""Joints that are, in the median, so near to somebody's bones are parts of that body."""
_ROOM_M = 0.4
"""Trunks nearer to each other leave no room for two people."""


def trunk_centres(poses: Poses) -> np.ndarray:
    """(P, 3) middle of the trunk joints, metres; NaN where one of them is not known.

    Limbs without a trunk are often an arm of one person and a leg of another.
    """
    return poses.joints_m[:, _TRUNK].astype(float).mean(1)


def found_twice(poses: Poses) -> np.ndarray:
    """(P,) which people are where somebody more believable already is."""
    twice = np.zeros(len(poses), bool)
    joints_m = poses.joints_m.astype(float)
    kept: list[int] = []
    for person in _best_first(poses):
        twice[person] = any(_same(joints_m[person], joints_m[k], poses) for k in kept)
        if not twice[person]:
            kept.append(person)
    return twice


def has_room(poses: Poses) -> np.ndarray:
    """(P,) whose trunk is known and not inside somebody more believable."""
    centre_m = trunk_centres(poses)
    room = np.array(np.isfinite(centre_m).all(-1), bool)
    kept: list[int] = []
    for person in _best_first(poses):
        away = np.linalg.norm(centre_m[kept] - centre_m[person], axis=-1)
        room[person] &= not (away < _ROOM_M).any()
        if room[person]:
            kept.append(person)
    return room


def apart(poses: Poses, others: np.ndarray) -> np.ndarray:
    """(P,) whose trunk is not inside one of some others (P,) of the frame."""
    centre_m = trunk_centres(poses)
    away_m = np.linalg.norm(centre_m[:, None] - centre_m[others], axis=-1)
    return ~(away_m < _ROOM_M).any(1)


def _best_first(poses: Poses) -> list[int]:
    """Everybody who is whole comes before any piece."""
    piece = ~np.isfinite(trunk_centres(poses)).all(-1)
    return np.lexsort((-poses.person_score, piece)).tolist()


def _same(one_m: np.ndarray, body_m: np.ndarray, poses: Poses) -> bool:
    away = np.linalg.norm(one_m - body_m, axis=-1)
    away = np.where(np.isfinite(away), away, np.inf)
    if np.median(away) < _SAME_M:
        return True
    joints = one_m[np.isfinite(one_m).all(-1)]
    bones = body_m[poses.skeleton.limb_array]
    bones = bones[np.isfinite(bones).all((1, 2))]
    if not len(joints) or not len(bones):
        return False
    return bool(np.median(_to_bones(joints, bones)) < _INSIDE_M)


def _to_bones(joints_m: np.ndarray, bones_m: np.ndarray) -> np.ndarray:
    """(J,) distance of joints (J, 3) to the nearest of bones (L, 2, 3)."""
    start, along = bones_m[:, 0], bones_m[:, 1] - bones_m[:, 0]
    from_start = joints_m[:, None] - start
    part = (from_start * along).sum(-1) / np.maximum((along**2).sum(-1), 1e-9)
    nearest = np.clip(part, 0, 1)[..., None] * along
    return np.linalg.norm(from_start - nearest, axis=-1).min(-1)
