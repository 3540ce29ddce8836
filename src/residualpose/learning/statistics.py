"""Statistics of poses in the released format: arXiv 2011.05010, sections III-C and III-D."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from residualpose.pipeline.limb_prior import FEATURES, LimbPrior, limb_features
from residualpose.results import replacing


@dataclass(frozen=True, slots=True)
class PoseStatistics:
    """Mean and spread of the joints and limbs of poses, metres, in the axes of the poses."""

    limb_mean: np.ndarray
    """(56,) 14 limbs x (direction x, y, z, length)."""
    limb_covariance: np.ndarray
    """(56, 56)."""
    joint_mean_m: np.ndarray
    """(15, 3)."""
    joint_sd_m: np.ndarray
    """(15, 3)."""

    @classmethod
    def of(cls, poses_m: np.ndarray) -> PoseStatistics:
        """Of poses (N, 15, 3) without NaN."""
        features = limb_features(poses_m).reshape(-1, FEATURES)
        features = features[np.isfinite(features).all(-1)]
        return cls(features.mean(0), np.cov(features.T), poses_m.mean(0), poses_m.std(0))

    def save(self, folder: Path) -> list[Path]:
        """Write the files that `LimbPrior.load` and the original configuration read."""
        mean, covariance = folder / "mean_pose_limb.npy", folder / "var_pose_limb.npy"
        for path, values in ((mean, self.limb_mean), (covariance, self.limb_covariance)):
            with replacing(path) as stream:
                np.save(stream, values)
        stats = folder / "train_input_stats.json"
        write_joint_stats(stats, self.joint_mean_m, self.joint_sd_m)
        return [mean, covariance, stats]


def write_joint_stats(path: Path, mean_m: np.ndarray, sd_m: np.ndarray) -> None:
    """Write mean and sd (15, 3) of joints as the release stores them."""
    content = {"train_mean": mean_m.tolist(), "train_sd": sd_m.tolist()}
    with replacing(path) as stream:
        stream.write(json.dumps(content).encode())


def released_prior(poses_m: np.ndarray) -> LimbPrior:
    """The paper's prior of poses (N, 15, 3): one Gaussian, in the camera's axes."""
    found = PoseStatistics.of(poses_m)
    return LimbPrior(np.ones(1), found.limb_mean[None], found.limb_covariance[None])
