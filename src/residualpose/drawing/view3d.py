"""One panel of a 3D picture: ground frame -> pixels and distance; points in painter's order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from residualpose.drawing.palette import Rgb


@dataclass(frozen=True, slots=True)
class View:
    """A camera for a picture panel that always shows the whole of a box."""

    R_view_ground: np.ndarray
    """(3, 3) rows: right, up and towards the viewer, in the ground frame."""
    centre_m: np.ndarray
    """(3,) ground-frame point in the middle of the panel."""
    middle_px: tuple[float, float]
    scale_px: float
    """Pixels a metre at the centre."""
    eye_m: float
    """Distance of the viewer from the centre; infinite for a parallel (true to scale) view."""

    def project(self, points_m: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Ground points (..., 3) to pixels (..., 2) and distance (...), larger is farther."""
        local = (points_m - self.centre_m) @ self.R_view_ground.T
        zoom = 1.0 / np.maximum(1 - local[..., 2] / self.eye_m, 0.15) * self.scale_px
        x = self.middle_px[0] + local[..., 0] * zoom
        y = self.middle_px[1] - local[..., 1] * zoom
        return np.stack([x, y], axis=-1), -local[..., 2]


def turned(azimuth: float, elevation: float) -> np.ndarray:
    """R_view_ground for an eye `azimuth` radians to the right and `elevation` radians up."""
    ca, sa, ce, se = np.cos(azimuth), np.sin(azimuth), np.cos(elevation), np.sin(elevation)
    towards = np.array([sa * ce, se, ca * ce])
    right = np.array([ca, 0.0, -sa])
    return np.stack([right, np.cross(towards, right), towards])


def fit_view(rotation: np.ndarray, corners_m: np.ndarray, box_px: np.ndarray, eye_m: float) -> View:
    """The view that fits corners (N, 3) into the pixel box left, top, right, bottom."""
    left, top, right, bottom = (float(side) for side in box_px)
    centre = 0.5 * (corners_m.min(0) + corners_m.max(0))
    first = View(rotation, centre, (0.0, 0.0), 1.0, eye_m)
    flat, _ = first.project(corners_m)
    low, high = flat.min(0), flat.max(0)
    scale = float(np.min(np.array([right - left, bottom - top]) / np.maximum(high - low, 1e-6)))
    shift = -0.5 * scale * (low + high)
    middle = (0.5 * (left + right) + float(shift[0]), 0.5 * (top + bottom) + float(shift[1]))
    return View(rotation, centre, middle, scale, eye_m)


def splat(
    canvas: np.ndarray,
    xy_px: np.ndarray,
    distance_m: np.ndarray,
    rgb: np.ndarray,
    size_px: np.ndarray,
) -> None:
    """Paint points (N, 2) as squares of `size_px` (N,) into `canvas` (H, W, 3), in place."""
    height, width = canvas.shape[:2]
    order = np.argsort(-distance_m, kind="stable")
    size = np.maximum(size_px[order].astype(np.int64), 1)
    corner = np.floor(xy_px[order] - 0.5 * (size[:, None] - 1) + 0.5).astype(np.int64)
    # Each point becomes size * size neighbouring entries: numpy keeps the last of repeated pixels,
    # so far to near is painter's order.
    owner = np.repeat(np.arange(len(size)), size * size)
    place = np.arange(len(owner)) - np.repeat(np.cumsum(size * size) - size * size, size * size)
    x = corner[owner, 0] + place % size[owner]
    y = corner[owner, 1] + place // size[owner]
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    canvas[y[inside], x[inside]] = rgb[order][owner[inside]]


def blend(colour: Rgb, other: Rgb, share: np.ndarray) -> np.ndarray:
    """(N, 3) uint8 between two colours, `share` (N,) of the second."""
    first, second = np.asarray(colour, dtype=np.float64), np.asarray(other, dtype=np.float64)
    return (first + share[:, None] * (second - first) + 0.5).astype(np.uint8)
