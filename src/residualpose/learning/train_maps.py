"""Training of the 2D network: one loop, the same on CPU and CUDA, resumable to the step."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from residualpose.errors import ResidualPoseError, UsageError
from residualpose.learning.architectures import (
    ARCHITECTURES,
    LossesOf,
    build_network,
    compact_losses,
)
from residualpose.learning.batches import Batch, Crop, joined, make_batch
from residualpose.learning.integers import round_network
from residualpose.learning.mix import Frames, Opened, Pace, Share, open_frames
from residualpose.learning.network import NetworkConfig, PoseNetwork
from residualpose.learning.parallel import Processes, joined_processes, process_count, share_norms
from residualpose.learning.released_network import ReleasedConfig
from residualpose.learning.training_log import TrainingLog
from residualpose.learning.training_state import TrainingState
from residualpose.learning.warm_start import (
    freeze_middle,
    freeze_norms,
    restore_norms,
    start_from,
)

PRECISIONS = {"bfloat16": torch.bfloat16, "float32": torch.float32, "float64": torch.float64}
LEARN = ("all", "ends")
NORMS = ("shared", "own")
FOCAL_PX = 144.0
STEPS_TO_RESTORE = 16
"""Steps whose frames restore the batch norms' statistics."""
_ALONE = Processes(torch.device("cpu"))


@dataclass(frozen=True, slots=True)
class MapsConfig:
    """How the 2D network is trained."""

    data: tuple[Share, ...]
    """Rendered shards and recordings with labels."""
    out: Path
    """Folder for checkpoints and the log; an interrupted run in it is resumed."""
    steps: int = 6000
    """Optimiser steps; may be changed when a run is resumed."""
    batch: int = 32
    """Frames a step, over all processes."""
    parts: int = 1
    """Draws that a batch consists of: at least one a process. The frames of a run follow from it,
    not from the number of processes, which may change."""
    norms: str = "shared"
    """Whose frames the batch norms of several processes see: those of all, as one process would, or
    its own, which is 1.4 times as fast on two CPU cores."""
    shards: int = 40
    """Shards to use in the end, of each folder of them."""
    first_shards: int = 2
    """Shards used from the first step on."""
    steps_per_shard: int = 30
    """Steps after which one more shard joins: rendering and training can run side by side."""
    focal_px: float = FOCAL_PX
    """Focal length of the rendered frames; that of recordings is brought to it."""
    learning_rate: float = 2e-3
    """Peak of AdamW's learning rate: a short warm-up, a plateau, then a fall to zero."""
    warm_up: int = 200
    """Steps in which the learning rate rises."""
    fall: float = 0.35
    """Share of the steps in which the learning rate falls."""
    weight_decay: float = 1e-3
    ema: float = 0.998
    """Decay of the running average of the weights, which is what is exported."""
    precision: str = "bfloat16"
    """bfloat16 is mixed with float32 where it matters; float64 is for comparing runs, whose
    rounding errors training makes larger and larger."""
    seed: int = 0
    threads: int = 1
    """CPU threads of each process."""
    minutes_between_checkpoints: float = 5.0
    tensorboard: bool = False
    """Write TensorBoard's files to `out`/tensorboard too."""
    start: str = ""
    """Begin with the weights of this bundled model, model folder or checkpoint.pt instead of
    random ones."""
    frozen_norms: bool = True
    """Batch norms of a run with `start` keep their statistics, as few frames ask for. False, for
    long runs: the first frames restore them, and they are followed as from random weights."""
    learn: str = "all"
    """Which weights learn: all, or those at both ends of the compact network and all scales and
    shifts (ends). A few dozen frames are too few for all."""
    integers: bool = False
    """Round what the compact network computes as 8-bit arithmetic will (integers.py), for the last
    part of a training: the exported network is twice as fast."""
    crop: Crop | None = None
    """Cut most batches to crops around people, rolled and resized; None: whole frames as stored."""
    sensor_noise: bool = True
    """Simulate the sensors' faults; without, the network sees perfect depth (for ablations)."""
    architecture: str = "compact"
    """compact is the network of this package, released that of the paper."""
    network: NetworkConfig = field(default_factory=NetworkConfig)
    """Size of the compact network."""
    released: ReleasedConfig = field(default_factory=ReleasedConfig)
    """Size of the released network."""

    def __post_init__(self) -> None:
        counts = ("steps", "batch", "parts", "shards", "first_shards", "steps_per_shard")
        for name in (*counts, "warm_up", "threads"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name}: expected at least 1, got {getattr(self, name)}")
        choices = {
            "precision": PRECISIONS, "architecture": ARCHITECTURES, "learn": LEARN, "norms": NORMS,
        }  # fmt: skip
        for name, known in choices.items():
            if getattr(self, name) not in known:
                raise UsageError(
                    f"{name}: expected {' or '.join(known)}, got {getattr(self, name)!r}"
                )
        if self.learn == "ends" and self.architecture != "compact":
            raise UsageError("learn: ends are those of the compact network; expected all")
        if self.integers and self.architecture != "compact":
            raise UsageError("integers: only the compact network can be rounded")
        if not self.data:
            raise UsageError("data: expected at least one folder of frames")
        if self.batch % self.parts:
            raise UsageError(f"batch: expected a multiple of parts = {self.parts}")


def train_maps(config: MapsConfig, progress: Callable[[int, dict[str, float]], None]) -> Path:
    """Train, or go on with the run in `config.out`; returns the last checkpoint.

    `progress(step, losses)` is called after every step, in the first process alone.
    """
    if config.parts % process_count():
        raise UsageError(
            f"parts: expected a multiple of the {process_count()} processes, got {config.parts}"
        )
    torch.set_num_threads(config.threads)
    config.out.mkdir(parents=True, exist_ok=True)
    with joined_processes() as processes:
        pace = Pace(config.shards, config.first_shards, config.steps_per_shard)
        opened = open_frames(config.data, pace, config.focal_px)
        state = _state(config, processes, opened.frames)
        _train(config, processes, opened, state, progress)
    return _checkpoint(config)


def _checkpoint(config: MapsConfig) -> Path:
    return config.out / "checkpoint.pt"


def _state(config: MapsConfig, processes: Processes, frames: Frames) -> TrainingState:
    torch.manual_seed(config.seed)
    network = build_network(config.architecture, config.network, config.released)
    network.to(processes.device, memory_format=torch.channels_last)  # pyright: ignore
    if config.precision == "float64":
        network.double()
    if config.start:
        start_from(network, config.start)
        if not config.frozen_norms and not _checkpoint(config).exists():
            restore_norms(network, _first_images(config, processes, frames))
    if config.integers and isinstance(network, PoseNetwork):
        round_network(network)
    if processes.count > 1 and config.norms == "shared" and not _frozen(config):
        share_norms(network)
    if config.learn == "ends":
        freeze_middle(network)
    optimiser = torch.optim.AdamW(
        network.parameters(), config.learning_rate, weight_decay=config.weight_decay
    )
    state = TrainingState.of(network, optimiser)
    if _checkpoint(config).exists():
        state.resume(_checkpoint(config), processes.device)
    if not processes.agree(state.step):
        raise ResidualPoseError(
            f"{config.out}: expected the same folder for all processes, found another checkpoint "
            f"(step {state.step}) in process {processes.rank}"
        )
    return state


def _train(
    config: MapsConfig,
    processes: Processes,
    opened: Opened,
    state: TrainingState,
    progress: Callable[[int, dict[str, float]], None],
) -> None:
    losses_of = ARCHITECTURES[config.architecture]
    network = processes.wrap(state.network, unused=config.architecture == "released")
    first, saved_at = processes.rank == 0, time.monotonic()
    settings = asdict(config) | {"skeleton": opened.skeleton.to_dict()}
    log = TrainingLog(config.out, state.step, config.tensorboard) if first else None
    try:
        for step in range(state.step, config.steps):
            learning_rate = config.learning_rate * rate(step, config)
            for group in state.optimiser.param_groups:
                group["lr"] = learning_rate
            batch = _batch(config, processes, opened.frames, step)
            torch.manual_seed(_mixed(config.seed, step))  # dropout too is a function of the step
            network.train()
            if _frozen(config):
                freeze_norms(network)
            losses = train_step(
                network, state.optimiser, batch, losses_of, PRECISIONS[config.precision], processes
            )
            state.follow(min(config.ema, (1 + step) / (10 + step)))
            state.step = step + 1
            if log is None:
                continue
            progress(step, losses)
            log.write(step, losses, learning_rate)
            late = time.monotonic() - saved_at > 60 * config.minutes_between_checkpoints
            if late or state.step == config.steps:
                state.save(_checkpoint(config), settings)
                saved_at = time.monotonic()
    finally:
        if log is not None:
            log.close()


def _frozen(config: MapsConfig) -> bool:
    return bool(config.start) and config.frozen_norms


def _first_images(config: MapsConfig, processes: Processes, frames: Frames) -> Iterator[Tensor]:
    """Images (B, 1, H, W) of this process's part of the first steps, crops and whole frames."""
    for step in range(STEPS_TO_RESTORE):
        yield _batch(config, processes, frames, step).depth_m[:, None]


def _batch(config: MapsConfig, processes: Processes, frames: Frames, step: int) -> Batch:
    """This process's frames of a step."""
    parts, size = config.parts, config.batch // config.parts
    seeds = [config.seed] if parts == 1 else [(config.seed, part) for part in range(parts)]
    batch = joined([
        make_batch(
            frames, step, size, seed, processes.device, config.crop, config.sensor_noise
        )
        for seed in seeds[processes.rank :: processes.count]
    ])  # fmt: skip
    return batch.double() if config.precision == "float64" else batch


def _mixed(seed: int, step: int) -> int:
    return (seed * 1_000_003 + step) % 2**63


def rate(step: int, config: MapsConfig) -> float:
    """Factor on the learning rate: linear warm-up, plateau, linear fall to 2 %."""
    left = (config.steps - step) / max(1.0, config.fall * config.steps)
    return min(1.0, (step + 1) / config.warm_up, max(0.02, left))


def train_step(
    network: nn.Module,
    optimiser: torch.optim.Optimizer,
    batch: Batch,
    losses_of: LossesOf = compact_losses,
    precision: torch.dtype = torch.bfloat16,
    processes: Processes = _ALONE,
) -> dict[str, float]:
    """One step of the optimiser on a batch; returns the losses before it, over all processes."""

    def forward(image: Tensor) -> tuple:
        mixed = precision == torch.bfloat16
        with torch.autocast(image.device.type, torch.bfloat16, enabled=mixed):
            return network(image)

    total, losses = losses_of(forward, batch, processes.mean)
    optimiser.zero_grad(set_to_none=True)
    total.backward()
    torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
    optimiser.step()
    means = processes.mean(torch.stack([value.detach() for value in losses.values()])).tolist()
    return dict(zip(losses, means, strict=True))
