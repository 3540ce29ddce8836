"""Families of arm poses, in the frame of the chest. Each returns a right arm (count, 3, 3, 3).

Axes are upper arm, forearm, hand. A left arm is the mirror image of a right one. An arm is made
either from angles (where may the upper arm point, how far does the elbow bend) or from where its
wrist should be, which then fixes the elbow but for a swivel.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from residualpose.synthetic.rotations import about_x, about_y, about_z, frame_from_up, swing, unit
from residualpose.synthetic.stick_figure import SEGMENT_LENGTH_M

_DOWN = np.array([0.0, 0.0, -1.0])
_UPPER_ARM_M, _FOREARM_M = SEGMENT_LENGTH_M[5], SEGMENT_LENGTH_M[6]
_SHOULDER_M = np.array([0.18, -0.01, 0.21])
_TWIST_RAD = np.radians([-85.0, 100.0])
"""Outward and inward turn of the upper arm about itself, from the smallest swing out of rest."""
_MAX_ELBOW_RAD = np.radians(150.0)

ArmFamily = Callable[[np.random.Generator, int], np.ndarray]


def reachable(direction: np.ndarray, twist_rad: np.ndarray) -> np.ndarray:
    """Whether a right shoulder lets the upper arm point along direction (..., 3) so twisted."""
    outward, front, up = np.moveaxis(direction, -1, 0)
    behind = (front < -0.80) | ((front < -0.35) & (up > 0.25))
    across = (outward < -0.20) & ((front < 0.25) | (outward < -0.70))
    above = (up > 0.55) & (outward < -0.35)
    # Behind the back or high up the joint has little twist left.
    tight = ((front < -0.45) | (up > 0.7)) & (np.abs(twist_rad) > np.radians(75))
    twisted = (twist_rad < _TWIST_RAD[0]) | (twist_rad > _TWIST_RAD[1])
    return ~(behind | across | above | tight | twisted)


def _hands(rng: np.random.Generator, forearm: np.ndarray) -> np.ndarray:
    """Hands (..., 3, 3) for forearms: turned about the forearm and bent a little at the wrist."""
    shape = forearm.shape[:-2]
    turn = rng.uniform(np.radians(-80), np.radians(80), shape) * rng.uniform(0.2, 1.0, shape)
    bend = np.clip(rng.normal(0.0, np.radians(16), shape), -1.0, 1.0)
    tilt = np.clip(rng.normal(0.0, np.radians(9), shape), -0.4, 0.4)
    return forearm @ about_z(turn) @ about_y(bend) @ about_x(tilt)


def _from_angles(
    rng: np.random.Generator, direction: np.ndarray, twist_rad: np.ndarray, elbow_rad: np.ndarray
) -> np.ndarray:
    upper = swing(_DOWN, direction) @ about_z(twist_rad)
    forearm = upper @ about_x(elbow_rad)
    return np.stack([upper, forearm, _hands(rng, forearm)], axis=-3)


def _from_wrists(
    rng: np.random.Generator, wrist_m: np.ndarray, elbow_hint: np.ndarray
) -> np.ndarray:
    """Right arms whose wrist is at wrist_m (n, 3), elbow towards elbow_hint (n, 3); NaN if bad."""
    reach = wrist_m - _SHOULDER_M
    distance = np.linalg.norm(reach, axis=-1, keepdims=True)
    longest = np.cos(np.radians(4)) * (_UPPER_ARM_M + _FOREARM_M)
    distance = np.clip(distance, 0.15, longest)
    along = unit(reach)
    side = unit(elbow_hint - np.sum(elbow_hint * along, axis=-1, keepdims=True) * along)
    cosine = (distance**2 + _UPPER_ARM_M**2 - _FOREARM_M**2) / (2 * distance * _UPPER_ARM_M)
    cosine = np.clip(cosine, -1, 1)
    upper_direction = cosine * along + np.sqrt(1 - cosine**2) * side
    forearm_direction = unit(distance * along - _UPPER_ARM_M * upper_direction)
    hinge = np.cross(upper_direction, forearm_direction)
    upper = frame_from_up(-upper_direction, hinge)
    forearm = frame_from_up(-forearm_direction, hinge)
    local_hinge = np.einsum("nji,nj->ni", swing(_DOWN, upper_direction), upper[..., 0])
    twist = np.arctan2(local_hinge[..., 1], local_hinge[..., 0])
    arms = np.stack([upper, forearm, _hands(rng, forearm)], axis=-3)
    arms[~reachable(upper_direction, twist)] = np.nan
    return arms


def _spread(rng: np.random.Generator, centre: list[float], sd: list[float], n: int) -> np.ndarray:
    return np.asarray(centre) + rng.normal(0.0, 1.0, (n, 3)) * np.asarray(sd)


def relaxed(rng: np.random.Generator, count: int) -> np.ndarray:
    """Hanging beside the body, elbows a little bent."""
    direction = unit(_spread(rng, [0.17, 0.02, -1.0], [0.09, 0.11, 0.0], count))
    twist = rng.normal(np.radians(15), np.radians(18), count)
    return _from_angles(rng, direction, twist, np.abs(rng.normal(0.26, 0.17, count)))


def anywhere(rng: np.random.Generator, count: int) -> np.ndarray:
    """Upper arm over the whole reachable sphere, elbow 0 to 150 degrees in any feasible plane."""
    direction = unit(rng.normal(0.0, 1.0, (count, 3)))
    twist = rng.uniform(_TWIST_RAD[0], _TWIST_RAD[1], count)
    straight = rng.random(count) < 0.25
    elbow = np.where(straight, rng.uniform(0, 0.35, count), rng.uniform(0, _MAX_ELBOW_RAD, count))
    arms = _from_angles(rng, direction, twist, elbow)
    arms[~reachable(direction, twist)] = np.nan
    return arms


def raised(rng: np.random.Generator, count: int) -> np.ndarray:
    """Hand above the shoulder: waving, surrendering, stretched overhead."""
    wrist = _spread(rng, [0.30, 0.08, 0.55], [0.16, 0.13, 0.17], count)
    return _from_wrists(rng, wrist, _spread(rng, [1.0, 0.1, -0.2], [0.3, 0.4, 0.4], count))


def sideways(rng: np.random.Generator, count: int) -> np.ndarray:
    """Held out to the side, from an A-pose to a T-pose and a little above."""
    angle = np.radians(rng.choice([35.0, 55.0, 90.0], count) + rng.normal(0, 9, count))
    direction = np.stack([np.sin(angle), rng.normal(0, 0.08, count), -np.cos(angle)], axis=-1)
    twist = rng.normal(0, np.radians(20), count)
    return _from_angles(rng, unit(direction), twist, np.abs(rng.normal(0, 0.2, count)))


def on_hip(rng: np.random.Generator, count: int) -> np.ndarray:
    """Hand on the own hip, elbow out."""
    wrist = _spread(rng, [0.225, 0.03, -0.14], [0.02, 0.05, 0.04], count)
    return _from_wrists(rng, wrist, _spread(rng, [1.0, -0.4, -0.1], [0.1, 0.3, 0.2], count))


def before_torso(rng: np.random.Generator, count: int) -> np.ndarray:
    """Hand in front of the belly or the chest."""
    wrist = _spread(rng, [0.06, 0.24, 0.0], [0.11, 0.07, 0.15], count)
    return _from_wrists(rng, wrist, _spread(rng, [0.6, -0.3, -0.7], [0.3, 0.2, 0.3], count))


def at_head(rng: np.random.Generator, count: int) -> np.ndarray:
    """Hand at the face, the ear, the top or the back of the head."""
    places = np.array(
        [[0.07, 0.20, 0.34], [0.17, 0.10, 0.42], [0.15, 0.06, 0.58], [0.16, -0.08, 0.42]]
    )
    wrist = places[rng.integers(len(places), size=count)] + rng.normal(0, 0.03, (count, 3))
    return _from_wrists(rng, wrist, _spread(rng, [0.9, 0.1, -0.6], [0.3, 0.4, 0.5], count))


def forward(rng: np.random.Generator, count: int) -> np.ndarray:
    """Reaching, pointing or pushing to the front."""
    wrist = _spread(rng, [0.12, 0.47, 0.17], [0.14, 0.08, 0.18], count)
    return _from_wrists(rng, wrist, _spread(rng, [0.5, 0.0, -0.8], [0.3, 0.1, 0.3], count))


def phone(rng: np.random.Generator, count: int) -> np.ndarray:
    """Forearm up in front of the chest as if looking at something held."""
    wrist = _spread(rng, [0.09, 0.30, 0.10], [0.05, 0.05, 0.07], count)
    return _from_wrists(rng, wrist, _spread(rng, [0.35, -0.1, -0.9], [0.15, 0.1, 0.1], count))


def crossed_over(rng: np.random.Generator, count: int) -> np.ndarray:
    """Forearm across the chest, the upper one of two crossed arms."""
    wrist = _spread(rng, [-0.11, 0.215, 0.09], [0.03, 0.02, 0.03], count)
    return _from_wrists(rng, wrist, _spread(rng, [0.8, -0.1, -0.6], [0.1, 0.1, 0.1], count))


def crossed_under(rng: np.random.Generator, count: int) -> np.ndarray:
    """Forearm across the belly, the lower one of two crossed arms."""
    wrist = _spread(rng, [-0.09, 0.195, -0.02], [0.03, 0.02, 0.03], count)
    return _from_wrists(rng, wrist, _spread(rng, [0.8, -0.1, -0.6], [0.1, 0.1, 0.1], count))


def clasped(rng: np.random.Generator, count: int) -> np.ndarray:
    """Hand at the midline before the trunk, where it meets or holds the other one."""
    wrist = _spread(rng, [0.055, 0.26, 0.0], [0.02, 0.08, 0.13], count)
    return _from_wrists(rng, wrist, _spread(rng, [0.7, -0.3, -0.6], [0.2, 0.2, 0.3], count))


def guard(rng: np.random.Generator, count: int) -> np.ndarray:
    """Fist before the chin or the cheek, elbow down: a boxer's guard."""
    wrist = _spread(rng, [0.09, 0.27, 0.24], [0.04, 0.06, 0.07], count)
    return _from_wrists(rng, wrist, _spread(rng, [0.5, 0.0, -0.9], [0.2, 0.1, 0.2], count))


def punch(rng: np.random.Generator, count: int) -> np.ndarray:
    """Fist thrust far out to the front."""
    wrist = _spread(rng, [0.07, 0.51, 0.20], [0.08, 0.04, 0.08], count)
    return _from_wrists(rng, wrist, _spread(rng, [0.7, 0.0, -0.6], [0.3, 0.1, 0.3], count))


def behind_back(rng: np.random.Generator, count: int) -> np.ndarray:
    """Hand behind the small of the back."""
    wrist = _spread(rng, [0.10, -0.20, -0.12], [0.06, 0.02, 0.06], count)
    return _from_wrists(rng, wrist, _spread(rng, [1.0, -0.4, 0.0], [0.1, 0.1, 0.2], count))


def low(rng: np.random.Generator, count: int) -> np.ndarray:
    """Hand low in front or beside, as on a knee, a table or a tool."""
    wrist = _spread(rng, [0.20, 0.33, -0.20], [0.10, 0.10, 0.10], count)
    return _from_wrists(rng, wrist, _spread(rng, [0.7, -0.6, 0.1], [0.3, 0.2, 0.3], count))


def planted(rng: np.random.Generator, count: int) -> np.ndarray:
    """Straight out before the chest with the hand bent up, as of somebody on all fours."""
    direction = unit(_spread(rng, [0.08, 1.0, -0.30], [0.08, 0.12, 0.12], count))
    upper = swing(_DOWN, direction) @ about_z(rng.normal(0, 0.2, count))
    forearm = upper @ about_x(np.abs(rng.normal(0.08, 0.08, count)))
    hand = forearm @ about_x(rng.uniform(1.1, 1.6, count))
    return np.stack([upper, forearm, hand], axis=-3)


ARM_PAIRS: dict[str, tuple[float, ArmFamily, ArmFamily]] = {
    "relaxed": (0.13, relaxed, relaxed),
    "anywhere": (0.19, anywhere, anywhere),
    "one_anywhere": (0.08, anywhere, relaxed),
    "raised": (0.07, raised, raised),
    "one_raised": (0.03, raised, relaxed),
    "sideways": (0.06, sideways, sideways),
    "on_hips": (0.04, on_hip, on_hip),
    "one_on_hip": (0.03, on_hip, anywhere),
    "crossed": (0.04, crossed_over, crossed_under),
    "before_torso": (0.05, before_torso, before_torso),
    "one_before_torso": (0.02, before_torso, relaxed),
    "clasped": (0.04, clasped, clasped),
    "guard": (0.02, guard, guard),
    "punch": (0.02, punch, guard),
    "at_head": (0.03, at_head, at_head),
    "one_at_head": (0.02, at_head, relaxed),
    "forward": (0.05, forward, forward),
    "one_forward": (0.03, forward, relaxed),
    "phone": (0.02, phone, phone),
    "one_phone": (0.02, phone, relaxed),
    "behind_back": (0.01, behind_back, behind_back),
    "low": (0.02, low, low),
    "planted": (0.0, planted, planted),
}
"""Name: share, family of one arm, family of the other; which is the right arm is random.
Those of share 0 belong to one lower body."""
