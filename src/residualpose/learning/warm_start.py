"""Weights to begin with: a bundled model, a model folder, or the checkpoint of another run.

A model folder holds an exported network, in which each batch norm is folded into the convolution
before it. The training network gets it back with batch norms that do nothing yet but scale and
shift; trained with frozen statistics (`freeze_norms`) it starts exactly where the model is, or
up to the rounding of what lies between layers, where that is one of 8-bit integers. For
long runs `restore_norms` measures the statistics anew, and they are followed as in any other run.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from residualpose.errors import MissingExtraError, ResidualPoseError, UsageError
from residualpose.learning.checkpoint import load_checkpoint
from residualpose.learning.integers import unrounded
from residualpose.learning.network import N_JOINTS, OFFSET_SCALE_M, PoseNetwork
from residualpose.learning.released_network import ReleasedHourglass
from residualpose.model import ModelFolder

_ENDS = ("stem", "enter", "early", "back", "rise", "skip", "final")
"""Parts of `PoseNetwork` that see the sensor's depth, and those that write the maps."""


def start_from(network: PoseNetwork | ReleasedHourglass, source: str) -> None:
    """Fill a network with the weights of a bundled model (name), a model folder or a checkpoint.

    Raises:
        UsageError: there is no such model.
        ResidualPoseError: it is damaged, or of a network of another size.
        MissingExtraError: onnx is not installed.
    """
    if Path(source).suffix == ".pt":
        _load(network, load_checkpoint(Path(source))["average"], source)
        return
    folder = ModelFolder.open(source)
    if isinstance(network, ReleasedHourglass):
        raise UsageError(f"{source}: the released network can begin with a checkpoint.pt only")
    _unfold(network, _folded(folder.path / "maps.onnx"), source)


_FILTER_RMS = 0.08
"""Size of a restored filter's weights: behind a batch norm it changes nothing but how fast they
turn, and so it is set to what filters trained for long from random weights have."""


def restore_norms(network: nn.Module, images: Iterable[Tensor]) -> None:
    """Batch norms whose statistics are those of `images`; what the network computes stays.

    Args:
        network: One whose batch norms only scale and shift, as `start_from` fills it.
        images: Batches (B, 1, H, W) metres, as it is going to be trained on.
    """
    pairs = [(conv, norm) for conv, norm in _in_order(network) if norm is not None]
    outputs = {conv: _Moments() for conv, _ in pairs}
    hooks = [conv.register_forward_hook(seen.add) for conv, seen in outputs.items()]
    was_training = network.training
    try:
        with torch.no_grad():
            network.eval()
            for image in images:
                network(image)
    finally:
        network.train(was_training)
        for hook in hooks:
            hook.remove()
    with torch.no_grad():
        for conv, norm in pairs:
            _restore(conv, norm, *outputs[conv].mean_and_variance())


def _restore(conv: nn.Conv2d, norm: nn.BatchNorm2d, mean: Tensor, variance: Tensor) -> None:
    assert norm.running_mean is not None and norm.running_var is not None
    rms = conv.weight.square().mean((1, 2, 3)).sqrt().clamp_min(1e-6)
    larger = _FILTER_RMS / rms
    conv.weight.mul_(larger[:, None, None, None])
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    norm.bias.add_(scale * (mean - norm.running_mean))
    norm.running_mean.copy_(mean * larger)
    norm.running_var.copy_(variance * larger**2)
    norm.weight.copy_(scale * (norm.running_var + norm.eps).sqrt() / larger)


class _Moments:
    """Mean and variance of a convolution's output over batches, by channel."""

    def __init__(self) -> None:
        self.sums: Tensor | None = None

    def add(self, _module: nn.Module, _inputs: object, output: Tensor) -> None:
        """A forward hook."""
        values = output.double().transpose(0, 1).flatten(1)
        count = values.new_full((len(values),), values.shape[1])
        sums = torch.stack([count, values.sum(1), values.square().sum(1)])
        self.sums = sums if self.sums is None else self.sums + sums

    def mean_and_variance(self) -> tuple[Tensor, Tensor]:
        """(C,) each."""
        assert self.sums is not None, "no image was shown"
        count, total, squares = self.sums
        mean = total / count
        variance = (squares / count - mean**2).clamp_min(0)
        return mean.float(), variance.float()


def freeze_norms(network: nn.Module) -> None:
    """Batch norms keep their statistics in training; their scales and shifts still learn."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()


def freeze_middle(network: nn.Module) -> None:
    """Only the first and last convolutions, and the scales and shifts of all norms, learn on."""
    for name, module in network.named_modules():
        free = isinstance(module, nn.BatchNorm2d) or name.split(".")[0] in _ENDS
        for weight in module.parameters(recurse=False):
            weight.requires_grad_(free)


def _load(network: PoseNetwork | ReleasedHourglass, state: dict[str, Tensor], source: str) -> None:
    try:
        network.load_state_dict(unrounded(state))
    except RuntimeError:
        raise _other_size(source, network) from None


def _other_size(source: str, network: PoseNetwork | ReleasedHourglass) -> ResidualPoseError:
    return ResidualPoseError(
        f"{source}: expected a network of the size set ({network.config}), found one of another "
        "size; set [maps] as that model was trained"
    )


def _folded(path: Path) -> list[tuple[Tensor, Tensor]]:
    """Weights and biases of an exported network's convolutions, in the order they are run."""
    try:
        import onnx
        from onnx import numpy_helper
    except ImportError:
        raise MissingExtraError("onnx", "train") from None
    graph = onnx.load(str(path)).graph
    arrays = {i.name: numpy_helper.to_array(i).copy() for i in graph.initializer}
    stored = {name: torch.from_numpy(array) for name, array in arrays.items()}
    for node in graph.node:
        if node.op_type == "DequantizeLinear" and node.input[0] in stored:  # a network of integers
            steps, scale = (stored[name] for name in node.input[:2])
            stored[node.output[0]] = steps * scale.view(-1, *[1] * (steps.ndim - 1))
    folded = [
        (stored[node.input[1]].float(), stored[node.input[2]].float())
        for node in graph.node
        if node.op_type == "Conv"
    ]
    for node in graph.node:
        if node.op_type == "MatMulIntegerToFloat":  # the last one, of a network of integers
            steps, scale, bias = (stored[node.input[k]] for k in (1, 3, 6))
            folded.append(((steps * scale).T[..., None, None], bias))
    return folded


def _unfold(network: PoseNetwork, folded: list[tuple[Tensor, Tensor]], source: str) -> None:
    pairs = list(_in_order(network))
    asked, found = [c.weight.shape for c, _ in pairs], [weight.shape for weight, _ in folded]
    if asked != found:
        raise _other_size(source, network)
    with torch.no_grad():
        for (conv, norm), (weight, bias) in zip(pairs, folded, strict=True):
            conv.weight.copy_(weight)
            if conv.bias is not None:
                conv.bias.copy_(bias)
            elif norm is not None:
                norm.reset_running_stats()
                norm.weight.fill_((1 + norm.eps) ** 0.5)
                norm.bias.copy_(bias)
        last = pairs[-1][0]
        assert last.bias is not None
        for numbers in (last.weight, last.bias):
            numbers[-N_JOINTS:] /= OFFSET_SCALE_M  # exported in metres


def _in_order(network: nn.Module) -> Iterator[tuple[nn.Conv2d, nn.BatchNorm2d | None]]:
    """Convolutions in the order they are run, each with the batch norm that follows it."""
    run: list[nn.Module] = []
    kinds = (nn.Conv2d, nn.BatchNorm2d)
    hooks = [
        module.register_forward_hook(lambda m, *_: run.append(m))
        for module in network.modules()
        if isinstance(module, kinds)
    ]
    was_training = network.training
    try:
        with torch.no_grad():
            network.eval()(torch.zeros(1, 1, 16, 16, device=next(network.parameters()).device))
    finally:
        network.train(was_training)
        for hook in hooks:
            hook.remove()
    for module, following in zip(run, [*run[1:], None], strict=True):
        if isinstance(module, nn.Conv2d):
            yield module, following if isinstance(following, nn.BatchNorm2d) else None
