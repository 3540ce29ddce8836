"""Joint conventions: where on the body a data set's labels put a joint.

Our own joints are anatomical centres inside the body. A data set may mean another point by the same
name: ITOP's lie near the surface that faces the camera, its neck lower, its hips higher. A
convention moves each joint by a few constants: metres along the limb that leads to the joint
(along the trunk for trunk joints), metres outwards to the joint's own side, and metres away from
the labelling camera, which stood level and in front. Left and right share their constants.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from residualpose.errors import UsageError
from residualpose.pipeline.body_frame import trunk_down, upright_frame
from residualpose.skeleton import (
    HEAD,
    L_ELBOW,
    L_FOOT,
    L_HAND,
    L_HIP,
    L_KNEE,
    L_SHOULDER,
    NECK,
    R_ELBOW,
    R_FOOT,
    R_HAND,
    R_HIP,
    R_KNEE,
    R_SHOULDER,
    TORSO,
)

JOINT_KIND = (
    "head", "neck", "shoulder", "shoulder", "elbow", "elbow", "hand", "hand", "torso",
    "hip", "hip", "knee", "knee", "foot", "foot",
)  # fmt: skip
"""Kind of each itop15 joint; both sides are of one kind."""

# The direction "along" at each joint: from the first joint to the second.
_ALONG = np.array([
    (NECK, HEAD), (TORSO, NECK), (TORSO, NECK), (TORSO, NECK), (R_SHOULDER, R_ELBOW),
    (L_SHOULDER, L_ELBOW), (R_ELBOW, R_HAND), (L_ELBOW, L_HAND), (TORSO, NECK), (TORSO, NECK),
    (TORSO, NECK), (R_HIP, R_KNEE), (L_HIP, L_KNEE), (R_KNEE, R_FOOT), (L_KNEE, L_FOOT),
])  # fmt: skip
_OUTWARD_SIGN = np.array([0, 0, 1, -1, 0, 0, 0, 0, 0, 1, -1, 0, 0, 0, 0.0])
_FROM_ABOVE = (0.6, 0.85)
"""Cosine between trunk and viewing ray from which on a view begins to be, and is, from above."""


@dataclass(frozen=True, slots=True)
class Shift:
    """Constants of one kind of joint, metres."""

    along: float = 0.0
    """Along the limb away from the body; trunk joints: up the trunk."""
    outward: float = 0.0
    """To the joint's own side, for shoulders and hips."""
    away: float = 0.0
    """Away from the labelling camera: along the viewing ray; in a view from above, backwards."""


Convention = Mapping[str, Shift]

CONVENTIONS: dict[str, Convention] = {
    # Fitted by scripts/fit_convention.py on 60 development frames of ITOP's side test set.
    "itop": {
        "head": Shift(0.025, 0.000, -0.003),
        "neck": Shift(-0.031, 0.000, -0.042),
        "shoulder": Shift(-0.003, -0.015, -0.039),
        "elbow": Shift(0.008, 0.000, -0.051),
        "hand": Shift(0.040, 0.000, -0.015),
        "torso": Shift(-0.003, 0.000, -0.067),
        "hip": Shift(0.035, -0.009, -0.043),
        "knee": Shift(0.031, 0.000, -0.035),
        "foot": Shift(0.036, 0.000, -0.054),
    },
    # From the mean limb lengths of the release's Panoptic statistics against our bodies'.
    "panoptic": {
        "head": Shift(0.005),
        "neck": Shift(0.012),
        "shoulder": Shift(0.0, -0.015),
        "hand": Shift(-0.045),
        "torso": Shift(-0.236),
        "hip": Shift(0.0, -0.018),
        "foot": Shift(-0.045),
    },
}


def convention_by_name(name: str) -> Convention:
    """Look a convention up; raises UsageError naming the known ones."""
    if name not in CONVENTIONS:
        raise UsageError(f"unknown convention {name!r}: one of {', '.join(CONVENTIONS)}")
    return CONVENTIONS[name]


def directions(joints_m: np.ndarray) -> np.ndarray:
    """Unit vectors along, outward and away at each joint of (P, 15, 3), camera frame.

    Returns:
        (P, 15, 3 directions, 3); 0 where a direction cannot be told.
    """
    joints = np.asarray(joints_m, dtype=np.float64)
    along = joints[:, _ALONG[:, 1]] - joints[:, _ALONG[:, 0]]
    shoulders = joints[:, R_SHOULDER] - joints[:, L_SHOULDER]
    sides = np.stack([shoulders, joints[:, R_HIP] - joints[:, L_HIP]])
    known = np.isfinite(sides)
    side = np.where(known, sides, 0).sum(0) / np.maximum(known.sum(0), 1)
    outward = side[:, None] * _OUTWARD_SIGN[:, None]
    stacked = np.nan_to_num(np.stack([along, outward, _away(joints)], axis=-2))
    return stacked / np.maximum(np.linalg.norm(stacked, axis=-1, keepdims=True), 1e-9)


def _away(joints_m: np.ndarray) -> np.ndarray:
    """(P, 15, 3) away from the camera that labelled, from (P, 15, 3) joints; any length.

    Labels made in a level view and moved into one from above, as ITOP's are, lie at the front of
    the body there, not at the top.
    """
    length = np.linalg.norm(joints_m, axis=-1, keepdims=True)
    rays = np.nan_to_num(joints_m / np.where(length > 0, length, 1.0))
    ray = rays.sum(axis=1)
    ray /= np.maximum(np.linalg.norm(ray, axis=-1, keepdims=True), 1e-9)
    cosine = np.nan_to_num((trunk_down(joints_m) * ray).sum(-1))
    low, high = _FROM_ABOVE
    above = np.clip((cosine - low) / (high - low), 0.0, 1.0)
    backwards = upright_frame(joints_m, ray)[..., 2]
    above = np.where(np.isfinite(backwards).all(-1), above, 0.0)[:, None, None]
    return (1.0 - above) * rays + above * np.nan_to_num(backwards)[:, None]


def to_convention(joints_m: np.ndarray, convention: Convention) -> np.ndarray:
    """(P, 15, 3) joints in our convention, camera frame, to another one; NaN stays NaN."""
    shifts = [convention.get(kind, Shift()) for kind in JOINT_KIND]
    amounts = np.array([[s.along, s.outward, s.away] for s in shifts])
    moved = np.einsum("jk,pjkc->pjc", amounts, directions(joints_m))
    return (joints_m + moved).astype(np.float32)
