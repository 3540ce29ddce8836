"""`residualpose bench synth`: rates of rendering and training, and what they mean together."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the train extra")

from residualpose.cli.main import main
from residualpose.evaluation.data_rate import DataRate, Rate
from residualpose.synthetic.bodies import BodyBank

SETTINGS = """
[synth]
bodies = 3
[synth.scene]
width = 64
height = 48
focal_px = 50
centre_jitter_px = 4
people = [0, 1]
[maps]
batch = 2
[maps.crop]
width = 32
height = 32
"""


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def test_rates_are_shown_and_stored(
    tmp_path: Path, tiny_bank: BodyBank, capsys: pytest.CaptureFixture[str]
) -> None:
    settings, report = tmp_path / "small.toml", tmp_path / "rates.json"
    settings.write_text(SETTINGS)
    tiny_bank.save(tmp_path / "bodies_3_0.npz")
    arguments = ("--config", settings, "--data", tmp_path, "--workers", 1, "--seconds", 0.1)
    assert run("bench", "synth", *arguments, "--json", report) == 0
    shown = capsys.readouterr().out
    assert "64x48, 1 workers; steps of 2 frames" in shown and "side by side" in shown
    rates = json.loads(report.read_text())
    assert rates["rendering"]["frames_per_s"] > 0 and rates["rendering"]["step_s"] is None
    both = rates["together"]
    assert both["taken_per_s"] == pytest.approx(2 / both["step_s"])
    assert rates["starves"] == (both["frames_per_s"] < both["taken_per_s"])


@pytest.mark.parametrize(("made", "starves"), [(20.0, True), (30.0, False)])
def test_training_starves_where_it_takes_more_than_comes(made: float, starves: bool) -> None:
    alone = Rate(99.0, np.nan, np.nan)
    assert DataRate(alone, alone, Rate(made, 1.0, 25.0)).starves == starves


@pytest.mark.parametrize(
    "wrong", [("--workers", 0), ("--seconds", 0), ("--batch", 0), ("--config", "absent.toml")]
)
def test_impossible_requests_are_one_line(
    wrong: tuple[object, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("bench", "synth", *wrong) == 2
    error = capsys.readouterr().err
    assert error.startswith("residualpose bench synth: ") and error.count("\n") == 1
