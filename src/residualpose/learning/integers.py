"""A 2D network that learns to work in 8-bit integers (quantisation-aware training).

What it keeps between layers, and the weights of its convolutions, are rounded in training as they
will be in use, so that it learns weights for which the rounding does not matter. Numbers between
layers take 256 steps of a range that is followed as batch norms follow their statistics; the
weights of each filter take 129, symmetric about 0, so that no processor's 16-bit sums of products
overflow. The first convolution, which reads metres, stays in floating point, and so do the maps
that the last one writes; its weights are rounded when `learning.export` stores the integers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.nn.utils.fusion import fuse_conv_bn_weights

from residualpose.learning.network import Kept, PoseNetwork

STEPS = 255
"""Steps of a range, from the lowest number to the highest."""
WEIGHT_STEPS = 64
"""Steps from 0 to a filter's largest weight."""
_FOLLOW = 0.02
"""How fast ranges follow the batches."""


class Rounding(nn.Module):
    """Rounds numbers to the steps of their range; the gradient passes inside the range."""

    low: Tensor
    high: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("low", torch.zeros(()))
        self.register_buffer("high", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        """Numbers of any shape, which stays."""
        if self.training:
            self._follow(x)
        if self.training or x.dtype != torch.float32:
            return _Rounded.apply(x, *self.steps())  # pyright: ignore[reportReturnType]
        return torch.fake_quantize_per_tensor_affine(x, *self.steps(), 0, STEPS)

    def steps(self) -> tuple[float, int]:
        """Size of a step, and the number of steps from the lowest number to 0, which is one."""
        low, high = float(self.low), float(self.high)
        scale = max(high - low, 1e-6) / STEPS
        return scale, round(-low / scale)

    def _follow(self, x: Tensor) -> None:
        low, high = (end.float() for end in torch.aminmax(x.detach()))
        low, high = low.clamp(max=0), high.clamp(min=0)
        first = self.high == self.low
        self.low.copy_(torch.where(first, low, self.low.lerp(low, _FOLLOW)))
        self.high.copy_(torch.where(first, high, self.high.lerp(high, _FOLLOW)))


class _Rounded(torch.autograd.Function):
    """`fake_quantize_per_tensor_affine` in the number's own type: a tenth of its time."""

    @staticmethod
    def forward(
        ctx: torch.autograd.function.FunctionCtx, x: Tensor, scale: float, zero: int
    ) -> Tensor:
        steps = (x * (1 / scale)).round_()
        rounded = steps.clamp(-zero, STEPS - zero)
        ctx.save_for_backward(steps == rounded)
        return rounded.mul_(scale)

    @staticmethod
    def backward(
        ctx: torch.autograd.function.FunctionCtx, *gradients: Tensor
    ) -> tuple[Tensor, None, None]:
        (inside,) = ctx.saved_tensors  # pyright: ignore[reportAttributeAccessIssue]
        return gradients[0] * inside, None, None


class RoundedFilters(nn.Module):
    """Rounds the weights of each filter (C, ., ., .) to steps of its largest; gradients pass."""

    def forward(self, weight: Tensor) -> Tensor:
        """The rounded weights."""
        largest = weight.detach().abs().amax((1, 2, 3), keepdim=True)
        scale = largest.clamp_min(1e-12) / WEIGHT_STEPS
        return weight + ((weight / scale).round() * scale - weight).detach()


def round_network(network: PoseNetwork) -> None:
    """Make a network one that rounds, in training and after; its ranges begin with a batch."""
    for module in [module for module in network.modules() if isinstance(module, Kept)]:
        module.append(Rounding())
    for conv in _inner_convolutions(network):
        parametrize.register_parametrization(conv, "weight", RoundedFilters())


def unrounded(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of a network that rounds by the names of one that does not, ranges left out."""
    return {
        name.replace("parametrizations.weight.original", "weight"): value
        for name, value in state.items()
        if name.rpartition(".")[2] not in ("low", "high")
    }


def fold(network: PoseNetwork) -> None:
    """Write batch norms and the rounding of weights into the convolutions, for export.

    What the network computes stays: a filter that a norm scales is rounded to steps scaled alike.
    """
    for conv in _inner_convolutions(network):
        parametrize.remove_parametrizations(conv, "weight")
    for module in list(network.modules()):
        if isinstance(module, nn.Sequential) and len(module) > 1:
            conv, norm = module[0], module[1]
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                conv.weight, conv.bias = _folded(conv, norm)
                module[1] = nn.Identity()


def _folded(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> tuple[nn.Parameter, nn.Parameter]:
    assert norm.running_mean is not None and norm.running_var is not None
    return fuse_conv_bn_weights(
        conv.weight, conv.bias, norm.running_mean, norm.running_var, norm.eps,
        norm.weight, norm.bias,
    )  # fmt: skip


def _inner_convolutions(network: PoseNetwork) -> Iterator[nn.Conv2d]:
    """All but the first and the last."""
    outer = {network.stem[0][0], network.final[-1]}  # pyright: ignore[reportIndexIssue]
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and module not in outer:
            yield module
