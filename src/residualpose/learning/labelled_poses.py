"""The labels of rendered frames and recordings, without the images where these do not matter."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from residualpose.datasets import open_dataset
from residualpose.errors import ResidualPoseError
from residualpose.evaluation.labelled import LabelledFrames, of_dataset
from residualpose.synthetic.shards import load_shard

MIN_POSES = 60
"""Fewer say nothing about 56 numbers a pose."""


def training_frames(path: Path) -> LabelledFrames:
    """The frames of a recording that are meant for training."""
    return of_dataset(open_dataset(path, split="train"))


def labelled_poses(path: Path) -> np.ndarray:
    """(N, 15, 3) metres, camera frame: the fully labelled people of shards or of a recording.

    Raises:
        UsageError: there is no such data.
        ResidualPoseError: it cannot be read, or has fewer than MIN_POSES such people.
    """
    shards = sorted(path.glob("shard_*.npz"))
    if shards:
        poses = np.concatenate([load_shard(one).joints_m.reshape(-1, 15, 3) for one in shards])
    else:
        frames = training_frames(path)
        poses = np.concatenate([np.zeros((0, 15, 3)), *(one.truth_m for one in frames)])
    poses = poses[np.isfinite(poses).all((1, 2))]
    if len(poses) < MIN_POSES:
        raise ResidualPoseError(
            f"{path}: expected at least {MIN_POSES} people with all joints labelled, "
            f"found {len(poses)}"
        )
    return poses
