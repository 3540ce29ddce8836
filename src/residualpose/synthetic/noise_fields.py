"""Random fields and small window operations over image batches, on any torch device.

Random numbers are drawn where the generator lives and moved to the images, so that a CPU generator
gives the same fields on every device.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

MAX_LEVEL = 6
"""Blobs are at most 2**MAX_LEVEL pixels wide."""


def uniform(shape: Sequence[int], generator: torch.Generator, device: torch.device) -> Tensor:
    """Uniform numbers in [0, 1) of the given shape."""
    return torch.rand(tuple(shape), generator=generator, device=generator.device).to(device)


def normal(shape: Sequence[int], generator: torch.Generator, device: torch.device) -> Tensor:
    """Standard normal numbers of the given shape."""
    return torch.randn(tuple(shape), generator=generator, device=generator.device).to(device)


def smooth_noise(
    shape: Sequence[int], length_px: Tensor, generator: torch.Generator, device: torch.device
) -> Tensor:
    """Normal noise (B, H, W), sd 1, whose blobs are length_px (B,) pixels wide; 1 is white."""
    level = length_px.to(device).clamp(1.0, 2.0**MAX_LEVEL).log2()
    first, last = int(level.min().floor()), int(level.max().ceil())
    total = torch.zeros(tuple(shape), device=device)
    for octave in range(first, last + 1):
        weight = (1 - (level - octave).abs()).clamp(min=0)
        total += weight[:, None, None] * _octave(shape, octave, generator, device)
    spread = sum((1 - (level - k).abs()).clamp(min=0) ** 2 for k in range(first, last + 1))
    return total / torch.as_tensor(spread).sqrt()[:, None, None]


def _octave(
    shape: Sequence[int], octave: int, generator: torch.Generator, device: torch.device
) -> Tensor:
    batch, height, width = shape
    if octave == 0:
        return normal(shape, generator, device)
    cell = 2 ** (octave - 1)
    rows, columns = -(-height // cell) + 3, -(-width // cell) + 3
    lattice = normal((batch, rows + 1, columns + 1), generator, device)
    # A 2x2 and a 3x3 mean take away the dots that bilinear enlarging alone leaves on the lattice.
    lattice = blur_binomial(lattice)
    if cell > 1:
        size = [cell * (rows + 1), cell * (columns + 1)]
        lattice = functional.interpolate(lattice[:, None], size=size, mode="bilinear")[:, 0]
    start = cell  # the outermost cell has replicated borders
    field = lattice[:, start : start + height, start : start + width]
    return field / _enlarged_variance(cell)


def _enlarged_variance(cell: int) -> float:
    """Mean variance along one axis (= sd over both axes) of an enlarged, blurred white lattice."""
    total = 0.0
    for i in range(cell):
        t = abs((i + 0.5) / cell - 0.5)
        taps = (0.25 * (1 - t), 0.5 * (1 - t) + 0.25 * t, 0.25 * (1 - t) + 0.5 * t, 0.25 * t)
        total += sum(w * w for w in taps)
    return total / cell


def blur_binomial(image: Tensor, spacing: int = 1) -> Tensor:
    """(B, H, W) blurred by [1 2 1]/4 along both axes, taps so many pixels apart (sd 0.71 x)."""
    for axis in (1, 2):
        length = image.shape[axis]
        first, last = image.narrow(axis, 0, 1), image.narrow(axis, length - 1, 1)
        padded = torch.cat([first] * spacing + [image] + [last] * spacing, axis)
        sides = padded.narrow(axis, 0, length) + padded.narrow(axis, 2 * spacing, length)
        image = sides.mul_(0.25).add_(image, alpha=0.5)
    return image


def blur(image: Tensor, sd_px: Tensor) -> Tensor:
    """(B, H, W) blurred with the sd (B,) pixels, up to 11."""
    # Each pass adds variance; a frame takes the share of a pass that still lacks for its own sd.
    lacking = sd_px**2
    most = float(lacking.max())
    for spacing in (1, 1, 1, 2, 2, 2, 4, 4, 4, 8, 8):
        if most <= 0:
            break
        added = 0.5 * spacing**2
        share = (lacking / added).clamp(0, 1)[:, None, None]
        image = torch.lerp(image, blur_binomial(image, spacing), share)
        lacking, most = lacking - added, most - added
    return image


def window_max(image: Tensor, radius: int = 1) -> Tensor:
    """Largest value of (B, H, W) within a square window of the given radius."""
    for _ in range(radius):
        image = torch.cat([image[:, :1], image, image[:, -1:]], 1)
        image = torch.maximum(torch.maximum(image[:, :-2], image[:, 2:]), image[:, 1:-1])
        image = torch.cat([image[:, :, :1], image, image[:, :, -1:]], 2)
        image = torch.maximum(torch.maximum(image[..., :-2], image[..., 2:]), image[..., 1:-1])
    return image


def displaced_index(dx_px: Tensor, dy_px: Tensor) -> Tensor:
    """(B, H*W) flat index of the pixel that lies (dx, dy) away, nearest, inside the image."""
    _, height, width = dx_px.shape
    x = torch.arange(width, device=dx_px.device) + dx_px.round()
    y = torch.arange(height, device=dx_px.device)[:, None] + dy_px.round()
    return (y.clamp(0, height - 1) * width + x.clamp(0, width - 1)).long().flatten(1)


def take(image: Tensor, index: Tensor) -> Tensor:
    """Image (B, H, W) read at a flat index (B, H*W)."""
    return image.flatten(1).gather(1, index).view(image.shape)


def slope(depth_m: Tensor, focal_px: Tensor) -> Tensor:
    """Tangent of the angle between surface normal and viewing axis (B, H, W).

    The smaller of both one-sided differences, so that a depth edge is not a slope.
    """
    across = depth_m.diff(dim=2).abs()
    along = depth_m.diff(dim=1).abs()
    gx = torch.minimum(functional.pad(across, (1, 0)), functional.pad(across, (0, 1)))
    gy = torch.minimum(functional.pad(along, (0, 0, 1, 0)), functional.pad(along, (0, 0, 0, 1)))
    steepest = torch.hypot(gx, gy) * focal_px[:, None, None]
    return steepest / depth_m.clamp(min=0.1)


def probit(probability: Tensor) -> Tensor:
    """Value that a standard normal number stays below with the given probability."""
    return math.sqrt(2.0) * torch.erfinv((2 * probability - 1).clamp(-0.99999, 0.99999))
