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
_HABIT, _VARIETY = 0.04, 0.10
"""Of a limb's length: the error that stays as long as somebody is seen from one side, and how much
two people differ."""
_MEASURED_SHARE = 0.2
"""Of the error of a length as the joints tell it, what is found."""
_ONE_LIMB = 2.0
"""No limb alone tells more against two people being one."""


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

    def absorb(self, other: Bones) -> None:
        """Take in what is known about the same person from another time."""
        self.total = self.total + other.total
        self.precision = self.precision + other.precision

    def unlike(self, other: Bones) -> float:
        """How much more likely these are two people's limbs than one's: log of the ratio.

        Sides count together: of people in profile they are exchanged too often.
        """
        partner = _partners(self.skeleton)
        own = self.precision + self.precision[partner]
        its = other.precision + other.precision[partner]
        known = (own > 0) & (its > 0)
        own, its = np.where(known, own, 1.0), np.where(known, its, 1.0)
        one_m = (self.total + self.total[partner]) / own
        other_m = (other.total + other.total[partner]) / its
        difference_m, length_m = one_m - other_m, (one_m + other_m) / 2
        same_m2 = (_HABIT * length_m) ** 2 + _MEASURED_SHARE**2 * (1 / own + 1 / its)
        two_m2 = same_m2 + (_VARIETY * length_m) ** 2
        ratio = difference_m**2 / 2 * (1 / same_m2 - 1 / two_m2) - np.log(two_m2 / same_m2) / 2
        alone = partner == np.arange(len(partner))
        return float((np.minimum(ratio, _ONE_LIMB) * known * np.where(alone, 1.0, 0.5)).sum())

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


def _partners(skeleton: Skeleton) -> np.ndarray:
    """(L,) the limb on the other side; itself in the middle."""
    places = {limb: place for place, limb in enumerate(skeleton.limbs)}
    mirror = skeleton.mirror
    return np.array([places[mirror[start], mirror[end]] for start, end in skeleton.limbs])
