"""What happens to frames of every sensor between the chip and the file."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from residualpose.synthetic import noise_fields as fields
from residualpose.synthetic.materials import Material
from residualpose.synthetic.sensors.strengths import Strengths

LUMP_INVERSE_DEPTH = 0.025
"""1/m; the largest typical sd of the lumps that smoothing leaves: 0.1 m at 2 m, 0.4 m at 4 m."""
CALM_ON_PEOPLE = 0.75
"""Share of the lumps that clothes, which have more texture than walls, do not have: the person of
the recorded walk is smooth where the walls of the same frames rise and fall by decimetres."""
COARSEST_STEP = 0.004
"""1/m; the smoothed RealSense frames have steps of 0.003."""


def fill_holes(depth_m: Tensor, reach_px: Tensor) -> Tensor:
    """Give pixels without reading the last reading to their left, at most reach_px (B,) away."""
    x = torch.arange(depth_m.shape[2], device=depth_m.device).expand(depth_m.shape)
    source = torch.where(depth_m > 0, x, torch.zeros_like(x)).cummax(2).values
    filled = depth_m.gather(2, source)
    return filled * ((x - source) <= reach_px[:, None, None])


def filtered(
    depth_m: Tensor,
    person: Tensor,
    focal_px: Tensor,
    strengths: Strengths,
    generator: torch.Generator,
) -> Tensor:
    """Hole filling and heavy smoothing, as drivers' post-processing does."""
    frame = fields.uniform((7, len(depth_m)), generator, depth_m.device)
    filled = fill_holes(depth_m, focal_px * (0.01 + 0.25 * frame[0]))
    # Some fill the whole image, what has nothing to its left from the right.
    mostly_seen = (depth_m > 0).float().mean((1, 2)) > 0.6
    all_px = torch.where((frame[4] < 0.5) & mostly_seen, 1e4, 0.0)
    filled = fill_holes(fill_holes(filled, all_px).flip(2), all_px).flip(2)
    inverse = torch.where(filled > 0, 1 / filled.clamp(min=0.1), torch.zeros_like(filled))
    known = (filled > 0).float()
    sd_px = focal_px * (0.003 + 0.015 * frame[1])
    # Wrong matches survive the smoothing as lumps a hand or a head wide.
    length_px = focal_px * (0.06 + 0.14 * frame[2])
    lumps = _lumps(depth_m.shape, length_px, 1 + 2 * frame[5], generator)
    lumps *= (LUMP_INVERSE_DEPTH * frame[3] ** 1.5 * strengths.noise)[:, None, None]
    # Normalised smoothing: pixels without reading neither pull nor are invented.
    three = fields.blur(torch.cat([inverse, known, person.float()]), sd_px.repeat(3))
    smooth, weight, clothed = three.chunk(3)
    inverse = smooth / weight.clamp(min=1e-6) + lumps * (1 - CALM_ON_PEOPLE * clothed)
    step = COARSEST_STEP * (frame[6] * (frame[6] > 0.2))[:, None, None]
    inverse = torch.where(step > 0, (inverse / step).round() * step, inverse)
    return (filled > 0) / inverse.clamp(min=0.06)


def _lumps(
    shape: Sequence[int], length_px: Tensor, flatness: Tensor, generator: torch.Generator
) -> Tensor:
    """Smooth noise (B, H, W) whose blobs are flatness (B,), at most 3, times as wide as high."""
    batch, height, width = shape
    tall = fields.smooth_noise((batch, 3 * height, width), length_px, generator, length_px.device)
    rows = (torch.arange(height, device=tall.device) * flatness[:, None]).long()
    return tall.gather(1, rows[:, :, None].expand(batch, height, width))


def cut_out(
    depth_m: Tensor,
    person: Tensor,
    focal_px: Tensor,
    strengths: Strengths,
    generator: torch.Generator,
) -> Tensor:
    """Only the people, along a ragged outline."""
    batch = len(depth_m)
    length = (focal_px * 0.012).repeat(2)
    shift = fields.smooth_noise((2 * batch, *depth_m.shape[1:]), length, generator, depth_m.device)
    sd_px = (focal_px * 0.0025 * strengths.edges)[:, None, None]
    dx, dy = shift.chunk(2)
    kept = fields.take(person, fields.displaced_index(dx * sd_px, dy * sd_px))
    return depth_m * kept


def is_person(material: Tensor) -> Tensor:
    """Pixels of people and of what they wear and hold, where no mask says better."""
    return (material >= Material.SKIN) & (material <= Material.HELD)


def common_faults(
    depth_m: Tensor, person: Tensor, generator: torch.Generator, rare: float = 0.05
) -> Tensor:
    """Scale error, range limit, empty borders, rare missing blocks and lines, whole millimetres."""
    batch, height, width = depth_m.shape
    u = fields.uniform((14, batch, 1, 1), generator, depth_m.device)
    scale = 1 + 0.02 * (u[0] + u[1] - 1)
    # The limit never takes people away: their labels would point at nothing.
    person_m = (depth_m * person).amax((1, 2), keepdim=True)
    limit_m = torch.where(u[2] < 2.5 * rare, torch.maximum(3 + 3 * u[3], person_m + 0.3), 12.0)
    y = torch.arange(height, device=depth_m.device)[:, None]
    x = torch.arange(width, device=depth_m.device)
    block = _within(y, u[4] * height, (0.05 + 0.2 * u[5]) * height)
    block = block & _within(x, u[6] * width, (0.05 + 0.2 * u[7]) * width) & (u[8] < rare)
    line = _within(y, u[9] * height, torch.ones_like(u[9])) & (u[10] < rare)
    left, right = 0.02 * width * u[11], width * (1 - 0.02 * u[12])
    border = ((x < left) | (x >= right)) & (u[13] < 0.3)
    gone = block | line | border | (depth_m > limit_m)
    return (depth_m * scale * ~gone * 1000).round() / 1000


def coarser(depth_m: Tensor, generator: torch.Generator, share: float = 0.15) -> Tensor:
    """A share of the frames as if a coarser sensor's had been enlarged by repeating readings.

    That is what the network sees of frames with a focal length below its own.
    """
    batch, height, width = depth_m.shape
    u = fields.uniform((4, batch, 1), generator, depth_m.device)
    scale = torch.where(u[0] < share, 0.7 + 0.3 * u[1], 1.0)
    x = _repeated(torch.arange(width, device=depth_m.device), scale, u[2])
    y = _repeated(torch.arange(height, device=depth_m.device), scale, u[3])
    return fields.take(depth_m, (y[:, :, None] * width + x[:, None]).flatten(1))


def _repeated(position: Tensor, scale: Tensor, phase: Tensor) -> Tensor:
    """Nearest pixel (B, N) to the middle of the coarse cell that each position lies in."""
    phase = phase * (scale < 1)
    cell = ((position + 0.5) * scale + phase).floor()
    middle = (cell + 0.5 - phase) / scale
    return middle.floor().clamp(0, len(position) - 1).long()


def _within(position: Tensor, start: Tensor, length: Tensor) -> Tensor:
    return (position >= start) & (position < start + length)
