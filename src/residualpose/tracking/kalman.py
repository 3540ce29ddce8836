"""Constant-velocity Kalman filter of points in 3D, for any number of points at once.

A point's state is position and velocity; what moves it is white acceleration noise (Bar-Shalom, Li,
Kirubarajan: Estimation with Applications to Tracking and Navigation, 6.2.2 and 8.5.1).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_OUTLIER = 9.0
"""Squared Mahalanobis distance from which a measurement is trusted less, the further the less."""
_UNKNOWN_SPEED_M_S = 1.5


@dataclass(frozen=True, slots=True)
class Belief:
    """Where points are and how they move; leading axes as wanted."""

    mean: np.ndarray
    """(..., 6) position in metres, velocity in metres a second."""
    covariance: np.ndarray
    """(..., 6, 6)."""

    @property
    def position_m(self) -> np.ndarray:
        """(..., 3)."""
        return self.mean[..., :3]

    @property
    def velocity_m_s(self) -> np.ndarray:
        """(..., 3)."""
        return self.mean[..., 3:]

    @property
    def position_covariance_m2(self) -> np.ndarray:
        """(..., 3, 3)."""
        return self.covariance[..., :3, :3]


def first_belief(position_m: np.ndarray, covariance_m2: np.ndarray) -> Belief:
    """What one look at points (..., 3) tells: nothing about their speed; NaN stays NaN."""
    mean = np.concatenate([position_m, np.zeros_like(position_m)], -1)
    covariance = np.zeros((*position_m.shape[:-1], 6, 6))
    covariance[..., :3, :3] = covariance_m2
    covariance[..., 3:, 3:] = _UNKNOWN_SPEED_M_S**2 * np.eye(3)
    return Belief(mean, covariance)


def transition(dt_s: float) -> np.ndarray:
    """(6, 6): positions move on by velocity times dt_s."""
    F = np.eye(6)
    F[:3, 3:] = dt_s * np.eye(3)
    return F


def predict(belief: Belief, dt_s: float, diffusion: np.ndarray) -> Belief:
    """The belief dt_s seconds later.

    Args:
        belief: Now.
        dt_s: Seconds, not negative.
        diffusion: (...) spectral density of the acceleration, m^2/s^3.
    """
    F = transition(dt_s)
    growth = np.array([[dt_s**3 / 3, dt_s**2 / 2], [dt_s**2 / 2, dt_s]])
    Q = np.asarray(diffusion)[..., None, None] * np.kron(growth, np.eye(3))
    return Belief(belief.mean @ F.T, F @ belief.covariance @ F.T + Q)


def update(belief: Belief, measured_m: np.ndarray, noise_m2: np.ndarray) -> Belief:
    """The belief after points (..., 3) were seen with noise (..., 3, 3); NaN was not seen.

    A measurement far off is believed less: its noise grows with its distance.
    """
    seen = _finite(measured_m) & _finite(noise_m2, (-2, -1))
    known = _finite(belief.mean)
    noise = np.where(seen[..., None, None], noise_m2, np.eye(3))
    innovation = np.where((seen & known)[..., None], measured_m - belief.position_m, 0.0)
    P = np.where(known[..., None, None], belief.covariance, np.eye(6))
    distance2 = squared_distance(innovation, P[..., :3, :3] + noise)
    noise = noise * np.maximum(1.0, distance2 / _OUTLIER)[..., None, None]
    updated = _corrected(belief.mean, P, innovation, P[..., :3, :3] + noise, slice(0, 3))
    fresh = first_belief(measured_m, noise_m2)
    return _choose(known & seen, updated, _choose(known, belief, fresh))


def update_velocity(
    belief: Belief, velocity_m_s: np.ndarray, sd_m_s: float, where: np.ndarray
) -> Belief:
    """The belief once velocities (..., 3) are known to sd_m_s, at the points `where` (...) says."""
    where = where & _finite(belief.mean) & _finite(velocity_m_s)
    innovation = np.where(where[..., None], velocity_m_s - belief.velocity_m_s, 0.0)
    P = np.where(where[..., None, None], belief.covariance, np.eye(6))
    S = P[..., 3:, 3:] + sd_m_s**2 * np.eye(3)
    return _choose(where, _corrected(belief.mean, P, innovation, S, slice(3, 6)), belief)


def smooth_back(filtered: Belief, predicted: Belief, later: Belief, dt_s: float) -> Belief:
    """One step of Rauch, Tung and Striebel (1965): what the later frames tell about this one.

    Args:
        filtered: At this frame, from what came before and at it.
        predicted: The next frame as this one foretold it.
        later: The next frame with all that came after.
        dt_s: Seconds between the two.
    """
    sane = _finite(filtered.mean) & _finite(later.mean)
    sane = sane & _finite(predicted.mean)
    P = np.where(sane[..., None, None], filtered.covariance, np.eye(6))
    ahead = np.where(sane[..., None, None], predicted.covariance, np.eye(6))
    gain = np.swapaxes(np.linalg.solve(ahead, transition(dt_s) @ P), -1, -2)
    mean = filtered.mean + (gain @ (later.mean - predicted.mean)[..., None])[..., 0]
    change = np.where(sane[..., None, None], later.covariance, 0) - ahead
    covariance = P + gain @ change @ np.swapaxes(gain, -1, -2)
    return _choose(sane, Belief(mean, covariance), filtered)


def squared_distance(offset: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """(...) squared Mahalanobis length of offsets (..., 3)."""
    return (offset * np.linalg.solve(covariance, offset[..., None])[..., 0]).sum(-1)


def _corrected(
    mean: np.ndarray, P: np.ndarray, innovation: np.ndarray, S: np.ndarray, part: slice
) -> Belief:
    gain = np.swapaxes(np.linalg.solve(S, P[..., part, :]), -1, -2)
    new = mean + (gain @ innovation[..., None])[..., 0]
    covariance = P - gain @ P[..., part, :]
    return Belief(new, (covariance + np.swapaxes(covariance, -1, -2)) / 2)


def _choose(where: np.ndarray, yes: Belief, no: Belief) -> Belief:
    return Belief(
        np.where(where[..., None], yes.mean, no.mean),
        np.where(where[..., None, None], yes.covariance, no.covariance),
    )


def _finite(values: np.ndarray, axes: int | tuple[int, ...] = -1) -> np.ndarray:
    """Whether all numbers along the axes are known."""
    return np.asarray(np.isfinite(values).all(axes))
