"""Frames of a sensor that no model has seen, to try `residualpose train finetune` on.

A camera knee high that reads 7 cm too far, with noise of 1 % of the depth, 2 % too long and too
short in turn in stripes 12 pixels wide, and nothing in half of the pixels. Writes OUT/train and
OUT/held_out in the plain format, of different people, rooms and poses; the bodies are those of a
folder of residualpose synth.

Example:
  python scripts/odd_sensor.py data odd
  residualpose train finetune --data odd/train --held-out odd/held_out --out odd/tuned
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from residualpose.datasets.plain_writer import PlainWriter
from residualpose.frames import DepthFrame
from residualpose.settings import build
from residualpose.synthetic.people import SceneConfig, draw_scene, sample_scene
from residualpose.synthetic.shards import Cast, SynthConfig, load_cast
from residualpose.synthetic.workers import RECORD, read_run

KIND = "low"
SCENE = SceneConfig(192, 152, 160.0, 0.0, people=(0.0, 0.7, 0.3))


@dataclass(frozen=True, slots=True)
class Options:
    """Where from, where to, how many."""

    cast: Annotated[Path, tyro.conf.Positional]
    """Folder of residualpose synth, for its bodies and poses."""
    out: Annotated[Path, tyro.conf.Positional]
    frames: int = 60
    """Frames to train on, and as many to hold out."""
    seed: int = 0


def main(options: Options) -> None:
    """Write both folders."""
    cast = load_cast(options.cast, build(SynthConfig, read_run(options.cast), RECORD))
    for number, name in enumerate(("train", "held_out")):
        write(options.out / name, cast, options.frames, [options.seed, number])


def write(folder: Path, cast: Cast, frames: int, seed: list[int]) -> None:
    """One recording."""
    rng = np.random.default_rng(seed)
    with PlainWriter(folder) as writer:
        while writer.count < frames:
            scene = sample_scene(cast.bank, cast.poses, SCENE, rng)
            if scene.viewpoint.kind != KIND:
                continue
            drawn = draw_scene(scene, SCENE)
            depth = spoilt(drawn.depth_m, rng)
            writer.add(DepthFrame(depth, drawn.camera), drawn.joints_m, drawn.visible, "odd", KIND)


def spoilt(depth_m: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """What the odd sensor makes of clean depth (H, W)."""
    stripe = np.where(np.arange(depth_m.shape[1]) // 12 % 2, 1.02, 0.98)
    noisy = depth_m * stripe * (1 + rng.normal(0, 0.01, depth_m.shape)) + 0.07
    kept = (rng.random(depth_m.shape) < 0.5) & (depth_m > 0)
    return np.where(kept, noisy, 0).astype(np.float32)


if __name__ == "__main__":
    main(tyro.cli(Options))
