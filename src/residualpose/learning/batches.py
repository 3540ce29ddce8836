"""Training batches: stored clean frames, made into fresh sensor images each time they are used.

Batch t is a function of (seed, t) alone, whatever was done before: that is what makes a resumed run
exact. The frames may still be rendering while training starts: batch t waits for its shards.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from residualpose.skeleton import ITOP15
from residualpose.synthetic.sensors import sample_sensors, simulate
from residualpose.synthetic.shards import MM, Shard, load_shard, shard_path


@dataclass(frozen=True, slots=True)
class Batch:
    """B training images with their truth."""

    depth_m: Tensor
    """(B, H, W) float32 as a sensor would give it, 0 = no reading."""
    joints_m: Tensor
    """(B, P, 15, 3) float32 camera frame, NaN for absent people."""
    visible: Tensor
    """(B, P, 15) bool."""
    intrinsics: Tensor
    """(B, 4) fx, fy, cx, cy."""


class FrameStore:
    """The shards of a folder, read when first needed and kept in memory."""

    def __init__(self, folder: Path, shards: int, first_shards: int, steps_per_shard: int) -> None:
        self.folder = folder
        self.shards = shards
        self.first_shards = first_shards
        self.steps_per_shard = steps_per_shard
        self._loaded: list[Shard] = []

    def at_step(self, step: int) -> list[Shard]:
        """The shards that step `step` may draw from; waits until they are on disk."""
        wanted = min(self.shards, self.first_shards + step // self.steps_per_shard)
        while len(self._loaded) < wanted:
            path = shard_path(self.folder, len(self._loaded))
            while not path.exists():
                time.sleep(1.0)
            self._loaded.append(load_shard(path))
        return self._loaded[:wanted]


def make_batch(store: FrameStore, step: int, size: int, seed: int, device: torch.device) -> Batch:
    """Batch `step`: random frames, half of them mirrored, each with a random sensor's faults."""
    rng = np.random.default_rng([seed, step])
    shards = store.at_step(step)
    chosen = [shards[s] for s in rng.integers(len(shards), size=size)]
    rows = [(shard, int(rng.integers(len(shard)))) for shard in chosen]

    def stack(field: str) -> Tensor:
        return torch.from_numpy(np.stack([getattr(s, field)[i] for s, i in rows])).to(device)

    depth = stack("depth_mm").float() / MM
    label = stack("label")
    batch = Batch(depth, stack("joints_m"), stack("visible"), stack("intrinsics"))
    mirrored = torch.from_numpy(rng.random(size) < 0.5).to(device)
    batch, label = _mirror(batch, label, mirrored)
    generator = torch.Generator(device).manual_seed(int(rng.integers(2**62)))
    sensor = sample_sensors(size, generator)
    noisy = simulate(
        batch.depth_m, label & 15, batch.intrinsics[:, 0], sensor, generator, person=label >= 16
    )
    return Batch(noisy, batch.joints_m, batch.visible, batch.intrinsics)


def _mirror(batch: Batch, label: Tensor, chosen: Tensor) -> tuple[Batch, Tensor]:
    """Left-right mirror images of the chosen frames: right hands become left hands."""
    partner = list(ITOP15.mirror)
    width = batch.depth_m.shape[-1]
    flipped_joints = batch.joints_m[:, :, partner] * batch.joints_m.new_tensor([-1.0, 1.0, 1.0])
    flipped_intrinsics = batch.intrinsics.clone()
    flipped_intrinsics[:, 2] = width - 1 - flipped_intrinsics[:, 2]

    def pick(flipped: Tensor, plain: Tensor) -> Tensor:
        return torch.where(chosen.view(-1, *[1] * (plain.ndim - 1)), flipped, plain)

    mirrored = Batch(
        pick(batch.depth_m.flip(-1), batch.depth_m),
        pick(flipped_joints, batch.joints_m),
        pick(batch.visible[:, :, partner], batch.visible),
        pick(flipped_intrinsics, batch.intrinsics),
    )
    return mirrored, pick(label.flip(-1), label)
