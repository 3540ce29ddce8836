"""One training run on several processes: `torchrun` starts them, gloo or NCCL joins them.

Everything here is the identity where the run has one process.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from residualpose.errors import UsageError


@dataclass(frozen=True, slots=True)
class Processes:
    """The processes of a run, seen from one of them."""

    device: torch.device
    rank: int = 0
    """Number of this process; 0 writes the files."""
    count: int = 1

    def mean(self, value: Tensor) -> Tensor:
        """Mean of a tensor over the processes; no gradient flows."""
        if self.count > 1:
            value = value.detach().clone()
            dist.all_reduce(value)
            value /= self.count
        return value

    def agree(self, number: int) -> bool:
        """Whether all processes hold the same number."""
        low = torch.tensor([number, -number], device=self.device)
        if self.count > 1:
            dist.all_reduce(low, dist.ReduceOp.MIN)
        return int(low[0]) == -int(low[1])

    def wrap(self, network: nn.Module, unused: bool = False) -> nn.Module:
        """The network whose gradients are means over the processes; `unused`: some have none."""
        if self.count == 1:
            return network
        return DistributedDataParallel(
            network, forward_sync_buffers=False, find_unused_parameters=unused
        )


def process_count() -> int:
    """Processes that this one was started among."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_first() -> bool:
    """Whether this process is the one that writes and reports."""
    return os.environ.get("RANK", "0") == "0"


@contextmanager
def joined_processes() -> Iterator[Processes]:
    """Meet the processes that torchrun started; each gets a CUDA device where there is one.

    Raises:
        UsageError: there are CUDA devices, but fewer than processes on this machine.
    """
    local, cuda = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.is_available()
    if cuda and local >= torch.cuda.device_count():
        raise UsageError(
            f"torchrun: expected at most {torch.cuda.device_count()} processes on a machine with "
            "as many GPUs"
        )
    device = torch.device("cuda", local) if cuda else torch.device("cpu")
    if process_count() == 1:
        yield Processes(device)
        return
    if cuda:
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if cuda else "gloo")
    try:
        yield Processes(device, dist.get_rank(), dist.get_world_size())
        # Whoever leaves first closes connections on which the others' threads may still listen.
        dist.barrier()
    finally:
        # A wrapped network waits in a cycle for the collector, and its gloo threads with it; left
        # to the end of the process they can abort it.
        gc.collect()
        dist.destroy_process_group()


class SharedBatchNorm2d(nn.BatchNorm2d):
    """Batch norm over the frames of all processes, on any device (torch's own needs CUDA).

    Every process must hold equally many frames.
    """

    def forward(self, input: Tensor) -> Tensor:
        """(B, C, H, W) -> the same shape; statistics as fine as the weights."""
        if not self.training:
            return super().forward(input)
        values = input.numel() // input.shape[1]
        mean, variance = _moments(input.detach(), self.weight.detach(), values)
        self._track(mean, variance, values * dist.get_world_size())
        normed = _Normed.apply(input, self.weight, self.bias, mean, variance, self.eps)
        return cast(Tensor, normed)

    def _track(self, mean: Tensor, variance: Tensor, values: int) -> None:
        """Follow the statistics as BatchNorm2d does, by the unbiased variance."""
        if self.running_mean is None or self.running_var is None:
            return
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
        momentum = self.momentum or 0.0
        self.running_mean.lerp_(mean, momentum)
        self.running_var.lerp_(variance * (values / max(1, values - 1)), momentum)


def _moments(x: Tensor, like: Tensor, values: int) -> tuple[Tensor, Tensor]:
    """Mean and variance (C,) over all processes, each of which holds so many values a channel."""
    mean, unbiased = torch.zeros_like(like), torch.zeros_like(like)
    torch.batch_norm_update_stats(x, mean, unbiased, 1.0)
    mean, variance = mean.double(), unbiased.double() * ((values - 1) / values)
    both = torch.stack([mean, variance + mean * mean])
    dist.all_reduce(both)
    mean, square = both / dist.get_world_size()
    return mean.to(like.dtype), (square - mean * mean).clamp_min(0).to(like.dtype)


class _Normed(torch.autograd.Function):
    """Batch norm by given statistics, which depend on the frames of all processes."""

    @staticmethod
    def forward(
        ctx: torch.autograd.function.FunctionCtx,
        x: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, variance: Tensor, eps: float,
    ) -> Tensor:  # fmt: skip
        ctx.save_for_backward(x, weight, mean, variance)
        ctx.eps = eps  # pyright: ignore[reportAttributeAccessIssue]
        return torch.native_batch_norm(x, weight, bias, mean, variance, False, 0.0, eps)[0]

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *gradients: Tensor) -> tuple:
        x, weight, mean, variance = ctx.saved_tensors  # pyright: ignore[reportAttributeAccessIssue]
        eps: float = ctx.eps  # pyright: ignore[reportAttributeAccessIssue]
        # As if the statistics were constants ...
        to_x, to_weight, to_bias = torch.ops.aten.native_batch_norm_backward(
            gradients[0], x, weight, mean, variance, None, None, False, eps, [True, True, True]
        )
        # ... and what the frames of all processes do by them: a line in x for each channel.
        both = torch.stack([to_weight, to_bias])
        dist.all_reduce(both)
        values = dist.get_world_size() * x.numel() // x.shape[1]
        inverse = torch.rsqrt(variance + eps)
        slope, height = weight * inverse / values * both
        slope = slope * inverse
        height = height - slope * mean
        slope, height = (part.to(x.dtype)[:, None, None] for part in (slope, height))
        to_x -= torch.addcmul(height, x, slope)
        return to_x, to_weight, to_bias, None, None, None


def share_norms(network: nn.Module) -> None:
    """Make every batch norm of a network one over all processes; weights and names stay."""
    for name, module in network.named_children():
        if type(module) is nn.BatchNorm2d:
            shared = SharedBatchNorm2d(module.num_features, module.eps, module.momentum)
            shared.to(module.weight.device, module.weight.dtype)
            shared.load_state_dict(module.state_dict())
            setattr(network, name, shared)
        else:
            share_norms(module)
