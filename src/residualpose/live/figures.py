"""What is seen of a frame, as arrays: points, rods between joints, marks, shells of uncertainty.

Everything is in metres in the camera frame (x right, y down, z forward).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from residualpose.camera import Camera
from residualpose.drawing.palette import joint_rgb
from residualpose.drawing.shade import surface_light
from residualpose.frames import DepthFrame
from residualpose.poses import Origin, Poses
from residualpose.quaternions import quaternions

ROD_RADIUS_M, BALL_RADIUS_M, CAGE_RADIUS_M = 0.017, 0.030, 0.042
SHELL_DEVIATIONS = 2.0
"""Radius of an uncertainty shell in standard deviations."""
SHADES_RGB = ((104, 114, 136), (126, 136, 157), (150, 160, 180), (176, 184, 201), (203, 209, 221))
"""Colours of points, from those in the dark to those in full light."""
_REACH_M = 0.25
"""How far from a person a click may go past and still mean this person."""


@dataclass(frozen=True, slots=True)
class Instances:
    """Copies of one mesh."""

    positions_m: np.ndarray
    """(N, 3) float32."""
    wxyzs: np.ndarray
    """(N, 4) float32 unit quaternions."""
    scales: np.ndarray
    """(N, 3) float32 along the mesh's own axes; 0 hides a copy."""
    colours: np.ndarray
    """(N, 3) uint8."""

    def padded(self, count: int) -> Instances:
        """The same copies and so many hidden ones that there are `count`."""
        missing = max(0, count - len(self.positions_m))
        parts = self.positions_m, self.wxyzs, self.scales, self.colours
        padded = [np.pad(part, ((0, missing), (0, 0))) for part in parts]
        padded[1][count - missing :, 0] = 1
        return Instances(*padded)


def cloud(frame: DepthFrame, max_points: int) -> list[np.ndarray]:
    """Readings on the finest regular grid of at most `max_points` pixels, by how they are lit.

    Returns:
        (N, 3) float32 metres for each of SHADES_RGB.
    """
    step = max(1, int(np.ceil(np.sqrt(frame.depth_m.size / max_points))))
    grid_m = frame.depth_m[::step, ::step]
    v, u = np.nonzero(grid_m)
    points_m = frame.camera.backproject(np.stack([u, v], axis=-1) * step, grid_m[v, u])
    light = surface_light(grid_m)[v, u] ** 1.35
    level = np.minimum((light * len(SHADES_RGB)).astype(np.int64), len(SHADES_RGB) - 1)
    points_m = points_m.astype(np.float32)
    return [points_m[level == shade] for shade in range(len(SHADES_RGB))]


def rods(poses: Poses) -> Instances:
    """Limbs whose ends are known; a limb to a guessed joint is thin and ends before its mark."""
    limbs = poses.skeleton.limb_array
    ends_m = poses.joints_m[:, limbs]
    guessed = (poses.origin == Origin.PRIOR)[:, limbs]
    along = ends_m[:, :, 1] - ends_m[:, :, 0]
    length = np.linalg.norm(along, axis=-1)
    known = np.isfinite(length) & (length > 1e-3)
    along, length, guessed, ends_m = (a[known] for a in (along, length, guessed, ends_m))
    unit = along / length[:, None]
    # What the cages at either end leave of the limb.
    cut = np.minimum(guessed * CAGE_RADIUS_M, 0.4 * length[:, None])
    middle_m = ends_m.mean(1) + unit * (0.5 * (cut[:, 0] - cut[:, 1]))[:, None]
    radius = np.where(guessed.any(-1), 0.55, 1.0) * ROD_RADIUS_M
    scales = np.stack([radius, radius, length - cut.sum(-1)], axis=-1)
    colours = _colours(poses)[:, limbs[:, 1]][known]
    return _instances(middle_m, _turned_from_z(unit), scales, colours)


def marks(poses: Poses, guessed: bool) -> Instances:
    """Balls for the joints found, or cages for those that the prior guessed."""
    at_prior = poses.origin == Origin.PRIOR
    chosen = (at_prior if guessed else ~at_prior) & np.isfinite(poses.joints_m).all(-1)
    radius = np.full((int(chosen.sum()), 3), CAGE_RADIUS_M if guessed else BALL_RADIUS_M)
    upright = np.tile([1.0, 0, 0, 0], (len(radius), 1))
    return _instances(poses.joints_m[chosen], upright, radius, _colours(poses)[chosen])


def shells(poses: Poses) -> Instances:
    """Ellipsoids of two standard deviations around the joints whose covariance is known."""
    known = np.isfinite(poses.covariance_m2).all((-1, -2)) & np.isfinite(poses.joints_m).all(-1)
    values, vectors = np.linalg.eigh(poses.covariance_m2[known].astype(np.float64))
    # Mirrored axes are no rotation; with one of them turned round the ellipsoid is the same.
    vectors[..., 0] *= np.sign(np.linalg.det(vectors))[:, None] if len(vectors) else 1
    scales = SHELL_DEVIATIONS * np.sqrt(np.clip(values, 1e-8, None))
    wxyzs = np.roll(quaternions(vectors), 1, axis=-1)
    return _instances(poses.joints_m[known], wxyzs, scales, _colours(poses)[known])


def person_at(poses: Poses, origin_m: np.ndarray, direction: np.ndarray) -> tuple[int, int] | None:
    """Row of the person and joint that a ray (3,), (3,) in the camera frame comes nearest to."""
    direction = direction / np.linalg.norm(direction)
    offset_m = poses.joints_m - origin_m
    along_m = offset_m @ direction
    away_m = np.linalg.norm(offset_m - along_m[..., None] * direction, axis=-1)
    away_m = np.where(np.isfinite(away_m) & (along_m > 0), away_m, np.inf)
    if not away_m.size or away_m.min() > _REACH_M:
        return None
    person, joint = np.unravel_index(away_m.argmin(), away_m.shape)
    return int(person), int(joint)


def middle_m(camera: Camera, poses: Poses, points_m: np.ndarray) -> np.ndarray:
    """(3,) where people stand, else the middle of the points, else two metres ahead."""
    joints_m = poses.joints_m[np.isfinite(poses.joints_m).all(-1)]
    if len(joints_m):
        return joints_m.mean(0)
    ahead = camera.rays(np.array([camera.cx, camera.cy])) * 2.0
    return np.median(points_m, axis=0) if len(points_m) else ahead


def nothing() -> Instances:
    """No copies."""
    nowhere = np.zeros((0, 3))
    return _instances(nowhere, np.zeros((0, 4)), nowhere, nowhere.astype(np.uint8))


def _colours(poses: Poses) -> np.ndarray:
    """(P, J, 3) uint8: a hue a person by their number, light on the right and deep on the left."""
    joints = range(len(poses.skeleton.joints))
    rows = [[joint_rgb(int(i), j, poses.skeleton) for j in joints] for i in poses.person_id]
    return np.array(rows, dtype=np.uint8).reshape(len(poses), len(joints), 3)


def _turned_from_z(unit: np.ndarray) -> np.ndarray:
    """(N, 4) quaternions that take z to the unit vectors (N, 3)."""
    x, y, z = unit.T
    wxyz = np.stack([1 + z, -y, x, np.zeros_like(z)], axis=-1)
    # Straight back any half turn will do.
    wxyz[z < -0.999999] = [0, 1, 0, 0]
    return wxyz / np.linalg.norm(wxyz, axis=-1, keepdims=True)


def _instances(
    positions_m: np.ndarray, wxyzs: np.ndarray, scales: np.ndarray, colours: np.ndarray
) -> Instances:
    return Instances(
        positions_m.astype(np.float32), wxyzs.astype(np.float32), scales.astype(np.float32), colours
    )
