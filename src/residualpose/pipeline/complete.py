"""Fill what was missed and mend what cannot be: lifted joints -> completed joints.

Stage 5 of the pipeline (paper section III-C). The prior itself is in limb_prior.py.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from residualpose.pipeline.limb_paths import JOINTS, LIMB_FROM, LIMB_TO
from residualpose.pipeline.limb_prior import LimbPrior, limb_features
from residualpose.poses import Origin
from residualpose.skeleton import L_HIP, L_SHOULDER, NECK, R_HIP, R_SHOULDER, TORSO

__all__ = ["Completed", "LimbPrior", "complete_people", "implausible_joints"]

_TRUNK = [NECK, TORSO, R_SHOULDER, L_SHOULDER, R_HIP, L_HIP]
_ENOUGH_TRUNK = 3
_LENGTH_GATE = 2.5
_MEASUREMENT_SD_M = 0.03
_UNKNOWN_RANGE_SD_M = 1.0
_LATERAL_GATE = 4.0


@dataclass(frozen=True, slots=True)
class Completed:
    """P people after completion."""

    joints_m: np.ndarray
    """(P, 15, 3) float32 camera frame; NaN where a joint could not be placed."""
    origin: np.ndarray
    """(P, 15) uint8 of `Origin`."""
    covariance_m2: np.ndarray
    """(P, 15, 3, 3) float32; NaN where unknown."""


def complete_people(
    prior: LimbPrior, joints_m: np.ndarray, origin: np.ndarray, joint_covariance_m2: np.ndarray
) -> Completed:
    """Complete every person of whom enough of the trunk is seen; leave the others as they are.

    Args:
        prior: a prior whose axes are the camera's (a body-frame prior always fits).
        joints_m: (P, 15, 3) camera frame, NaN where missing.
        origin: (P, 15) of `Origin`.
        joint_covariance_m2: (P, 15, 3, 3) of the measurements; NaN counts as 3 cm.

    Returns:
        Missing joints from the prior (`Origin.PRIOR`); joints at an impossible distance moved
        along their viewing ray (`Origin.NEIGHBOUR`), or replaced where the ray is wrong too.
    """
    joints = np.array(joints_m, dtype=np.float64).reshape(-1, JOINTS, 3)
    sources = np.array(origin, dtype=np.uint8).reshape(-1, JOINTS)
    covariance = np.array(joint_covariance_m2, dtype=np.float64).reshape(-1, JOINTS, 3, 3)
    for person in range(len(joints)):
        _complete_person(prior, joints[person], sources[person], covariance[person])
    return Completed(joints.astype(np.float32), sources, covariance.astype(np.float32))


def _complete_person(
    prior: LimbPrior, joints_m: np.ndarray, origin: np.ndarray, covariance_m2: np.ndarray
) -> None:
    """Complete one person's (15, ...) arrays in place."""
    seen = np.isfinite(joints_m).all(-1)
    known = np.asarray(np.isfinite(covariance_m2).all((-2, -1)))
    measured_m2 = np.where(known[:, None, None], covariance_m2, np.eye(3) * _MEASUREMENT_SD_M**2)
    doubtful = implausible_joints(prior, joints_m, measured_m2)
    trusted = seen & ~doubtful
    if trusted[_TRUNK].sum() < _ENOUGH_TRUNK or trusted.all():
        return
    filled, filled_m2 = prior.complete(np.where(trusted[:, None], joints_m, np.nan))
    placed = ~trusted & np.isfinite(filled).all(-1)
    for joint in np.flatnonzero(placed & doubtful):
        moved = _along_ray(joints_m[joint], measured_m2[joint], filled[joint], filled_m2[joint])
        if moved is not None:
            joints_m[joint], covariance_m2[joint] = moved
            origin[joint] = Origin.NEIGHBOUR
            placed[joint] = False
    joints_m[placed], covariance_m2[placed] = filled[placed], filled_m2[placed]
    origin[placed] = Origin.PRIOR


def _along_ray(
    measured_m: np.ndarray, measured_m2: np.ndarray, prior_m: np.ndarray, prior_m2: np.ndarray
) -> tuple[np.ndarray, np.ndarray] | None:
    """Fuse a joint of wrong depth, whose pixel still holds, with the prior; None if both differ."""
    ray = measured_m / np.linalg.norm(measured_m)
    total = prior_m2 + measured_m2 + _UNKNOWN_RANGE_SD_M**2 * np.outer(ray, ray)
    difference = measured_m - prior_m
    lateral = difference - ray * (ray @ difference)
    if lateral @ np.linalg.solve(total, lateral) > _LATERAL_GATE**2:
        return None
    gain = np.linalg.solve(total, prior_m2).T
    return prior_m + gain @ difference, prior_m2 - gain @ prior_m2


def implausible_joints(
    prior: LimbPrior, joints_m: np.ndarray, joint_covariance_m2: np.ndarray
) -> np.ndarray:
    """Joints (15,) that make a limb impossibly long or short, given the other limbs' lengths.

    The worst limb is judged first; of its two ends the outer one is dropped unless only the
    inner one explains the misfit (an elbow spoils two limbs, a hand one).
    """
    doubtful = np.zeros(JOINTS, dtype=bool)
    joints = np.array(joints_m, dtype=np.float64)
    for _ in range(JOINTS):
        deviation = _length_deviation(prior, joints, joint_covariance_m2)
        worst = int(np.argmax(deviation))
        if deviation[worst] <= _LENGTH_GATE:
            break
        left = []
        for joint in (LIMB_TO[worst], LIMB_FROM[worst]):
            without = joints.copy()
            without[joint] = np.nan
            remaining = _length_deviation(prior, without, joint_covariance_m2).max()
            left.append(max(remaining, _LENGTH_GATE))
        drop = LIMB_FROM[worst] if left[1] < left[0] else LIMB_TO[worst]
        doubtful[drop] = True
        joints[drop] = np.nan
    return doubtful


def _length_deviation(
    prior: LimbPrior, joints_m: np.ndarray, joint_covariance_m2: np.ndarray
) -> np.ndarray:
    """Deviation (14,) of each limb's length from what the others say, in standard deviations."""
    limbs = limb_features(joints_m)
    known = np.flatnonzero(~np.isnan(limbs[:, 3]))
    direction = limbs[known, :3]
    ends = joint_covariance_m2[LIMB_FROM[known]] + joint_covariance_m2[LIMB_TO[known]]
    noise = np.einsum("la,lab,lb->l", direction, ends, direction) + _MEASUREMENT_SD_M**2
    mean, covariance = prior.length_statistics()
    precision = np.linalg.inv(covariance[known[:, None], known] + np.diag(noise))
    # Leave-one-out residual of a Gaussian: (S^-1 r)_i / (S^-1)_ii, with variance 1 / (S^-1)_ii.
    deviation = np.zeros(len(limbs))
    residual = precision @ (limbs[known, 3] - mean[known])
    deviation[known] = np.abs(residual) / np.sqrt(np.diag(precision))
    return deviation
