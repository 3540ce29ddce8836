"""Rendered frames as sensors would give them, for the stages after the 2D network's training."""

from __future__ import annotations

import numpy as np
import torch

from residualpose.synthetic.sensors import sample_sensors, simulate
from residualpose.synthetic.shards import MM, Shard


def sensed_frames(shard: Shard, seed: int, batch: int = 16) -> np.ndarray:
    """(N, H, W) float32 metres: the shard's frames, each with a random sensor's faults."""
    generator = torch.Generator().manual_seed(seed)
    frames = []
    for start in range(0, len(shard), batch):
        rows = slice(start, start + batch)
        depth = torch.from_numpy(shard.depth_mm[rows]).float() / MM
        label = torch.from_numpy(shard.label[rows])
        focal = torch.from_numpy(shard.intrinsics[rows, 0])
        sensor = sample_sensors(len(depth), generator)
        frames.append(simulate(depth, label & 15, focal, sensor, generator, person=label >= 16))
    return torch.cat(frames).numpy()
