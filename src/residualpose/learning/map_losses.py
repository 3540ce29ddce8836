"""What the compact network loses on its maps: targets, errors and gradients a few frames at a time.

The targets of a batch fill 70 MB and autograd would pass over them a dozen times. Made frame by
frame, targets and errors never leave the processor's cache, and the gradient is written at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor

from residualpose.learning.batches import Batch
from residualpose.learning.network import N_FIELDS, N_JOINTS, OFFSET_SCALE_M
from residualpose.learning.targets import Targets, make_targets

TERMS = ("part", "limb", "depth")
WEIGHTS = (20.0, 3.0, 0.3)
OFFSET_BETA = 0.3
"""Error of an offset, in `OFFSET_SCALE_M`, from which it counts linearly."""
Mean = Callable[[Tensor], Tensor]
"""Mean of a number over the processes of a run."""


def map_losses(
    maps: Tensor, batch: Batch, stride: int, mean: Mean = lambda value: value
) -> dict[str, Tensor]:
    """Weighted squared errors of parts and fields, robust error of offsets; batch means.

    Args:
        maps: (B, 58, H/stride, W/stride) as the network writes them, of any float type.
        batch: the frames and their truth.
        stride: pixels of a cell.
        mean: over all processes of a run.
    """
    sums, asked = cast(tuple[Tensor, Tensor], _Errors.apply(maps, batch, stride))
    cells = maps.shape[0] * maps.shape[2] * maps.shape[3]
    # Offsets are divided by what all processes ask for: the mean over them is the batch's.
    shares = (sums / sums.new_tensor([cells * N_JOINTS, cells * N_FIELDS // 2, 1])).unbind()
    offset = shares[2] / mean(asked).clamp_min(1)
    return {
        name: weight * value
        for name, weight, value in zip(TERMS, WEIGHTS, (*shares[:2], offset), strict=True)
    }


def frame_targets(batch: Batch, rows: slice, stride: int) -> Targets:
    """Targets of some frames of a batch, made for as many people as these show."""
    joints_m = batch.joints_m[rows]
    there = torch.isfinite(joints_m[..., 0]).any(-1).any(0)
    people = int(there.nonzero().max()) + 1 if there.any() else 1
    visible, intrinsics = batch.visible[rows, :people], batch.intrinsics[rows]
    return make_targets(joints_m[:, :people], visible, intrinsics, batch.depth_m[rows], stride)


def chunks(batch: Batch) -> list[slice]:
    """The frames to work on at a time: one on the CPU, all of them on a device."""
    frames = len(batch.depth_m)
    size = frames if batch.depth_m.is_cuda else 1
    return [slice(i, i + size) for i in range(0, frames, size)]


class _Errors(torch.autograd.Function):
    """Sums of the errors of parts, fields and offsets (3,), and of the offsets' weights."""

    @staticmethod
    def forward(
        ctx: torch.autograd.function.FunctionCtx, maps: Tensor, batch: Batch, stride: int
    ) -> tuple[Tensor, Tensor]:
        kind = torch.promote_types(maps.dtype, torch.float32)
        slopes, parts = torch.empty_like(maps), []
        for rows in chunks(batch):
            targets = frame_targets(batch, rows, stride)
            errors, slope = _errors(
                maps[rows].to(kind, memory_format=torch.contiguous_format), targets
            )
            slopes[rows] = slope.to(maps.dtype)
            parts.append(torch.stack([*errors, targets.offsets_weight.sum()]))
        ctx.save_for_backward(slopes)
        total = torch.stack(parts).sum(0)
        asked = total[3].clone()
        ctx.mark_non_differentiable(asked)
        return total[:3], asked

    @staticmethod
    def backward(
        ctx: torch.autograd.function.FunctionCtx, *gradients: Tensor
    ) -> tuple[Tensor, None, None]:
        (slopes,) = ctx.saved_tensors  # pyright: ignore[reportAttributeAccessIssue]
        part, limb, depth = gradients[0].to(slopes.dtype).unbind()
        of = torch.cat([part.expand(N_JOINTS), limb.expand(N_FIELDS), depth.expand(N_JOINTS)])
        return slopes * of[:, None, None], None, None


def _errors(maps: Tensor, targets: Targets) -> tuple[list[Tensor], Tensor]:
    """Weighted sums over some frames, and their slopes (B, 58, h, w)."""
    slopes = torch.empty_like(maps)
    parts, fields, offsets = maps.split([N_JOINTS, N_FIELDS, N_JOINTS], dim=1)
    to_parts, to_fields, to_offsets = slopes.split([N_JOINTS, N_FIELDS, N_JOINTS], dim=1)
    errors = [
        _squared(parts, targets.parts, targets.parts_weight, to_parts),
        _squared(
            fields.unflatten(1, (-1, 2)), targets.fields.unflatten(1, (-1, 2)),
            targets.fields_weight[:, :, None], to_fields.unflatten(1, (-1, 2)),
        ),
    ]  # fmt: skip
    apart = offsets - targets.offsets_m / OFFSET_SCALE_M
    size = apart.abs()
    near = size.clamp(max=OFFSET_BETA)
    robust = near * (size - near / 2) / OFFSET_BETA  # the smooth L1 loss
    errors.append((targets.offsets_weight * robust).sum())
    limited = apart.clamp_(-OFFSET_BETA, OFFSET_BETA) / OFFSET_BETA
    torch.mul(limited, targets.offsets_weight, out=to_offsets)
    return errors, slopes


def _squared(values: Tensor, wanted: Tensor, weight: Tensor, slope: Tensor) -> Tensor:
    """Sum of weighted squared differences; their slope is written to `slope`."""
    apart = values - wanted
    torch.mul(apart, weight, out=slope)
    total = (slope * apart).sum()
    slope *= 2
    return total
