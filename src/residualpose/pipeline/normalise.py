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
_AT_ONCE, _PART = 1 << 17, 1 << 15
"""Samples of images that are taken at once, and at a time of larger ones: there, memory given back
to the system and fetched anew for every frame would cost several times the arithmetic."""


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
    camera = _at_focal_length(source, focal_px)
    taps = 2 if 1 / scale_x >= 1.5 else 1
    read = _undistorted if source.distortion else _read
    sides = (-(-side // MULTIPLE_PX) * MULTIPLE_PX for side in (height, width))
    padded = np.zeros(tuple(sides), np.float32)
    samples = taps * taps * width
    step = height if height * samples <= _AT_ONCE else max(1, _PART // samples)
    for first in range(0, height, step):
        rows = slice(first, min(first + step, height))
        fine = read(frame, camera, (width, height), taps, rows)
        depth = _lower_median(fine) if taps > 1 else fine[0, :, 0]
        np.copyto(padded[rows, :width], depth, where=depth < MAX_DEPTH_M)
    return NetworkInput(padded, camera)


@lru_cache(maxsize=16)
def _at_focal_length(source: Camera, focal_px: float) -> Camera:
    """Undistorted camera of the resampled image; the same every frame."""
    resized = source.resized(focal_px / source.fx, focal_px / source.fy)
    return Camera(focal_px, focal_px, resized.cx, resized.cy)


def _tap_positions(count: int, taps: int) -> np.ndarray:
    """(taps, count) positions of `taps` samples inside each of `count` pixels, in pixels."""
    return (np.arange(count * taps).reshape(count, taps).T + 0.5) / taps - 0.5


def _read(
    frame: DepthFrame, camera: Camera, size: tuple[int, int], taps: int, rows: slice
) -> np.ndarray:
    """(taps, rows, taps, width) readings nearest to the samples inside pixels of a camera.

    Args:
        frame: undistorted.
        camera: of the pixels.
        size: width and height of the camera's image.
        taps: samples in each direction.
        rows: of the image that are asked for.
    """
    source = frame.camera
    columns = _nearest(size[0], taps, source.fx / camera.fx, frame.width)
    lines = _nearest(size[1], taps, source.fy / camera.fy, frame.height)[:, rows]
    # Clipped, not checked: all are inside, and it takes two thirds of the time.
    return frame.depth_m.take(lines, axis=0).take(columns, axis=2, mode="clip")


@lru_cache(maxsize=16)
def _nearest(count: int, taps: int, scale: float, source_count: int) -> np.ndarray:
    """(taps, count) nearest row or column of the source to each sample; the same every frame."""
    places = ((_tap_positions(count, taps) + 0.5) * scale - 0.5).round()
    return np.clip(places, 0, source_count - 1).astype(np.int64)


def _undistorted(
    frame: DepthFrame, camera: Camera, size: tuple[int, int], taps: int, rows: slice
) -> np.ndarray:
    """As `_read`, from a distorted image; 0 where the ray falls outside it."""
    source_size = frame.width, frame.height
    row, col, inside = (
        of[:, rows] for of in _undistortion(frame.camera, source_size, camera, size, taps)
    )
    return np.where(inside, frame.depth_m[row, col], np.float32(0))


@lru_cache(maxsize=4)
def _undistortion(
    source: Camera, source_size: tuple[int, int], camera: Camera, size: tuple[int, int], taps: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Row and column of the source for each tap, and whether it is inside; the same every frame."""
    u, v = (_tap_positions(count, taps) for count in size)
    samples = np.stack(np.broadcast_arrays(u, v[:, :, None, None]), -1)
    pixels = source.project(camera.rays(samples)).round()
    inside = np.all((pixels >= 0) & (pixels < source_size), axis=-1)
    pixels = np.where(inside[..., None], pixels, 0).astype(np.int32)
    return pixels[..., 1], pixels[..., 0], inside


def _lower_median(fine: np.ndarray) -> np.ndarray:
    """(2, h, 2, w) readings to (h, w): the lower median of those of each four that are not 0.

    The readings are overwritten.
    """
    # Floats from 0 up are in the order of their bits, in which 0 can become the largest. All in
    # place: memory that is fetched anew for every frame costs more than the arithmetic.
    bits = fine.view(np.uint32)
    bits &= np.uint32(0x7FFFFFFF)
    bits -= np.uint32(1)
    low = np.minimum(bits[0], bits[1])
    high = np.maximum(bits[0], bits[1], out=bits[1])
    lowest = np.minimum(low[:, 0], low[:, 1])
    # The two in the middle, in no order; with three or four readings both are one.
    inner = np.maximum(low[:, 0], low[:, 1], out=low[:, 0]), np.minimum(high[:, 0], high[:, 1])
    second, third = np.minimum(*inner), np.maximum(*inner, out=inner[1])
    median = np.where(third != np.uint32(0xFFFFFFFF), second, lowest)
    median += np.uint32(1)
    return median.view(np.float32)


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
