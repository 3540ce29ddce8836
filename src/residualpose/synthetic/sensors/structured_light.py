"""Structured light (Kinect v1, Xtion): shadow, 1/z steps, ragged edges, patches without reading.

Noise after Nguyen, Izadi and Lovell, "Modeling Kinect sensor noise for improved 3D reconstruction
and tracking", 3DIMPVT 2012.
"""

from __future__ import annotations

import torch
from torch import Tensor

from residualpose.synthetic import noise_fields as fields
from residualpose.synthetic.sensors.strengths import Strengths, loss_threshold

NATIVE_FOCAL_PX = 575.0
BASELINE_M = 0.075
INVERSE_DEPTH_STEP = 1 / (8 * NATIVE_FOCAL_PX * BASELINE_M)
"""1/m; the disparity is found to an eighth of a pixel."""
WINDOW_PX = 7.0
"""Native pixels that share one match, so that their errors go together."""


def axial_sd_m(depth_m: Tensor) -> Tensor:
    """Standard deviation of depth, metres."""
    return 0.0012 + 0.0019 * (depth_m - 0.4) ** 2


def shadow(depth_m: Tensor, focal_px: Tensor, baseline_m: Tensor, slack_px: Tensor) -> Tensor:
    """Pixels (B, H, W) that the projector cannot reach behind something nearer.

    Baseline (B,) metres to the projector, positive to the right: its shadows fall to the left.
    Shadows that are no wider than slack_px (B,) are bridged by the sensor.
    """
    left = baseline_m[:, None, None] < 0
    width = depth_m.shape[2]
    disparity = (focal_px * baseline_m.abs())[:, None, None] / depth_m.clamp(min=0.1)
    disparity = torch.where(depth_m > 0, disparity, torch.zeros_like(disparity))
    disparity = torch.where(left, disparity.flip(2), disparity)
    # In the projector's row a surface appears at x + disparity; walking from the side of the
    # projector, whatever lies behind the farthest point reached so far is hidden.
    seen_at = disparity.flip(2) + torch.arange(width, device=depth_m.device)
    reached = seen_at.cummax(2).values
    behind = reached - seen_at
    # The step lies half a pixel before the middle of the first pixel behind it.
    hidden = ((behind > 0) & (behind + 0.5 > slack_px[:, None, None])).flip(2)
    return torch.where(left, hidden.flip(2), hidden)


def structured_light(
    depth_m: Tensor,
    material: Tensor,
    focal_px: Tensor,
    strengths: Strengths,
    generator: torch.Generator,
) -> Tensor:
    """Noisy depth (B, H, W) of clean depth (B, H, W), 0 where there is no reading."""
    scale = focal_px / NATIVE_FOCAL_PX
    index = _ragged_index(depth_m, scale, strengths, generator)
    depth_m, material = fields.take(depth_m, index), fields.take(material, index)
    baseline_m = BASELINE_M * (1 - 2 * strengths.mirror)
    hidden = shadow(depth_m, focal_px, baseline_m, 4.0 * scale / strengths.edges)
    patches = fields.smooth_noise(
        depth_m.shape, 2 + 22 * scale * (1 - strengths.speckle), generator, depth_m.device
    )
    lost = patches < _loss_limit(depth_m, material, focal_px, strengths)
    noisy_m = _quantised(depth_m + _axial_noise_m(depth_m, scale, strengths, generator))
    keep = ~(hidden | lost) & (noisy_m > 0.45)
    return noisy_m * keep


def _ragged_index(
    depth_m: Tensor, scale: Tensor, strengths: Strengths, generator: torch.Generator
) -> Tensor:
    shift = fields.smooth_noise(
        (2 * len(depth_m), *depth_m.shape[1:]),
        (5 * scale).repeat(2),
        generator,
        depth_m.device,
    )
    dx, dy = shift.chunk(2)
    sd_px = ((0.8 + 1.2 * strengths.smoothing) * scale * strengths.edges)[:, None, None]
    return fields.displaced_index(dx * sd_px, dy * (0.7 * sd_px))


def _loss_limit(
    depth_m: Tensor, material: Tensor, focal_px: Tensor, strengths: Strengths
) -> Tensor:
    holes = strengths.holes[:, None, None]
    grazing = (fields.slope(depth_m, focal_px) - 5 / holes).clamp(0, 8)
    far = (depth_m - 6 / holes.clamp(max=1)).clamp(0, 4)
    return loss_threshold(material, strengths).clamp(min=-3.5) + 0.25 * grazing + far


def _axial_noise_m(
    depth_m: Tensor, scale: Tensor, strengths: Strengths, generator: torch.Generator
) -> Tensor:
    noise = fields.smooth_noise(depth_m.shape, WINDOW_PX * scale, generator, depth_m.device)
    return noise * axial_sd_m(depth_m) * strengths.noise[:, None, None]


def _quantised(depth_m: Tensor) -> Tensor:
    steps = (1 / (depth_m.clamp(min=0.05) * INVERSE_DEPTH_STEP)).round().clamp(min=1)
    return torch.where(depth_m > 0, 1 / (steps * INVERSE_DEPTH_STEP), torch.zeros_like(depth_m))
