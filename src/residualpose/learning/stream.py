"""Training batches rendered on the spot: no files between the renderer and the network.

Worker processes sample what the frames show. On the CPU they draw and spoil them too, so that a
batch arrives finished; a CUDA device draws and spoils whole batches itself. Batch t is a function
of (seed, t) alone, and its frames are those of shard t of `residualpose synth`.

Needs torch and numpy once the folder holds the bodies (synthetic.shards.prepare_cast).
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from residualpose.errors import ResidualPoseError, UsageError
from residualpose.learning.augment import Scene
from residualpose.learning.batches import Batch, Crop, make_batch
from residualpose.synthetic.draw import draw, lenses, visible_joints
from residualpose.synthetic.people import MAX_PEOPLE, sample_scene
from residualpose.synthetic.shards import MM, Cast, SynthConfig, load_cast
from residualpose.synthetic.views import PERSON_SHIFT, View, seen_from
from residualpose.synthetic.workers import start_worker


@dataclass(frozen=True, slots=True)
class StreamConfig:
    """What a stream gives."""

    synth: SynthConfig
    """Seed, bodies, poses and scenes, as for shards, whose number and size do not count."""
    batch: int = 32
    """Frames a batch."""
    crop: Crop | None = None
    """How batches are cut from the frames; None leaves them whole."""
    sensor_noise: bool = True
    """Without it the frames stay as they were rendered."""

    def __post_init__(self) -> None:
        if self.batch < 1:
            raise UsageError(f"batch: expected at least 1, got {self.batch}")


def stream_batches(
    folder: Path,
    config: StreamConfig,
    device: torch.device,
    workers: int,
    first: int = 0,
) -> Generator[Batch]:
    """Batches `first`, `first` + 1, ... without end; close it to stop the workers.

    Args:
        folder: Where `prepare_cast` left the bodies and captured poses of `config.synth`.
        config: What to render.
        device: Where the batches are wanted.
        workers: Processes, one core each; 0 renders in this one.
        first: Number of the first batch, to resume.

    Raises:
        ResidualPoseError: the bodies cannot be read, or a worker was killed.
    """
    if workers < 0 or first < 0:
        raise UsageError(f"workers, first: expected at least 0, got {workers} and {first}")
    load_cast(folder, config.synth)  # says what is wrong here, not in a worker
    on_device = device.type != "cpu"
    source = (_Views if on_device else _Batches)(folder, config)
    loader = DataLoader(
        source, batch_size=None, sampler=_From(first), num_workers=workers,
        prefetch_factor=2 if workers else None, worker_init_fn=_start if workers else None,
        multiprocessing_context="spawn" if workers else None,
    )  # fmt: skip
    items = iter(loader)
    try:
        for number, item in enumerate(items, start=first):
            yield finish(item, number, config, device) if on_device else item
    except RuntimeError as error:
        if "worker" not in str(error):
            raise
        raise ResidualPoseError(
            f"{folder}: a rendering worker was killed (out of memory?); go on with fewer workers"
        ) from None
    finally:
        # A worker stopped while it hands a batch over may abort; nobody waits for that batch.
        with suppress(RuntimeError):
            getattr(items, "_shutdown_workers", lambda: None)()


def finish(views: Sequence[View], number: int, config: StreamConfig, device: torch.device) -> Batch:
    """Batch `number`, drawn from its views and spoilt on a device."""
    drawn = _Drawn(views, config, device)
    seed = config.synth.seed
    return make_batch(drawn, number, config.batch, seed, device, config.crop, config.sensor_noise)


@dataclass(frozen=True, slots=True)
class _Drawn:
    """Clean frames of one batch, as `make_batch` asks for them."""

    views: Sequence[View]
    config: StreamConfig
    device: torch.device

    def draw(self, step: int, size: int, rng: np.random.Generator) -> Scene:
        scene = self.config.synth.scene
        # On a CPU one frame at a time stays in its cache.
        chunk = 1 if self.device.type == "cpu" else len(self.views)
        parts = [
            draw(self.views[i : i + chunk], scene.width, scene.height, self.device)
            for i in range(0, len(self.views), chunk)
        ]
        depth, label = (torch.cat(images) for images in zip(*parts, strict=True))
        truth = _truth(self.views, depth, label)
        millimetres = (depth * MM).clamp(max=65535).round()  # as shards store it
        return Scene(millimetres / MM, label, *truth)


def _truth(
    views: Sequence[View], depth_m: torch.Tensor, label: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Joints, visibility and intrinsics of drawn views, padded to MAX_PEOPLE."""
    joints = np.full((len(views), MAX_PEOPLE, 15, 3), np.nan, np.float32)
    for i, view in enumerate(views):
        joints[i, : len(view.joints_m)] = view.joints_m
    joints_m, lens = torch.from_numpy(joints).to(depth_m.device), lenses(views, depth_m.device)
    return joints_m, visible_joints(depth_m, label >> PERSON_SHIFT, joints_m, lens), lens.float()


@dataclass
class _Views(Dataset[list[View]]):
    """Item t: what the frames of batch t show."""

    folder: Path
    config: StreamConfig

    @cached_property
    def _cast(self) -> Cast:
        return load_cast(self.folder, self.config.synth)

    def __getitem__(self, number: int) -> list[View]:
        synth, cast = self.config.synth, self._cast
        rngs = [np.random.default_rng([synth.seed, number, i]) for i in range(self.config.batch)]
        scenes = [sample_scene(cast.bank, cast.poses, synth.scene, rng) for rng in rngs]
        return [seen_from(s.room.primitives, s.figures, s.viewpoint, s.camera) for s in scenes]


class _Batches(_Views):
    """Item t: batch t, finished on the CPU."""

    def __getitem__(self, number: int) -> Batch:
        return finish(super().__getitem__(number), number, self.config, torch.device("cpu"))


@dataclass(frozen=True, slots=True)
class _From:
    """All numbers from one on."""

    first: int

    def __iter__(self) -> count:
        return count(self.first)


def _start(_: int) -> None:
    start_worker()
