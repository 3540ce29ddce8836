"""What the network should write: Gaussian parts, unit limb vectors, surface-to-joint offsets.

Sizes are metric (a blob covers the same part of a body at any distance), with limits in pixels.
The counterpart that reads such maps is pipeline/peaks.py, group.py and lift.py.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from residualpose.skeleton import ITOP15

PART_SD_M, PART_SD_PX = 0.05, (0.9, 2.5)
LIMB_HALF_M, LIMB_HALF_PX = 0.045, (0.8, 3.0)
OFFSET_REACH_M = 0.6
HIDDEN_PEAK = 0.7
"""Peak of a joint that is in the image but behind something: a guess, and marked as one."""
MIN_VISIBLE = 3
"""People with fewer visible joints are neither asked for nor forbidden."""
REACH_M = 0.6
"""How far from the labelled joints of a person an unlabelled one may be."""
BLOB_EDGE = 0.05
"""A part map's height from which a place belongs to somebody's labelled joint."""


N_JOINTS, N_LIMBS = len(ITOP15.joints), len(ITOP15.limbs)


@dataclass(frozen=True, slots=True)
class Targets:
    """Targets at stride `stride` for a batch of images, with per-pixel weights."""

    parts: Tensor
    """(B, 15, h, w) in 0..1."""
    parts_weight: Tensor
    """(B, 15, h, w)."""
    fields: Tensor
    """(B, 28, h, w) unit vectors times the share of people who agree, 0 off the limbs."""
    fields_weight: Tensor
    """(B, 14, h, w)."""
    offsets_m: Tensor
    """(B, 15, h, w) joint depth minus surface depth."""
    offsets_weight: Tensor
    """(B, 15, h, w), 0 where no joint is near or no surface is seen."""


def surface_depth(depth_m: Tensor, stride: int) -> Tensor:
    """(B, h, w) nearest reading inside each cell of a (B, H, W) depth image; 0 where none."""
    far = torch.where(depth_m > 0, depth_m, torch.inf)
    nearest = -torch.nn.functional.max_pool2d(-far[:, None], stride)[:, 0]
    return torch.where(torch.isfinite(nearest), nearest, 0.0)


def make_targets(
    joints_m: Tensor, visible: Tensor, intrinsics: Tensor, depth_m: Tensor, stride: int
) -> Targets:
    """Targets from truth.

    Where a person's other joints are, a joint that nobody labelled is neither asked for nor
    forbidden, and so are its limbs.

    Args:
        joints_m: (B, P, 15, 3) camera frame, NaN for absent people and unlabelled joints.
        visible: (B, P, 15) bool.
        intrinsics: (B, 4) fx, fy, cx, cy.
        depth_m: (B, H, W) the depth the network sees.
        stride: image pixels a cell.
    """
    surface = surface_depth(depth_m, stride)
    b, h, w = surface.shape
    z = joints_m[..., 2]
    f, c = intrinsics[:, None, None, :2], intrinsics[:, None, None, 2:]
    cell = ((joints_m[..., :2] / z[..., None] * f + c) - (stride - 1) / 2) / stride
    known = torch.isfinite(z) & (z > 0.1)
    inside = known & ((cell > -0.5) & (cell < cell.new_tensor([w, h]) - 0.5)).all(-1)
    counted = (visible & inside).sum(-1) >= MIN_VISIBLE
    peak = torch.where(visible, 1.0, HIDDEN_PEAK) * inside
    cell = torch.where(known[..., None], cell, -1e4)
    z = torch.where(known, z, 1.0)
    per_m = f[..., 0] / z / stride

    parts, strongest, joint_z, ignored = (surface.new_zeros(b, N_JOINTS, h, w) for _ in range(4))
    fields = surface.new_zeros(b, N_LIMBS, 2, h, w)
    asked, limb_ignored = (surface.new_zeros(b, N_LIMBS, h, w) for _ in range(2))
    unsure = _unlabelled(cell, per_m, known, h, w)
    for p in range(joints_m.shape[1]):
        use = counted[:, p, None, None, None]
        gauss = _gaussians(cell[:, p], (PART_SD_M * per_m[:, p]).clamp(*PART_SD_PX), h, w)
        blob = gauss * peak[:, p, :, None, None]
        parts = torch.where(use, torch.maximum(parts, blob), parts)
        ignored = torch.where(use, ignored, torch.maximum(ignored, blob))
        nearest = (gauss > strongest) & use & inside[:, p, :, None, None]
        strongest = torch.where(nearest, gauss, strongest)
        joint_z = torch.where(nearest, z[:, p, :, None, None], joint_z)
        on, unit = _limbs(cell[:, p], per_m[:, p], known[:, p], inside[:, p], h, w)
        asked += on * use
        limb_ignored += on * ~use
        fields += (on * use)[:, :, None] * unit[..., None, None]
    offset = joint_z - surface[:, None]
    near = (surface[:, None] > 0) & (offset.abs() < OFFSET_REACH_M) & (strongest > 0.2)
    fields /= asked.clamp_min(1)[:, :, None]
    limb = asked > 0
    fields_weight = torch.where(limb, 4.0, 1.0) * (limb | (limb_ignored == 0))
    parts_weight = (1 - ignored) * (1 + 9 * parts)
    if unsure is not None:
        start, end = (list(ends) for ends in zip(*ITOP15.limbs, strict=True))
        parts_weight *= ~unsure | (parts > BLOB_EDGE)
        fields_weight *= ~(unsure[:, start] | unsure[:, end]) | limb
    return Targets(
        parts, parts_weight, fields.flatten(1, 2), fields_weight,
        torch.where(near, offset, 0.0), strongest * near,
    )  # fmt: skip


def _unlabelled(cell: Tensor, per_m: Tensor, known: Tensor, h: int, w: int) -> Tensor | None:
    """(B, 15, h, w) bool: near a person of whom that joint is not known; None where all are."""
    there = known.any(-1)
    missing = there[..., None] & ~known
    if not missing.any():
        return None
    far = torch.where(known[..., None], 0.0, torch.inf)
    reach = REACH_M * torch.where(known, per_m, 0).sum(-1) / known.sum(-1).clamp_min(1)
    low = (cell + far).amin(2) - reach[..., None]
    high = (cell - far).amax(2) + reach[..., None]
    x, y = torch.arange(w, device=cell.device), torch.arange(h, device=cell.device)
    across = (x >= low[..., :1]) & (x <= high[..., :1])
    along = (y >= low[..., 1:]) & (y <= high[..., 1:])
    near = along[..., :, None] & across[..., None, :]
    return (missing[..., None, None] & near[:, :, None]).any(1)


def _gaussians(cell: Tensor, sd: Tensor, h: int, w: int) -> Tensor:
    """(B, 15, h, w) from centres (B, 15, 2) and sds (B, 15); separable, so cheap."""
    x, y = torch.arange(w, device=cell.device), torch.arange(h, device=cell.device)
    gx = torch.exp(-0.5 * ((x - cell[..., :1]) / sd[..., None]) ** 2)
    gy = torch.exp(-0.5 * ((y - cell[..., 1:]) / sd[..., None]) ** 2)
    return gy[..., :, None] * gx[..., None, :]


def _limbs(
    cell: Tensor, per_m: Tensor, known: Tensor, inside: Tensor, h: int, w: int
) -> tuple[Tensor, Tensor]:
    """Where one person's limbs are drawn, (B, 14, h, w), and their directions (B, 14, 2).

    A limb is drawn where both ends are in front of the camera and at least one is in the image.
    """
    start, end = (list(ends) for ends in zip(*ITOP15.limbs, strict=True))
    a, along = cell[:, start], cell[:, end] - cell[:, start]
    length = along.norm(dim=-1).clamp_min(1e-3)
    unit = along / length[..., None]
    half = (LIMB_HALF_M * (per_m[:, start] + per_m[:, end]) / 2).clamp(*LIMB_HALF_PX)
    there = known[:, start] & known[:, end] & (inside[:, start] | inside[:, end])
    dx = torch.arange(w, device=cell.device) - a[..., :1]
    dy = torch.arange(h, device=cell.device) - a[..., 1:]
    ux, uy = unit[..., :1], unit[..., 1:]
    t = (ux * dx)[..., None, :] + (uy * dy)[..., :, None]
    side = ((ux * dy)[..., :, None] - (uy * dx)[..., None, :]).abs_()
    half = half[..., None, None]
    on = (side <= half) & (t >= -0.5 * half) & (t <= length[..., None, None] + 0.5 * half)
    return on & there[..., None, None], unit
