"""Training of the residual network on what the earlier stages made of rendered people."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from residualpose.evaluation.calibration import Calibration
from residualpose.learning.refiner_data import RefinerData
from residualpose.learning.refiner_network import (
    RefinerNetwork,
    mirrored_around,
    mirrored_joints,
    varied_around,
)
from residualpose.learning.refiner_start import start_refiner_from
from residualpose.learning.training_state import TrainingState
from residualpose.pipeline.refine import (
    DISTANCE,
    FLOOR_POINT,
    KNOWN,
    POSITION_SCALE_M,
    POSITIONS,
    RESIDUAL_SCALE_M,
    SPREADS,
    RayFrames,
    features,
    has_trunk,
)
from residualpose.skeleton import ITOP15

MAX_RESIDUAL_M = 0.8
"""Joints farther off are not to be moved there: they are other people's, or exchanged."""
_HELD_BACK, _MANY = 20, 1000
"""One person in so many is held back, where there are as many as that."""
_AVERAGE = 0.999
"""Share of the running average of the weights, which is the result, that a step leaves."""
_SECONDS_BETWEEN_CHECKPOINTS = 120.0
_TOLD_AT_ONCE = 1024
"""People held back of whom the network is told at a time."""
_ROUND = 0.3
"""Distance, in units of 0.1 m, below which the Euclidean part of the loss is round."""


@dataclass(frozen=True, slots=True)
class RefinerConfig:
    """How the refiner is trained."""

    width: int = 96
    """Numbers that stand for a joint inside; of the released network, neurons a layer."""
    blocks: int = 4
    """Times that the joints look at one another; of the released network, residual blocks."""
    dropout: float = 0.0
    size_sd: float = 0.08
    """Sd of the log of the factor by which people are made larger or smaller on the way."""
    jitter_m: float = 0.01
    """Mean over people of the sd, metres, by which their joints are moved on the way."""
    steps: int = 4000
    batch: int = 512
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    seed: int = 0
    start: str = ""
    """Begin with the refiner of this bundled model or model folder, instead of one that does
    nothing. It must be as wide; blocks beyond its own do nothing to begin with."""
    look_around: bool = False
    """Whether it is shown what the 2D network saw around each joint."""


@dataclass(frozen=True, slots=True)
class Examples:
    """P people who have a trunk, as the network is told of them, and what it should say."""

    features: Tensor
    """(P, N_FEATURES)."""
    target: Tensor
    """(P, 15, 3) true residuals, ray frame, in units of 0.1 m; 0 where unknown."""
    known: Tensor
    """(P, 15, 1) 1 where joint and truth are known."""
    around: Tensor
    """(P, 15, N_AROUND) or (P, 15, 0)."""

    @classmethod
    def of(cls, data: RefinerData) -> Examples:
        """Those of the people who have a trunk."""
        rows = np.flatnonzero(has_trunk(data.joints_m))
        joints = data.joints_m[rows]
        frames = RayFrames.of(joints)
        x = features(
            frames, joints, data.joint_score[rows], data.origin[rows], data.covariance_m2[rows],
            data.floor[rows],
        )  # fmt: skip
        target = frames.inward(data.truth_m[rows]) - frames.inward(joints)
        known = np.isfinite(target).all(-1, keepdims=True)
        target = np.nan_to_num(target) / RESIDUAL_SCALE_M
        return cls(
            torch.from_numpy(x),
            torch.from_numpy(target.astype(np.float32)),
            torch.from_numpy(known.astype(np.float32)),
            torch.from_numpy(data.around[rows]),
        )

    def to(self, device: torch.device) -> Examples:
        """The same elsewhere."""
        return Examples(*(getattr(self, name).to(device) for name in self.__slots__))

    def drawn(self, people: int, network: RefinerNetwork) -> Examples:
        """So many of them at random, each as it is or as a mirror shows it."""
        rows = torch.randint(len(self.features), (people,))
        seen_in_mirror = torch.rand(people) < 0.5
        image = self._rows(rows[seen_in_mirror])
        partner = list(ITOP15.mirror)
        parts = self._rows(rows[~seen_in_mirror]), Examples(
            network.mirrored(image.features), mirrored_joints(image.target),
            image.known[:, partner], mirrored_around(image.around),
        )  # fmt: skip
        columns = ([getattr(part, name) for part in parts] for name in self.__slots__)
        return Examples(*(torch.cat(column) for column in columns))

    def _rows(self, rows: Tensor) -> Examples:
        return Examples(
            self.features[rows], self.target[rows], self.known[rows], self.around[rows].float()
        )


def train_refiner(
    data: RefinerData,
    config: RefinerConfig,
    progress: Callable[[int, float], None],
    checkpoint: Path | None = None,
) -> RefinerNetwork:
    """Train on `data`, and its mirror image; `progress(step, loss)` is called every step.

    The last twentieth of many people is held back, to set how sure the network says it is.

    Args:
        data: at least two people.
        config: settings.
        progress: told of every step.
        checkpoint: kept up to date on the way; a run that was interrupted goes on from it as if it
            had not been.
    """
    torch.manual_seed(config.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    held_back = len(data) // _HELD_BACK if len(data) >= _MANY else 0
    learned = data.part(slice(len(data) - held_back))
    network = RefinerNetwork(config.width, config.blocks, config.dropout, config.look_around)
    if config.start:
        start_refiner_from(network, config.start)
    network = network.to(device)
    examples = Examples.of(learned).to(device)
    optimiser = torch.optim.AdamW(
        network.parameters(), config.learning_rate, weight_decay=config.weight_decay
    )
    state = TrainingState.of(network, optimiser)
    if checkpoint is not None and checkpoint.exists():
        state.resume(checkpoint, device)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, config.learning_rate, config.steps, last_epoch=state.step - 1
    )
    saved_at = time.monotonic()
    for step in range(state.step, config.steps):
        torch.manual_seed(config.seed * 1_000_003 + step)  # rows and dropout follow from the step
        drawn = varied(examples.drawn(config.batch, network), config)
        with torch.autocast(device.type, torch.bfloat16):
            residual, log_sd = network(drawn.features, drawn.around)
        loss = refiner_loss(residual.float(), log_sd.float(), drawn.target, drawn.known)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        schedule.step()
        state.follow(min(_AVERAGE, (1 + step) / (10 + step)))
        state.step = step + 1
        if checkpoint is not None and time.monotonic() - saved_at > _SECONDS_BETWEEN_CHECKPOINTS:
            state.save(checkpoint, asdict(config))
            saved_at = time.monotonic()
        progress(step, float(loss.detach()))
    network.load_state_dict(state.average.state_dict())
    network.eval().cpu()
    if held_back:
        calibrate(network, data.part(slice(len(data) - held_back, None)))
    return network


def calibrate(network: RefinerNetwork, data: RefinerData) -> None:
    """Scale all sds so that the 68 % ellipsoids hold 68 % of the joints of people never met.

    Of those it learned from, a network is surer than it may be.
    """
    distances: list[np.ndarray] = []
    for start in range(0, len(data), _TOLD_AT_ONCE):
        people = Examples.of(data.part(slice(start, start + _TOLD_AT_ONCE)))
        with torch.no_grad():
            residual, log_sd = network(people.features, people.around.float())
            distance2 = (((people.target - residual) * torch.exp(-log_sd)) ** 2).sum(-1)
        distances.append(distance2[people.known[..., 0] > 0].double().numpy())
    network.widen(Calibration.of(np.concatenate(distances)).sd_factor)


def varied(people: Examples, config: RefinerConfig) -> Examples:
    """The same people a little different: nobody is met twice.

    Somebody larger, as much farther away and with the camera as much higher, looks the same. And
    joints are found a little elsewhere, more so of some people than of others.
    """
    x = people.features.clone()
    size = torch.exp(config.size_sd * torch.randn(len(x), 1, device=x.device))
    known = x[:, KNOWN]
    x[:, POSITIONS] *= size
    x[:, SPREADS] += size.log() * known.repeat(1, 2)
    x[:, DISTANCE] = (x[:, DISTANCE] + 1) * size - 1
    x[:, FLOOR_POINT] *= size
    sd_m = 2 * config.jitter_m * torch.rand(len(x), 1, 1, device=x.device) * known[..., None]
    moved_m = sd_m * torch.randn(people.target.shape, device=x.device)
    x[:, POSITIONS] += moved_m.flatten(1) / POSITION_SCALE_M
    target = people.target * size[..., None] - moved_m / RESIDUAL_SCALE_M
    return Examples(x, target, people.known, varied_around(people.around, size, moved_m))


def refiner_loss(residual: Tensor, log_sd: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Robust distance, plus the Gaussian likelihood of what is left, which trains only the sds.

    The distance is Geman and McClure's, of 10 cm: joints that nothing tells to be decimetres off do
    not drag the others away, as they would if a mean were asked for. A very little of the Euclidean
    distance keeps those far off moving. Joints beyond `MAX_RESIDUAL_M` move nothing, but that there
    are such makes the sds larger.

    Args:
        residual: (P, 15, 3) units of 0.1 m.
        log_sd: (P, 15, 3) of sds in that unit.
        target: (P, 15, 3) true residuals in that unit.
        weight: (P, 15, 1), 0 where the truth or the joint is unknown.
    """
    near = target.norm(dim=-1, keepdim=True) < MAX_RESIDUAL_M / RESIDUAL_SCALE_M
    error = target - residual
    squared = (error**2).sum(-1, keepdim=True)
    euclidean = torch.sqrt(squared + _ROUND**2) - _ROUND
    distance = 4 * squared / (squared + 1) + 0.15 * euclidean
    left = error.detach()
    likelihood = (log_sd + 0.5 * (left * torch.exp(-log_sd)) ** 2).sum(-1, keepdim=True)
    return ((distance * near + 0.2 * likelihood) * weight).sum() / weight.sum().clamp_min(1) / 3


def inputs_of(data: RefinerData) -> dict[str, np.ndarray]:
    """What an exported network is told of people who have a trunk, by the names of its inputs."""
    people = Examples.of(data)
    told = {"features": people.features.numpy(), "around": people.around.float().numpy()}
    return {name: numbers for name, numbers in told.items() if numbers.size}
