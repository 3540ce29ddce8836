"""Time of flight (Kinect v2, Azure Kinect): flying pixels, weak returns, offsets, vignette."""

from __future__ import annotations

import torch
from torch import Tensor

from residualpose.synthetic import noise_fields as fields
from residualpose.synthetic.materials import Material
from residualpose.synthetic.sensors.strengths import Strengths, loss_threshold

NATIVE_FOCAL_PX = 365.0
EDGE_RATIO = 0.03
"""Relative depth step between neighbours that counts as an edge."""
WINDOW_PX = 3.0
"""Native pixels that the driver's smoothing ties together."""


def axial_sd_m(depth_m: Tensor) -> Tensor:
    """Standard deviation of depth in the middle of the image, metres."""
    return (0.0065 + 0.0007 * depth_m).clamp(max=0.017)


def time_of_flight(
    depth_m: Tensor,
    material: Tensor,
    focal_px: Tensor,
    strengths: Strengths,
    generator: torch.Generator,
    lens: Tensor | None = None,
) -> Tensor:
    """Noisy depth (B, H, W) of clean depth (B, H, W), 0 where there is no reading.

    Frames of one camera share `lens`, (4, B) in 0..1: its field of view and how it treats edges.
    """
    scale = focal_px / NATIVE_FOCAL_PX
    device = depth_m.device
    grain = fields.smooth_noise(depth_m.shape, WINDOW_PX * scale, generator, device)
    spot = fields.normal(depth_m.shape, generator, device)
    patch = fields.smooth_noise(depth_m.shape, 2 + 20 * scale, generator, device)
    if lens is None:
        lens = fields.uniform((4, len(depth_m)), generator, device)
    weakness, outside = _field_of_view(depth_m, strengths, lens)
    tilt = fields.slope(depth_m, focal_px)
    lost = _lost(depth_m, material, tilt, strengths, spot, patch)
    lost |= spot < 3.0 * weakness - 3.5
    smooth_step_m = 2.5 * tilt * depth_m / focal_px[:, None, None]
    mixed_m, torn = _edges(depth_m, smooth_step_m, scale, strengths, grain, spot, patch, lens[3])
    spread = strengths.noise * scale.clamp(max=1) ** strengths.averaging
    sd_m = axial_sd_m(depth_m) * (1 + 0.7 * weakness.clamp(0, 1)) * spread[:, None, None]
    noisy_m = mixed_m + grain * sd_m + _offset_m(material, strengths, generator)
    keep = ~(lost | torn | outside) & (depth_m > 0.3) & (noisy_m > 0.05)
    return noisy_m * keep


def _field_of_view(depth_m: Tensor, strengths: Strengths, lens: Tensor) -> tuple[Tensor, Tensor]:
    """Weakness of light (0 in the middle, 1 where readings fail) and pixels outside the field."""
    _, height, width = depth_m.shape
    y = torch.linspace(-1, 1, height, device=depth_m.device)[:, None] * (height / width)
    x = torch.linspace(-1, 1, width, device=depth_m.device)[None]
    corner = (1 + (height / width) ** 2) ** 0.5
    reach = (corner * (0.75 + 0.7 * lens[0]) / strengths.holes**0.15)[:, None, None]
    radius = torch.hypot(x, y) / reach
    six_sided = torch.maximum(y.abs() * 1.1547, x.abs() + y.abs() * 0.57735)
    limit = torch.where(lens[1] < 0.15, 0.85 + 0.3 * lens[2], torch.full_like(lens[2], 9.0))
    return radius**4, six_sided > limit[:, None, None]


def _lost(
    depth_m: Tensor,
    material: Tensor,
    tilt: Tensor,
    strengths: Strengths,
    spot: Tensor,
    patch: Tensor,
) -> Tensor:
    holes = strengths.holes[:, None, None]
    grazing = (tilt - 3).clamp(0, 10) * depth_m / 4
    far = (depth_m - 5.0).clamp(0, 5)
    speckle = (0.3 + 0.7 * strengths.speckle)[:, None, None]
    field = (speckle * spot + patch) / (1 + speckle**2).sqrt()
    limit = loss_threshold(material, strengths).clamp(min=-4.0)
    return field < limit + holes * (0.35 * grazing + 0.6 * far)


def _edges(
    depth_m: Tensor,
    smooth_step_m: Tensor,
    scale: Tensor,
    strengths: Strengths,
    grain: Tensor,
    spot: Tensor,
    patch: Tensor,
    removal: Tensor,
) -> tuple[Tensor, Tensor]:
    """Depth with flying pixels and the edge pixels that the driver removed."""
    known = torch.where(depth_m > 0, depth_m, torch.full_like(depth_m, 1e3))
    near_m, far_m = -fields.window_max(-known), fields.window_max(depth_m)
    edge = (far_m - near_m > EDGE_RATIO * near_m + smooth_step_m) & (depth_m > 0)
    # An edge band is about one native pixel wide; the window marks two pixels of ours.
    band = (strengths.edges * 0.6 * scale).clamp(max=1.0)
    limit = fields.probit(torch.stack([band * (removal < 0.65), band * (removal >= 0.65)]))
    # Edges are torn over some length: one torn pixel among good ones is rare.
    torn = edge & (0.5 * spot + 0.87 * patch < limit[0][:, None, None])
    flying = edge & (spot < limit[1][:, None, None])
    share = (0.5 + 0.3 * grain).clamp(0, 1)
    return torch.where(flying, near_m + share * (far_m - near_m), depth_m), torn


def _offset_m(material: Tensor, strengths: Strengths, generator: torch.Generator) -> Tensor:
    """Multi-path and darkness shift whole regions by a centimetre or so."""
    batch = len(material)
    length = torch.full((batch,), 48.0, device=material.device)
    field = fields.smooth_noise(material.shape, length, generator, material.device)
    dark = (material == Material.HAIR) | (material == Material.DARK_CLOTH)
    return (0.006 * field + 0.012 * dark) * strengths.noise[:, None, None]
