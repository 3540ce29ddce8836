"""Training frames from any mix of rendered shards and recordings with labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from residualpose.datasets import Dataset, open_dataset
from residualpose.errors import UsageError
from residualpose.learning.augment import Scene
from residualpose.learning.batches import FrameStore
from residualpose.learning.labelled_store import LabelledStore
from residualpose.skeleton import ITOP15, Skeleton
from residualpose.synthetic.workers import RECORD, read_run

FRAME_AT_1 = (160 / 144, 128 / 144)
"""Width and height, at focal length 1, of training frames where no rendered ones set them."""
_MULTIPLE_PX = 16


@dataclass(frozen=True, slots=True)
class Share:
    """One source of training frames."""

    path: Path
    """Folder of `residualpose synth`, or whatever `datasets.open_dataset` opens."""
    weight: float = 1.0
    """Its part of all frames, relative to the other sources'."""

    @classmethod
    def parse(cls, text: str) -> Share:
        """DIR or DIR=WEIGHT; UsageError where the weight is no positive number."""
        path, equals, number = text.rpartition("=")
        if not equals:
            return cls(Path(text))
        try:
            weight = float(number)
        except ValueError:
            return cls(Path(text))
        if not (path and 0 < weight < float("inf")):
            raise UsageError(f"{text}: expected DIR or DIR=WEIGHT with a positive weight")
        return cls(Path(path), weight)

    @property
    def rendered(self) -> bool:
        """Whether the folder is one of rendered shards."""
        return (self.path / RECORD).is_file() or any(self.path.glob("shard_*.npz"))


class Frames(Protocol):
    """What training draws from."""

    def draw(self, step: int, size: int, rng: np.random.Generator) -> Scene:
        """The `size` frames of a step, a function of the step and the generator."""
        ...


class MixedFrames:
    """Several sources, each drawn from as often as its weight says."""

    def __init__(self, sources: Sequence[Frames], weights: Sequence[float]) -> None:
        self.sources = sources
        self.shares = np.asarray(weights, np.float64) / np.sum(weights)

    def draw(self, step: int, size: int, rng: np.random.Generator) -> Scene:
        """Frames in the order of their sources."""
        counts = rng.multinomial(size, self.shares)
        parts = [
            source.draw(step, int(count), rng)
            for source, count in zip(self.sources, counts, strict=True)
            if count
        ]
        names = ("depth_m", "label", "joints_m", "visible", "intrinsics")
        joined = (torch.cat([getattr(part, name) for part in parts]) for name in names)
        return Scene(*joined, sensed=torch.cat([_sensed(part) for part in parts]))


def _sensed(scene: Scene) -> torch.Tensor:
    if scene.sensed is not None:
        return scene.sensed
    return torch.zeros(len(scene.depth_m), dtype=torch.bool)


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast the shards of a folder join, where they are still being rendered."""

    shards: int
    first_shards: int
    steps_per_shard: int


@dataclass(frozen=True, slots=True)
class Opened:
    """The sources of a run."""

    frames: Frames
    skeleton: Skeleton
    """What the joints are: ITOP15 where frames are rendered, else the first recording's."""


def open_frames(shares: Sequence[Share], pace: Pace, focal_px: float) -> Opened:
    """Open every source; recordings are read whole and brought to the rendered frames' size.

    Joints of recordings go by their names, where several sources are mixed.

    Raises:
        UsageError: a source is neither rendered shards nor a recording with labels, or rendered
            frames differ in size.
        ResidualPoseError: a recording cannot be read.
    """
    rendered = {share: _rendered(share, pace) for share in shares if share.rendered}
    recorded = {share: open_recording(share) for share in shares if not share.rendered}
    skeleton = ITOP15 if rendered else next(iter(recorded.values())).skeleton
    sizes = {s.size: share.path for share, s in rendered.items()} if len(shares) > 1 else {}
    if len(sizes) > 1:
        found = ", ".join(f"{w}x{h} in {path}" for (w, h), path in sizes.items())
        raise UsageError(f"rendered frames of one size expected, found {found}")
    size = next(iter(sizes), frame_px(focal_px))
    stores: dict[Share, Frames] = dict(rendered)
    for share, data in recorded.items():
        stores[share] = LabelledStore(
            data.frames(), data.skeleton, skeleton, focal_px, size, str(share.path)
        )
    if len(shares) == 1:
        return Opened(stores[shares[0]], skeleton)
    weights = [share.weight for share in shares]
    return Opened(MixedFrames([stores[share] for share in shares], weights), skeleton)


def frame_px(focal_px: float) -> tuple[int, int]:
    """Width and height of training frames at a focal length, multiples of 16."""
    width, height = (_MULTIPLE_PX * round(side * focal_px / _MULTIPLE_PX) for side in FRAME_AT_1)
    return width, height


def _rendered(share: Share, pace: Pace) -> FrameStore:
    shards = pace.shards
    if (share.path / RECORD).is_file():
        shards = min(shards, int(str(read_run(share.path)["shards"])))
    return FrameStore(share.path, shards, pace.first_shards, pace.steps_per_shard)


def open_recording(share: Share) -> Dataset:
    """The frames of a recording that are meant for training; raises as `open_frames`."""
    try:
        return open_dataset(share.path, split="train")
    except UsageError as error:
        raise UsageError(
            f"{error}; rendered frames are made with residualpose synth --out"
        ) from None
