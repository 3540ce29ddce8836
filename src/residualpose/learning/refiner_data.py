"""What the refiner learns from: rendered people, with the errors the earlier stages really make.

Held-out rendered frames go through sensor noise, 2D network, lifting and completion; every person
found is paired with the truth. Some joints are struck out at random before completion, so that the
refiner also learns from people of whom much is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.optimize import linear_sum_assignment

from residualpose.camera import Camera
from residualpose.estimator import Lifted, PoseEstimator
from residualpose.frames import DepthFrame
from residualpose.pipeline.complete import LimbPrior, complete_people
from residualpose.poses import Origin
from residualpose.synthetic.shards import MM, Shard, load_shard

MATCH_WITHIN_M = 0.4
_STRUCK_GROUPS = ((0,), (4, 6), (5, 7), (6,), (7,), (13, 14), (11, 12, 13, 14), (11, 13), (12, 14),
                  (9, 10, 11, 12, 13, 14), (2, 4, 6), (3, 5, 7))  # fmt: skip


@dataclass(frozen=True, slots=True)
class RefinerData:
    """N people as the refiner meets them, with the truth; camera frame, metres."""

    joints_m: np.ndarray
    """(N, 15, 3) completed joints."""
    joint_score: np.ndarray
    """(N, 15)."""
    origin: np.ndarray
    """(N, 15) of `Origin`."""
    covariance_m2: np.ndarray
    """(N, 15, 3, 3)."""
    truth_m: np.ndarray
    """(N, 15, 3)."""

    def save(self, path: Path) -> None:
        """Write an .npz that `load` reads."""
        np.savez_compressed(path, **{f: getattr(self, f) for f in self.__slots__})

    @classmethod
    def load(cls, path: Path) -> RefinerData:
        """Read a saved set."""
        with np.load(path, allow_pickle=False) as data:
            return cls(*(data[f] for f in cls.__slots__))


def collect(
    estimate: PoseEstimator,
    prior: LimbPrior,
    shard_paths: Sequence[Path],
    seed: int,
    progress: Callable[[int], None],
) -> RefinerData:
    """Run the stages over shards; `progress(frames)` is called after every shard."""
    rows: list[tuple[np.ndarray, ...]] = []
    for number, path in enumerate(shard_paths):
        shard = load_shard(path)
        rng = np.random.default_rng([seed, number])
        for i, depth_m in enumerate(_noisy(shard, seed + number)):
            camera = Camera(*(float(k) for k in shard.intrinsics[i]))
            _, people = estimate.detect(DepthFrame(depth_m, camera))
            rows += _pairs(prior, people, shard.joints_m[i], rng)
        progress(len(shard))
    columns = [np.stack(column).astype(np.float32) for column in zip(*rows, strict=True)]
    return RefinerData(*columns)


def _noisy(shard: Shard, seed: int, batch: int = 64) -> np.ndarray:
    """(N, H, W) metres: the shard's frames, each as a random sensor would give it."""
    import torch

    from residualpose.synthetic.sensors import sample_sensors, simulate

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


def _pairs(
    prior: LimbPrior, people: Lifted, truth_m: np.ndarray, rng: np.random.Generator
) -> list[tuple[np.ndarray, ...]]:
    truth_m = truth_m[np.isfinite(truth_m).all((1, 2))]
    matches = match_people(people.joints_m, truth_m)
    rows = []
    for struck in (False, True):
        joints, origin = people.joints_m.copy(), people.origin.copy()
        score, covariance = people.joint_score.copy(), people.covariance_m2.copy()
        if struck:
            for p in range(len(joints)):
                lost = list(_STRUCK_GROUPS[rng.integers(len(_STRUCK_GROUPS))])
                joints[p, lost], covariance[p, lost] = np.nan, np.nan
                origin[p, lost], score[p, lost] = Origin.ABSENT, 0
        done = complete_people(prior, joints, origin, covariance)
        rows += [
            (done.joints_m[p], score[p], done.origin[p], done.covariance_m2[p], truth_m[q])
            for p, q in matches
        ]
    return rows


def match_people(joints_m: np.ndarray, truth_m: np.ndarray) -> list[tuple[int, int]]:
    """Pairs (found, true) of people, one each, by median distance of the joints both have."""
    if not len(joints_m) or not len(truth_m):
        return []
    distance = np.linalg.norm(joints_m[:, None] - truth_m[None], axis=-1)
    known = np.isfinite(distance)
    distance = np.where(known, distance, np.inf)
    median = np.sort(distance, axis=-1)[..., :].copy()
    middle = np.maximum(known.sum(-1) - 1, 0) // 2
    cost = np.minimum(np.take_along_axis(median, middle[..., None], -1)[..., 0], 10.0)
    found, true = linear_sum_assignment(cost)
    return [(p, q) for p, q in zip(found, true, strict=True) if cost[p, q] < MATCH_WITHIN_M]
