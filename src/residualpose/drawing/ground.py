"""Which way is up, and where the floor lies: so that 3D views stand upright on a metric grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from residualpose.camera import Camera
from residualpose.errors import ResidualPoseError
from residualpose.frames import DepthFrame
from residualpose.pipeline.floor import NO_FLOOR, find_floor
from residualpose.pipeline.maps import surface_of
from residualpose.pipeline.normalise import normalise
from residualpose.skeleton import Skeleton

_FOCAL_PX, _STRIDE = 144.0, 2
"""The image in which the floor is looked for, and the pixels a cell of it: as the pipeline does."""
_BELOW_FEET_M = 0.08
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


def find_ground(
    depth_m: np.ndarray, camera: Camera, joints_m: np.ndarray, skeleton: Skeleton
) -> Ground:
    """The floor of a depth image (H, W), or a guess; people (P, J, 3) tell what is up.

    Depth and joints in metres, joints in the camera frame and NaN where unknown. Where no floor is
    seen it lies under the lowest joint, or under the lowest thing seen.
    """
    trunks = _trunks(joints_m, skeleton)
    guess = _rough_up(trunks)
    floor = _floor(depth_m, camera, trunks if len(trunks) else -guess[None])
    if np.isfinite(floor).all():
        return Ground(_upright(-floor[:3]), float(floor[3]), True)
    feet = joints_m[np.isfinite(joints_m).all(-1)] @ guess
    if feet.size:
        return Ground(_upright(guess), float(_BELOW_FEET_M - feet.min()), False)
    v, u = np.nonzero((depth_m > 0) & np.isfinite(depth_m))
    rise = camera.backproject(np.stack([u, v], -1), depth_m[v, u]) @ guess
    return Ground(_upright(guess), float(-np.percentile(rise, 1)) if len(v) else 1.0, False)


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


def _trunks(joints_m: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    """(T, 3) unit vectors from people's necks to the mean of their lower joints."""
    parts = ("hip", "knee", "foot", "ankle")
    low = [j for j, name in enumerate(skeleton.joints) if name.endswith(parts)]
    spine = joints_m[:, low] - joints_m[:, skeleton.index("neck"), None]
    known = np.isfinite(spine).all(-1, keepdims=True)
    mean = np.where(known, spine, 0).sum(1)
    length = np.linalg.norm(mean, axis=-1, keepdims=True)
    return (mean / np.maximum(length, 1e-9))[length[:, 0] > 1e-6]


def _rough_up(trunks: np.ndarray) -> np.ndarray:
    """The camera axis against which most trunks point."""
    axes = np.array([[0, -1, 0], [0, 0, -1], [1, 0, 0], [-1, 0, 0], [0, 1, 0]], dtype=np.float64)
    # A small start makes "the camera is level" the answer when nothing else is known.
    return axes[np.argmax(axes @ (1e-3 * axes[0] - trunks.sum(0)))]


def _floor(depth_m: np.ndarray, camera: Camera, trunks: np.ndarray) -> np.ndarray:
    """(4,) as the pipeline finds it."""
    try:
        view = normalise(DepthFrame(depth_m, camera), _FOCAL_PX)
    except ResidualPoseError:  # a field of view or a size that no model takes
        return NO_FLOOR
    grid_camera = view.camera.resized(1 / _STRIDE, 1 / _STRIDE)
    return find_floor(surface_of(view, _STRIDE), grid_camera, trunks)


def _upright(up: np.ndarray) -> np.ndarray:
    """Rows right, up, back: right stays as near as possible to the image's right."""
    right = np.array([1.0, 0, 0]) if abs(up[0]) < 0.9 else np.array([0, np.sign(up[0]), 0])
    right = right - (right @ up) * up
    right = right / np.linalg.norm(right)
    return np.stack([right, up, np.cross(right, up)])
