"""Training of the released 3D network: completed joints to the residual of the pose, normalised.

Arrays are in the camera's axes, metres; normalisation as in arXiv 2011.05010, section III-D.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from residualpose.errors import ResidualPoseError
from residualpose.learning.refiner_data import RefinerData
from residualpose.learning.released_network import COORDINATES, ReleasedRegressor
from residualpose.learning.train_refiner import RefinerConfig

_LEAST_SD_M = 1e-3


class NormalisedRegressor(nn.Module):
    """The regressor between its statistics: completed joints (P, 15, 3) to refined joints."""

    input_mean_m: Tensor
    input_sd_m: Tensor
    output_mean_m: Tensor
    output_sd_m: Tensor

    def __init__(self, network: nn.Module, joints_m: Tensor, residual_m: Tensor) -> None:
        super().__init__()
        self.network = network
        for name, data in (("input", joints_m), ("output", residual_m)):
            self.register_buffer(f"{name}_mean_m", data.mean(0))
            self.register_buffer(f"{name}_sd_m", data.std(0).clamp_min(_LEAST_SD_M))

    def normalised(self, joints_m: Tensor) -> Tensor:
        """(P, 15, 3) -> (P, 45)."""
        return ((joints_m - self.input_mean_m) / self.input_sd_m).flatten(1)

    def forward(self, joints_m: Tensor) -> Tensor:
        """(P, 15, 3) metres -> (P, 15, 3) metres."""
        residual = self.network(self.normalised(joints_m)).unflatten(1, (-1, 3))
        return joints_m + residual * self.output_sd_m + self.output_mean_m


def train_regressor(
    data: RefinerData, config: RefinerConfig, progress: Callable[[int, float], None]
) -> NormalisedRegressor:
    """Train on all of `data`; `progress(step, loss)` is called every step.

    Raises:
        ResidualPoseError: fewer than two people are completely known.
    """
    rows = np.isfinite(data.joints_m).all((1, 2)) & np.isfinite(data.truth_m).all((1, 2))
    if rows.sum() < 2:
        raise ResidualPoseError("the refiner: expected at least two complete people, found fewer")
    torch.manual_seed(config.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    joints = torch.from_numpy(data.joints_m[rows]).float().to(device)
    residual = torch.from_numpy(data.truth_m[rows]).float().to(device) - joints
    network = ReleasedRegressor(config.width, config.blocks)
    model = NormalisedRegressor(network, joints, residual).to(device)
    wanted = ((residual - model.output_mean_m) / model.output_sd_m).view(-1, COORDINATES)
    optimiser = torch.optim.AdamW(
        network.parameters(), config.learning_rate, weight_decay=config.weight_decay
    )
    generator = torch.Generator().manual_seed(config.seed)
    for step in range(config.steps):
        chosen = torch.randint(len(joints), (config.batch,), generator=generator).to(device)
        found = network(model.normalised(joints[chosen]))
        loss = nn.functional.mse_loss(found, wanted[chosen])
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        progress(step, float(loss.detach()))
    return model.eval().cpu()
