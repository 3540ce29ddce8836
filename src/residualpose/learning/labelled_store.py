"""Frames of real sensors as training frames: brought to one focal length, cut to one size."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch

from residualpose.datasets import Sample
from residualpose.errors import ResidualPoseError
from residualpose.learning.augment import Scene
from residualpose.pipeline.normalise import normalise
from residualpose.skeleton import ITOP15, Skeleton
from residualpose.synthetic.people import MAX_PEOPLE
from residualpose.synthetic.shards import MM

_JITTER = 0.2
"""How far the person chosen may lie from the middle of a cut, in sizes of it."""


@dataclass(frozen=True, slots=True)
class _View:
    """One frame at the training focal length, P people."""

    depth_mm: np.ndarray
    """(h, w) uint16, any size."""
    joints_m: np.ndarray
    """(P, 15, 3) float32."""
    visible: np.ndarray
    """(P, 15) bool."""
    pixels: np.ndarray
    """(P, 15, 2) float32 pixels of `depth_mm`, NaN where unknown."""
    intrinsics: tuple[float, float, float, float]


class LabelledStore:
    """Labelled frames in memory: 2 bytes a pixel, some 50 kB a frame of ITOP."""

    def __init__(
        self,
        samples: Iterable[Sample],
        skeleton: Skeleton,
        wanted: Skeleton,
        focal_px: float,
        size: tuple[int, int],
        source: str,
    ) -> None:
        """Read all samples.

        Args:
            samples: frames of any cameras; their joints in the order of `skeleton`.
            skeleton: joints that `wanted` does not name are left out.
            wanted: joints to give; those that `skeleton` does not name are unlabelled.
            focal_px: focal length to bring the frames to.
            size: width and height of the frames to give, pixels.
            source: for messages.

        Raises:
            ResidualPoseError: no frame has a labelled joint that is wanted.
        """
        self.size = size
        order = [skeleton.joints.index(n) if n in skeleton.joints else -1 for n in wanted.joints]
        self._views = [_view(sample, order, focal_px) for sample in samples]
        if not any(len(view.joints_m) for view in self._views):
            raise ResidualPoseError(
                f"{source}: expected frames with labelled joints ({', '.join(wanted.joints)}), "
                f"found none in {len(self._views)} frames"
            )

    def __len__(self) -> int:
        return len(self._views)

    def draw(self, step: int, size: int, rng: np.random.Generator) -> Scene:
        """Random frames, each cut around one of its people."""
        depth = np.zeros((size, self.size[1], self.size[0]), np.uint16)
        joints = np.full((size, MAX_PEOPLE, len(ITOP15.joints), 3), np.nan, np.float32)
        visible = np.zeros(joints.shape[:3], bool)
        intrinsics = np.empty((size, 4), np.float32)
        for i in range(size):
            view = self._views[rng.integers(len(self._views))]
            corner = self._corner(view, rng)
            _paste(view.depth_mm, corner, depth[i])
            seen = view.visible & _inside(view.pixels - corner, self.size)
            nearest = np.argsort(-seen.sum(1), kind="stable")[:MAX_PEOPLE]
            joints[i, : len(nearest)] = view.joints_m[nearest]
            visible[i, : len(nearest)] = seen[nearest]
            intrinsics[i] = view.intrinsics
            intrinsics[i, 2:] -= corner
        metres = torch.from_numpy(depth.astype(np.float32) / np.float32(MM))
        truth = (torch.from_numpy(part) for part in (joints, visible, intrinsics))
        label = torch.zeros(depth.shape, dtype=torch.uint8)
        return Scene(metres, label, *truth, sensed=torch.ones(size, dtype=torch.bool))

    def _corner(self, view: _View, rng: np.random.Generator) -> np.ndarray:
        """Column and row of the frame at which a cut begins; negative where the frame is padded."""
        size, extent = np.array(self.size), np.array(view.depth_mm.shape[::-1])
        middle, jitter, who = extent / 2, rng.uniform(-_JITTER, _JITTER, 2) * size, rng.random()
        if len(view.pixels):
            middle = np.nanmean(view.pixels[int(who * len(view.pixels))], axis=0)
        free = extent - size
        corner = np.round(middle + jitter - size / 2)
        return np.clip(corner, np.minimum(free, 0), np.maximum(free, 0)).astype(np.int64)


def _view(sample: Sample, order: list[int], focal_px: float) -> _View:
    seen = normalise(sample.frame, focal_px)
    # Row -1, the last one, stands for joints that the recording does not know.
    joints = np.append(sample.joints_m, np.full((len(sample.joints_m), 1, 3), np.nan), axis=1)
    joints = joints[:, order]
    visible = np.append(sample.visible, np.zeros((len(joints), 1), bool), axis=1)[:, order]
    known = np.isfinite(joints).all(-1) & (joints[..., 2] > 0)
    there = known.any(1)
    joints = np.where(known[..., None], joints, np.nan)[there]
    camera = seen.camera
    return _View(
        np.round(seen.depth_m * MM).astype(np.uint16),
        joints.astype(np.float32),
        (visible & known)[there],
        camera.project(joints).astype(np.float32),
        (camera.fx, camera.fy, camera.cx, camera.cy),
    )


def _paste(source: np.ndarray, corner: np.ndarray, target: np.ndarray) -> None:
    """Copy the part of `source` that begins at `corner` (column, row) and fits into `target`."""
    column, row = (int(c) for c in corner)
    height, width = target.shape
    part = source[max(row, 0) : max(row + height, 0), max(column, 0) : max(column + width, 0)]
    top, left = max(-row, 0), max(-column, 0)
    target[top : top + part.shape[0], left : left + part.shape[1]] = part


def _inside(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return np.all((pixels > -0.5) & (pixels < np.array(size) - 0.5), axis=-1)
