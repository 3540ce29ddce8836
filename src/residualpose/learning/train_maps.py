"""Training of the 2D network: one loop, the same on CPU and CUDA, resumable to the step."""

from __future__ import annotations

import copy
import json
import logging
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from residualpose.errors import ResidualPoseError, UsageError
from residualpose.learning.batches import Batch, Crop, FrameStore, make_batch
from residualpose.learning.checkpoint import load_checkpoint, save_checkpoint
from residualpose.learning.network import OFFSET_SCALE_M, NetworkConfig, PoseNetwork, split_maps
from residualpose.learning.targets import Targets, make_targets
from residualpose.learning.warm_start import freeze_norms, start_from

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class MapsConfig:
    """How the 2D network is trained."""

    data: Path
    """Folder of rendered shards."""
    out: Path
    """Folder for checkpoints and the log; an interrupted run in it is resumed."""
    steps: int = 6000
    """Optimiser steps; may be changed when a run is resumed."""
    batch: int = 32
    """Frames a step."""
    shards: int = 40
    """Shards to use in the end."""
    first_shards: int = 2
    """Shards used from the first step on."""
    steps_per_shard: int = 30
    """Steps after which one more shard joins: rendering and training can run side by side."""
    learning_rate: float = 2e-3
    """Peak of AdamW's learning rate: a short warm-up, a plateau, then a fall to zero."""
    fall: float = 0.35
    """Share of the steps in which the learning rate falls."""
    weight_decay: float = 1e-3
    ema: float = 0.998
    """Decay of the running average of the weights, which is what is exported."""
    seed: int = 0
    threads: int = 1
    """CPU threads."""
    minutes_between_checkpoints: float = 5.0
    start: str = ""
    """Begin with the weights of this bundled model, model folder or checkpoint.pt, batch norms
    frozen, instead of random ones."""
    crop: Crop = field(default_factory=Crop)
    sensor_noise: bool = True
    """Simulate the sensors' faults; without, the network sees perfect depth (for ablations)."""
    network: NetworkConfig = field(default_factory=NetworkConfig)

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "shards", "first_shards", "steps_per_shard", "threads"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name}: expected at least 1, got {getattr(self, name)}")


def train_maps(config: MapsConfig, progress: Callable[[int, dict[str, float]], None]) -> Path:
    """Train, or go on with the run in `config.out`; returns the last checkpoint.

    `progress(step, losses)` is called after every step.
    """
    torch.set_num_threads(config.threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    config.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(config.seed)
    network = PoseNetwork(config.network).to(device)
    network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    if config.start:
        start_from(network, config.start)
    average = copy.deepcopy(network).eval()
    optimiser = torch.optim.AdamW(
        network.parameters(), config.learning_rate, weight_decay=config.weight_decay
    )
    checkpoint = config.out / "checkpoint.pt"
    start = _resume(checkpoint, network, average, optimiser, device) if checkpoint.exists() else 0
    store = FrameStore(config.data, config.shards, config.first_shards, config.steps_per_shard)
    saved_at = time.monotonic()
    with (config.out / "log.jsonl").open("a", encoding="utf-8") as record:
        for step in range(start, config.steps):
            for group in optimiser.param_groups:
                group["lr"] = config.learning_rate * rate(step, config)
            batch = make_batch(
                store, step, config.batch, config.seed, device, config.crop, config.sensor_noise
            )
            network.train()
            if config.start:
                freeze_norms(network)
            losses = _step(network, optimiser, batch)
            _follow(average, network, min(config.ema, (1 + step) / (10 + step)))
            progress(step, losses)
            if step % 20 == 0:
                record.write(json.dumps({"step": step, "time_s": time.time(), **losses}) + "\n")
                record.flush()
            late = time.monotonic() - saved_at > 60 * config.minutes_between_checkpoints
            if late or step + 1 == config.steps:
                _save(checkpoint, step + 1, network, average, optimiser, config)
                saved_at = time.monotonic()
    return checkpoint


def rate(step: int, config: MapsConfig) -> float:
    """Factor on the learning rate: linear warm-up over 200 steps, plateau, linear fall to 2 %."""
    left = (config.steps - step) / max(1.0, config.fall * config.steps)
    return min(1.0, (step + 1) / 200, max(0.02, left))


def _step(network: PoseNetwork, optimiser: torch.optim.Optimizer, batch: Batch) -> dict[str, float]:
    image = batch.depth_m[:, None].contiguous(memory_format=torch.channels_last)
    with torch.autocast(image.device.type, torch.bfloat16):
        early, final = network(image)
    losses: dict[str, Tensor] = {}
    total = early.new_zeros((), dtype=torch.float32)
    for name, maps, stride, share in (("early", early, 4, 0.4), ("final", final, 2, 1.0)):
        terms = maps_loss(maps.float(), targets_of(batch, stride))
        total = total + share * torch.stack(list(terms.values())).sum()
        losses |= {f"{name}_{k}": v for k, v in terms.items()}
    optimiser.zero_grad(set_to_none=True)
    total.backward()
    torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
    optimiser.step()
    return {k: float(v.detach()) for k, v in losses.items()}


def targets_of(batch: Batch, stride: int) -> Targets:
    """Targets of a batch; on the CPU a frame at a time, so that the work stays in its cache."""
    frames = len(batch.depth_m)
    chunk = frames if batch.depth_m.is_cuda else 1
    parts = []
    for rows in (slice(i, i + chunk) for i in range(0, frames, chunk)):
        joints = batch.joints_m[rows]
        people = max(1, int(torch.isfinite(joints[..., 0, 0]).sum(1).max()))
        visible, intrinsics = batch.visible[rows, :people], batch.intrinsics[rows]
        parts.append(
            make_targets(joints[:, :people], visible, intrinsics, batch.depth_m[rows], stride)
        )
    return Targets(*(torch.cat([getattr(p, f) for p in parts]) for f in Targets.__slots__))


def maps_loss(maps: Tensor, targets: Targets) -> dict[str, Tensor]:
    """Weighted squared errors of parts and fields, robust error of offsets; batch means."""
    parts, fields, offsets = split_maps(maps)
    part = (targets.parts_weight * (parts - targets.parts) ** 2).mean() * 20
    error = (fields - targets.fields).unflatten(1, (-1, 2)) ** 2
    limb = (targets.fields_weight * error.sum(2)).mean() * 3
    offset = torch.nn.functional.smooth_l1_loss(
        offsets / OFFSET_SCALE_M, targets.offsets_m / OFFSET_SCALE_M, reduction="none", beta=0.3
    )
    depth = (targets.offsets_weight * offset).sum() / targets.offsets_weight.sum().clamp_min(1)
    return {"part": part, "limb": limb, "depth": 0.3 * depth}


def _follow(average: torch.nn.Module, network: torch.nn.Module, decay: float) -> None:
    for old, new in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
        if old.dtype.is_floating_point:
            old.lerp_(new.detach(), 1 - decay)
        else:
            old.copy_(new)


def _save(
    path: Path,
    step: int,
    network: torch.nn.Module,
    average: torch.nn.Module,
    optimiser: torch.optim.Optimizer,
    config: MapsConfig,
) -> None:
    state = {
        "step": step,
        "network": network.state_dict(),
        "average": average.state_dict(),
        "optimiser": optimiser.state_dict(),
        "config": json.dumps(asdict(config), default=str),
    }
    save_checkpoint(path, state)


def _resume(
    path: Path,
    network: torch.nn.Module,
    average: torch.nn.Module,
    optimiser: torch.optim.Optimizer,
    device: torch.device,
) -> int:
    state = load_checkpoint(path, device)
    try:
        network.load_state_dict(state["network"])
        average.load_state_dict(state["average"])
        optimiser.load_state_dict(state["optimiser"])
    except (RuntimeError, ValueError):
        raise ResidualPoseError(
            f"{path}: the checkpoint is of a network of other size; choose another folder"
        ) from None
    log.info("resumed at step %d from %s", state["step"], path)
    return int(state["step"])
