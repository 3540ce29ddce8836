"""Renders the frames of the benchmark (its recipe is `evaluation.benchmark.Recipe`)."""

from __future__ import annotations

import zipfile
from collections.abc import Generator
from functools import cache
from pathlib import Path

import numpy as np
import torch

from residualpose.camera import preset
from residualpose.errors import ResidualPoseError, UsageError
from residualpose.evaluation.benchmark import (
    BenchmarkFrame,
    Recipe,
    Setup,
    frame_path,
    missing_frames,
)
from residualpose.evaluation.labelled import MIN_VISIBLE
from residualpose.results import replacing
from residualpose.synthetic.bodies import BodyBank, make_bank
from residualpose.synthetic.people import RenderedFrame, SceneConfig, render_frame
from residualpose.synthetic.poses import PoseLibrary
from residualpose.synthetic.sensors import Sensor, simulate
from residualpose.synthetic.shards import MM, Cast
from residualpose.synthetic.workers import in_workers

_CENTRE_JITTER = 0.02
"""Of the image width: how far real cameras' principal points lie off the middle."""


def render_benchmark(folder: Path, recipe: Recipe, count: int, workers: int) -> Generator[Path]:
    """Render those of the first frames that are missing; yields each file, in any order.

    Left early, by an exception too, it stops the workers and leaves only whole frames.

    Raises:
        UsageError: the folder is a file.
        ResidualPoseError: a frame cannot be written, or a worker was killed.
    """
    _prepare(folder, recipe)
    jobs = [(folder, recipe, i) for i in missing_frames(folder, count)]
    try:
        yield from in_workers(_work, jobs, workers, f"{folder}: ", "frames")
    finally:
        for unfinished in folder.glob(".frame_*.tmp"):
            unfinished.unlink(missing_ok=True)


def write_frame(folder: Path, recipe: Recipe, index: int, cast: Cast) -> Path:
    """Render one frame to its file, whole or not at all.

    Raises:
        ResidualPoseError: it cannot be written.
    """
    frame = benchmark_frame(recipe, index, cast)
    path = frame_path(folder, index)
    with replacing(path) as stream:
        np.savez_compressed(stream, **{f: getattr(frame, f) for f in BenchmarkFrame.__slots__})
    return path


def benchmark_frame(recipe: Recipe, index: int, cast: Cast) -> BenchmarkFrame:
    """Frame number `index`: the scene nearest to what is wanted, as its sensor sees it."""
    setup, people, view = recipe.wanted(index)
    scene = _scene(setup, people)
    best, least = None, np.inf
    for attempt in range(recipe.attempts):
        rng = np.random.default_rng([recipe.seed, index, attempt])
        frame = render_frame(cast.bank, cast.poses, scene, rng)
        in_sight = int((frame.visible.sum(-1) >= MIN_VISIBLE).sum())
        off = abs(in_sight - people) + (frame.viewpoint != view) + 9 * (not in_sight)
        if off < least:
            best, least = frame, off
        if not off:
            break
    assert best is not None  # a recipe has at least one attempt
    generator = torch.Generator().manual_seed(recipe.seed * 100_003 + index)
    depth_mm = _sensed_mm(best, setup, generator)
    c = best.camera
    return BenchmarkFrame(
        depth_mm, best.joints_m, best.visible, np.array([c.fx, c.fy, c.cx, c.cy]),
        np.array(setup.sensor), np.array(best.viewpoint),
    )  # fmt: skip


def benchmark_cast(recipe: Recipe) -> Cast:
    """Who may appear, from the recipe's seed alone: no archive, no motion capture."""
    poses = PoseLibrary.procedural(recipe.seed, recipe.poses)
    return Cast(make_bank(recipe.bodies, recipe.seed), poses)


def _scene(setup: Setup, people: int) -> SceneConfig:
    camera = preset(setup.camera, (setup.width, setup.height))
    return SceneConfig(
        width=setup.width,
        height=setup.height,
        focal_px=camera.fx,
        centre_jitter_px=_CENTRE_JITTER * setup.width,
        people=tuple(float(count == people) for count in range(people + 1)),
    )


def _sensed_mm(frame: RenderedFrame, setup: Setup, generator: torch.Generator) -> np.ndarray:
    """(H, W) uint16 depth of a clean frame as its sensor gives it."""
    depth_m = simulate(
        torch.from_numpy(frame.depth_m)[None],
        torch.from_numpy(frame.material)[None],
        torch.tensor([frame.camera.fx], dtype=torch.float32),
        torch.tensor([int(Sensor[setup.sensor.upper()])]),
        generator,
        person=torch.from_numpy(frame.person > 0)[None],
    )[0].numpy()
    return np.clip(depth_m * MM, 0, 65535).round().astype(np.uint16)


def _prepare(folder: Path, recipe: Recipe) -> None:
    """Make the folder, and the bodies that the workers share."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise UsageError(f"{folder}: expected a folder for the frames, found a file") from None
    except OSError as error:
        raise ResidualPoseError(f"{folder}: cannot be made ({error.strerror})") from None
    if not (folder / "bodies.npz").exists():
        make_bank(recipe.bodies, recipe.seed).save(folder / "bodies.npz")


@cache
def _cast(folder: Path, recipe: Recipe) -> Cast:
    path = folder / "bodies.npz"
    try:
        bank = BodyBank.load(path)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise ResidualPoseError(
            f"{path}: expected the bodies of the benchmark, found {error}; delete it and run again"
        ) from None
    return Cast(bank, PoseLibrary.procedural(recipe.seed, recipe.poses))


def _work(folder: Path, recipe: Recipe, index: int) -> Path:
    return write_frame(folder, recipe, index, _cast(folder, recipe))
