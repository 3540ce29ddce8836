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


class _Sum(torch.autograd.Function):
    """Sum over the processes; its gradient is the sum of theirs."""

    @staticmethod
    def forward(ctx: object, value: Tensor) -> Tensor:
        total = value.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: object, *gradients: Tensor) -> Tensor:
        total = gradients[0].clone()
        dist.all_reduce(total)
        return total


def _mean(value: Tensor) -> Tensor:
    return cast(Tensor, _Sum.apply(value)) / dist.get_world_size()


class SharedBatchNorm2d(nn.BatchNorm2d):
    """Batch norm over the frames of all processes, on any device (torch's own needs CUDA).

    Every process must hold equally many frames.
    """

    def forward(self, input: Tensor) -> Tensor:
        """(B, C, H, W) -> the same shape; statistics in float32 or finer."""
        if not self.training:
            return super().forward(input)
        x = input.to(torch.promote_types(input.dtype, torch.float32))
        mean = _mean(x.mean((0, 2, 3)))
        centred = x - mean[:, None, None]
        variance = _mean(centred.square().mean((0, 2, 3)))
        values = dist.get_world_size() * input.numel() // input.shape[1]
        self._track(mean.detach(), variance.detach(), values)
        scale = self.weight * torch.rsqrt(variance + self.eps)
        return (centred * scale[:, None, None] + self.bias[:, None, None]).to(input.dtype)

    def _track(self, mean: Tensor, variance: Tensor, values: int) -> None:
        """Follow the statistics as BatchNorm2d does, by the unbiased variance."""
        if self.running_mean is None or self.running_var is None:
            return
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
        momentum = self.momentum or 0.0
        self.running_mean.lerp_(mean, momentum)
        self.running_var.lerp_(variance * (values / max(1, values - 1)), momentum)


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
