"""Bone lengths: those of one person settle over time, and then hold the joints together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from residualpose.poses import Origin
from residualpose.skeleton import Skeleton

_OBSERVED_SD_M = 0.05
"""Error of one frame's length beside that of the two joints."""
_ALIKE_S = 0.3
"""Frames closer together repeat each other's errors, and count as one look."""
_SETTLED_SD_M = 0.02
"""A length known so well pulls with half its force, a better known one with more."""
_ROUNDS = 3


@dataclass(slots=True)
class Bones:
    """The limb lengths of one person as far as they are known."""

    skeleton: Skeleton
    total: np.ndarray
    """(L,) sum of the lengths seen, each weighted by its precision."""
    precision: np.ndarray
    """(L,) one over square metres."""

    @classmethod
    def unknown(cls, skeleton: Skeleton) -> Bones:
        """Nothing known yet."""
        limbs = len(skeleton.limbs)
        return cls(skeleton, np.zeros(limbs), np.zeros(limbs))

    @property
    def length_m(self) -> np.ndarray:
        """(L,) lengths; NaN where not yet seen."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return self.total / self.precision

    def observe(
        self, joints_m: np.ndarray, noise_m2: np.ndarray, origin: np.ndarray, dt_s: float
    ) -> None:
        """Take in one frame: the limbs whose ends were both measured.

        Args:
            joints_m: (J, 3).
            noise_m2: (J, 3, 3).
            origin: (J,) of Origin.
            dt_s: Seconds since the frame before.
        """
        start, end = self.skeleton.limb_array.T
        limb = joints_m[end] - joints_m[start]
        length = np.linalg.norm(limb, axis=-1)
        seen = (origin[start] == Origin.MEASURED) & (origin[end] == Origin.MEASURED)
        seen &= np.isfinite(length) & (length > 0)
        along = limb / np.where(seen, length, 1.0)[:, None]
        spread = noise_m2[start] + noise_m2[end]
        variance = np.einsum("li,lij,lj->l", along, spread, along) + _OBSERVED_SD_M**2
        seen &= np.isfinite(variance)
        weight = np.where(seen, min(dt_s / _ALIKE_S, 1.0) / np.where(seen, variance, 1.0), 0.0)
        self.precision += weight
        self.total += weight * np.where(seen, length, 0.0)

    def hold(self, joints_m: np.ndarray, variance_m2: np.ndarray) -> np.ndarray:
        """Joints (J, 3) moved so that limbs come near their lengths, the unsure end moving most.

        Args:
            joints_m: (J, 3).
            variance_m2: (J,) of each joint.
        """
        joints = joints_m.copy()
        force = self.precision / (self.precision + _SETTLED_SD_M**-2)
        wanted = self.length_m
        for _ in range(_ROUNDS):
            for limb, (start, end) in enumerate(self.skeleton.limbs):
                offset = joints[end] - joints[start]
                length = float(np.sqrt(offset @ offset))
                if not force[limb] or not np.isfinite(length) or length < 1e-6:
                    continue
                pull = force[limb] * (length - wanted[limb]) / length * offset
                share = variance_m2[start] / (variance_m2[start] + variance_m2[end])
                joints[start] += share * pull
                joints[end] -= (1 - share) * pull
        return joints
