"""Poses: the people of one frame as stacked arrays, every joint marked seen or guessed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path

import numpy as np

from residualpose.camera import Camera
from residualpose.skeleton import ITOP15, Skeleton


class Origin(IntEnum):
    """Where a joint's depth came from."""

    ABSENT = 0
    """Unknown: the coordinates are NaN."""
    MEASURED = 1
    """The sensor saw the body's surface at the joint."""
    NEIGHBOUR = 2
    """Found in the image, its depth taken from nearby (a hole, an edge, an occluder)."""
    PRIOR = 3
    """Not found in the image: completed from the other joints by the pose prior."""


@dataclass(frozen=True, slots=True)
class Poses:
    """The P people of one frame with J joints each. Zero people keeps every shape, with P = 0."""

    joints_px: np.ndarray
    """(P, J, 2) float32 pixels of the input image, centres at integers; NaN where absent."""
    joints_m: np.ndarray
    """(P, J, 3) float32 metres, camera frame (x right, y down, z forward); NaN where unknown."""
    joint_score: np.ndarray
    """(P, J) float32 in 0..1."""
    person_score: np.ndarray
    """(P,) float32 in 0..1."""
    origin: np.ndarray
    """(P, J) uint8 of `Origin`."""
    covariance_m2: np.ndarray
    """(P, J, 3, 3) float32 square metres, camera frame; NaN where unknown. Errors have heavier
    tails than a Gaussian: `residualpose.ellipsoid_radius(0.95)` standard deviations hold 95 %, and
    `residualpose.probability_within(covariance_m2, 0.1)` tells who is probably within 10 cm."""
    camera: Camera
    """Camera of the input image."""
    skeleton: Skeleton = ITOP15
    """Names and limbs of the joints."""
    person_id: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    """(P,) int64: who it is. Lasting numbers where people are followed, else 0, 1, ... in order."""

    def __post_init__(self) -> None:
        people, joints = len(self.person_score), len(self.skeleton.joints)
        expected = {
            "joints_px": (people, joints, 2),
            "joints_m": (people, joints, 3),
            "joint_score": (people, joints),
            "person_score": (people,),
            "origin": (people, joints),
            "covariance_m2": (people, joints, 3, 3),
        }
        for name, shape in expected.items():
            dtype = np.uint8 if name == "origin" else np.float32
            value = np.asarray(getattr(self, name), dtype=dtype)
            if value.shape != shape:
                raise ValueError(f"Poses.{name}: expected shape {shape}, got {value.shape}")
            object.__setattr__(self, name, value)
        ids = np.asarray(self.person_id, dtype=np.int64)
        ids = ids if ids.size else np.arange(people)
        if ids.shape != (people,):
            raise ValueError(f"Poses.person_id: expected shape {(people,)}, got {ids.shape}")
        object.__setattr__(self, "person_id", ids)

    @classmethod
    def empty(cls, camera: Camera, skeleton: Skeleton = ITOP15) -> Poses:
        """No people, every array in its right shape."""
        j = len(skeleton.joints)
        return cls(
            np.zeros((0, j, 2)), np.zeros((0, j, 3)), np.zeros((0, j)), np.zeros(0),
            np.zeros((0, j)), np.zeros((0, j, 3, 3)), camera, skeleton,
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self.person_score)

    def __getitem__(self, key: int | slice | np.ndarray | list[int]) -> Poses:
        """Some of the people, always as `Poses`: poses[0], poses[:2], or by a (P,) bool mask."""
        rows = [key] if isinstance(key, (int, np.integer)) else key
        return Poses(
            self.joints_px[rows], self.joints_m[rows], self.joint_score[rows],
            self.person_score[rows], self.origin[rows], self.covariance_m2[rows],
            self.camera, self.skeleton, self.person_id[rows],
        )  # fmt: skip

    def __iter__(self) -> Iterator[Poses]:
        return (self[i] for i in range(len(self)))

    def joint(self, name: str) -> np.ndarray:
        """(P, 3) metres of one joint by name."""
        return self.joints_m[:, self.skeleton.index(name)]

    def plot(self, depth_m: np.ndarray) -> np.ndarray:
        """(H, W, 3) uint8 picture: the depth in grey with the people drawn over it."""
        from residualpose.drawing.overlay import draw_overlay

        return draw_overlay(depth_m, self)

    def to_dict(self) -> dict[str, object]:
        """The `persons` list of a result line (contract "residualpose/1"); None for NaN."""
        from residualpose.results import poses_to_dict

        return poses_to_dict(self)

    def to_coco(self, image_id: int = 0) -> list[dict[str, object]]:
        """COCO keypoint results, one dict a person; visibility 2 measured, 1 guessed, 0 absent."""
        from residualpose.results import poses_to_coco

        return poses_to_coco(self, image_id)

    def save(self, path: str | Path) -> Path:
        """Write the people to a .json file; returns the path."""
        from residualpose.results import save_poses

        return save_poses(self, Path(path))
