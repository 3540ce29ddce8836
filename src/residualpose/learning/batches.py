"""Training batches: stored clean frames, made into fresh sensor images each time they are used.

Batch t is a function of (seed, t) alone, whatever was done before: that is what makes a resumed run
exact. The frames may still be rendering while training starts: batch t waits for its shards.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from residualpose.learning.augment import Scene, look_again, look_closer, mirror, resize
from residualpose.learning.looks import sample_looks
from residualpose.pipeline.closer import MIN_DEPTH_M
from residualpose.synthetic.sensors import Sensor, simulate
from residualpose.synthetic.shards import MM, Shard, load_shard, shard_path


@dataclass(frozen=True, slots=True)
class Batch:
    """B training images with their truth."""

    depth_m: Tensor
    """(B, H, W) float32 as a sensor would give it, 0 = no reading."""
    joints_m: Tensor
    """(B, P, 15, 3) float32 camera frame, NaN for absent people."""
    visible: Tensor
    """(B, P, 15) bool."""
    intrinsics: Tensor
    """(B, 4) fx, fy, cx, cy."""

    def double(self) -> Batch:
        """The same in float64."""
        numbers = self.depth_m.double(), self.joints_m.double(), self.intrinsics.double()
        return Batch(numbers[0], numbers[1], self.visible, numbers[2])


def joined(batches: Sequence[Batch]) -> Batch:
    """Several batches as one."""
    if len(batches) == 1:
        return batches[0]
    return Batch(*(torch.cat([getattr(b, f) for b in batches]) for f in Batch.__slots__))


@dataclass(frozen=True, slots=True)
class Crop:
    """How batches are cut from the stored frames."""

    width: int = 96
    """Pixels, a multiple of 16."""
    height: int = 112
    """Pixels, a multiple of 16."""
    whole_every: int = 4
    """One step in so many shows whole frames; none does where `closer_px` is given."""
    closer_px: float | None = None
    """Focal length at which crops show people as a closer look does; None: as they are."""


class CleanFrames(Protocol):
    """Where training frames come from: shards on disk, or a renderer."""

    def draw(self, step: int, size: int, rng: np.random.Generator) -> Scene:
        """The `size` frames of a step, on any device."""
        ...


class FrameStore:
    """The shards of a folder, read when first needed and kept in memory."""

    def __init__(self, folder: Path, shards: int, first_shards: int, steps_per_shard: int) -> None:
        self.folder = folder
        self.shards = shards
        self.first_shards = first_shards
        self.steps_per_shard = steps_per_shard
        self._loaded: list[Shard] = []

    def at_step(self, step: int) -> list[Shard]:
        """The shards that step `step` may draw from; waits until they are on disk."""
        wanted = min(self.shards, self.first_shards + step // self.steps_per_shard)
        while len(self._loaded) < wanted:
            path = shard_path(self.folder, len(self._loaded))
            while not path.exists():
                time.sleep(1.0)
            self._loaded.append(load_shard(path))
        return self._loaded[:wanted]

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the frames, pixels; waits for the first shard."""
        height, width = self.at_step(0)[0].depth_mm.shape[1:]
        return width, height

    def draw(self, step: int, size: int, rng: np.random.Generator) -> Scene:
        """Random frames of the shards that step `step` may draw from."""
        shards = self.at_step(step)
        chosen = [shards[s] for s in rng.integers(len(shards), size=size)]
        rows = [(shard, int(rng.integers(len(shard)))) for shard in chosen]

        def stack(field: str) -> Tensor:
            return torch.from_numpy(np.stack([getattr(s, field)[i] for s, i in rows]))

        truth = stack("joints_m"), stack("visible"), stack("intrinsics")
        return Scene(stack("depth_mm").float() / MM, stack("label"), *truth)


def make_batch(
    store: CleanFrames,
    step: int,
    size: int,
    seed: int | Sequence[int],
    device: torch.device,
    crop: Crop | None = None,
    sensor_noise: bool = True,
) -> Batch:
    """Batch `step`: random frames, half of them mirrored, each with a random sensor's faults.

    With `crop`, most steps show a person closer up, and every frame is rolled and moved a little.
    Without `sensor_noise` the frames stay as they were rendered, to learn what the noise is worth;
    frames of real sensors always stay as they are.
    """
    rng = np.random.default_rng([*np.atleast_1d(seed).tolist(), step])
    drawn = store.draw(step, size, rng)
    truth = (drawn.joints_m, drawn.visible, drawn.intrinsics)
    scene = Scene(*(part.to(device) for part in (drawn.depth_m, drawn.label, *truth)))
    scene = mirror(scene, torch.from_numpy(rng.random(size) < 0.5).to(device))
    if crop is not None:
        whole = crop.closer_px is None and step % crop.whole_every == 0
        height, width = scene.depth_m.shape[1:]
        extent = (width, height) if whole else (crop.width, crop.height)
        if crop.closer_px is None:
            scene = look_again(scene, extent, rng)
        else:
            scene = look_closer(scene, crop.closer_px, extent, rng)
        rendered = torch.ones(size, dtype=torch.bool, device=device)
        if drawn.sensed is not None:  # recorded people have their true size
            rendered = ~drawn.sensed.to(device)
        scene = resize(scene, rendered, rng)
    generator = torch.Generator(device).manual_seed(int(rng.integers(2**62)))
    sensor = sample_looks(scene, generator)
    if not sensor_noise:
        sensor = torch.full_like(sensor, int(Sensor.CLEAN))
    if drawn.sensed is not None:
        sensor = torch.where(drawn.sensed.to(sensor.device), int(Sensor.CLEAN), sensor)
    noisy = sensed(scene, sensor, generator)
    return Batch(noisy, scene.joints_m, scene.visible, scene.intrinsics)


def sensed(scene: Scene, sensor: Tensor, generator: torch.Generator) -> Tensor:
    """(B, H, W) depth with the sensors' faults, which are those of where surfaces really are."""
    person, focal = scene.label >= 16, scene.intrinsics[:, 0]
    material = scene.label & 15
    if scene.nearer_m is None or scene.enlarged is None:
        return simulate(scene.depth_m, material, focal, sensor, generator, person=person)
    nearer_m = scene.nearer_m[:, None, None]
    true_m = torch.where(scene.depth_m > 0, scene.depth_m + nearer_m, 0.0)
    focal = focal * scene.enlarged
    noisy = simulate(true_m, material, focal, sensor, generator, person=person)
    return torch.where(noisy > 0, (noisy - nearer_m).clamp_min(MIN_DEPTH_M), 0.0)
