"""Do bodies pass through themselves, each other or the room? Answered with chains of spheres."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

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

_MID_HIP = 15
_CHAINS = (
    (HEAD, HEAD, 0.09, 1), (NECK, TORSO, 0.11, 4), (TORSO, _MID_HIP, 0.11, 4),
    (R_SHOULDER, R_HIP, 0.065, 6), (L_SHOULDER, L_HIP, 0.065, 6),
    (R_SHOULDER, R_ELBOW, 0.045, 5), (L_SHOULDER, L_ELBOW, 0.045, 5),
    (R_ELBOW, R_HAND, 0.04, 5), (L_ELBOW, L_HAND, 0.04, 5),
    (R_HIP, R_KNEE, 0.065, 6), (L_HIP, L_KNEE, 0.065, 6),
    (R_KNEE, R_FOOT, 0.05, 6), (L_KNEE, L_FOOT, 0.05, 6),
)  # fmt: skip
"""From joint, to joint, radius on an adult, number of spheres."""

_START = np.concatenate([np.full(n, a) for a, _, _, n in _CHAINS])
_END = np.concatenate([np.full(n, b) for _, b, _, n in _CHAINS])
_SHARE = np.concatenate([np.linspace(0, 1, n) if n > 1 else [0.0] for _, _, _, n in _CHAINS])
_RADIUS_M = np.concatenate([np.full(n, r) for _, _, r, n in _CHAINS])
_ADULT_TRUNK_M = 0.5
_LONGEST_STEP_M = 0.9


@dataclass(frozen=True, slots=True)
class Spheres:
    """A body as spheres."""

    centre_m: np.ndarray
    """(S, 3)."""
    radius_m: np.ndarray
    """(S,)."""

    def moved(self, step_m: np.ndarray) -> Spheres:
        """The same body elsewhere; step_m is (3,)."""
        return Spheres(self.centre_m + step_m, self.radius_m)


def body_spheres(joints_m: np.ndarray) -> Spheres:
    """A body of (15, 3) joints of our own convention, of the width that its trunk's length asks."""
    joints = np.vstack([joints_m, joints_m[[R_HIP, L_HIP]].mean(0)])
    start, end = joints[_START], joints[_END]
    trunk_m = float(np.linalg.norm(joints[NECK] - joints[_MID_HIP]))
    scale = min(max(trunk_m / _ADULT_TRUNK_M, 0.4), 1.3)
    return Spheres(start + _SHARE[:, None] * (end - start), _RADIUS_M * scale)


def overlap_m(one: Spheres, other: Spheres) -> float:
    """How deep two bodies are in each other; negative is the gap between them."""
    away = np.linalg.norm(one.centre_m[:, None] - other.centre_m, axis=-1)
    return float((one.radius_m[:, None] + other.radius_m - away).max())


def step_apart(body: Spheres, others: Spheres, direction: np.ndarray) -> np.ndarray | None:
    """(3,) shortest step along a level (2,) direction that frees a body; None beyond 0.9 m."""
    apart = body.centre_m[:, None] - others.centre_m
    reach = body.radius_m[:, None] + others.radius_m
    # Each pair touches while the step is between the roots of |apart + step|^2 = reach^2.
    half = apart[..., 0] * direction[0] + apart[..., 1] * direction[1]
    under = half**2 - np.einsum("abi,abi->ab", apart, apart) + reach**2
    touching = under > 0
    root = np.sqrt(under[touching])
    start, end = -half[touching] - root, -half[touching] + root
    step = 0.0
    for k in np.argsort(start):
        if start[k] > step:
            break
        step = max(step, float(end[k]))
    return None if step > _LONGEST_STEP_M else np.append(direction * step, 0.0)
