"""The recipes in configs/ are settings that the code knows."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs the train extra")

from residualpose.learning.mix import Share
from residualpose.learning.train_maps import MapsConfig
from residualpose.learning.train_prior import PriorConfig
from residualpose.learning.train_refiner import RefinerConfig
from residualpose.settings import build, read_section
from residualpose.synthetic.shards import SynthConfig

CONFIGS = Path(__file__).parents[1] / "configs"
NAMES = sorted(path.name for path in CONFIGS.glob("*.toml"))


@pytest.mark.parametrize("name", NAMES)
def test_every_table_is_known(name: str) -> None:
    path = CONFIGS / name
    values = {key: read_section(path, key) for key in ("synth", "maps", "prior", "refiner")}
    build(MapsConfig, values["maps"], name, data=(Share(path),), out=path)
    build(PriorConfig, values["prior"], name)
    build(RefinerConfig, values["refiner"], name)
    synth = build(SynthConfig, values["synth"], name)
    if values["synth"] and values["maps"].get("crop"):
        crop = build(MapsConfig, values["maps"], name, data=(Share(path),), out=path).crop
        assert crop is not None
        assert crop.width <= synth.scene.width and crop.height <= synth.scene.height


@pytest.mark.parametrize("name", ["base", "small"])
def test_the_last_part_of_a_training_is_of_the_same_network(name: str) -> None:
    run = read_section(CONFIGS / f"{name}.toml", "maps")
    last = read_section(CONFIGS / f"{name}_integers.toml", "maps")
    assert last["integers"] is True
    assert last.get("network") == run.get("network")
    assert last["crop"] == run["crop"]
