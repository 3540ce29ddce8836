"""LimbPrior: Gaussians over the 14 limbs that say where the joints not seen must be.

The prior of the paper (section III-C) is one Gaussian over 14 limbs x (unit direction, length in
metres). Here every seen limb is conditioned on at once, and a missing joint between two seen ones
is also held by both of them.
"""

from __future__ import annotations

from collections.abc import Sequence
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
    """What conditioning on one set of seen features needs, for each of the K Gaussians.

    Matrices (K, 56, 56) of all features; 0 where a row or a column has no part in it.
    """

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
        people = np.flatnonzero(to_fill)
        if len(people):
            best, log_weight = self._likeliest(features[people], log_odds[people])
            to_camera = axes[people, best]
            mean, of_features = self._condition(features[people, best], log_weight)
            placed, placed_covariance = _place(
                joints[people] @ to_camera, seen[people], mean, of_features
            )
            from_camera, missing = to_camera.swapaxes(-1, -2), ~seen[people]
            placed = placed @ from_camera
            turned = to_camera[:, None] @ placed_covariance @ from_camera[:, None]
            joints[people] = np.where(missing[..., None], placed, joints[people])
            covariance[people] = np.where(missing[..., None, None], turned, covariance[people])
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

    def _likeliest(
        self, features: np.ndarray, log_odds: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """In which of H axes each of P people's limbs are likeliest.

        Args:
            features: (P, H, 14, 4) in each; the same ones known wherever the odds are not -inf.
            log_odds: (P, H) of each.

        Returns:
            Which (P,), and the log likelihood (P, K) of each Gaussian there.
        """
        flat = features.reshape(*log_odds.shape, FEATURES)
        r = flat[:, None] - self.mean[:, None]
        r[np.isnan(r)] = 0.0
        weighed, log_norm = np.empty_like(r), np.empty((len(r), len(self.weights)))
        for person, gains in enumerate(self._gains_of(flat)):
            np.matmul(r[person], gains.precision, out=weighed[person])
            log_norm[person] = gains.log_norm
        log_likelihood = log_norm[..., None] - 0.5 * (weighed * r).sum(-1)
        may = log_odds > -np.inf
        total = np.logaddexp.reduce(log_likelihood, axis=1) + log_odds
        best = np.where(may, total, -np.inf).argmax(axis=1)
        return best, log_likelihood[np.arange(len(best)), :, best]

    def _gains_of(self, flat: np.ndarray) -> list[_Gains]:
        """What conditioning on the known features of (P, H, 56) needs, for each person."""
        known = ~np.asarray(np.isnan(flat).all(axis=1))
        return [self._gains(row) for row in known]

    def _gains(self, known: np.ndarray) -> _Gains:
        """Gains for a mask (56,) of known features, computed once per pattern."""
        key = known.tobytes()
        gains = self._cache.get(key)
        if gains is None:
            gains = self._new_gains(known)
            # Other threads may look here and add at the same time: nothing is taken for granted.
            for oldest in tuple(self._cache)[: 1 - _CACHED_PATTERNS]:
                self._cache.pop(oldest, None)
            self._cache[key] = gains
        return gains

    def _new_gains(self, known: np.ndarray) -> _Gains:
        """Gains for a mask (56,) of known features: the conditional Gaussians' closed form."""
        noise = np.tile(np.array([self.direction_sd] * 3 + [self.length_sd_m]) ** 2, LIMBS)
        there, gone = np.flatnonzero(known), np.flatnonzero(~known)
        rows, rest = self.covariance[:, known], self.covariance[:, ~known]
        observed = rows[:, :, known] + np.diag(noise[known])
        inverse = np.linalg.inv(observed)
        held = rest[:, :, known] @ inverse
        log_norm = np.log(self.weights) - 0.5 * np.linalg.slogdet(observed)[1]
        precision, gain, posterior = (np.zeros_like(self.covariance) for _ in range(3))
        precision[:, there[:, None], there] = inverse
        gain[:, there[:, None], gone] = held.swapaxes(-1, -2)
        posterior[:, gone[:, None], gone] = rest[:, :, ~known] - held @ rows[:, :, ~known]
        return _Gains(precision, log_norm, gain, posterior)

    def _condition(
        self, features: np.ndarray, log_weight: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Mean (P, 56) and covariance (P, 56, 56) of all features given the known ones.

        Args:
            features: (P, 14, 4), NaN unknown.
            log_weight: (P, K) log likelihood of what is known under each Gaussian.
        """
        flat = features.reshape(len(features), FEATURES)
        known = ~np.isnan(flat)
        weight = np.exp(log_weight - log_weight.max(axis=1, keepdims=True))
        weight /= weight.sum(axis=1, keepdims=True)
        r = np.where(known[:, None], flat[:, None] - self.mean, 0.0)
        means, covariance = np.empty_like(r), np.empty((*flat.shape, FEATURES))
        for person, gains in enumerate(self._gains_of(flat[:, None])):
            means[person] = (r[person][:, None] @ gains.gain)[:, 0]
            within = weight[person] @ gains.covariance.reshape(len(self.weights), -1)
            covariance[person] = within.reshape(FEATURES, FEATURES)
        means += self.mean
        mean = np.where(known, flat, (weight[..., None] * means).sum(axis=1))
        spread = np.where(known[:, None], 0.0, means - mean[:, None])
        covariance += (weight[..., None] * spread).swapaxes(-1, -2) @ spread
        return mean, covariance


def _place(
    joints_m: np.ndarray, seen: np.ndarray, mean: np.ndarray, covariance: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """All joints (P, 15, 3) of P people and their covariances (P, 15, 3, 3), in the prior's axes.

    Args:
        joints_m: (P, 15, 3) in those axes.
        seen: (P, 15) which of them are.
        mean: (P, 56) of all features given the seen joints.
        covariance: (P, 56, 56) of these.
    """
    paths = [limb_paths(mask) for mask in seen]
    if any(len(way.loop) for way in paths):
        mean, covariance = _close_loops(mean, covariance, joints_m, paths)
    limbs = mean.reshape(-1, LIMBS, 4).copy()
    norm = np.sqrt((limbs[..., :3] * limbs[..., :3]).sum(axis=-1, keepdims=True))
    limbs[..., :3] /= np.maximum(norm, 1e-6)
    limbs[..., 3] = np.maximum(limbs[..., 3], 0.0)
    path, root = np.array([way.path for way in paths]), np.array([way.root for way in paths])
    hung_from = joints_m[np.arange(len(root))[:, None], root]
    placed = hung_from + path @ (limbs[..., :3] * limbs[..., 3:])
    jacobian = _sum_jacobian(path, limbs)
    return placed, jacobian @ covariance[:, None] @ jacobian.swapaxes(-1, -2)


def _sum_jacobian(signs: np.ndarray, limbs: np.ndarray) -> np.ndarray:
    """Derivative of sums of signed limb vectors by features, of P people.

    (P, N, 14) signs and (P, 14, 4) limbs to (P, N, 3, 56).
    """
    block = np.zeros((len(limbs), 3, LIMBS, 4))
    block[:, [0, 1, 2], :, [0, 1, 2]] = limbs[..., 3]
    block[..., 3] = limbs[..., :3].swapaxes(1, 2)
    columns = signs[:, :, None, :, None] * block[:, None]
    return columns.reshape(*signs.shape[:2], 3, FEATURES)


def _close_loops(
    mean: np.ndarray, covariance: np.ndarray, joints_m: np.ndarray, paths: Sequence[LimbPaths]
) -> tuple[np.ndarray, np.ndarray]:
    """Condition on limb walks between two seen joints: their sum is known, their units are one.

    An iterated extended Kalman update, because the sum is a product of direction and length. People
    with fewer walks than others have rows of zeros, which tell nothing.
    """
    most = max(len(way.loop) for way in paths)
    loop, target = np.zeros((len(paths), most, LIMBS)), np.zeros((len(paths), most, 3))
    for person, way in enumerate(paths):
        start, end = joints_m[person, way.loop_ends.T]
        loop[person, : len(way.loop)] = way.loop
        target[person, : len(way.loop)] = end - start
    target = target.reshape(len(paths), -1)
    walked = np.abs(loop).sum(axis=1) > 0
    limb = np.flatnonzero(walked.any(axis=0))
    row = np.arange(len(limb))
    noise = np.diag(np.repeat([_LOOP_SD_M**2, _UNIT_SD**2], [3 * most, len(limb)]))
    jacobian = np.zeros((len(paths), 3 * most + len(limb), FEATURES))
    units = jacobian[:, 3 * most :].reshape(len(paths), len(limb), LIMBS, 4)
    state, across, spread = mean, np.empty(0), np.empty(0)
    for _ in range(_LOOP_ROUNDS):
        limbs = state.reshape(-1, LIMBS, 4)
        direction = limbs[:, limb, :3]
        norm = np.maximum(np.sqrt((direction * direction).sum(axis=-1)), 1e-6)
        counted = walked[:, limb]
        units[:, row, limb, :3] = direction * (counted / norm)[..., None]
        sums = loop @ (limbs[..., :3] * limbs[..., 3:])
        jacobian[:, : 3 * most] = _sum_jacobian(loop, limbs).reshape(len(paths), -1, FEATURES)
        residual = np.concatenate(
            [target - sums.reshape(target.shape), counted * (1.0 - norm)], axis=1
        )
        residual -= (jacobian @ (mean - state)[..., None])[..., 0]
        across = jacobian @ covariance
        spread = across @ jacobian.swapaxes(-1, -2) + noise
        weight = np.linalg.solve(spread, residual[..., None])
        state = mean + (weight.swapaxes(-1, -2) @ across)[:, 0]
    return state, covariance - across.swapaxes(-1, -2) @ np.linalg.solve(spread, across)


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
