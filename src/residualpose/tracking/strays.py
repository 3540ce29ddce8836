"""Strays: frames in which somebody's body is found where that person cannot have been."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from residualpose.tracking.kalman import Belief, smooth_back

_STRAY_M = 0.2
"""A trunk found farther from its way is mostly one body made of two people."""
_MOST_FRAMES = 6
"""Whoever strays for more frames on end may well be there, and is left out no longer."""


@dataclass(frozen=True, slots=True)
class Glance:
    """One person's trunk in one frame."""

    time_s: float
    found_m: np.ndarray
    """(3,) NaN if not seen."""
    predicted: Belief
    """By the frames before."""
    filtered: Belief
    """By the frame too."""


@dataclass(slots=True)
class Way:
    """Where one person's trunk went lately."""

    glances: deque[Glance] = field(default_factory=deque)
    _left_out: int = 0

    def strays(self, time_s: float) -> bool:
        """Whether to leave the person out of a frame; to be asked once of each, in their order."""
        glances = [glance for glance in self.glances if glance.time_s >= time_s]
        off_m = _off_m(glances)
        self._left_out = self._left_out + 1 if off_m > _STRAY_M else 0
        return 0 < self._left_out <= _MOST_FRAMES


def _off_m(glances: list[Glance]) -> float:
    """Distance of the first trunk from where the frames before and after put it; NaN unknown."""
    if not glances or not np.isfinite(glances[0].found_m).all():
        return np.nan
    later, belief = glances[-1], glances[-1].filtered
    for glance in reversed(glances[:-1]):
        dt_s = later.time_s - glance.time_s
        belief, later = smooth_back(glance.filtered, later.predicted, belief, dt_s), glance
    return float(np.linalg.norm(belief.position_m - glances[0].found_m))
