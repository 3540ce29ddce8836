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
_LENGTH_GATE = 3.6
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
    known = np.asarray(np.isfinite(covariance).all((-2, -1)))
    measured_m2 = np.where(known[..., None, None], covariance, np.eye(3) * _MEASUREMENT_SD_M**2)
    doubtful = _implausible(prior, joints, measured_m2)
    trusted = np.asarray(np.isfinite(joints).all(-1)) & ~doubtful
    enough = trusted[:, _TRUNK].sum(axis=1) >= _ENOUGH_TRUNK
    people = np.flatnonzero(enough & ~trusted.all(axis=1))
    if len(people):
        filled = prior.complete(np.where(trusted[..., None], joints, np.nan)[people])
        for person, filled_m, filled_m2 in zip(people, *filled, strict=True):
            _fill_person(
                joints[person], sources[person], covariance[person], measured_m2[person],
                trusted[person], doubtful[person], filled_m, filled_m2,
            )  # fmt: skip
    return Completed(joints.astype(np.float32), sources, covariance.astype(np.float32))


def _fill_person(
    joints_m: np.ndarray,
    origin: np.ndarray,
    covariance_m2: np.ndarray,
    measured_m2: np.ndarray,
    trusted: np.ndarray,
    doubtful: np.ndarray,
    filled: np.ndarray,
    filled_m2: np.ndarray,
) -> None:
    """Fill the first three of one person's (15, ...) arrays, in place, by what the prior says."""
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
    return _implausible(prior, np.asarray(joints_m)[None], joint_covariance_m2[None])[0]


def _implausible(
    prior: LimbPrior, joints_m: np.ndarray, joint_covariance_m2: np.ndarray
) -> np.ndarray:
    """`implausible_joints` of P people: (P, 15)."""
    limbs = limb_features(joints_m)
    length_m, known = limbs[..., 3], ~np.isnan(limbs[..., 3])
    ends = joint_covariance_m2[:, LIMB_FROM] + joint_covariance_m2[:, LIMB_TO]
    direction = limbs[..., None, :3]
    noise = (direction @ ends @ direction.swapaxes(-1, -2))[..., 0, 0] + _MEASUREMENT_SD_M**2
    doubtful = np.zeros(joints_m.shape[:2], dtype=bool)
    deviation = _length_deviation(prior, length_m, noise, known)
    for person in np.flatnonzero(deviation.max(axis=1) > _LENGTH_GATE):
        doubtful[person] = _dropped(
            prior, length_m[person], noise[person], known[person], deviation[person]
        )
    return doubtful


def _dropped(
    prior: LimbPrior,
    length_m: np.ndarray,
    noise: np.ndarray,
    known: np.ndarray,
    deviation: np.ndarray,
) -> np.ndarray:
    """(15,) joints to drop one by one until none of (14,) limbs deviates too much."""
    doubtful = np.zeros(JOINTS, dtype=bool)
    while deviation.max() > _LENGTH_GATE:
        worst = int(deviation.argmax())
        ends = np.array([LIMB_TO[worst], LIMB_FROM[worst]])
        touched = (ends[:, None] == LIMB_FROM) | (ends[:, None] == LIMB_TO)
        left = _length_deviation(prior, length_m, noise, known & ~touched)
        outer, inner = np.maximum(left.max(axis=1), _LENGTH_GATE)
        drop = int(inner < outer)
        doubtful[ends[drop]] = True
        known, deviation = known & ~touched[drop], left[drop]
    return doubtful


def _length_deviation(
    prior: LimbPrior, length_m: np.ndarray, noise: np.ndarray, known: np.ndarray
) -> np.ndarray:
    """Deviation of each limb's length from what the others say, in standard deviations.

    Args:
        prior: says how long limbs are.
        length_m: (14,) or (P, 14).
        noise: variance of each length.
        known: (P, 14), limbs to look at; others tell nothing, and deviate by 0.
    """
    mean, covariance = prior.length_statistics()
    own = np.eye(len(mean), dtype=bool)
    both = known[:, :, None] & known[:, None]
    # Limbs to leave out stay in the matrix, but with no tie to the others.
    spread = np.where(both, covariance, 0.0)
    spread[:, own] += np.where(known, noise, 1.0)
    precision = np.linalg.inv(spread)
    residual = precision @ np.where(known, length_m - mean, 0.0)[..., None]
    # Leave-one-out residual of a Gaussian: (S^-1 r)_i / (S^-1)_ii, with variance 1 / (S^-1)_ii.
    return np.abs(residual[..., 0]) / np.sqrt(precision[:, own])
