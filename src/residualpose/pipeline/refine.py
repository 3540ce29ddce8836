"""Completed joints -> refined joints: the residual network (paper section III-D).

The paper feeds absolute camera coordinates, so its network holds for one camera. Here the joints
are seen from their own root, in axes turned so that the viewing ray to the root is z: what is left
to learn - surfaces in front of joints, hidden arms, cut legs - looks the same anywhere in the image
and at any camera. The network also hears how each joint was found and where the floor is, one that
looks around what was seen about it, and tells how sure it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

import numpy as np

from residualpose.errors import ResidualPoseError
from residualpose.pipeline.around import N_AROUND, Look, around
from residualpose.pipeline.floor import NO_FLOOR
from residualpose.pipeline.maps import start_session
from residualpose.poses import Origin
from residualpose.skeleton import ITOP15, L_HIP, L_SHOULDER, NECK, R_HIP, R_SHOULDER, TORSO

N_JOINTS = len(ITOP15.joints)
N_FEATURES = N_JOINTS * 3 + N_JOINTS * 6 + 1 + 6
POSITIONS, KNOWN = slice(0, 3 * N_JOINTS), slice(4 * N_JOINTS, 5 * N_JOINTS)
SPREADS, DISTANCE = slice(7 * N_JOINTS, 9 * N_JOINTS), slice(9 * N_JOINTS, 9 * N_JOINTS + 1)
FLOOR_DOWN, FLOOR_POINT = slice(N_FEATURES - 6, N_FEATURES - 3), slice(N_FEATURES - 3, N_FEATURES)
"""Columns of `features`; the rest are scores and flags of the joints."""
POSITION_SCALE_M = 0.5
RESIDUAL_SCALE_M = 0.1
_TRUNK = np.array([NECK, TORSO, R_SHOULDER, L_SHOULDER, R_HIP, L_HIP])
_MEASURED, _NEIGHBOUR = int(Origin.MEASURED), int(Origin.NEIGHBOUR)
_NEAREST_M2 = 0.02**2
"""Points weigh no more, the nearer they are to their median."""
_SD_LIMITS_M = (0.003, 1.0)


@dataclass(frozen=True, slots=True)
class Refined:
    """P people after refinement."""

    joints_m: np.ndarray
    """(P, 15, 3) float32 camera frame; NaN where unknown."""
    covariance_m2: np.ndarray
    """(P, 15, 3, 3) float32 camera frame; NaN where unknown."""


@dataclass(frozen=True, slots=True)
class RayFrames:
    """The root and viewing-ray axes of P people."""

    root_m: np.ndarray
    """(P, 3) geometric median of the trunk joints, camera frame."""
    R_camera_ray: np.ndarray
    """(P, 3, 3): columns are the ray frame's axes in the camera frame; z away from the camera."""

    @classmethod
    def of(cls, joints_m: np.ndarray) -> RayFrames:
        """The frames of (P, 15, 3) joints of whom at least one trunk joint is known."""
        root = _geometric_median(joints_m[:, _TRUNK].astype(np.float64))
        z = root / np.linalg.norm(root, axis=-1, keepdims=True)
        # Image y stays down: x is square to it and to the ray.
        zx, zy, zz = z.T
        flat = np.maximum(np.hypot(zx, zz), 1e-6)
        xx, xz = zz / flat, -zx / flat
        nothing = np.zeros_like(xx)
        axes = [[xx, nothing, xz], [zy * xz, zz * xx - zx * xz, -zy * xx], [zx, zy, zz]]
        return cls(root, np.array(axes).transpose(2, 1, 0))

    def inward(self, points_m: np.ndarray) -> np.ndarray:
        """Camera frame (P, J, 3) to root-relative ray frame."""
        return (points_m - self.root_m[:, None]) @ self.R_camera_ray

    def turn_back(self, vectors: np.ndarray) -> np.ndarray:
        """Ray-frame vectors (P, J, 3) to the camera frame."""
        return vectors @ self.R_camera_ray.transpose(0, 2, 1)


def has_trunk(joints_m: np.ndarray) -> np.ndarray:
    """(P,) bool: who of (P, 15, 3) has a trunk joint, and so a root."""
    return np.isfinite(joints_m[:, _TRUNK].sum(-1)).any(1)


def _geometric_median(points_m: np.ndarray) -> np.ndarray:
    """(P, 3) of (P, N, 3) with NaN: as deaf to outliers as the median, but turns with the points.

    Weiszfeld's iteration from the mean; ten rounds come within a millimetre or two.
    """
    medians = np.empty((len(points_m), 3))
    for person, points in enumerate(points_m.tolist()):
        # Of so few numbers Python's own arithmetic takes a third of the time of numpy's calls.
        known = [(x, y, z) for x, y, z in points if isfinite(x + y + z)]
        mx, my, mz = (sum(along) / len(known) for along in zip(*known, strict=True))
        for _ in range(10):
            sx = sy = sz = total = 0.0
            for x, y, z in known:
                dx, dy, dz = x - mx, y - my, z - mz
                distance2 = dx * dx + dy * dy + dz * dz
                weight = distance2**-0.5 if distance2 > _NEAREST_M2 else _NEAREST_M2**-0.5
                sx, sy, sz = sx + weight * x, sy + weight * y, sz + weight * z
                total += weight
            mx, my, mz = sx / total, sy / total, sz / total
        medians[person] = mx, my, mz
    return medians


def features(
    frames: RayFrames,
    joints_m: np.ndarray,
    joint_score: np.ndarray,
    origin: np.ndarray,
    covariance_m2: np.ndarray,
    floor: np.ndarray,
) -> np.ndarray:
    """(P, N_FEATURES) float32 network input from completed people.

    Joint positions, then of each joint its score, known / measured / neighbour flags and standard
    deviations across and along the ray (metres, log scale); the root's distance; last, the way down
    and the point of the floor below the root, 0 where there is none.
    """
    known = np.asarray(np.isfinite(joints_m).all(-1))
    position = np.where(known[..., None], frames.inward(joints_m), 0.0) / POSITION_SCALE_M
    R = frames.R_camera_ray[:, None]
    variance = (R * (covariance_m2 @ R)).sum(-2)  # the diagonal of R^T C R
    spread = np.empty((len(joints_m), 2, N_JOINTS))
    spread[:, 0], spread[:, 1] = (variance[..., 0] + variance[..., 1]) / 2, variance[..., 2]
    spread = np.minimum(np.fmax(spread, 1e-4), 1.0)  # unknown, NaN, is as small as can be
    distance = np.sqrt((frames.root_m * frames.root_m).sum(-1))
    x = np.empty((len(joints_m), N_FEATURES), np.float32)
    x[:, : 3 * N_JOINTS] = position.reshape(len(x), -1)
    of_joints = x[:, 3 * N_JOINTS : -7].reshape(len(x), 6, N_JOINTS)
    of_joints[:, 0], of_joints[:, 1] = joint_score, known
    of_joints[:, 2], of_joints[:, 3] = origin == _MEASURED, origin == _NEIGHBOUR
    of_joints[:, 4:] = np.log(np.sqrt(spread) / 0.05) * known[:, None]
    x[:, -7] = distance / 3 - 1
    known_floor = np.isfinite(floor[:, 3])
    down = np.where(known_floor[:, None], floor[:, :3], 0.0)
    above_m = np.where(known_floor, floor[:, 3] - (down * frames.root_m).sum(-1), 0.0)
    above_m = np.minimum(np.maximum(above_m, 0.0), 2.0)[:, None]
    x[:, -6:-3] = (down[:, None] @ frames.R_camera_ray)[:, 0]
    x[:, -3:] = x[:, -6:-3] * above_m / POSITION_SCALE_M
    return x


class Refiner:
    """The exported residual network of a model folder."""

    def __init__(self, path: Path) -> None:
        # So small a network is done before a second thread has woken.
        self._session = start_session(path, threads=1)
        sizes = {"features": N_FEATURES, "around": N_AROUND}
        inputs = self._session.get_inputs()
        for one, expected in zip(inputs, sizes.values(), strict=False):
            if (found := one.shape[-1]) != expected:
                raise ResidualPoseError(
                    f"{path}: expected a refiner of {expected} features, found one of {found}: it "
                    "is of another version of this package; fit it again with residualpose fit "
                    "refiner"
                )
        self._looks_around = len(inputs) > 1

    def __call__(
        self,
        joints_m: np.ndarray,
        joint_score: np.ndarray,
        origin: np.ndarray,
        covariance_m2: np.ndarray,
        floor: np.ndarray = NO_FLOOR,
        looks: Sequence[Look] = (),
    ) -> Refined:
        """Refine completed people; a person without any trunk joint stays as it is.

        Args:
            joints_m: (P, 15, 3) completed joints, camera frame, NaN where unknown.
            joint_score: (P, 15) of the 2D stage.
            origin: (P, 15) of `Origin`.
            covariance_m2: (P, 15, 3, 3) after completion.
            floor: (4,), or (P, 4) of each, as `find_floor` returns it.
            looks: where each of the P was seen; a refiner that does not look around needs none.
        """
        joints = np.array(joints_m, dtype=np.float32)
        covariance = np.array(covariance_m2, dtype=np.float32)
        rows = np.flatnonzero(has_trunk(joints))
        if len(rows):
            frames = RayFrames.of(joints[rows])
            x = features(
                frames, joints[rows], joint_score[rows], origin[rows], covariance[rows],
                np.broadcast_to(floor, (len(joints), 4))[rows],
            )  # fmt: skip
            shown = {"features": x}
            if self._looks_around:
                shown["around"] = around([looks[int(p)] for p in rows], joints[rows])
            residual, log_sd = (np.asarray(o) for o in self._session.run(None, shown))
            known = np.asarray(np.isfinite(joints[rows]).all(axis=-1, keepdims=True))
            moved = joints[rows] + frames.turn_back(residual * RESIDUAL_SCALE_M)
            joints[rows] = np.where(known, moved, np.nan)
            spread = _covariance(frames, log_sd)
            covariance[rows] = np.where(known[..., None], spread, np.nan)
        return Refined(joints, covariance)


def _covariance(frames: RayFrames, log_sd: np.ndarray) -> np.ndarray:
    """(P, 15, 3, 3) from log standard deviations (P, 15, 3) in the ray frame, unit 0.1 m."""
    low, high = _SD_LIMITS_M
    variance = np.minimum(np.maximum(np.exp(log_sd) * RESIDUAL_SCALE_M, low), high) ** 2
    R = frames.R_camera_ray[:, None]
    return (R * variance[:, :, None]) @ R.swapaxes(-1, -2)
