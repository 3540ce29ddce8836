"""DepthFrame -> NetworkInput: the same person at the same distance looks the same from any sensor.

The image is resampled to one focal length (and undistorted), so that a pixel always spans the same
angle. The network then needs to learn sizes at distances, never cameras.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from residualpose.camera import Camera
from residualpose.errors import ResidualPoseError
from residualpose.frames import DepthFrame

MULTIPLE_PX = 16
SIDES_PX = (8, 768)
"""Shortest and longest side of the resampled image."""
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

    Where pixels shrink, each takes the lower median of 2 x 2 readings inside it: never a mixture
    of near and far, and a reading wherever one of the four is one.

    Raises:
        ResidualPoseError: the field of view is too wide or too narrow for the network.
    """
    source = frame.camera
    scale_x, scale_y = focal_px / source.fx, focal_px / source.fy
    width, height = round(frame.width * scale_x), round(frame.height * scale_y)
    if not all(SIDES_PX[0] <= side <= SIDES_PX[1] for side in (width, height)):
        raise ResidualPoseError(_field_of_view_message(frame, focal_px))
    resized = source.resized(scale_x, scale_y)
    camera = Camera(focal_px, focal_px, resized.cx, resized.cy)
    taps = 2 if 1 / scale_x >= 1.5 else 1
    u, v = _tap_positions(width, taps), _tap_positions(height, taps)
    fine = _undistorted(frame, camera, taps) if source.distortion else _read(frame, camera, u, v)
    depth = _lower_median(fine) if taps > 1 else fine
    padded = np.zeros([-(-side // MULTIPLE_PX) * MULTIPLE_PX for side in depth.shape], np.float32)
    padded[:height, :width] = np.where(depth < MAX_DEPTH_M, depth, 0)
    return NetworkInput(padded, camera)


def _tap_positions(count: int, taps: int) -> np.ndarray:
    """Positions of `taps` samples inside each of `count` pixels, in pixels."""
    return (np.arange(count * taps) + 0.5) / taps - 0.5


def _read(frame: DepthFrame, camera: Camera, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Readings nearest to columns u and rows v of another undistorted camera's image."""
    source = frame.camera
    columns = ((u + 0.5) * (source.fx / camera.fx) - 0.5).round()
    rows = ((v + 0.5) * (source.fy / camera.fy) - 0.5).round()
    columns = np.clip(columns, 0, frame.width - 1).astype(np.int64)
    rows = np.clip(rows, 0, frame.height - 1).astype(np.int64)
    return frame.depth_m.take(rows, axis=0).take(columns, axis=1)


def _undistorted(frame: DepthFrame, camera: Camera, taps: int) -> np.ndarray:
    """As `_read`, from a distorted image; 0 where the ray falls outside it."""
    row, col, inside = _undistortion(frame.camera, frame.width, frame.height, camera, taps)
    return np.where(inside, frame.depth_m[row, col], np.float32(0))


@lru_cache(maxsize=4)
def _undistortion(
    source: Camera, source_width: int, source_height: int, camera: Camera, taps: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Row and column of the source for each tap, and whether it is inside; the same every frame."""
    width = round(source_width * camera.fx / source.fx)
    height = round(source_height * camera.fy / source.fy)
    u, v = _tap_positions(width, taps), _tap_positions(height, taps)
    pixels = source.project(camera.rays(np.stack(np.meshgrid(u, v), -1))).round()
    inside = np.all((pixels >= 0) & (pixels < [source_width, source_height]), axis=-1)
    pixels = np.where(inside[..., None], pixels, 0).astype(np.int32)
    return pixels[..., 1], pixels[..., 0], inside


def _lower_median(fine: np.ndarray) -> np.ndarray:
    """(2 h, 2 w) readings to (h, w): the lower median of those of each four that are not 0."""
    # Floats from 0 up are in the order of their bits, in which 0 can become the largest.
    bits = fine.view(np.uint32) & np.uint32(0x7FFFFFFF)
    bits -= np.uint32(1)
    low, high = np.minimum(bits[::2], bits[1::2]), np.maximum(bits[::2], bits[1::2])
    lowest = np.minimum(low[:, ::2], low[:, 1::2])
    # The two in the middle, in no order; with three or four readings both are one.
    inner = np.maximum(low[:, ::2], low[:, 1::2]), np.minimum(high[:, ::2], high[:, 1::2])
    reading = np.maximum(*inner) != np.uint32(0xFFFFFFFF)
    return (np.where(reading, np.minimum(*inner), lowest) + np.uint32(1)).view(np.float32)


def _field_of_view_message(frame: DepthFrame, focal_px: float) -> str:
    source = frame.camera
    found = [_degrees(frame.width / source.fx), _degrees(frame.height / source.fy)]
    low, high = (_degrees(side / focal_px) for side in SIDES_PX)
    return (
        f"{frame.source or 'frame'}: {frame.width}x{frame.height} pixels with focal lengths "
        f"{source.fx:.0f} and {source.fy:.0f} px are a field of view of {found[0]:.0f} x "
        f"{found[1]:.0f} degrees; expected {low:.0f} to {high:.0f}: check the camera"
    )


def _degrees(size_at_unit_distance: float) -> float:
    return float(np.degrees(2 * np.arctan(size_at_unit_distance / 2)))
