"""The floor that people stand on, and with it which way is down: a plane in the depth image.

A camera overhead hardly sees legs; what tells where feet are is the floor and the vertical. The
paper has no such stage: its networks know one camera each, and so its floor.
"""

from __future__ import annotations

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
    if not len(trunks) or not (depth_m > 0).any():
        return NO_FLOOR
    grid = grid_camera
    every = Camera(grid.fx / step, grid.fy / step, grid.cx / step, grid.cy / step)
    points = _points(depth_m, every)
    down, height_m = _planes(points)
    likely = (down @ trunks.T > _UPRIGHT).mean(1) >= 0.5
    likely &= (np.abs(down[:, 0]) < _MOST_ROLL) & (height_m > _CAMERA_ABOVE_M)
    down, height_m = down[likely], height_m[likely]
    seen = points.reshape(-1, 3)[depth_m.ravel() > 0]
    if not len(down):
        return NO_FLOOR
    if len(down) > _PLANES:
        chosen = np.linspace(0, len(down) - 1, _PLANES).astype(int)
        down, height_m = down[chosen], height_m[chosen]
    excess = down @ seen.T - height_m[:, None]
    # Counting by a product with ones: far faster than along an axis of flags.
    ones = np.ones(len(seen), np.float32)
    below = (excess > _BELOW_M).astype(np.float32) @ ones
    near = (np.abs(excess, out=excess) < _NEAR_M).astype(np.float32) @ ones
    best = int((near - _BELOW_COSTS * below).argmax())
    plane, on_it = np.append(down[best], height_m[best]), 0
    for _ in range(2):
        near = np.abs(seen @ plane[:3] - plane[3]) < _NEAR_M
        on_it = near.sum()
        if on_it < _LEAST_SHARE * len(seen):
            return NO_FLOOR
        plane = _fitted(seen[near])
    return plane.astype(np.float32)


def _points(depth_m: np.ndarray, camera: Camera) -> np.ndarray:
    """(h, w, 3) points of a grid, camera frame."""
    height, width = depth_m.shape
    slope_x = ((np.arange(width) - camera.cx) / camera.fx).astype(np.float32)
    slope_y = ((np.arange(height) - camera.cy) / camera.fy).astype(np.float32)
    return np.stack([depth_m * slope_x, depth_m * slope_y[:, None], depth_m], axis=-1)


def _planes(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Planes (N, 3), (N,) through corners of small squares of the grid, as in `find_floor`."""
    baseline = max(1, round(_BASELINE * (points.shape[0] * points.shape[1]) ** 0.5))
    corner, right, under = (
        points[: -baseline or None, : -baseline or None],
        points[: -baseline or None, baseline:],
        points[baseline:, : -baseline or None],
    )
    all_seen = (corner[..., 2] > 0) & (right[..., 2] > 0) & (under[..., 2] > 0)
    corner = corner[all_seen]
    a, b = right[all_seen] - corner, under[all_seen] - corner
    normal = np.stack([
        a[:, 1] * b[:, 2] - a[:, 2] * b[:, 1],
        a[:, 2] * b[:, 0] - a[:, 0] * b[:, 2],
        a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0],
    ], axis=-1)  # fmt: skip
    normal /= np.maximum(np.sqrt((normal * normal).sum(-1, keepdims=True)), 1e-9)
    distance_m = (normal * corner).sum(-1)
    away = np.where(distance_m < 0, np.float32(-1), np.float32(1))
    return normal * away[:, None], distance_m * away


def _fitted(points_m: np.ndarray) -> np.ndarray:
    """(4,) least squares plane of (N, 3) points."""
    middle = points_m.mean(0)
    about = (points_m - middle).astype(np.float64)
    normal = np.linalg.eigh(about.T @ about)[1][:, 0]
    distance_m = float(normal @ middle)
    return np.append(normal, distance_m) * (1.0 if distance_m >= 0 else -1.0)
