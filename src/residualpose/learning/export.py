"""Trained networks to a model folder that `PoseEstimator(path)` loads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import onnx
import torch
from torch import Tensor, nn

from residualpose.errors import UsageError
from residualpose.learning.architectures import released_image
from residualpose.learning.checkpoint import load_checkpoint, trained_with
from residualpose.learning.integer_graph import store_integers
from residualpose.learning.integers import fold, round_network
from residualpose.learning.network import (
    NetworkConfig,
    PoseNetwork,
    mirror_of_maps,
    split_maps,
)
from residualpose.learning.refiner_graph import refiner_graph
from residualpose.learning.refiner_network import RefinerNetwork
from residualpose.learning.released_network import ReleasedConfig, ReleasedHourglass
from residualpose.learning.train_maps import FOCAL_PX
from residualpose.model import CLOSER, FILES, REFINER, ModelFolder, sha256_of
from residualpose.released import STRIDE as RELEASED_STRIDE
from residualpose.settings import build
from residualpose.skeleton import ITOP15

STRIDE = 2


class _MapsForExport(nn.Module):
    """Last maps alone, offsets in metres."""

    def __init__(self, network: PoseNetwork) -> None:
        super().__init__()
        last = cast(nn.Conv2d, network.final[-1])
        assert last.bias is not None
        with torch.no_grad():
            for numbers in (last.weight, last.bias):
                numbers.copy_(torch.cat(split_maps(numbers[None]), dim=1)[0])
        self.network = network

    def forward(self, depth_m: Tensor) -> Tensor:
        return self.network(depth_m)[1]


class _BothWaysForExport(nn.Module):
    """Mean of what the network sees in an image and in its mirror image, as maps of the image."""

    rows: Tensor
    signs: Tensor

    def __init__(self, network: PoseNetwork) -> None:
        super().__init__()
        self.maps = _MapsForExport(network)
        rows, signs = mirror_of_maps()
        self.register_buffer("rows", rows)
        self.register_buffer("signs", signs[:, None, None])

    def forward(self, depth_m: Tensor) -> Tensor:
        # Both at once: two small images one after the other take a fifth more time.
        seen = self.maps(torch.cat([depth_m, depth_m.flip(-1)]))
        return (seen[:1] + seen[1:, self.rows].flip(-1) * self.signs) * 0.5


class _ReleasedForExport(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, depth_m: Tensor) -> tuple[Tensor, Tensor]:
        part_maps, limb_fields = self.network(released_image(depth_m))
        return part_maps[-1], limb_fields[-1]


def export_maps(checkpoint: Path, path: Path) -> int:
    """Write the averaged weights of a training run as ONNX; returns the steps it was trained.

    Those of a run with `integers` are stored as integers.

    Raises:
        ResidualPoseError: the checkpoint is missing or damaged, or was trained by other code.
    """
    network, integers, steps = _trained(checkpoint)
    if isinstance(network, ReleasedHourglass):
        _write_maps(_ReleasedForExport(network), path, ["part_maps", "limb_fields"], resizable=())
    else:
        _write_maps(_MapsForExport(network), path, ["maps"])
        if integers:
            store_integers(path)
    return steps


def export_closer(checkpoint: Path, path: Path) -> int:
    """The same of a network for closer looks, which sees every image both ways.

    Raises:
        UsageError: the run trained a network of the release.
        ResidualPoseError: as for `export_maps`.
    """
    network, integers, steps = _trained(checkpoint)
    if isinstance(network, ReleasedHourglass):
        raise UsageError(f"{checkpoint}: expected a compact network, found one of the release")
    _write_maps(_BothWaysForExport(network), path, ["maps"])
    if integers:
        store_integers(path, images=2)
    return steps


def _trained(checkpoint: Path) -> tuple[PoseNetwork | ReleasedHourglass, bool, int]:
    """The network of a run, ready for export; whether of integers; and the steps it was trained."""
    state = load_checkpoint(checkpoint)
    settings = trained_with(state)
    network = _network(settings, str(checkpoint))
    rounded = network if settings.get("integers") and isinstance(network, PoseNetwork) else None
    if rounded is not None:
        round_network(rounded)
    network.load_state_dict(state["average"])
    if rounded is not None:
        fold(rounded.eval())
    return network, rounded is not None, int(state["step"])


def _write_maps(
    model: nn.Module, path: Path, outputs: list[str], resizable: tuple[str, ...] = ("maps",)
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.onnx.export(
        model.eval(), (torch.zeros(1, 1, 128, 160),), str(path), dynamo=False, opset_version=17,
        input_names=["depth_m"], output_names=outputs,
        dynamic_axes={
            "depth_m": {2: "height", 3: "width"}, **{k: {2: "h", 3: "w"} for k in resizable},
        },
    )  # fmt: skip


def _network(settings: Mapping, where: str) -> PoseNetwork | ReleasedHourglass:
    if settings.get("architecture") == "released":
        return ReleasedHourglass(build(ReleasedConfig, settings["released"], where))
    return PoseNetwork(build(NetworkConfig, settings["network"], where))


def card_facts(checkpoint: Path) -> dict[str, object]:
    """What a model's card has to say of its 2D network: focal length, stride, joints, kind."""
    settings = trained_with(load_checkpoint(checkpoint))
    facts: dict[str, object] = {"focal_px": settings.get("focal_px", FOCAL_PX)}
    if settings.get("integers"):
        facts["integers"] = True
    if settings.get("architecture") == "released":
        facts |= {"architecture": "released", "stride": RELEASED_STRIDE}
    skeleton = settings.get("skeleton", ITOP15.to_dict())
    return facts if skeleton["name"] == ITOP15.name else facts | {"skeleton": skeleton}


def network_settings(model: ModelFolder) -> dict[str, object]:
    """Size of a model's 2D network as its card tells it; empty where it is the default."""
    found: object = model.card
    for key in ("training", "maps", "network"):
        found = found.get(key) if isinstance(found, dict) else None
    return dict(found) if isinstance(found, dict) else {}


def export_refiner(network: RefinerNetwork, path: Path) -> None:
    """Write a residual network as ONNX: (P, N_FEATURES) to residual and log sd (P, 15, 3).

    One that looks around is told (P, 15, N_AROUND) as well.
    """
    weights = {name: of.detach().cpu().numpy() for name, of in network.state_dict().items()}
    onnx.save(refiner_graph(weights), str(path))


def export_regressor(model: nn.Module, path: Path) -> None:
    """Write a released 3D network with its statistics, (P, 15, 3) -> (P, 15, 3), as ONNX."""
    torch.onnx.export(
        model.eval(), (torch.zeros(2, 15, 3),), str(path), dynamo=False, opset_version=17,
        input_names=["joints_m"], output_names=["refined_m"],
        dynamic_axes={k: {0: "people"} for k in ("joints_m", "refined_m")},
    )  # fmt: skip


def write_card(folder: Path, name: str, **facts: object) -> Path:
    """Write card.json with the checksums of the folder's files and any further facts."""
    files = [*FILES, *(file for file in (CLOSER, REFINER) if (folder / file).exists())]
    card = {
        "name": name,
        "focal_px": FOCAL_PX,
        "stride": STRIDE,
        **facts,
        "sha256": {file: sha256_of(folder / file) for file in files},
    }
    path = folder / "card.json"
    path.write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
    return path
