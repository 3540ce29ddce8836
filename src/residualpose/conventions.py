"""Joint conventions: where on the body a data set's labels put a joint.

Our own joints are anatomical centres inside the body. A data set may mean another point by the same
name: ITOP's lie near the surface that faces the camera, its neck lower, its hips higher. A
convention moves each joint by a few constants: metres along the limb that leads to the joint
(along the trunk for trunk joints), metres outwards to the joint's own side, and metres away from
the labelling camera, which stood level and in front. Left and right share their constants. Where
labels were carried over to a camera overhead, three more constants say where they came to lie; and
where a tracker made them, they all have its body (label_body.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from residualpose.errors import UsageError
from residualpose.label_body import LabelBody
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


@dataclass(frozen=True, slots=True)
class Registration:
    """From where a camera overhead sees a joint to where labels carried over to it lie."""

    turn_rad: float = 0.0
    """About the camera's x axis; positive turns y towards z."""
    y_m: float = 0.0
    """Added after the turn, with `z_m`."""
    z_m: float = 0.0

    def __call__(self, points_m: np.ndarray) -> np.ndarray:
        """(..., 3) points, camera frame, to where their labels lie; NaN stays NaN."""
        cosine, sine = np.cos(self.turn_rad), np.sin(self.turn_rad)
        turn = np.array([[1, 0, 0], [0, cosine, -sine], [0, sine, cosine]])
        return points_m @ turn.T + [0.0, self.y_m, self.z_m]


@dataclass(frozen=True, slots=True)
class Convention:
    """Where a data set's labels put joints."""

    shifts: Mapping[str, Shift] = field(default_factory=dict)
    """By kind of joint (JOINT_KIND); kinds left out stay where they are."""
    overhead: Registration = Registration()
    """Of people seen from above, where those labels are another camera's."""
    body: LabelBody | None = None
    """What all of those labels have the measures of; None: everyone is labelled as they are."""


CONVENTIONS: dict[str, Convention] = {
    "itop": Convention(
        # Fitted by scripts/fit_convention.py on 60 development frames of ITOP's side test set,
        {
            "head": Shift(0.016, 0.000, -0.006),
            "neck": Shift(-0.038, 0.000, -0.052),
            "shoulder": Shift(-0.005, -0.019, -0.041),
            "elbow": Shift(0.000, 0.000, -0.052),
            "hand": Shift(0.052, 0.000, -0.013),
            "torso": Shift(-0.009, 0.000, -0.062),
            "hip": Shift(0.026, -0.010, -0.055),
            "knee": Shift(0.029, 0.000, -0.048),
            "foot": Shift(0.024, 0.000, -0.048),
        },
        # and on the same 60 moments of the top set, whose labels are the side camera's, moved as
        # if the top camera looked straight down from where it was meant to hang.
        Registration(0.11, 0.132, 0.024),
        # Means over 2280 labelled poses without images.
        LabelBody(
            half_trunk=0.246, shoulders=0.356, hips=0.222, head=0.244, thigh=0.499, shin=0.483
        ),
    ),
    # From the mean limb lengths of the release's Panoptic statistics against our bodies'.
    "panoptic": Convention(
        {
            "head": Shift(0.005),
            "neck": Shift(0.012),
            "shoulder": Shift(0.0, -0.015),
            "hand": Shift(-0.045),
            "torso": Shift(-0.236),
            "hip": Shift(0.0, -0.018),
            "foot": Shift(-0.045),
        }
    ),
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
    the body there, not at the top of it.
    """
    rays, ray = _rays(joints_m)
    above = from_above(joints_m)
    backwards = upright_frame(joints_m, ray)[..., 2]
    above = np.where(np.isfinite(backwards).all(-1), above, 0.0)[:, None, None]
    return (1.0 - above) * rays + above * np.nan_to_num(backwards)[:, None]


def _rays(joints_m: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Unit viewing rays of joints (P, 15, 3), 0 where missing, and of people, (P, 3)."""
    length = np.linalg.norm(joints_m, axis=-1, keepdims=True)
    rays = np.nan_to_num(joints_m / np.where(length > 0, length, 1.0))
    ray = rays.sum(axis=1)
    return rays, ray / np.maximum(np.linalg.norm(ray, axis=-1, keepdims=True), 1e-9)


def from_above(joints_m: np.ndarray) -> np.ndarray:
    """(P,) how far people (P, 15, 3) are seen from above: 0 not at all or unknown, 1 wholly."""
    _, ray = _rays(joints_m)
    cosine = np.nan_to_num((trunk_down(joints_m) * ray).sum(-1))
    low, high = _FROM_ABOVE
    return np.clip((cosine - low) / (high - low), 0.0, 1.0)


def to_convention(joints_m: np.ndarray, convention: Convention) -> np.ndarray:
    """(P, 15, 3) joints in our convention, camera frame, to another one; NaN stays NaN."""
    shifts = [convention.shifts.get(kind, Shift()) for kind in JOINT_KIND]
    amounts = np.array([[s.along, s.outward, s.away] for s in shifts])
    moved = joints_m + np.einsum("jk,pjkc->pjc", amounts, directions(joints_m))
    above = from_above(joints_m)[:, None, None]
    moved = (1.0 - above) * moved + above * convention.overhead(moved)
    if convention.body is not None:
        moved = convention.body(moved)
    return moved.astype(np.float32)
