"""Depth image -> a picture in which people read as shapes: near is light, slopes are shaded."""

from __future__ import annotations

import numpy as np
from PIL import Image

HOLE_RGB = (24, 32, 72)
"""Colour of pixels without a reading: dark blue, which no depth gets."""
NEAR_RGB, FAR_RGB = (246, 243, 236), (82, 90, 104)
MIN_LONG_SIDE_PX, MAX_LONG_SIDE_PX = 480, 1280
# Nominal focal length over image width (a 60 degree lens): slopes only have to look right.
FOCAL_PER_WIDTH = 0.87


def shade_depth(depth_m: np.ndarray) -> np.ndarray:
    """Depth (H, W) in metres (0 or NaN = no reading) to an (H, W, 3) uint8 picture."""
    depth_m, valid = _readings(depth_m)
    near = _nearness(depth_m, valid)[..., None]
    light = surface_light(depth_m)[..., None]
    tint = np.asarray(FAR_RGB) + near * (np.asarray(NEAR_RGB) - np.asarray(FAR_RGB))
    picture = shaded(tint, light)
    picture[~valid] = HOLE_RGB
    return np.clip(picture + 0.5, 0, 255).astype(np.uint8)


def shaded(tint_rgb: np.ndarray, light: np.ndarray | float) -> np.ndarray:
    """A surface's colour (..., 3) under light in 0..1."""
    return tint_rgb * (0.42 + 0.58 * light)


def surface_light(depth_m: np.ndarray) -> np.ndarray:
    """(H, W) float32 in 0..1: how much a lamp at the upper left lights each surface; 0 in holes."""
    depth_m, valid = _readings(depth_m)
    height, width = depth_m.shape
    # Sensors step by centimetres; smoothing over about 1/300 of the picture keeps limbs, not steps.
    sigma = max(0.8, width / 280)
    weight = _blurred(valid.astype(np.float32), sigma)
    smooth = _blurred(depth_m, sigma) / np.maximum(weight, 1e-3)
    slope_y, slope_x = np.gradient(smooth) if min(height, width) > 1 else (smooth * 0, smooth * 0)
    gain = FOCAL_PER_WIDTH * width / np.maximum(smooth, 0.1)
    # The square root keeps gentle slopes visible without edges and noise turning black.
    nx, ny = (np.sign(s) * np.sqrt(np.abs(s * gain)) * 0.55 for s in (slope_x, slope_y))
    lamp = np.array([0.42, 0.50, 0.757])
    light = (nx * lamp[0] + ny * lamp[1] + lamp[2]) / np.sqrt(nx**2 + ny**2 + 1)
    return np.where(valid, np.clip(light, 0, 1), 0).astype(np.float32)


def _blurred(image: np.ndarray, sigma_px: float) -> np.ndarray:
    """(H, W) float32 under a Gaussian window cut at four sigma; mirrored at the border."""
    radius = int(4 * sigma_px + 0.5)
    weight = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma_px) ** 2)
    weight = (weight / weight.sum()).astype(np.float32)
    for _ in range(2):  # columns; then, turned over, rows
        rows, padded = len(image), np.pad(image, [(radius, radius), (0, 0)], mode="symmetric")
        total = np.zeros_like(image)
        for first, w in enumerate(weight):
            total += w * padded[first : first + rows]
        image = total.T
    return image


def display_scale(height: int, width: int) -> float:
    """Factor to a readable size: an integer up to 480 px on the long side, or down to 1280."""
    long_side = max(height, width)
    if long_side < MIN_LONG_SIDE_PX:
        return float(-(-MIN_LONG_SIDE_PX // long_side))
    return min(1.0, MAX_LONG_SIDE_PX / long_side)


def resize_picture(picture: np.ndarray, scale: float) -> np.ndarray:
    """(H, W, 3) uint8 to (round(H scale), round(W scale), 3)."""
    if scale == 1:
        return picture
    height, width = (max(1, round(side * scale)) for side in picture.shape[:2])
    method = Image.Resampling.BICUBIC if scale > 1 else Image.Resampling.BOX
    return np.asarray(Image.fromarray(picture).resize((width, height), method))


def _readings(depth_m: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    depth_m = np.asarray(depth_m, dtype=np.float32)
    valid = np.isfinite(depth_m) & (depth_m > 0)
    return np.where(valid, depth_m, np.float32(0)), valid


def _nearness(depth_m: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """1 at the near end of the picture's range, 0 at the far end, even in log depth."""
    if not valid.any():
        return np.zeros_like(depth_m)
    near, far = np.percentile(depth_m[valid], [1, 98])
    far = max(far, near * 1.15, near + 0.3)
    depth = np.clip(depth_m, near, far)
    return 1 - np.log(depth / near) / np.log(far / near)
