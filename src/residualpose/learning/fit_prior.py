"""Fit our own limb prior to 3D poses: a mixture of Gaussians in the body's upright frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_solve, cholesky

from residualpose.errors import ResidualPoseError
from residualpose.pipeline.body_frame import LEVEL_DOWN, upright_frame
from residualpose.pipeline.limb_prior import FEATURES, LimbPrior, limb_features
from residualpose.skeleton import ITOP15, L_HIP, L_SHOULDER, R_HIP, R_SHOULDER

_MIRROR_X = np.array([-1.0, 1.0, 1.0])


@dataclass(frozen=True, slots=True)
class PriorFit:
    """How to fit. Measured beside others in docs/training.md."""

    components: int = 12
    """Number of Gaussians."""
    iterations: int = 25
    """Rounds of expectation-maximisation."""
    joint_noise_m: float = 0.015
    """Noise added to every joint, so that the prior expects measured joints."""
    scale_sd: float = 0.10
    """Spread of body size added to that of the data (children, tall people)."""
    tilt_sd: float = 0.05
    """Spread in radians of the vertical added to that of the data: cameras are rarely level."""
    shared_poses: float = 100.0
    """Weight, in poses, of the common covariance in every component's own."""
    floor: float = 0.06
    """Smallest standard deviation of a direction component; a third of it for lengths (m)."""
    direction_sd: float = 0.10
    """Noise the prior assumes in a seen limb's direction when it completes."""
    length_sd_m: float = 0.02
    """Noise the prior assumes in a seen limb's length when it completes."""
    max_poses: int = 20_000
    """Poses are thinned to this many, after mirroring."""
    seed: int = 0


def fit_prior(
    joints_m: np.ndarray, down: np.ndarray = LEVEL_DOWN, settings: PriorFit | None = None
) -> LimbPrior:
    """Fit a body-frame prior to poses (N, 15, 3) in metres, camera frame (x right, y down).

    Args:
        joints_m: any headings and positions; poses with a NaN are left out. To serve several
            label conventions at once, pass the poses in each of them.
        down: direction of gravity in the frame of the joints, (3,) or (N, 3); default level.
        settings: see `PriorFit`.

    Raises:
        ResidualPoseError: fewer than 60 complete poses.
    """
    settings = settings or PriorFit()
    rng = np.random.default_rng(settings.seed)
    features = _training_features(np.asarray(joints_m, dtype=np.float64), down, settings, rng)
    # Lengths vary an order less than directions: bring both to one scale for the fit.
    unit = np.tile([1.0, 1.0, 1.0, 1.0 / 3.0], FEATURES // 4)
    weights, mean, covariance = fit_mixture(
        features / unit, settings.components, settings.iterations, settings.floor,
        settings.shared_poses, rng,
    )  # fmt: skip
    return LimbPrior(
        weights, mean * unit, covariance * unit[:, None] * unit, True,
        settings.direction_sd, settings.length_sd_m,
    )  # fmt: skip


def _training_features(
    joints_m: np.ndarray, down: np.ndarray, settings: PriorFit, rng: np.random.Generator
) -> np.ndarray:
    """Limb features (M, 56) in the body frame: mirrored, noisy, of varied size and frame."""
    if joints_m.ndim != 3 or joints_m.shape[1:] != (15, 3):
        raise ResidualPoseError(f"joints_m: expected shape (N, 15, 3), got {joints_m.shape}")
    down = np.broadcast_to(np.asarray(down, dtype=np.float64), (len(joints_m), 3))
    complete = np.isfinite(joints_m).all((1, 2))
    if complete.sum() < FEATURES + 4:
        raise ResidualPoseError(
            f"a limb prior needs at least {FEATURES + 4} complete poses, got {complete.sum()}"
        )
    poses, down = joints_m[complete], down[complete]
    keep = rng.permutation(len(poses))[: settings.max_poses // 2]
    poses, down = poses[keep], down[keep] / np.linalg.norm(down[keep], axis=-1, keepdims=True)
    poses = poses * rng.lognormal(0.0, settings.scale_sd, (len(poses), 1, 1))
    poses = poses + rng.normal(0.0, settings.joint_noise_m, poses.shape)
    down = down + rng.normal(0.0, settings.tilt_sd, down.shape)
    down /= np.linalg.norm(down, axis=-1, keepdims=True)
    upright = poses @ upright_frame(_some_trunk(poses, rng), down)
    upright = upright[np.isfinite(upright).all((1, 2))]
    mirrored = upright[:, list(ITOP15.mirror)] * _MIRROR_X
    features = limb_features(np.concatenate([upright, mirrored])).reshape(-1, FEATURES)
    return features[np.isfinite(features).all(-1)]


def _some_trunk(poses_m: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Poses with hips or shoulders hidden in a part of them, as the frame will be found in use."""
    partial = poses_m.copy()
    choice = rng.random(len(poses_m))
    for joint in (R_HIP, L_HIP):
        partial[choice < 0.2, joint] = np.nan
    for joint in (R_SHOULDER, L_SHOULDER):
        partial[choice > 0.9, joint] = np.nan
    return partial


def fit_mixture(
    data: np.ndarray,
    components: int,
    iterations: int,
    floor: float,
    shared: float,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Expectation-maximisation of a mixture of K Gaussians on (N, D) data.

    Every covariance is drawn towards the common one with the weight of `shared` samples, and
    keeps a standard deviation of at least `floor`.

    Returns:
        weights (K,), means (K, D), covariances (K, D, D).
    """
    count, width = data.shape
    common = np.cov(data.T)
    share = np.eye(components)[_nearest(data, _spread_centres(data, components, rng))]
    weights = np.full(components, 1.0 / components)
    mean = np.zeros((components, width))
    covariance = np.zeros((components, width, width))
    for _ in range(iterations):
        mass = share.sum(0) + 1e-9
        weights, mean = mass / mass.sum(), share.T @ data / mass[:, None]
        score = np.empty((count, components))
        for k in range(components):
            offset = data - mean[k]
            scatter = (offset * share[:, k : k + 1]).T @ offset + shared * common
            covariance[k] = scatter / (mass[k] + shared) + floor**2 * np.eye(width)
            factor = cholesky(covariance[k], lower=True)
            distance = np.einsum("nd,dn->n", offset, cho_solve((factor, True), offset.T))
            score[:, k] = np.log(weights[k]) - np.log(np.diag(factor)).sum() - distance / 2
        share = np.exp(score - score.max(1, keepdims=True))
        share /= share.sum(1, keepdims=True)
    return weights, mean, covariance


def _spread_centres(data: np.ndarray, components: int, rng: np.random.Generator) -> np.ndarray:
    """K samples far from each other (k-means++ seeding)."""
    centres = data[rng.integers(len(data))][None]
    while len(centres) < components:
        square = ((data[:, None] - centres[None]) ** 2).sum(-1).min(1)
        chosen = rng.choice(len(data), p=square / square.sum())
        centres = np.concatenate([centres, data[chosen][None]])
    return centres


def _nearest(data: np.ndarray, centres: np.ndarray) -> np.ndarray:
    return np.argmin([((data - centre) ** 2).sum(-1) for centre in centres], axis=0)
