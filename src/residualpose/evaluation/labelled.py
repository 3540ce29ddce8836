"""Depth frames with known joints: an .npz of real ones, rendered shards, or the benchmark."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from residualpose.errors import UsageError
from residualpose.evaluation.benchmark import (
    VIEWS,
    Recipe,
    frame_path,
    load_frame,
)
from residualpose.frames import DepthFrame

if TYPE_CHECKING:
    from residualpose.datasets import Dataset

MIN_VISIBLE = 8
"""A person with fewer joints in sight, less than half, is not asked for, nor a mistake when found:
where all but an arm is hidden, the rest is anybody's guess."""


@dataclass(frozen=True, slots=True)
class LabelledFrame:
    """One frame and its Q people."""

    frame: DepthFrame
    truth_m: np.ndarray
    """(Q, 15, 3) metres, camera frame; NaN where unknown."""
    asked: np.ndarray
    """(Q,) bool: who has to be found."""
    truth_px: np.ndarray
    """(Q, 15, 2) pixels, also of joints outside the image; NaN where unknown."""
    visible: np.ndarray | None = None
    """(Q, 15) bool: nothing hides the joint; None where the labels do not tell."""
    sensor: str = ""
    """Kind of sensor, or empty."""
    view: str = ""
    """Kind of camera placement, or empty."""
    height_px: np.ndarray | None = None
    """(Q,) height of each person in the image; None: that of the box around `truth_px`."""
    others: Mapping[str, np.ndarray] = field(default_factory=dict)
    """(Q, 15, 3) stored predictions of other methods by name, metres, camera frame."""


@dataclass(frozen=True, slots=True)
class LabelledFrames:
    """A set of labelled frames; iterating reads them."""

    source: str
    count: int
    """Frames to use."""
    one_person: bool
    """The labels know one person a frame, whoever else is in it."""
    read: Callable[[], Iterator[LabelledFrame]]
    """Starts reading from the first frame."""
    kind: str = ""
    """Of data set, as in `datasets.KINDS`; empty for other frames."""

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[LabelledFrame]:
        return islice(self.read(), self.count)


def open_labelled(path: Path, seed: int = 0, limit: int | None = None) -> LabelledFrames:
    """Labelled frames of an .npz, of a folder of rendered shards, or of a recorded data set.

    Args:
        path: what the .npz holds is said in `labelled_npz`, what data sets are in `datasets`.
        seed: of the sensor noise that rendered frames get.
        limit: use only the first frames.

    Raises:
        UsageError: there is no such path, or nothing of the kind in the folder.
        ResidualPoseError: the file does not hold what it should.
    """
    if path.is_dir() and any(path.glob("shard_*.npz")):
        return _open_shards(path, seed, limit)
    if path.suffix == ".npz":
        from residualpose.evaluation.labelled_npz import npz_frames, read_labelled

        arrays = read_labelled(path)
        count = len(arrays.depth_mm)
        return LabelledFrames(
            str(path), min(count, limit or count), arrays.one_person, lambda: npz_frames(arrays)
        )
    if path.is_dir() or path.name.endswith((".h5", ".h5.gz")):
        from residualpose.datasets import open_dataset

        return of_dataset(open_dataset(path), limit)
    raise UsageError(
        f"{path}: expected a labelled .npz, a folder of shards, a data set, or the word benchmark"
    )


def of_dataset(dataset: Dataset, limit: int | None = None) -> LabelledFrames:
    """The frames of a recorded data set; people hardly in sight need not be found."""
    count = min(len(dataset), limit or len(dataset))
    read = partial(_dataset_frames, dataset, count)
    return LabelledFrames(str(dataset.path), count, dataset.one_person, read, dataset.kind)


def _dataset_frames(dataset: Dataset, count: int) -> Iterator[LabelledFrame]:
    for one in dataset.frames(range(count)):
        asked = one.visible.sum(-1) >= (0 if dataset.one_person else MIN_VISIBLE)
        truth_px = one.camera.project(one.joints_m)
        yield LabelledFrame(
            one.frame, one.joints_m, asked, truth_px, one.visible, one.sensor, one.view
        )


def open_benchmark(folder: Path, recipe: Recipe, limit: int | None = None) -> LabelledFrames:
    """The rendered frames of a benchmark; they have to be there."""
    count = min(recipe.frames, limit or recipe.frames)
    return LabelledFrames(recipe.name, count, False, lambda: _benchmark_frames(folder, count))


def _benchmark_frames(folder: Path, count: int) -> Iterator[LabelledFrame]:
    for i in range(count):
        path = frame_path(folder, i)
        stored = load_frame(path)
        frame = DepthFrame(stored.depth_mm / np.float32(1000), stored.camera, str(path), i)
        yield LabelledFrame(
            frame, stored.joints_m, stored.visible.sum(-1) >= MIN_VISIBLE,
            stored.camera.project(stored.joints_m), stored.visible,
            str(stored.sensor), str(stored.view),
        )  # fmt: skip


def _open_shards(folder: Path, seed: int, limit: int | None) -> LabelledFrames:
    files = tuple(sorted(folder.glob("shard_*.npz")))
    if not files:
        raise UsageError(f"{folder}: expected rendered shards, found none; see residualpose synth")
    from residualpose.synthetic.shards import frame_count

    count = sum(frame_count(path) for path in files)
    return LabelledFrames(
        str(folder), min(count, limit or count), False, lambda: _shard_frames(files, seed)
    )


def _shard_frames(files: tuple[Path, ...], seed: int) -> Iterator[LabelledFrame]:
    from residualpose.synthetic.sensed import sensed_frames
    from residualpose.synthetic.shards import load_shard

    for number, path in enumerate(files):
        shard = load_shard(path)
        for i, depth_m in enumerate(sensed_frames(shard, seed + number)):
            there = np.isfinite(shard.joints_m[i]).all((1, 2))
            truth_m, visible = shard.joints_m[i][there], shard.visible[i][there]
            camera, view = shard.camera(i), str(shard.viewpoint[i])
            yield LabelledFrame(
                DepthFrame(depth_m, camera, str(path), i),
                truth_m,
                visible.sum(-1) >= MIN_VISIBLE,
                camera.project(truth_m),
                visible,
                view=view if view in VIEWS else "",
            )
