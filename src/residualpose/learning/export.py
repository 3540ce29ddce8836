"""Trained networks to a model folder that `PoseEstimator(path)` loads."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import Tensor, nn

from residualpose.learning.checkpoint import load_checkpoint, trained_with
from residualpose.learning.network import NetworkConfig, PoseNetwork, split_maps
from residualpose.model import FILES, REFINER, sha256_of
from residualpose.pipeline.refine import N_FEATURES
from residualpose.settings import build

FOCAL_PX = 144.0
STRIDE = 2


class _MapsForExport(nn.Module):
    def __init__(self, network: PoseNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, depth_m: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return split_maps(self.network(depth_m)[1])


def export_maps(checkpoint: Path, path: Path) -> int:
    """Write the averaged weights of a training run as ONNX; returns the steps it was trained.

    Raises:
        ResidualPoseError: the checkpoint is missing or damaged, or was trained by other code.
    """
    state = load_checkpoint(checkpoint)
    config = trained_with(state)["network"]
    network = PoseNetwork(build(NetworkConfig, config, str(checkpoint)))
    network.load_state_dict(state["average"])
    model = _MapsForExport(network).eval()
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.onnx.export(
        model, (torch.zeros(1, 1, 128, 160),), str(path), dynamo=False, opset_version=17,
        input_names=["depth_m"], output_names=["part_maps", "limb_fields", "offset_m"],
        dynamic_axes={
            "depth_m": {2: "height", 3: "width"},
            **{k: {2: "h", 3: "w"} for k in ("part_maps", "limb_fields", "offset_m")},
        },
    )  # fmt: skip
    return int(state["step"])


def export_refiner(network: nn.Module, path: Path) -> None:
    """Write a residual network, (P, N_FEATURES) -> residual and log sd (P, 15, 3), as ONNX."""
    torch.onnx.export(
        network.eval(), (torch.zeros(2, N_FEATURES),), str(path), dynamo=False, opset_version=17,
        input_names=["features"], output_names=["residual", "log_sd"],
        dynamic_axes={k: {0: "people"} for k in ("features", "residual", "log_sd")},
    )  # fmt: skip


def write_card(folder: Path, name: str, **facts: object) -> Path:
    """Write card.json with the checksums of the folder's files and any further facts."""
    files = [*FILES, REFINER] if (folder / REFINER).exists() else FILES
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
