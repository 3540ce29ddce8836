"""Smoother: one person's joints filtered forwards, and backwards where later frames are known."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from residualpose.poses import Origin
from residualpose.skeleton import NECK
from residualpose.tracking.bones import Bones
from residualpose.tracking.kalman import Belief, predict, smooth_back, update, update_velocity

_DIFFUSION = {
    "head": 2.0, "nose": 2.0, "neck": 2.0, "shoulder": 2.0, "torso": 2.0, "mid_hip": 2.0,
    "hip": 2.0, "elbow": 10.0, "knee": 12.0, "hand": 20.0, "wrist": 20.0, "foot": 30.0,
    "ankle": 30.0,
}  # fmt: skip
"""Spectral density of the acceleration of walking people's joints, m^2/s^3."""
_FLICKER = 0.35
"""Share of a joint's error that changes from frame to frame; the rest stays and is no noise."""
_DOUBT = {Origin.NEIGHBOUR: 2.0, Origin.PRIOR: 4.0}
"""Noise of joints that were not measured, as a factor."""
_FOLLOW_SD_M_S = 0.4
"""A guessed joint moves as its parent does, give or take."""


@dataclass(frozen=True, slots=True)
class Moment:
    """One person in one frame, as the filter saw it."""

    time_s: float
    predicted: Belief
    filtered: Belief


class Smoother:
    """The steady joints of one person; `strength` scales how long the filter remembers."""

    def __init__(self, bones: Bones, strength: float, lag_frames: int) -> None:
        self._moments: deque[Moment] = deque(maxlen=lag_frames + 1)
        self._bones, skeleton = bones, bones.skeleton
        self._diffusion = np.array([_diffusion(name) for name in skeleton.joints])
        # Time constants go with the fourth root of noise over diffusion.
        self._noise = (_FLICKER * strength**2) ** 2
        parents = {end: start for start, end in skeleton.limbs}
        self._parent = np.array([parents.get(j, NECK) for j in range(len(skeleton.joints))])

    def see(
        self, time_s: float, joints_m: np.ndarray, covariance_m2: np.ndarray, origin: np.ndarray
    ) -> None:
        """Take in the person of one frame: (J, 3), (J, 3, 3) and (J,) of Origin; NaN unseen."""
        joints, noise = joints_m.astype(float), covariance_m2.astype(float)
        before = self._moments[-1] if self._moments else None
        dt_s = time_s - before.time_s if before else 0.0
        if before is None:
            nothing = Belief(
                np.full((len(joints), 6), np.nan), np.full((len(joints), 6, 6), np.nan)
            )
            predicted = nothing
        else:
            predicted = predict(before.filtered, dt_s, self._diffusion)
        doubt = np.ones(len(joints))
        for kind, factor in _DOUBT.items():
            doubt[origin == kind] = factor
        filtered = update(predicted, joints, self._noise * doubt[:, None, None] * noise)
        guessed = (origin != Origin.MEASURED) & (origin != Origin.NEIGHBOUR)
        parent_m_s = filtered.velocity_m_s[self._parent]
        filtered = update_velocity(filtered, parent_m_s, _FOLLOW_SD_M_S, guessed)
        self._moments.append(Moment(time_s, predicted, filtered))

    def steady(self, frames_ago: int) -> tuple[np.ndarray, np.ndarray]:
        """Joints (J, 3) and their covariance (J, 3, 3) so many frames ago, by all seen since."""
        now = len(self._moments) - 1 - frames_ago
        moments = list(self._moments)[now:]
        belief, later = moments[-1].filtered, moments[-1]
        for moment in reversed(moments[:-1]):
            dt_s = later.time_s - moment.time_s
            belief, later = smooth_back(moment.filtered, later.predicted, belief, dt_s), moment
        covariance = belief.position_covariance_m2
        spread = np.trace(covariance, axis1=-2, axis2=-1)
        return self._bones.hold(belief.position_m, np.maximum(spread, 1e-9)), covariance

    def bone_lengths_m(self) -> np.ndarray:
        """(L,) settled lengths; NaN where not yet seen."""
        return self._bones.length_m


def _diffusion(joint: str) -> float:
    name = joint.removeprefix("right_").removeprefix("left_")
    return _DIFFUSION.get(name, max(_DIFFUSION.values()))
