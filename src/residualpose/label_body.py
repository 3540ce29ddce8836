"""The one body that all labels of a data set have, and the nearest pose of it to a person.

Labels that a tracker made, not people, obey the tracker's model: its trunk does not bend or twist
and its limbs are as long for everyone. Whoever is to give what such labels give has to follow it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from residualpose.skeleton import (
    HEAD,
    L_FOOT,
    L_HIP,
    L_KNEE,
    L_SHOULDER,
    NECK,
    R_FOOT,
    R_HIP,
    R_KNEE,
    R_SHOULDER,
    TORSO,
)

_TRUNK = [NECK, R_SHOULDER, L_SHOULDER, TORSO, R_HIP, L_HIP]
_RIGID = [*_TRUNK, HEAD]
_LEGS = (([R_HIP, L_HIP], [R_KNEE, L_KNEE]), ([R_KNEE, L_KNEE], [R_FOOT, L_FOOT]))
_LEAST_SPREAD_M2 = 1e-3
"""Joints nearer to one line than this (sum of squares) do not tell how the trunk is turned."""


@dataclass(frozen=True, slots=True)
class LabelBody:
    """A body with a flat, rigid trunk and legs of fixed lengths; metres.

    The neck is the middle between the shoulders, the torso the middle between neck and hips; both
    pairs are parallel, and square to the trunk.
    """

    half_trunk: float
    """From neck to torso, and on to the middle between the hips."""
    shoulders: float
    """From one to the other."""
    hips: float
    """From one to the other."""
    head: float
    """From neck to head, about in line with the trunk; helps to find it, and stays where it is."""
    thigh: float
    """From hip to knee."""
    shin: float
    """From knee to foot."""

    def __call__(self, joints_m: np.ndarray) -> np.ndarray:
        """The nearest pose of this body to each of (P, 15, 3) people; NaN stays NaN.

        The trunk is put where it is nearest to its joints and the head in least squares (Kabsch);
        knees and feet keep their directions from there. Where too little of the trunk is known,
        it stays as it is.
        """
        joints = np.array(joints_m, dtype=np.float64)
        template = self._template()
        known = np.asarray(np.isfinite(joints[:, _RIGID]).all(-1))
        weight = known / np.maximum(known.sum(1, keepdims=True), 1)
        found = np.where(known[..., None], joints[:, _RIGID], 0.0)
        centre, middle = np.einsum("pj,pjc->pc", weight, found), weight @ template
        about = template - middle[:, None]
        moment = np.einsum("pj,pjc,pjd->pcd", weight, found - centre[:, None], about)
        u, spread, v = np.linalg.svd(moment)
        u[..., 2] *= np.sign(np.linalg.det(u @ v))[:, None]  # a rotation, no mirror image
        turned = centre[:, None] + about @ (u @ v).transpose(0, 2, 1)
        told = (spread[:, 1] > _LEAST_SPREAD_M2 / len(_RIGID))[:, None, None] & known[..., None]
        trunk = slice(len(_TRUNK))
        joints[:, _TRUNK] = np.where(told[:, trunk], turned[:, trunk], joints[:, _TRUNK])
        for (start, end), length_m in zip(_LEGS, (self.thigh, self.shin), strict=True):
            limb = joints_m[:, end] - joints[:, start]
            size = np.linalg.norm(limb, axis=-1, keepdims=True)
            placed = joints[:, start] + limb * (length_m / np.maximum(size, 1e-6))
            joints[:, end] = np.where(np.isfinite(placed), placed, joints[:, end])
        return joints

    def _template(self) -> np.ndarray:
        """(7, 3) joints of _RIGID: x to the left, y down, z backwards, about the torso."""
        top, bottom = -self.half_trunk, self.half_trunk
        x = np.array([0, -self.shoulders, self.shoulders, 0, -self.hips, self.hips, 0]) / 2
        y = np.array([top, top, top, 0, bottom, bottom, top - self.head])
        return np.stack([x, y, np.zeros(len(_RIGID))], axis=-1)
