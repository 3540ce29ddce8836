"""The two 2D networks that can be trained, and what each learns from a batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional

from residualpose.learning.batches import Batch
from residualpose.learning.map_losses import Mean, chunks, frame_targets, map_losses
from residualpose.learning.network import NetworkConfig, PoseNetwork
from residualpose.learning.released_network import ReleasedConfig, ReleasedHourglass
from residualpose.learning.targets import Targets
from residualpose.released import FAR_M, INPUT_SIZE_PX, STRIDE

Forward = Callable[[Tensor], tuple]
"""A network's forward pass."""
LossesOf = Callable[[Forward, Batch, Mean], tuple[Tensor, dict[str, Tensor]]]
"""What a network loses on a batch: the sum to minimise, and its terms by name."""


def build_network(
    architecture: str, compact: NetworkConfig, released: ReleasedConfig
) -> PoseNetwork | ReleasedHourglass:
    """A network with random weights."""
    return PoseNetwork(compact) if architecture == "compact" else ReleasedHourglass(released)


def compact_losses(forward: Forward, batch: Batch, mean: Mean) -> tuple[Tensor, dict[str, Tensor]]:
    """Losses of `PoseNetwork`: both stages against targets of their stride."""
    image = batch.depth_m[:, None].contiguous(memory_format=torch.channels_last)
    early, final = forward(image)
    losses: dict[str, Tensor] = {}
    total = early.new_zeros((), dtype=torch.float32)
    for name, maps, stride, share in (("early", early, 4, 0.4), ("final", final, 2, 1.0)):
        terms = map_losses(maps, batch, stride, mean)
        total = total + share * torch.stack(list(terms.values())).sum()
        losses |= {f"{name}_{k}": v for k, v in terms.items()}
    return total, losses


def targets_of(batch: Batch, stride: int) -> Targets:
    """Targets of a batch."""
    parts = [frame_targets(batch, rows, stride) for rows in chunks(batch)]
    return Targets(*(torch.cat([getattr(p, f) for p in parts]) for f in Targets.__slots__))


def _fine(maps: Tensor) -> Tensor:
    return maps.to(torch.promote_types(maps.dtype, torch.float32))


def _part_loss(parts: Tensor, wanted: Tensor, weight: Tensor) -> Tensor:
    return (weight * (parts - wanted) ** 2).mean()


def _limb_loss(fields: Tensor, targets: Targets) -> Tensor:
    error = (fields - targets.fields) ** 2
    return (targets.fields_weight * error.unflatten(1, (-1, 2)).sum(2)).mean()


def released_losses(forward: Forward, batch: Batch, mean: Mean) -> tuple[Tensor, dict[str, Tensor]]:
    """Losses of the released 2D network: squared errors of both stages, the background's too."""
    seen = _resized(batch)
    part_maps, limb_fields = forward(released_image(batch.depth_m[:, None]))
    targets = targets_of(seen, STRIDE)
    background = 1 - targets.parts.amax(1, keepdim=True)
    sure = (targets.parts_weight >= 1).all(1, keepdim=True).to(background.dtype)
    wanted = torch.cat([targets.parts, background], dim=1)
    weight = torch.cat([targets.parts_weight, sure], dim=1)
    losses: dict[str, Tensor] = {}
    for name, parts, fields in zip(("early", "final"), part_maps, limb_fields, strict=True):
        losses[f"{name}_part"] = 20 * _part_loss(_fine(parts), wanted, weight)
        losses[f"{name}_limb"] = 3 * _limb_loss(_fine(fields), targets)
    return torch.stack(list(losses.values())).sum(), losses


def released_image(depth_m: Tensor) -> Tensor:
    """Depth (B, 1, H, W) metres to the released network's input (B, 1, 256, 320)."""
    image = depth_m.clamp(0, FAR_M) / FAR_M - 0.5
    return functional.interpolate(image, INPUT_SIZE_PX, mode="bilinear")


def _resized(batch: Batch) -> Batch:
    """A batch at the released network's size, whatever its aspect."""
    height, width = batch.depth_m.shape[1:]
    scale = batch.intrinsics.new_tensor([INPUT_SIZE_PX[1] / width, INPUT_SIZE_PX[0] / height])
    focal, centre = batch.intrinsics[:, :2] * scale, (batch.intrinsics[:, 2:] + 0.5) * scale - 0.5
    depth = functional.interpolate(batch.depth_m[:, None], INPUT_SIZE_PX)[:, 0]
    return replace(batch, depth_m=depth, intrinsics=torch.cat([focal, centre], dim=1))


ARCHITECTURES: Mapping[str, LossesOf] = {"compact": compact_losses, "released": released_losses}
