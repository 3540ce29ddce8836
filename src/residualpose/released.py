"""The released checkpoints, prior and statistics, run through this package's own chain.

The files are those of the Residual Pose release (arXiv 2011.05010); none comes with this package.
Arrays here are in the release's axes where they are called `released`: x right, y down or up as
the configuration's matrix says, z forward, metres.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from residualpose.camera import Camera
from residualpose.errors import MissingExtraError, ResidualPoseError, UsageError
from residualpose.frames import DepthFrame

if TYPE_CHECKING:
    from torch import Tensor, nn

    from residualpose.pipeline.maps import Maps

INPUT_SIZE_PX = (256, 320)
"""Height and width every image is resized to, whatever its aspect."""
FAR_M = 8.0
STRIDE = 4
MAX_RESIDUAL_M = 1.0
"""A longer correction is not believed: Panoptic's right hand was normalised by an sd of 10.6 m."""


def load_hourglass(path: str | Path) -> nn.Module:
    """The released 2D network in eval mode, from its plain PyTorch state dict.

    (B, 1, 256, 320) -> ([part maps (B, 16, 64, 80) per stage], [fields (B, 28, 64, 80) per stage]).

    Raises:
        MissingExtraError: torch is not installed.
        UsageError: the file does not exist or cannot be opened.
        ResidualPoseError: the file is damaged or holds another network.
    """
    state = _read_state(Path(path))
    import torch

    from residualpose.learning.released_network import ReleasedHourglass

    with torch.device("meta"):  # no time or memory for weights that are replaced at once
        network = ReleasedHourglass()
    return _fill(network, state, Path(path), "released 2D network")


def load_regressor(path: str | Path, features: int = 2048, blocks: int = 3) -> nn.Module:
    """The released 3D network in eval mode, from its plain PyTorch state dict: (B, 45) -> (B, 45).

    `features` and `blocks` are the configuration's `n_features` and `n_resblocks`; raises as
    `load_hourglass` does.
    """
    state = _read_state(Path(path))
    import torch

    from residualpose.learning.released_network import ReleasedRegressor

    with torch.device("meta"):
        network = ReleasedRegressor(features, blocks)
    return _fill(network, state, Path(path), "released 3D network")


def _read_state(path: Path) -> Mapping[str, Tensor]:
    try:
        import torch
    except ImportError:
        raise MissingExtraError("torch", "train") from None
    if not path.is_file():
        raise UsageError(f"{path}: expected a file of released weights, found none")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise UsageError(f"{path}: cannot read the weights ({error.strerror or error})") from None
    except Exception as error:  # damaged bytes make torch.load raise almost anything
        reason = str(error).strip().partition("\n")[0][:100] or type(error).__name__
        raise ResidualPoseError(
            f"{path}: expected a PyTorch state dict of plain tensors, found a damaged or unsafe "
            f"file ({reason}): copy it again from the release"
        ) from None
    is_mapping = isinstance(state, Mapping)
    if not is_mapping or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise ResidualPoseError(
            f"{path}: expected a plain state dict of tensors, found {type(state).__name__}"
        )
    return state


def _fill(network: nn.Module, state: Mapping[str, Tensor], path: Path, what: str) -> nn.Module:
    empty = network.state_dict()
    expected = {name: tuple(value.shape) for name, value in empty.items()}
    found = {str(name): tuple(value.shape) for name, value in state.items()}
    if expected != found:
        raise ResidualPoseError(f"{path}: not the {what}: {_difference(expected, found)}")
    filled = {name: value.to(empty[name].dtype) for name, value in state.items()}
    network.load_state_dict(filled, assign=True)
    return network.eval()


def _difference(expected: dict[str, tuple[int, ...]], found: dict[str, tuple[int, ...]]) -> str:
    for name, shape in expected.items():
        if name not in found:
            return f"{name} is absent (expected {len(expected)} tensors, found {len(found)})"
        if shape != found[name]:
            return f"{name} should be {shape}, found {found[name]}"
    extra = next(name for name in found if name not in expected)
    return f"{extra} is unknown (expected {len(expected)} tensors, found {len(found)})"


@dataclass(frozen=True, slots=True)
class ReleasedMaps:
    """The released 2D network as a stage: `DepthFrame` -> part maps and limb fields."""

    network: nn.Module

    def __call__(self, frame: DepthFrame) -> tuple[Maps, Camera]:
        """The last stage's maps without the background, and the camera of their (64, 80) grid.

        The release resizes without keeping the aspect, so a cell is not square in the image; the
        grid's camera has the same rays as the image's.
        """
        import torch
        from torch.nn import functional

        from residualpose.pipeline.maps import Maps

        image = np.clip(frame.depth_m, 0, FAR_M) / FAR_M - 0.5
        with torch.inference_mode():
            batch = torch.from_numpy(image.astype(np.float32))[None, None]
            batch = functional.interpolate(batch, INPUT_SIZE_PX, mode="bilinear")
            part_maps, limb_fields = (stages[-1][0].numpy() for stages in self.network(batch))
        maps = Maps(part_maps[:-1], limb_fields, None, STRIDE)
        height, width = part_maps.shape[1:]
        return maps, frame.camera.resized(width / frame.width, height / frame.height)


def surface_of_cells(depth_m: np.ndarray) -> np.ndarray:
    """Depth (H, W) to the nearest reading in each cell of the maps, (64, 80) metres; 0 = none."""
    rows, columns = (
        ((np.arange(target) + 0.5) * size / target).astype(np.int64)
        for target, size in zip(INPUT_SIZE_PX, depth_m.shape, strict=True)
    )
    cells = depth_m[rows[:, None], columns].reshape(
        INPUT_SIZE_PX[0] // STRIDE, STRIDE, INPUT_SIZE_PX[1] // STRIDE, STRIDE
    )
    nearest = np.where(cells > 0, cells, np.float32(np.inf)).min(axis=(1, 3))
    return np.where(np.isfinite(nearest), nearest, np.float32(0))


@dataclass(frozen=True, slots=True)
class ReleasedRefiner:
    """The released 3D network with its statistics: completed joints -> refined joints."""

    network: nn.Module
    input_mean_m: np.ndarray
    """(15, 3) metres, released axes, as the other statistics."""
    input_sd_m: np.ndarray
    output_mean_m: np.ndarray
    output_sd_m: np.ndarray

    @classmethod
    def load(
        cls, network: nn.Module, input_stats: str | Path, output_stats: str | Path
    ) -> ReleasedRefiner:
        """Read `train_input_stats.json` and `train_output_stats.json` beside a loaded network."""
        return cls(network, *_read_stats(Path(input_stats)), *_read_stats(Path(output_stats)))

    def __call__(self, joints_m: np.ndarray) -> np.ndarray:
        """Complete people (P, 15, 3) to refined people (P, 15, 3), metres, released axes."""
        import torch

        joints_m = np.asarray(joints_m, dtype=np.float32)
        if not len(joints_m):
            return joints_m
        normalised = ((joints_m - self.input_mean_m) / self.input_sd_m).astype(np.float32)
        with torch.inference_mode():
            output = self.network(torch.from_numpy(normalised.reshape(-1, 45))).numpy()
        residual_m = output.reshape(-1, 15, 3) * self.output_sd_m + self.output_mean_m
        believed = np.linalg.norm(residual_m, axis=-1, keepdims=True) <= MAX_RESIDUAL_M
        return np.where(believed, joints_m + residual_m, joints_m).astype(np.float32)


def _read_stats(path: Path) -> tuple[np.ndarray, np.ndarray]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        mean, sd = (np.asarray(data[key], dtype=np.float32) for key in ("train_mean", "train_sd"))
    except OSError as error:
        raise UsageError(f"{path}: cannot read the statistics ({error.strerror})") from None
    except (ValueError, KeyError, TypeError) as error:
        raise ResidualPoseError(
            f"{path}: expected JSON with train_mean and train_sd of 15x3 metres, found {error!r}"
        ) from None
    if mean.shape != (15, 3) or sd.shape != (15, 3) or not (np.isfinite(mean) & (sd > 0)).all():
        raise ResidualPoseError(
            f"{path}: expected finite train_mean and positive train_sd of shape (15, 3), "
            f"found shapes {mean.shape} and {sd.shape}"
        )
    return mean, sd
