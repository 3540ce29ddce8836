"""A run of a few frames and a model that was trained on them for a moment."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from residualpose.cli.main import main

if TYPE_CHECKING:
    from residualpose.learning.refiner_data import RefinerData
    from residualpose.synthetic.bodies import BodyBank

TINY = """
[synth]
shards = 2
frames = 4
bodies = 3
seed = 3
[synth.scene]
width = 96
height = 80
focal_px = 86.4
centre_jitter_px = 8.0
people = [0, 0.5, 0.5, 0, 0]
[maps]
steps = 3
batch = 2
first_shards = 1
steps_per_shard = 1
minutes_between_checkpoints = 0
[maps.network]
stem = 8
widths = [8, 8, 8]
blocks = [1, 1, 1]
head = 8
[prior]
poses = 150
[prior.fit]
components = 1
iterations = 3
[refiner]
width = 16
blocks = 1
steps = 3
batch = 8
"""


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


@pytest.fixture(scope="session")
def tiny_settings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Settings that take seconds."""
    path = tmp_path_factory.mktemp("settings") / "tiny.toml"
    path.write_text(TINY)
    return path


@pytest.fixture(scope="session")
def tiny_run(
    tiny_settings: Path,
    tiny_shards: Path,
    tiny_bank: BodyBank,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A folder as `residualpose synth` leaves it, of the shards of `tiny_shards`."""
    from residualpose.cli.synth import Options, settings_of
    from residualpose.synthetic.workers import open_run

    folder = tmp_path_factory.mktemp("run") / "data"
    open_run(folder, settings_of(Options(folder, tiny_settings)))
    tiny_bank.save(folder / "bodies_3_3.npz")
    for shard in tiny_shards.glob("shard_*.npz"):
        shutil.copy(shard, folder)
    return folder


@pytest.fixture(scope="session")
def tiny_parts(
    tiny_settings: Path, tiny_run: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A folder with a trained `run`, a `prior.npz` and a model without refiner, `detector`."""
    folder = tmp_path_factory.mktemp("parts")
    maps, prior = folder / "run", folder / "prior.npz"
    assert run("train", "maps", "--data", tiny_run, "--out", maps, "--config", tiny_settings) == 0
    assert run("fit", "prior", "--data", tiny_run, "--out", prior, "--config", tiny_settings) == 0
    assert run("export", "--run", maps, "--prior", prior, "--out", folder / "detector") == 0
    return folder


@pytest.fixture(scope="session")
def people_found() -> RefinerData:
    """Eight made-up people, found 2 cm beside the truth."""
    from residualpose.learning.refiner_data import RefinerData

    rng = np.random.default_rng(0)
    truth = rng.normal([0, 0, 3], 0.3, (8, 15, 3)).astype(np.float32)
    return RefinerData(
        truth + np.float32(0.02), np.full((8, 15), 0.7, np.float32), np.ones((8, 15), np.float32),
        np.broadcast_to(np.eye(3, dtype=np.float32) * 1e-3, (8, 15, 3, 3)), truth,
        np.full((8, 4), np.nan, np.float32), np.zeros((8, 15, 0), np.float16),
    )  # fmt: skip


@pytest.fixture(scope="session")
def tiny_model(
    tiny_settings: Path, tiny_run: Path, tiny_parts: Path, people_found: RefinerData
) -> Path:
    """A whole model; its refiner learned from made-up people, since its maps find nobody."""
    from residualpose.cli import fitting

    refiner, model = tiny_parts / "refiner.onnx", tiny_parts / "tiny"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fitting, "collect", lambda *_: people_found)
        done = run(
            "fit", "refiner", "--data", tiny_run, "--model", tiny_parts / "detector",
            "--out", refiner, "--config", tiny_settings,
        )  # fmt: skip
    assert done == 0
    parts = ("--run", tiny_parts / "run", "--prior", tiny_parts / "prior.npz", "--refiner", refiner)
    assert run("export", *parts, "--out", model, "--summary", "for tests") == 0
    return model
