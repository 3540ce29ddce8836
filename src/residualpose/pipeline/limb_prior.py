"""LimbPrior: Gaussians over the 14 limbs that say where the joints not seen must be.

The prior of the paper (section III-C) is one Gaussian over 14 limbs x (unit direction, length in
metres). Here every seen limb is conditioned on at once, and a missing joint between two seen ones
is also held by both of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from residualpose.errors import ResidualPoseError
from residualpose.pipeline.body_frame import frame_hypotheses
from residualpose.pipeline.limb_paths import (
    JOINTS,
    LIMB_FROM,
    LIMB_TO,
    LIMBS,
    LimbPaths,
    limb_paths,
)

FEATURES = 4 * LIMBS
_CACHED_PATTERNS = 64
_LOOP_SD_M = 0.01
_LOOP_ROUNDS = 3
"""More rounds move joints, where a loop hardly closes by decimetres, but no nearer to the truth."""
_UNIT_SD = 0.02


def limb_features(joints_m: np.ndarray) -> np.ndarray:
    """Unit direction and length of every limb, (..., 15, 3) -> (..., 14, 4); NaN where unknown."""
    vector = joints_m[..., LIMB_TO, :] - joints_m[..., LIMB_FROM, :]
    length = np.sqrt((vector * vector).sum(axis=-1, keepdims=True))
    length = np.where(length > 1e-3, length, np.nan)
    return np.concatenate([vector / length, length], axis=-1)


@dataclass(frozen=True, slots=True)
class _Gains:
    """What conditioning on one set of seen features needs, for each of the K Gaussians."""

    precision: np.ndarray
    log_norm: np.ndarray
    gain: np.ndarray
    covariance: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class LimbPrior:
    """A mixture of K Gaussians over limbs; K = 1 for the released format."""

    weights: np.ndarray
    """(K,) summing to one."""
    mean: np.ndarray
    """(K, 56): 14 limbs x (direction x, y, z, length in metres)."""
    covariance: np.ndarray
    """(K, 56, 56)."""
    body_frame: bool = False
    """True: directions are in the body's upright frame, so any heading and camera will do.
    False: in the axes of the data it was made from, as the released files are."""
    direction_sd: float = 0.03
    """Noise assumed in a seen limb's direction; also what makes singular statistics invertible."""
    length_sd_m: float = 0.01
    """Noise assumed in a seen limb's length."""
    _cache: dict[bytes, _Gains] = field(default_factory=dict, init=False, repr=False)
    _lengths: tuple[np.ndarray, np.ndarray] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        k = len(self.weights)
        expected = {"mean": (k, FEATURES), "covariance": (k, FEATURES, FEATURES)}
        for name, shape in expected.items():
            value = np.asarray(getattr(self, name), dtype=np.float64)
            if value.shape != shape or not np.isfinite(value).all():
                raise ResidualPoseError(
                    f"limb prior: {name} must be finite with shape {shape}, got {value.shape}"
                )
            object.__setattr__(self, name, value)
        object.__setattr__(self, "_lengths", self._mixed_lengths())

    @classmethod
    def load(cls, mean_path: str | Path, covariance_path: str | Path) -> LimbPrior:
        """Read the released format: mean_pose_limb.npy (56) and var_pose_limb.npy (56, 56)."""
        mean = _load_array(mean_path, (FEATURES,))
        covariance = _load_array(covariance_path, (FEATURES, FEATURES))
        return cls(np.ones(1), mean[None], _positive(covariance)[None])

    @classmethod
    def load_npz(cls, path: str | Path) -> LimbPrior:
        """Read a prior written by `save`."""
        try:
            with np.load(path, allow_pickle=False) as stored:
                return cls(
                    stored["weights"], stored["mean"], stored["covariance"],
                    bool(stored["body_frame"]), float(stored["direction_sd"]),
                    float(stored["length_sd_m"]),
                )  # fmt: skip
        except (OSError, ValueError, KeyError, TypeError, EOFError) as error:
            raise ResidualPoseError(
                f"{path}: expected a limb prior (.npz of LimbPrior.save), found {error}"
            ) from error

    def save(self, path: str | Path) -> Path:
        """Write the prior as a pickle-free .npz; returns the path."""
        path = Path(path)
        with path.open("wb") as file:
            np.savez(
                file, weights=self.weights, mean=self.mean.astype(np.float32),
                covariance=self.covariance.astype(np.float32), body_frame=self.body_frame,
                direction_sd=self.direction_sd, length_sd_m=self.length_sd_m,
            )  # fmt: skip
        return path

    def complete(self, joints_m: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Fill the missing joints of people, (..., 15, 3) with NaN where missing.

        Returns:
            joints_m (..., 15, 3) with the seen joints as given, and covariance_m2 (..., 15, 3, 3),
            zero for seen joints. Joints that cannot be placed (fewer than two seen; in a body-frame
            prior no trunk to tell the heading) stay NaN with NaN covariance.
        """
        shape = np.shape(joints_m)
        if shape[-2:] != (JOINTS, 3):
            raise ResidualPoseError(f"joints_m: expected shape (..., 15, 3), got {shape}")
        joints = np.array(joints_m, dtype=np.float64).reshape(-1, JOINTS, 3)
        seen = np.asarray(np.isfinite(joints).all(-1))
        joints[~seen] = np.nan
        covariance = np.where(seen[..., None, None], np.zeros((3, 3)), np.nan)
        axes, log_odds = self._hypotheses(joints)
        features = limb_features(joints[:, None] @ axes)
        count = seen.sum(axis=1)
        to_fill = (count >= 2) & (count < JOINTS) & (log_odds > -np.inf).any(axis=1)
        for person in np.flatnonzero(to_fill):
            missing, may = ~seen[person], log_odds[person] > -np.inf
            best, log_weight = self._likeliest(features[person, may], log_odds[person, may])
            to_camera = axes[person, may][best]
            mean, of_features = self._condition(features[person, may][best], log_weight)
            placed, placed_covariance = _place(
                joints[person] @ to_camera, seen[person], mean, of_features
            )
            joints[person, missing] = placed @ to_camera.T
            covariance[person, missing] = to_camera @ placed_covariance @ to_camera.T
        return joints.reshape(shape), covariance.reshape(*shape, 3)

    def length_statistics(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean (14,) and covariance (14, 14) of the limb lengths in metres."""
        return self._lengths

    def _mixed_lengths(self) -> tuple[np.ndarray, np.ndarray]:
        lengths = self.mean[:, 3::4]
        mean = self.weights @ lengths
        spread = lengths - mean
        within = np.einsum("k,kab->ab", self.weights, self.covariance[:, 3::4, 3::4])
        return mean, within + np.einsum("k,ka,kb->ab", self.weights, spread, spread)

    def _hypotheses(self, joints_m: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Axes as columns (P, H, 3, 3) that people's limbs may be seen in, log odds (P, H)."""
        if self.body_frame:
            return frame_hypotheses(joints_m)
        return np.tile(np.eye(3), (len(joints_m), 1, 1, 1)), np.zeros((len(joints_m), 1))

    def _likeliest(self, features: np.ndarray, log_odds: np.ndarray) -> tuple[int, np.ndarray]:
        """In which of H axes one person's limbs are likeliest.

        Args:
            features: (H, 14, 4) in each.
            log_odds: (H,) of each.

        Returns:
            Which, and the log likelihood (K,) of each Gaussian there.
        """
        log_likelihood = self._log_likelihood(features)
        best = int(np.argmax(np.logaddexp.reduce(log_likelihood, axis=1) + log_odds))
        return best, log_likelihood[best]

    def _gains(self, known: np.ndarray) -> _Gains:
        """Gains for a mask (56,) of known features, computed once per pattern."""
        key = known.tobytes()
        gains = self._cache.get(key)
        if gains is None:
            noise = np.tile(np.array([self.direction_sd] * 3 + [self.length_sd_m]) ** 2, LIMBS)
            rows, rest = self.covariance[:, known], self.covariance[:, ~known]
            observed = rows[:, :, known] + np.diag(noise[known])
            precision = np.linalg.inv(observed)
            gain = rest[:, :, known] @ precision
            posterior = rest[:, :, ~known] - gain @ rows[:, :, ~known]
            log_norm = np.log(self.weights) - 0.5 * np.linalg.slogdet(observed)[1]
            gains = _Gains(precision, log_norm, gain, posterior)
            # Other threads may look here and add at the same time: nothing is taken for granted.
            for oldest in tuple(self._cache)[: 1 - _CACHED_PATTERNS]:
                self._cache.pop(oldest, None)
            self._cache[key] = gains
        return gains

    def _log_likelihood(self, features: np.ndarray) -> np.ndarray:
        """Log of weight x density of the known features, up to a constant.

        Args:
            features: (H, 14, 4), the same ones known in all.

        Returns:
            (H, K).
        """
        flat = features.reshape(len(features), FEATURES)
        known = ~np.isnan(flat[0])
        gains = self._gains(known)
        r = flat[:, known] - self.mean[:, None, known]
        return gains.log_norm - 0.5 * ((r @ gains.precision) * r).sum(-1).T

    def _condition(
        self, features: np.ndarray, log_weight: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Mean (56,) and covariance (56, 56) of all features given the known ones.

        Args:
            features: (14, 4), NaN unknown.
            log_weight: (K,) log likelihood of what is known under each Gaussian.
        """
        flat = features.ravel()
        known = ~np.isnan(flat)
        gains = self._gains(known)
        weight = np.exp(log_weight - log_weight.max())
        weight /= weight.sum()
        shift = gains.gain @ (flat[known] - self.mean[:, known])[:, :, None]
        means = self.mean[:, ~known] + shift[:, :, 0]
        mean = flat.copy()
        mean[~known] = weight @ means
        spread = means - mean[~known]
        within = weight @ gains.covariance.reshape(len(weight), -1)
        covariance = np.zeros((FEATURES, FEATURES))
        unknown = np.flatnonzero(~known)
        covariance[unknown[:, None], unknown] = (
            within.reshape(len(unknown), -1) + (weight[:, None] * spread).T @ spread
        )
        return mean, covariance


def _place(
    joints_m: np.ndarray, seen: np.ndarray, mean: np.ndarray, covariance: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The M missing joints (M, 3) and their covariances (M, 3, 3), in the prior's axes.

    Args:
        joints_m: (15, 3) in those axes.
        seen: (15,) which of them are.
        mean: (56,) of all features given the seen joints.
        covariance: (56, 56) of these.
    """
    paths = limb_paths(seen)
    if len(paths.loop):
        mean, covariance = _close_loops(mean, covariance, joints_m, paths)
    limbs = mean.reshape(LIMBS, 4).copy()
    norm = np.linalg.norm(limbs[:, :3], axis=-1, keepdims=True)
    limbs[:, :3] /= np.maximum(norm, 1e-6)
    limbs[:, 3] = np.maximum(limbs[:, 3], 0.0)
    path = paths.path[~seen]
    placed = joints_m[paths.root[~seen]] + path @ (limbs[:, :3] * limbs[:, 3:])
    jacobian = _sum_jacobian(path, limbs)
    return placed, jacobian @ covariance @ jacobian.transpose(0, 2, 1)


def _sum_jacobian(signs: np.ndarray, limbs: np.ndarray) -> np.ndarray:
    """Derivative of sums of signed limb vectors by features: (N, 14), (14, 4) -> (N, 3, 56)."""
    block = np.zeros((LIMBS, 3, 4))
    block[:, [0, 1, 2], [0, 1, 2]] = limbs[:, 3:]
    block[:, :, 3] = limbs[:, :3]
    columns = signs[:, None, :, None] * block.transpose(1, 0, 2)
    return columns.reshape(len(signs), 3, FEATURES)


def _close_loops(
    mean: np.ndarray, covariance: np.ndarray, joints_m: np.ndarray, paths: LimbPaths
) -> tuple[np.ndarray, np.ndarray]:
    """Condition on limb walks between two seen joints: their sum is known, their units are one.

    An iterated extended Kalman update, because the sum is a product of direction and length.
    """
    ends = joints_m[paths.loop_ends]
    target = (ends[:, 1] - ends[:, 0]).ravel()
    walked = np.flatnonzero(np.abs(paths.loop).sum(0))
    unit_rows = np.arange(len(walked))
    noise = np.diag(np.repeat([_LOOP_SD_M**2, _UNIT_SD**2], [len(target), len(walked)]))
    state, gain, jacobian = mean, np.empty(0), np.empty(0)
    for _ in range(_LOOP_ROUNDS):
        limbs = state.reshape(LIMBS, 4)
        direction = limbs[walked, :3]
        norm = np.maximum(np.sqrt((direction * direction).sum(axis=-1)), 1e-6)
        units = np.zeros((len(walked), LIMBS, 4))
        units[unit_rows, walked, :3] = direction / norm[:, None]
        sums = (paths.loop @ (limbs[:, :3] * limbs[:, 3:])).ravel()
        jacobian = np.concatenate(
            [_sum_jacobian(paths.loop, limbs).reshape(-1, FEATURES), units.reshape(-1, FEATURES)]
        )
        residual = np.concatenate([target - sums, 1.0 - norm]) - jacobian @ (mean - state)
        gain = np.linalg.solve(jacobian @ covariance @ jacobian.T + noise, jacobian @ covariance).T
        state = mean + gain @ residual
    return state, covariance - gain @ jacobian @ covariance


def _load_array(path: str | Path, shape: tuple[int, ...]) -> np.ndarray:
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ResidualPoseError(
            f"{path}: expected a .npy array of shape {shape}, found {error}"
        ) from error
    if not isinstance(array, np.ndarray) or array.shape != shape or array.dtype.kind != "f":
        found = (array.shape, array.dtype) if isinstance(array, np.ndarray) else "an .npz archive"
        raise ResidualPoseError(f"{path}: expected floats of shape {shape}, found {found}")
    if not np.isfinite(array).all():
        raise ResidualPoseError(f"{path}: expected finite numbers, found NaN or infinity")
    return array.astype(np.float64)


def _positive(covariance: np.ndarray) -> np.ndarray:
    """The nearest symmetric matrix without negative eigenvalues."""
    values, vectors = np.linalg.eigh((covariance + covariance.T) / 2)
    return (vectors * np.maximum(values, 0.0)) @ vectors.T
