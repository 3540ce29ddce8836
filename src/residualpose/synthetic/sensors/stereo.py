"""Active stereo (RealSense D435): blobs, fat and rounded edges, thin things lost, blind left band.

Noise after Intel's note on depth quality: sd = z^2 * subpixel error / (focal * baseline).
"""

from __future__ import annotations

import torch
from torch import Tensor

from residualpose.synthetic import noise_fields as fields
from residualpose.synthetic.materials import Material
from residualpose.synthetic.sensors.strengths import Strengths, loss_threshold
from residualpose.synthetic.sensors.structured_light import shadow

NATIVE_FOCAL_PX = 425.0
BASELINE_M = 0.05
INVERSE_DEPTH_SD = 0.08 / (NATIVE_FOCAL_PX * BASELINE_M)
"""1/m; the disparity is found to 0.08 px."""
COARSEST_STEP = 0.004
"""1/m; recordings keep the disparity to a sixteenth of a pixel (0.003) or finer."""


def axial_sd_m(depth_m: Tensor) -> Tensor:
    """Standard deviation of depth on a textured surface, metres."""
    return depth_m**2 * INVERSE_DEPTH_SD


def stereo(
    depth_m: Tensor,
    material: Tensor,
    focal_px: Tensor,
    strengths: Strengths,
    generator: torch.Generator,
) -> Tensor:
    """Noisy depth (B, H, W) of clean depth (B, H, W), 0 where there is no reading."""
    scale = focal_px / NATIVE_FOCAL_PX
    shape, device = depth_m.shape, depth_m.device
    frame = fields.uniform((5, len(depth_m)), generator, device)
    inverse = torch.where(depth_m > 0, 1 / depth_m.clamp(min=0.1), torch.zeros_like(depth_m))
    coarse = fields.smooth_noise(shape, (12 + 60 * frame[0]) * scale, generator, device)
    fine = fields.smooth_noise(shape, (3 + 6 * frame[1]) * scale, generator, device)
    inverse = _fattened(inverse, fine, scale, strengths)
    plain = 1 + (4 * frame[2] ** 2)[:, None, None] * (material == Material.BACKGROUND)
    noise = 0.71 * (fine + coarse) * plain * strengths.noise[:, None, None]
    noisy = fields.blur(inverse, 3.0 * scale * (0.3 + strengths.smoothing))
    noisy = noisy + INVERSE_DEPTH_SD * noise
    step = COARSEST_STEP * (frame[3] * (frame[3] > 0.2))[:, None, None]
    noisy = torch.where(step > 0, (noisy / step).round() * step, noisy)
    lost = coarse < _loss_limit(depth_m, material, focal_px, strengths)
    blind = _blind(depth_m, focal_px, strengths, frame[4] < 0.6)
    noisy_m = 1 / noisy.clamp(min=0.05)
    keep = ~(lost | blind) & (inverse > 0) & (noisy_m > 0.2) & (noisy_m < 18)
    return noisy_m * keep


def _fattened(inverse: Tensor, fine: Tensor, scale: Tensor, strengths: Strengths) -> Tensor:
    """Matching by windows: near things grow by half a window, thin ones vanish."""
    reach_px = (5.0 * scale * strengths.edges)[:, None, None]
    near1 = fields.window_max(inverse)
    near2 = fields.window_max(near1)
    thick = -fields.window_max(-near1, 1)
    opened = fields.window_max(-fields.window_max(-inverse))
    thin = (strengths.edges > 1.2)[:, None, None] & (inverse > opened * 1.08)
    grown = torch.where(reach_px + fine > 1.0, near1, torch.maximum(inverse, thick))
    grown = torch.where(reach_px + fine > 2.5, near2, grown)
    return torch.where(thin & (fine > -0.3), opened, grown)


def _loss_limit(
    depth_m: Tensor, material: Tensor, focal_px: Tensor, strengths: Strengths
) -> Tensor:
    holes = strengths.holes[:, None, None]
    grazing = (fields.slope(depth_m, focal_px) - 6 / holes).clamp(0, 8)
    far = (depth_m - 6 / holes.clamp(max=1)).clamp(0, 4)
    # Stereo sees dark things by their texture: half of what other sensors lose.
    limit = loss_threshold(material, strengths) - 0.7
    bare = (material == Material.BACKGROUND) * (holes - 1.0).clamp(0, 1)
    return limit.clamp(min=-3.3) + 0.3 * grazing + 0.4 * far + 1.2 * bare


def _blind(depth_m: Tensor, focal_px: Tensor, strengths: Strengths, whole: Tensor) -> Tensor:
    """What only the left camera sees: the left band of whole images, shadows left of near things.

    Images laid over a colour camera's, or cropped, have lost the band (whole (B,) is False).
    """
    side = 1 - 2 * strengths.mirror
    hidden = shadow(depth_m, focal_px, BASELINE_M * side, 6 * focal_px / NATIVE_FOCAL_PX)
    hidden &= (strengths.smoothing < 0.5)[:, None, None]
    width = depth_m.shape[2]
    x = torch.arange(width, device=depth_m.device)
    mirrored = (strengths.mirror > 0)[:, None, None]
    from_side = torch.where(mirrored, width - 1 - x, x)
    band_px = (focal_px * BASELINE_M * whole)[:, None, None]
    return hidden | (from_side * depth_m < band_px)
