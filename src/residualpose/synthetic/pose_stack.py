"""PoseStack: many poses as arrays, and its file."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from residualpose.errors import ResidualPoseError, UsageError
from residualpose.synthetic.body_pose import SEGMENTS, BodyPose


@dataclass(frozen=True, slots=True)
class PoseStack:
    """Many poses, facing +y."""

    rotations: np.ndarray
    """(N, 17, 3, 3) float64 world rotations of the segments."""
    lift_m: np.ndarray
    """(N,) float64 height of the lowest point above the floor."""
    sources: tuple[str, ...]
    """(N) where each came from: the procedural families, or a clip and frame."""

    def __post_init__(self) -> None:
        n = len(self.sources)
        if np.shape(self.rotations) != (n, len(SEGMENTS), 3, 3):
            raise ValueError(f"rotations: expected ({n}, 17, 3, 3), got {self.rotations.shape}")
        if np.shape(self.lift_m) != (n,):
            raise ValueError(f"lift_m: expected ({n},), got {np.shape(self.lift_m)}")

    def __len__(self) -> int:
        return len(self.sources)

    def __getitem__(self, index: int) -> BodyPose:
        return BodyPose(self.rotations[index], float(self.lift_m[index]), self.sources[index])

    def take(self, rows: np.ndarray) -> PoseStack:
        """The poses at the indices rows (K,)."""
        sources = tuple(self.sources[row] for row in rows)
        return PoseStack(self.rotations[rows], self.lift_m[rows], sources)

    def save(self, path: Path) -> None:
        """Write a compressed .npz; raises UsageError where that cannot be written."""
        try:
            with Path(path).open("wb") as file:
                np.savez_compressed(
                    file,
                    rotations=self.rotations.astype(np.float32),
                    lift_m=self.lift_m.astype(np.float32),
                    sources=np.array(self.sources, dtype=np.str_),
                )
        except OSError as error:
            raise UsageError(f"{path}: cannot write the poses: {error.strerror}") from error


def empty_stack() -> PoseStack:
    """A stack of no poses."""
    return PoseStack(np.empty((0, len(SEGMENTS), 3, 3)), np.empty(0), ())


def joined(stacks: list[PoseStack]) -> PoseStack:
    """One stack of all the poses of some."""
    stacks = [empty_stack(), *stacks]
    return PoseStack(
        np.concatenate([stack.rotations for stack in stacks]),
        np.concatenate([stack.lift_m for stack in stacks]),
        tuple(source for stack in stacks for source in stack.sources),
    )


def load_stack(path: Path) -> PoseStack:
    """Read what PoseStack.save wrote; raises ResidualPoseError on anything else."""
    try:
        with np.load(path, allow_pickle=False) as file:
            rotations = file["rotations"].astype(np.float64)
            return PoseStack(
                rotations, file["lift_m"].astype(np.float64), tuple(file["sources"].tolist())
            )
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, TypeError) as error:
        raise ResidualPoseError(
            f"{path}: expected a pose library .npz (rotations, lift_m, sources), "
            f"found something else ({error}); build it again"
        ) from error
