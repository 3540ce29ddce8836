"""Primitives: the boxes and ellipsoids that rooms, furniture and clutter are made of."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from residualpose.synthetic.materials import Material

BOX, ELLIPSOID = 0, 1


@dataclass(frozen=True, slots=True)
class Primitives:
    """K solids, each a unit box [-1, 1]^3 or a unit sphere under an affine map."""

    kind: np.ndarray
    """(K,) uint8: 0 box, 1 ellipsoid."""
    T_world_local: np.ndarray
    """(K, 4, 4) float32 affine maps from the unit solid to the world, metres."""
    material: np.ndarray
    """(K,) uint8, see Material."""

    def __post_init__(self) -> None:
        count = len(self.kind)
        if self.T_world_local.shape != (count, 4, 4) or self.material.shape != (count,):
            raise ValueError(
                f"primitives: expected (K, 4, 4) maps and (K,) materials for K = {count}, "
                f"got {self.T_world_local.shape} and {self.material.shape}"
            )

    def __len__(self) -> int:
        return len(self.kind)

    def moved(self, T_new_old: np.ndarray) -> Primitives:
        """The same solids after a (4, 4) affine map."""
        maps = (np.asarray(T_new_old, np.float64) @ self.T_world_local).astype(np.float32)
        return Primitives(self.kind, maps, self.material)

    def of(self, material: int) -> Primitives:
        """The same solids, all of one material."""
        return Primitives(self.kind, self.T_world_local, np.full(len(self), material, np.uint8))

    def bounds_m(self) -> tuple[np.ndarray, np.ndarray]:
        """(K, 3) lower and upper corners of each solid's axis-aligned box."""
        linear = self.T_world_local[:, :3, :3]
        reach_box = np.abs(linear).sum(-1)
        reach_ball = np.sqrt((linear**2).sum(-1))
        reach = np.where((self.kind == BOX)[:, None], reach_box, reach_ball)
        centre = self.T_world_local[:, :3, 3]
        return centre - reach, centre + reach

    def contains(self, points_m: np.ndarray, margin_m: float = 0.0) -> np.ndarray:
        """(N,) bool: is each of the (N, 3) points within about `margin_m` of a solid's inside."""
        points = np.asarray(points_m, np.float64)
        inside = np.zeros(len(points), bool)
        low, high = self.bounds_m()
        near = (points[:, None] > low - margin_m) & (points[:, None] < high + margin_m)
        point, solid = np.nonzero(near.all(-1))
        linear = self.T_world_local[solid, :3, :3].astype(np.float64)
        away = points[point] - self.T_world_local[solid, :3, 3]
        local = np.linalg.solve(linear, away[..., None])[..., 0]
        local /= 1 + margin_m / np.sqrt((linear**2).sum(-2))
        box = self.kind[solid] == BOX
        radius = np.where(box, np.abs(local).max(-1), np.sqrt((local**2).sum(-1)))
        inside[point[radius < 1]] = True
        return inside

    def blocked(self, start_m: np.ndarray, end_m: np.ndarray) -> np.ndarray:
        """(N,) bool: does any solid touch the straight line between (N, 3) points."""
        if not len(self):
            return np.zeros(len(start_m), bool)
        inverse = np.linalg.inv(self.T_world_local[:, :3, :3].astype(np.float64))
        centre = self.T_world_local[:, :3, 3]
        start, end = (
            np.einsum("kij,nkj->nki", inverse, point[:, None] - centre)
            for point in (start_m, end_m)
        )
        step = end - start
        step = np.where(np.abs(step) < 1e-9, 1e-9, step)
        sides = np.stack([(-1 - start) / step, (1 - start) / step])
        enter, leave = sides.min(0).max(-1), sides.max(0).min(-1)
        box = (leave >= np.maximum(enter, 0)) & (enter <= 1)
        nearest = np.clip(-(start * step).sum(-1) / (step**2).sum(-1), 0, 1)
        ball = ((start + nearest[..., None] * step) ** 2).sum(-1) < 1
        return np.where(self.kind == BOX, box, ball).any(1)


def merge(parts: Sequence[Primitives]) -> Primitives:
    """All solids of several groups in one, in order."""
    if not parts:
        return Primitives(
            np.zeros(0, np.uint8), np.zeros((0, 4, 4), np.float32), np.zeros(0, np.uint8)
        )
    return Primitives(
        np.concatenate([part.kind for part in parts]),
        np.concatenate([part.T_world_local for part in parts]),
        np.concatenate([part.material for part in parts]),
    )


def solids(
    kind: int,
    centre_m: ArrayLike,
    half_m: ArrayLike,
    rotation: np.ndarray | None = None,
    material: int = Material.BACKGROUND,
) -> Primitives:
    """Solids of one kind from (N, 3) centres, (N, 3) half sizes and (N, 3, 3) rotations."""
    centre = np.array(centre_m, np.float64, ndmin=2)
    half = np.array(half_m, np.float64, ndmin=2)
    count = max(len(centre), len(half)) if len(centre) and len(half) else 0
    maps = np.zeros((count, 4, 4), np.float32)
    if rotation is None:
        maps[:, (0, 1, 2), (0, 1, 2)] = half[:count]
    else:
        maps[:, :3, :3] = rotation * half[:, None, :]
    maps[:, :3, 3] = centre[:count]
    maps[:, 3, 3] = 1
    return Primitives(np.full(count, kind, np.uint8), maps, np.full(count, material, np.uint8))


def cuboids(ranges_m: ArrayLike, material: int = Material.BACKGROUND) -> Primitives:
    """Axis-aligned boxes from (N, 6) rows x0, x1, y0, y1, z0, z1 in metres."""
    rows = np.atleast_2d(np.asarray(ranges_m, np.float64)).reshape(-1, 3, 2)
    return solids(BOX, rows.mean(-1), np.abs(np.diff(rows)[..., 0]) / 2, None, material)


def yaw_rotation(yaw_rad: np.ndarray | float) -> np.ndarray:
    """(..., 3, 3) rotations about the vertical."""
    yaw = np.asarray(yaw_rad)
    turn = np.zeros((*yaw.shape, 3, 3))
    turn[..., 0, 0] = turn[..., 1, 1] = np.cos(yaw)
    turn[..., 1, 0] = np.sin(yaw)
    turn[..., 0, 1] = -turn[..., 1, 0]
    turn[..., 2, 2] = 1
    return turn


def random_rotation(rng: np.random.Generator, count: int, spread: float = 1.0) -> np.ndarray:
    """(count, 3, 3) random rotations; spread 0 leaves all upright, 1 and more is about uniform."""
    quaternion = rng.normal(0, spread, (count, 4))
    quaternion[:, 0] += 1 - min(spread, 1)
    w, x, y, z = (quaternion / np.linalg.norm(quaternion, axis=1, keepdims=True)).T
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.moveaxis(np.array(rows), -1, 0)


def pose_matrix(x_m: float, y_m: float, yaw_rad: float, z_m: float = 0.0) -> np.ndarray:
    """(4, 4) map that turns about the vertical, then moves."""
    cos, sin = math.cos(yaw_rad), math.sin(yaw_rad)
    return np.array([[cos, -sin, 0, x_m], [sin, cos, 0, y_m], [0, 0, 1, z_m], [0, 0, 0, 1.0]])
