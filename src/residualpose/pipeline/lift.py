"""Joint candidates + depth + camera -> 3D points (paper section III-B).

The paper reads the depth of one pixel. Here every cell around the candidate votes: its surface
depth plus the network's offset from that surface to the joint is one opinion of the joint's depth,
and the weighted median of the opinions survives holes, edges, and cells that show the background.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from residualpose.camera import Camera
from residualpose.pipeline.peaks import Peaks
from residualpose.poses import Origin

_RADIUS_CELLS = (2, 5)
"""Cells around the candidate that vote, and those asked when none of the first has a reading."""
_AGREE_M = 0.12
"""Opinions this close to the median count as agreeing with it."""
_SURFACE_TO_JOINT_M = (-0.08, 0.22)
"""Where a joint lies behind the surface it is seen under; farther behind, something hides it."""
_ABSENT, _MEASURED, _NEIGHBOUR = (
    int(origin) for origin in (Origin.ABSENT, Origin.MEASURED, Origin.NEIGHBOUR)
)
_DEPTH_SD_M = 0.02
_LATERAL_SD_CELLS = (0.4, 1.5)
"""Standard deviation of a candidate of score 1, and what a score of 0 adds to it."""


@dataclass(frozen=True, slots=True)
class LiftedPoints:
    """N candidates in 3D."""

    points_m: np.ndarray
    """(N, 3) float32 camera frame; NaN where no depth is near."""
    origin: np.ndarray
    """(N,) uint8: MEASURED, NEIGHBOUR, or ABSENT where no depth is near."""
    covariance_m2: np.ndarray
    """(N, 3, 3) float32 camera frame; NaN where no depth is near."""


def lift(
    peaks: Peaks,
    part_maps: np.ndarray,
    offset_m: np.ndarray | None,
    surface_m: np.ndarray,
    grid_camera: Camera,
) -> LiftedPoints:
    """Lift every candidate.

    Args:
        peaks: N candidates in the maps' grid.
        part_maps: (15, h, w) confidences, which weigh the votes.
        offset_m: (15, h, w) surface-to-joint depth, or None: joints lie on the surface.
        surface_m: (h, w) depth of the seen surface in each cell, 0 = none.
        grid_camera: camera whose pixels are the cells.
    """
    z, spread, origin = _vote(peaks, part_maps, offset_m, surface_m, _RADIUS_CELLS[0])
    unknown = np.flatnonzero(np.isnan(z))
    if len(unknown):
        rest = Peaks(peaks.joint[unknown], peaks.xy_px[unknown], peaks.score[unknown])
        far_z, far_spread, _ = _vote(rest, part_maps, offset_m, surface_m, _RADIUS_CELLS[1])
        z[unknown], spread[unknown] = far_z, 3 * far_spread + 0.05
        origin[unknown] = np.where(np.isnan(far_z), _ABSENT, _NEIGHBOUR)
    points = grid_camera.backproject(peaks.xy_px, z)
    low, extra = _LATERAL_SD_CELLS
    lateral = (low + extra * (1 - peaks.score)) * z / grid_camera.fx
    covariance = _ray_covariance(points, lateral, np.hypot(spread, _DEPTH_SD_M))
    return LiftedPoints(
        points.astype(np.float32), origin.astype(np.uint8), covariance.astype(np.float32)
    )


def _vote(
    peaks: Peaks,
    part_maps: np.ndarray,
    offset_m: np.ndarray | None,
    surface_m: np.ndarray,
    radius: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Depth (N,), spread (N,) of the opinions in metres, and origin (N,)."""
    height, width = surface_m.shape
    across, down = _window(radius)
    x, y = peaks.xy_px.T[..., None]
    col = np.rint(x).astype(np.int64) + across
    row = np.rint(y).astype(np.int64) + down
    inside = (col >= 0) & (col < width) & (row >= 0) & (row < height)
    np.minimum(np.maximum(col, 0, out=col), width - 1, out=col)
    np.minimum(np.maximum(row, 0, out=row), height - 1, out=row)
    cell = row * width + col
    joint_cell = cell + (peaks.joint * (height * width))[:, None]
    surface = surface_m.reshape(-1)[cell]
    offset = offset_m.reshape(-1)[joint_cell] if offset_m is not None else np.zeros_like(surface)
    opinion = (surface + offset).astype(np.float64)
    off_x, off_y = col - x, row - y
    distance2 = off_x * off_x + off_y * off_y
    confidence = np.minimum(np.maximum(part_maps.reshape(-1)[joint_cell], 1e-3), 1.0)
    weight = confidence * confidence * np.exp(-0.5 * distance2 / max(radius, 1) ** 2)
    weight = np.where(inside & (surface > 0), weight, 0.0)
    z = _weighted_median(opinion, weight)
    total = np.maximum(weight.sum(axis=1), 1e-12)
    deviation = np.abs(opinion - z[:, None])
    spread = np.minimum((weight * np.minimum(deviation, 0.5)).sum(axis=1) / total, 0.3)
    nearest = np.where(inside, distance2, np.inf).argmin(axis=1)
    under = surface[np.arange(len(surface)), nearest]
    behind = z - under
    agreeing = (weight * (deviation < _AGREE_M)).sum(axis=1) > 0.5 * total
    low, high = _SURFACE_TO_JOINT_M
    measured = (under > 0) & (behind > low) & (behind < high) & agreeing
    origin = np.where(measured, _MEASURED, _NEIGHBOUR)
    return z, spread, np.where(np.isnan(z), _ABSENT, origin)


@lru_cache(maxsize=4)
def _window(radius: int) -> tuple[np.ndarray, np.ndarray]:
    """Columns and rows of the cells around a centre, (2 radius + 1)^2 each."""
    around = np.arange(-radius, radius + 1)
    return np.tile(around, len(around)), np.repeat(around, len(around))


def _weighted_median(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted median of each row; NaN where all weights are 0."""
    row = np.arange(len(values))
    order = np.argsort(values, axis=1)
    running = weights[row[:, None], order].cumsum(axis=1)
    half = running[:, -1] / 2
    at = (running >= np.maximum(half, 1e-12)[:, None]).argmax(axis=1)
    return np.where(half > 0, values[row, order[row, at]], np.nan)


def _ray_covariance(points_m: np.ndarray, lateral_m: np.ndarray, along_m: np.ndarray) -> np.ndarray:
    """(N, 3, 3) with sd `along_m` in the viewing direction and `lateral_m` across it."""
    length = np.sqrt((points_m * points_m).sum(axis=1))
    ray = points_m / length[:, None]
    outer = ray[:, :, None] * ray[:, None]
    lateral2 = lateral_m * lateral_m
    return lateral2[:, None, None] * np.eye(3) + (along_m**2 - lateral2)[:, None, None] * outer
