"""A rendered recording as trackers see it: the truth, and who was found in each frame."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from residualpose.camera import Camera
from residualpose.errors import ResidualPoseError
from residualpose.poses import Poses
from residualpose.results import replacing

_ARRAYS = ("joints_px", "joints_m", "joint_score", "person_score", "origin", "covariance_m2")


@dataclass(frozen=True, slots=True)
class FollowedScene:
    """T frames; rendering them takes minutes, following the people in them seconds."""

    joints_m: np.ndarray
    """(T, P, 15, 3) the truth."""
    visible: np.ndarray
    """(T, P, 15) bool."""
    time_s: np.ndarray
    """(T,)."""
    found: tuple[Poses, ...]
    """What the model finds in each frame."""

    def save(self, path: Path) -> None:
        """Write one .npz, whole or not at all."""
        camera = self.found[0].camera
        arrays = {
            name: np.concatenate([getattr(poses, name) for poses in self.found])
            for name in _ARRAYS
        }  # fmt: skip
        arrays |= {
            "truth_m": self.joints_m, "visible": self.visible, "time_s": self.time_s,
            "people": np.array([len(poses) for poses in self.found]),
            "camera": np.array([camera.fx, camera.fy, camera.cx, camera.cy]),
        }  # fmt: skip
        with replacing(path) as stream:
            np.savez_compressed(stream, allow_pickle=False, **arrays)

    @classmethod
    def load(cls, path: Path) -> FollowedScene:
        """Read what `save` wrote.

        Raises:
            ResidualPoseError: it is no such file.
        """
        try:
            with np.load(path) as stored:
                arrays = dict(stored)
            ends = np.cumsum(arrays["people"])[:-1]
            parts = zip(*(np.split(arrays[name], ends) for name in _ARRAYS), strict=True)
            fx, fy, cx, cy = arrays["camera"].tolist()
            camera = Camera(fx, fy, cx, cy)
            found = tuple(
                Poses(**dict(zip(_ARRAYS, part, strict=True)), camera=camera) for part in parts
            )
            return cls(arrays["truth_m"], arrays["visible"], arrays["time_s"], found)
        except (OSError, ValueError, KeyError, TypeError, EOFError, BadZipFile) as error:
            raise ResidualPoseError(
                f"{path}: expected a scene that bench tracking --keep wrote; remove it ({error})"
            ) from None


def stacked_scene(
    frames: Iterable[tuple[np.ndarray, np.ndarray, float | None, Poses]],
) -> FollowedScene:
    """Frames of truth (P, 15, 3), visibility (P, 15), time and people found, as one scene."""
    truth_m, visible, time_s, found = zip(*frames, strict=True)
    return FollowedScene(np.stack(truth_m), np.stack(visible), np.array(time_s, float), found)
