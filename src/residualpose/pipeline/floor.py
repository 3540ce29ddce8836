"""The floor that people stand on, and with it which way is down: a plane in the depth image.

A camera overhead hardly sees legs; what tells where feet are is the floor and the vertical. The
paper has no such stage: its networks know one camera each, and so its floor.
"""

from __future__ import annotations

from functools import lru_cache
from math import hypot

import numpy as np

from residualpose.camera import Camera

NO_FLOOR = np.full(4, np.nan, np.float32)
"""The floor of a frame that shows none."""
NO_FLOOR.setflags(write=False)
_POINTS, _PLANES = 600, 100
"""About how many points vote, and how many planes they vote on."""
_BASELINE = 0.12
"""Distance of the points that span a plane, as a share of the grid's mean side."""
_NEAR_M, _BELOW_M = 0.05, 0.15
"""A point belongs to a plane up to this distance; and from that one on it lies below."""
_BELOW_COSTS = 2.0
_UPRIGHT = 0.75
"""Cosine between down and a trunk from which on that person may stand or sit on it."""
_MOST_ROLL = 0.4
"""Sine of the largest roll of the camera: what would need more is a wall."""
_CAMERA_ABOVE_M = 0.3
_LEAST_SHARE = 0.06
"""Share of the points that the floor has at least."""


def find_floor(surface_m: np.ndarray, grid_camera: Camera, trunks: np.ndarray) -> np.ndarray:
    """The largest plane that has nothing below it and on which people can stand upright.

    Args:
        surface_m: (h, w) depth of the seen surface, 0 = none.
        grid_camera: camera whose pixels are the cells of `surface_m`.
        trunks: (P, 3) unit vectors down people's trunks, camera frame, NaN where unknown: of walls
            and floors, the floor is what most of them are upright to.

    Returns:
        (4,) float32 unit vector down, camera frame, and the camera's height above the floor in
        metres: points p on it have p . down = height. `NO_FLOOR` where none is seen or nobody is
        there.
    """
    trunks = trunks[np.isfinite(trunks).all(-1)]
    step = max(1, round((surface_m.size / _POINTS) ** 0.5))
    depth_m = surface_m[::step, ::step]
    points = depth_m * _rays(grid_camera, depth_m.shape, step)
    seen = points[:, depth_m > 0]
    if not len(trunks) or not seen.size:
        return NO_FLOOR
    down, height_m = _planes(points)
    likely = 2 * (trunks @ down > _UPRIGHT).sum(0) >= len(trunks)
    likely &= (np.abs(down[0]) < _MOST_ROLL) & (height_m > _CAMERA_ABOVE_M)
    chosen = np.flatnonzero(likely)
    if not len(chosen):
        return NO_FLOOR
    if len(chosen) > _PLANES:
        chosen = chosen[np.arange(_PLANES) * (len(chosen) - 1) // (_PLANES - 1)]
    down, height_m = down[:, chosen], height_m[chosen]
    excess = down.T @ seen - height_m[:, None]
    # Counting by a product with ones: far faster than along an axis of flags.
    ones = np.ones(len(seen[0]), np.float32)
    below = (excess > _BELOW_M).astype(np.float32) @ ones
    near = (np.abs(excess, out=excess) < _NEAR_M).astype(np.float32) @ ones
    best = int((near - _BELOW_COSTS * below).argmax())
    plane = np.append(down[:, best], height_m[best])
    for _ in range(2):
        on_it = seen[:, np.abs(plane[:3] @ seen - plane[3]) < _NEAR_M]
        if len(on_it[0]) < _LEAST_SHARE * len(seen[0]):
            return NO_FLOOR
        plane = _fitted(on_it, plane[:3])
    return plane.astype(np.float32)


@lru_cache(maxsize=8)
def _rays(camera: Camera, shape: tuple[int, int], step: int) -> np.ndarray:
    """(3, h, w) points at 1 m of every so many pixels, camera frame."""
    y, x = np.indices(shape, np.float32) * step
    rays = np.array([(x - camera.cx) / camera.fx, (y - camera.cy) / camera.fy, np.ones(shape)])
    return rays.astype(np.float32)


def _planes(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Planes (3, N), (N,) through corners of small squares of a (3, h, w) grid."""
    height, width = points.shape[1:]
    baseline = max(1, round(_BASELINE * (height * width) ** 0.5))
    corner = points[:, : -baseline or None, : -baseline or None]
    right, under = (
        points[:, : -baseline or None, baseline:],
        points[:, baseline:, : -baseline or None],
    )
    all_seen = (corner[2] > 0) & (right[2] > 0) & (under[2] > 0)
    corner = corner[:, all_seen]
    a, b = right[:, all_seen] - corner, under[:, all_seen] - corner
    (ax, ay, az), (bx, by, bz) = a, b
    normal = np.array([ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx])
    normal /= np.maximum(np.sqrt((normal * normal).sum(0)), 1e-9)
    distance_m = (normal * corner).sum(0)
    away = np.copysign(np.float32(1), distance_m)
    return normal * away, distance_m * away


def _fitted(points_m: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """(4,) least squares plane of (3, N) points, from a normal (3,) that is about right."""
    points_m = points_m.astype(np.float64)
    middle = points_m.sum(1) / len(points_m[0])
    about = points_m - middle[:, None]
    # The eigenvector of least spread. The cofactors of the spread have the same ones, and this
    # one's value, the product of the other two, is their largest: three rounds lead to it.
    x, y, z = (about @ about.T).tolist()
    rows = _cross(y, z), _cross(z, x), _cross(x, y)
    nx, ny, nz = normal.tolist()
    for _ in range(3):
        nx, ny, nz = (ax * nx + ay * ny + az * nz for ax, ay, az in rows)
        length = hypot(nx, ny, nz)
        nx, ny, nz = nx / length, ny / length, nz / length
    distance_m = nx * middle[0] + ny * middle[1] + nz * middle[2]
    return np.array([nx, ny, nz, distance_m]) * np.copysign(1.0, distance_m)


def _cross(a: list[float], b: list[float]) -> tuple[float, float, float]:
    (ax, ay, az), (bx, by, bz) = a, b
    return ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx
