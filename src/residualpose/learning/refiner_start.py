"""A residual network that begins with the weights of a model's refiner, as it was exported.

It may have more blocks, or look around where that one did not: that does nothing to begin with.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from residualpose.errors import MissingExtraError, ResidualPoseError
from residualpose.learning.refiner_network import RefinerNetwork
from residualpose.model import ModelFolder


def start_refiner_from(network: RefinerNetwork, source: str) -> None:
    """Fill a residual network with the weights of a bundled model's refiner (name) or a folder's.

    Raises:
        UsageError: there is no such model.
        ResidualPoseError: it has no refiner, or one of another width or with more blocks, or one
            that looks around where the network does not.
        MissingExtraError: onnx is not installed.
    """
    path = ModelFolder.open(source).refiner_path
    try:
        import onnx
        from onnx import numpy_helper
    except ImportError:
        raise MissingExtraError("onnx", "train") from None
    arrays = {i.name: numpy_helper.to_array(i) for i in onnx.load(str(path)).graph.initializer}
    stored = {name: torch.from_numpy(array.copy()).float() for name, array in arrays.items()}
    for name in [name for name, array in arrays.items() if array.dtype == np.int8]:
        if f"{name}_scale" in stored:  # a neuron's steps, turned round
            stored[name] = (stored[name] * stored[f"{name}_scale"]).T
    # What the exporter turned round or cast goes by other names, numbered as it is computed.
    rest = sorted((name for name in stored if name.startswith("onnx::")), key=_number)
    turned = iter([stored[name].T for name in rest if stored[name].ndim == 2])
    others = iter([stored[name] for name in rest if stored[name].ndim == 3])
    blocks = sum(name.endswith(".asked.weight") for name in stored)
    more = tuple(f"blocks.{number}." for number in range(blocks, len(network.blocks)))
    looks = any(name.startswith("look.") for name in stored)
    if looks and network.look is None:
        raise ResidualPoseError(
            f"{path}: expected a refiner that does not look around, as the settings say, found one "
            "that does; set look_around = true in [refiner], as configs/base.toml does"
        )
    if not looks:
        more += ("look.",)
    if blocks > len(network.blocks):
        raise _other_size(path, f"{len(network.blocks)} blocks at most")
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if name.startswith(more):
                continue
            named = stored.get(name)
            found = next(turned if weight.ndim == 2 else others, None) if named is None else named
            if found is None or found.shape != weight.shape:
                raise _other_size(path, f"{name} of {tuple(weight.shape)}")
            weight.copy_(found)


def _other_size(path: Path, expected: str) -> ResidualPoseError:
    return ResidualPoseError(
        f"{path}: expected a refiner of the size set, {expected}, found one of another size; set "
        "[refiner] as that one was fitted"
    )


def _number(name: str) -> int:
    return int(name.rpartition("_")[2])
