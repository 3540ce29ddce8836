"""Depth frames with known joints: an .npz of real ones, or a folder of rendered shards."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from residualpose.camera import Camera
from residualpose.errors import ResidualPoseError, UsageError
from residualpose.frames import DepthFrame

MIN_VISIBLE = 3
"""A rendered person with fewer joints in sight is not asked for, nor a mistake when found."""


@dataclass(frozen=True, slots=True)
class LabelledFrame:
    """One frame and its people."""

    frame: DepthFrame
    truth_m: np.ndarray
    """(Q, 15, 3) metres, camera frame."""
    asked: np.ndarray
    """(Q,) bool: who has to be found."""


@dataclass(frozen=True, slots=True)
class LabelledFrames:
    """A set of labelled frames; iterating reads them."""

    source: str
    count: int
    """Frames to use."""
    rendered: bool
    """Rendered shards, which get sensor noise; otherwise an .npz of real frames."""
    one_person: bool
    """The labels know one person a frame, whoever else is in it."""
    files: tuple[Path, ...]
    seed: int
    """Of the sensor noise."""

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[LabelledFrame]:
        frames = (
            _shard_frames(self.files, self.seed) if self.rendered else _npz_frames(self.files[0])
        )
        return islice(frames, self.count)


def open_labelled(path: Path, seed: int = 0, limit: int | None = None) -> LabelledFrames:
    """Labelled frames of an .npz (depth_mm, K, joints_m) or of a folder of shards.

    Args:
        path: the .npz holds depth_mm (N, H, W), K (3, 3) and joints_m (N, 15, 3) or (N, Q, 15, 3).
        seed: of the sensor noise that rendered frames get.
        limit: use only the first frames.

    Raises:
        UsageError: there is no such path, or no shard in the folder.
        ResidualPoseError: the file does not hold what it should.
    """
    if path.is_dir():
        files = tuple(sorted(path.glob("shard_*.npz")))
        if not files:
            raise UsageError(
                f"{path}: expected rendered shards, found none; see residualpose synth"
            )
        count, one_person = _count_frames(files), False
    elif path.suffix == ".npz":
        files = (path,)
        arrays = _read_npz(path)
        count, one_person = len(arrays["depth_mm"]), arrays["joints_m"].ndim == 3
    else:
        raise UsageError(f"{path}: expected a labelled .npz or a folder of shards")
    return LabelledFrames(
        str(path), min(count, limit or count), path.is_dir(), one_person, files, seed
    )


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in ("depth_mm", "K", "joints_m")}
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file") from None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise ResidualPoseError(
            f"{path}: expected an .npz with depth_mm, K and joints_m, found {error}"
        ) from None
    depth, K, joints = arrays["depth_mm"], arrays["K"], arrays["joints_m"]
    if depth.ndim != 3 or K.shape != (3, 3) or joints.shape[-2:] != (15, 3) or (
        joints.ndim not in (3, 4) or len(joints) != len(depth)
    ):  # fmt: skip
        raise ResidualPoseError(
            f"{path}: expected depth_mm (N, H, W), K (3, 3) and joints_m (N, 15, 3) or "
            f"(N, Q, 15, 3), found {depth.shape}, {K.shape} and {joints.shape}"
        )
    return arrays


def _npz_frames(path: Path) -> Iterator[LabelledFrame]:
    arrays = _read_npz(path)
    K = arrays["K"]
    camera = Camera(K[0, 0], K[1, 1], K[0, 2], K[1, 2])
    for i, (depth_mm, joints) in enumerate(
        zip(arrays["depth_mm"], arrays["joints_m"], strict=True)
    ):
        truth = joints.reshape(-1, 15, 3)
        truth = truth[np.isfinite(truth).any((1, 2))]
        frame = DepthFrame(depth_mm.astype(np.float32) / 1000, camera, str(path), i)
        yield LabelledFrame(frame, truth, np.ones(len(truth), bool))


def _count_frames(shards: tuple[Path, ...]) -> int:
    from residualpose.synthetic.shards import frame_count

    return sum(frame_count(path) for path in shards)


def _shard_frames(files: tuple[Path, ...], seed: int) -> Iterator[LabelledFrame]:
    from residualpose.synthetic.sensed import sensed_frames
    from residualpose.synthetic.shards import load_shard

    for number, path in enumerate(files):
        shard = load_shard(path)
        for i, depth_m in enumerate(sensed_frames(shard, seed + number)):
            there = np.isfinite(shard.joints_m[i]).all((1, 2))
            yield LabelledFrame(
                DepthFrame(depth_m, shard.camera(i), str(path), i),
                shard.joints_m[i][there],
                shard.visible[i][there].sum(-1) >= MIN_VISIBLE,
            )
