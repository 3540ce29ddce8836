"""Labels against the depth image: what is in sight, and how far a skeleton is from the cloud."""

from __future__ import annotations

import numpy as np

from residualpose.frames import DepthFrame

WINDOW_PX = 2
"""A joint is looked for up to so many pixels around its place."""
BEHIND_M, BEFORE_M = 0.25, 0.10
"""A joint is in sight if the surface there is at most so far before it or behind it: joints lie
inside the body, and a thigh is 20 cm thick."""
_STEP_PX = 2
_BODY_M = 1.0
"""The cloud farther than this from every joint is not looked at."""


def inside_image(px: np.ndarray, width: int, height: int, margin_px: float = 0.0) -> np.ndarray:
    """(...,) bool of pixels (..., 2): known, and in the image widened by a margin."""
    with np.errstate(invalid="ignore"):
        low = px > -0.5 - margin_px
        high = px < np.array([width, height]) - 0.5 + margin_px
    return np.asarray((low & high).all(-1))


def seen_in_depth(frame: DepthFrame, joints_m: np.ndarray) -> np.ndarray:
    """(P, 15) bool of joints (P, 15, 3): in the image, and the body's surface is measured there."""
    px = frame.camera.project(joints_m)
    inside = inside_image(px, frame.width, frame.height)
    column, row = np.moveaxis(np.where(inside[..., None], px, 0).round().astype(int), -1, 0)
    offset = np.arange(-WINDOW_PX, WINDOW_PX + 1)
    rows = np.clip(row[..., None, None] + offset[:, None], 0, frame.height - 1)
    columns = np.clip(column[..., None, None] + offset, 0, frame.width - 1)
    surface_m = frame.depth_m[rows, columns]
    gap_m = np.nan_to_num(joints_m[..., 2])[..., None, None] - surface_m
    near = (surface_m > 0) & (gap_m < BEHIND_M) & (gap_m > -BEFORE_M)
    return inside & near.any((-1, -2))


def cloud_distance_m(frame: DepthFrame, joints_m: np.ndarray) -> np.ndarray:
    """(...,) distance of each joint (..., 3) to the nearest point of the cloud.

    NaN where the joint is unknown; infinite where no point is within a metre of any joint.
    """
    rows, columns = np.nonzero(frame.depth_m[::_STEP_PX, ::_STEP_PX] > 0)
    rows, columns = rows * _STEP_PX, columns * _STEP_PX
    depth = frame.depth_m[rows, columns].astype(np.float64)
    known = np.asarray(np.isfinite(joints_m).all(-1))
    distance = np.full(known.shape, np.nan)
    if not known.any():
        return distance
    z = joints_m[known][:, 2]
    near = (depth > z.min() - _BODY_M) & (depth < z.max() + _BODY_M)
    pixels = np.stack([columns[near], rows[near]], axis=-1)
    points = frame.camera.backproject(pixels, depth[near])
    # Few joints, so that looking at every point takes less time than sorting them into a tree.
    distance[known] = [_nearest_m(points, joint_m) for joint_m in joints_m[known]]
    return distance


def _nearest_m(points: np.ndarray, joint_m: np.ndarray) -> float:
    """Distance of the nearest of (N, 3) points; infinite where there are none."""
    offset = points - joint_m
    return float(np.sqrt(np.einsum("nk,nk->n", offset, offset).min(initial=np.inf)))
