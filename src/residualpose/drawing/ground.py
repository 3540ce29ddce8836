"""Which way is up, and where the floor lies: so that 3D views stand upright on a metric grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from residualpose.skeleton import Skeleton

TRIPLES, SAMPLE_POINTS = 400, 3000
FLOOR_TOLERANCE_M = 0.04
MAX_TILT_COS = np.cos(np.radians(38))
MIN_FLOOR_SHARE = 0.04
SAME_UP_COS, SAME_HEIGHT_M = np.cos(np.radians(5)), 0.15
"""Floors of two frames that differ by less are one floor."""


@dataclass(frozen=True, slots=True)
class Ground:
    """An upright frame: x right, y up with 0 on the floor, z towards the camera."""

    R_ground_camera: np.ndarray
    """(3, 3) rotation; rows are right, up and back in the camera frame."""
    height_m: float
    """Height of the camera above the floor."""
    measured: bool
    """True where a floor plane was seen, False where it is put under the lowest thing seen."""

    def to_ground(self, points_m: np.ndarray) -> np.ndarray:
        """Camera-frame points (..., 3) to this frame, metres."""
        return points_m @ self.R_ground_camera.T + np.array([0.0, self.height_m, 0.0])


def find_ground(points_m: np.ndarray, joints_m: np.ndarray, skeleton: Skeleton) -> Ground:
    """Fit the floor to points (N, 3) of a cloud; people (P, J, 3) tell an overhead camera apart."""
    guess = _rough_up(joints_m, skeleton)
    points_m = points_m[np.isfinite(points_m).all(-1)]
    floor = _fit_floor(points_m, guess)
    if floor is not None:
        up, height = floor
        return Ground(_upright(up), height, True)
    feet = joints_m[np.isfinite(joints_m).all(-1)] @ guess
    cloud = points_m @ guess
    lowest = feet.min() - 0.08 if feet.size else np.percentile(cloud, 1) if cloud.size else -1.0
    return Ground(_upright(guess), float(-lowest), False)


def settled(grounds: Sequence[Ground]) -> tuple[list[Ground], bool]:
    """One ground for all frames of a camera that stood still, and whether it did.

    Floors are fitted to every frame anew, and a little differently each time.
    """
    measured = [ground for ground in grounds if ground.measured] or list(grounds)
    ups = np.stack([ground.R_ground_camera[1] for ground in measured])
    heights_m = np.array([ground.height_m for ground in measured])
    middle = int(np.argmin(np.abs(heights_m - np.median(heights_m))))
    steady = (ups @ ups[middle] > SAME_UP_COS) & (
        np.abs(heights_m - heights_m[middle]) < SAME_HEIGHT_M
    )
    # Now and then a table is taken for the floor.
    still = bool(steady.mean() > 0.8)
    return ([measured[middle]] * len(grounds) if still else list(grounds)), still


def _rough_up(joints_m: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    """The camera axis nearest to where people's necks point, seen from their lower joints."""
    axes = np.array([[0, -1, 0], [0, 0, -1], [1, 0, 0], [-1, 0, 0], [0, 1, 0]], dtype=np.float64)
    parts = ("hip", "knee", "foot", "ankle")
    low = [j for j, name in enumerate(skeleton.joints) if name.endswith(parts)]
    spine = joints_m[:, skeleton.index("neck"), None] - joints_m[:, low]
    spine = spine[np.isfinite(spine).all(-1)]
    # A small start makes "the camera is level" the answer when nothing else is known.
    return axes[np.argmax(axes @ (spine.sum(0) + 1e-3 * axes[0]))]


def _fit_floor(points_m: np.ndarray, guess: np.ndarray) -> tuple[np.ndarray, float] | None:
    """The plane near level with most points on it and almost none below: (up, camera height)."""
    if len(points_m) < 50:
        return None
    rng = np.random.default_rng(0)
    points_m = rng.permutation(points_m)[:SAMPLE_POINTS]
    rise = points_m @ guess
    low = points_m[rise < np.percentile(rise, 50)]
    a, b, c = low[rng.integers(0, len(low), (3, TRIPLES))]
    normal = np.cross(b - a, c - a)
    size = np.linalg.norm(normal, axis=-1)
    a, normal = a[size > 1e-3], normal[size > 1e-3] / size[size > 1e-3, None]
    normal *= np.sign(normal @ guess)[:, None]
    a, normal = a[normal @ guess > MAX_TILT_COS], normal[normal @ guess > MAX_TILT_COS]
    if not len(a):
        return None
    above = points_m @ normal.T - (a * normal).sum(-1)
    inside = (np.abs(above) < FLOOR_TOLERANCE_M).mean(0)
    # Noise and mirror images put a few points below any floor; a table has many.
    score = np.where((above < -0.12).mean(0) < 0.02, inside, 0)
    best = int(score.argmax())
    if score[best] < MIN_FLOOR_SHARE:
        return None
    on_floor = points_m[np.abs(above[:, best]) < 1.5 * FLOOR_TOLERANCE_M]
    centre = on_floor.mean(0)
    up = np.linalg.svd(on_floor - centre, full_matrices=False)[2][-1]
    up = up * np.sign(up @ guess)
    return (up, float(-centre @ up)) if up @ guess > MAX_TILT_COS else None


def _upright(up: np.ndarray) -> np.ndarray:
    """Rows right, up, back: right stays as near as possible to the image's right."""
    right = np.array([1.0, 0, 0]) if abs(up[0]) < 0.9 else np.array([0, np.sign(up[0]), 0])
    right = right - (right @ up) * up
    right = right / np.linalg.norm(right)
    return np.stack([right, up, np.cross(right, up)])
