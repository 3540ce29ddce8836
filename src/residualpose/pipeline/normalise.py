"""DepthFrame -> NetworkInput: the same person at the same distance looks the same from any sensor.

The image is resampled to one focal length (and undistorted), so that a pixel always spans the same
angle. The network then needs to learn sizes at distances, never cameras.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from residualpose.camera import Camera
from residualpose.errors import ResidualPoseError
from residualpose.frames import DepthFrame

MULTIPLE_PX = 16
MAX_SIDE_PX = 768
MAX_DEPTH_M = 12.0


@dataclass(frozen=True, slots=True)
class NetworkInput:
    """A depth image at the network's focal length."""

    depth_m: np.ndarray
    """(h, w) float32 metres, 0 = no reading; sides are multiples of 16, padded with 0."""
    camera: Camera
    """Undistorted camera of `depth_m`."""


def normalise(frame: DepthFrame, focal_px: float) -> NetworkInput:
    """Resample a frame to a focal length.

    A pixel of the result takes the lower median of the readings it covers: never a mixture of near
    and far, and a reading wherever one of the covered pixels has one.

    Raises:
        ResidualPoseError: the field of view is too wide for a pinhole image.
    """
    source = frame.camera
    scale_x, scale_y = focal_px / source.fx, focal_px / source.fy
    width, height = round(frame.width * scale_x), round(frame.height * scale_y)
    if not (4 <= width <= MAX_SIDE_PX and 4 <= height <= MAX_SIDE_PX):
        raise ResidualPoseError(
            f"{frame.source or 'frame'}: {frame.width}x{frame.height} pixels with focal length "
            f"{source.fx:.0f} px is a field of view of {_field_of_view(frame):.0f} degrees; "
            "expected 3 to 138: check the camera"
        )
    camera = Camera(
        focal_px, focal_px, (source.cx + 0.5) * scale_x - 0.5, (source.cy + 0.5) * scale_y - 0.5
    )
    taps = 2 if 1 / scale_x >= 1.5 else 1
    u, v = _tap_positions(width, taps), _tap_positions(height, taps)
    if source.distortion:
        grid = np.stack(np.meshgrid(u, v), -1)
        px = source.project(camera.rays(grid)).round()
        inside = ((px >= 0) & (px < [frame.width, frame.height])).all(-1)
        px = np.where(inside[..., None], px, 0).astype(np.int64)
        fine = np.where(inside, frame.depth_m[px[..., 1], px[..., 0]], np.float32(0))
    else:
        columns = np.clip(((u + 0.5) / scale_x - 0.5).round(), 0, frame.width - 1).astype(np.int64)
        rows = np.clip(((v + 0.5) / scale_y - 0.5).round(), 0, frame.height - 1).astype(np.int64)
        fine = frame.depth_m[rows[:, None], columns]
    depth = _lower_median(fine, taps) if taps > 1 else fine
    padded = np.zeros((-(-height // MULTIPLE_PX) * MULTIPLE_PX, -(-width // MULTIPLE_PX) * MULTIPLE_PX), np.float32)
    padded[:height, :width] = np.where(depth < MAX_DEPTH_M, depth, 0)
    return NetworkInput(padded, camera)


def _tap_positions(count: int, taps: int) -> np.ndarray:
    """Positions of `taps` samples inside each of `count` pixels, in pixels."""
    return (np.arange(count * taps) + 0.5) / taps - 0.5


def _lower_median(fine: np.ndarray, taps: int) -> np.ndarray:
    """(h*taps, w*taps) readings to (h, w): the lower median of those that are not 0."""
    h, w = fine.shape[0] // taps, fine.shape[1] // taps
    cells = fine.reshape(h, taps, w, taps).transpose(0, 2, 1, 3).reshape(h, w, taps * taps)
    cells = np.sort(np.where(cells > 0, cells, np.float32(np.inf)), axis=-1)
    valid = np.isfinite(cells).sum(-1)
    middle = np.maximum(valid - 1, 0) // 2
    picked = np.take_along_axis(cells, middle[..., None], -1)[..., 0]
    return np.where(valid > 0, picked, np.float32(0))


def _field_of_view(frame: DepthFrame) -> float:
    return float(np.degrees(2 * np.arctan(frame.width / 2 / frame.camera.fx)))
