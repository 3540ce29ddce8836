"""`residualpose train finetune` and `fit` on a recording: commands from labels to a model."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("anny", reason="needs the synthetic extra")
pytest.importorskip("onnx", reason="needs the train extra")

from residualpose import Camera, PoseEstimator
from residualpose.cli.fine_tuning import RECIPE
from residualpose.cli.main import main
from residualpose.cli.training import maps_config
from residualpose.datasets.plain_writer import PlainWriter
from residualpose.frames import DepthFrame
from residualpose.learning.checkpoint import load_checkpoint
from residualpose.learning.export import network_settings
from residualpose.learning.mix import Share
from residualpose.learning.network import NetworkConfig
from residualpose.model import ModelFolder
from residualpose.pipeline.limb_prior import LimbPrior
from residualpose.skeleton import PANOPTIC15, Skeleton

CAMERA = Camera(140.0, 140.0, 80.0, 60.0)


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def record(folder: Path, joints_m: np.ndarray, **writer: Skeleton) -> Path:
    """Frames with a wall and one of the people (N, 15, 3) each."""
    depth = np.full((120, 160), 3.5, np.float32)
    depth[20:110, 60:100] = 2.9
    with PlainWriter(folder, **writer) as recording:
        for joints in joints_m:
            recording.add(DepthFrame(depth, CAMERA), joints[None], np.ones((1, 15), bool))
    return folder


@pytest.fixture
def people_m(standing_m: np.ndarray) -> np.ndarray:
    rng = np.random.default_rng(2)
    return standing_m + rng.normal(0, 0.04, (64, 15, 3))


def test_a_model_is_tuned_scored_and_its_run_resumed(
    tiny_model: Path, people_m: np.ndarray, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine, others = record(tmp_path / "a", people_m[:4]), record(tmp_path / "b", people_m[4:6])
    out = tmp_path / "tuned"
    tune = ("train", "finetune", "--data", mine, "--from", tiny_model, "--out", out)
    assert run(*tune, "--held-out", others, "--steps", 2) == 0
    text = capsys.readouterr().out
    assert "before" in text and "after" in text and "pck10 +0.0 points" in text
    report = json.loads((out / "report.json").read_text())
    assert report["before"]["frames"] == report["after"]["frames"] == 2
    card = json.loads((out / "model" / "card.json").read_text())
    assert card["training"]["maps"]["start"] == str(tiny_model)
    assert card["training"]["maps"]["network"]["widths"] == [8, 8, 8]
    PoseEstimator(out / "model")
    state = load_checkpoint(out / "run" / "checkpoint.pt")
    norms = [v for name, v in state["network"].items() if "running_mean" in name]
    assert norms and all((v == 0).all() for v in norms)  # frozen, as the model folder has them
    assert run(*tune, "--steps", 3) == 0
    assert load_checkpoint(out / "run" / "checkpoint.pt")["step"] == 3


def test_what_was_trained_on_is_not_held_out(
    tiny_model: Path, people_m: np.ndarray, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine, out = record(tmp_path / "a", people_m[:1]), tmp_path / "out"
    tune = ("train", "finetune", "--data", mine, "--from", tiny_model, "--out", out)
    assert run(*tune, "--held-out", mine) == 2
    assert "held out and trained on" in capsys.readouterr().err
    assert not out.exists()


def test_going_on_from_a_model_keeps_its_resolution_and_its_network(
    people_m: np.ndarray, tmp_path: Path
) -> None:
    mine, out = record(tmp_path / "a", people_m[:2]), tmp_path / "run"
    assert run("train", "maps", "--data", mine, "--from", "small", "--out", out, "--steps", 1,
               "--batch", 2) == 0  # fmt: skip
    model, settings = ModelFolder.open("small"), json.loads((out / "config.json").read_text())
    assert settings["focal_px"] == model.focal_px
    known = network_settings(model)
    assert known["depth_unit"] != 1 and tuple(known["widths"]) != NetworkConfig().widths  # pyright: ignore
    assert {key: settings["network"][key] for key in known} == known


def test_frames_of_another_focal_length_change_the_unit_in_which_distance_is_read(
    tiny_run: Path, tmp_path: Path
) -> None:
    model, shares = ModelFolder.open("small"), [Share(tiny_run)]
    config = maps_config({"start": "small", "shards": 1}, "here", shares, tmp_path / "run")
    assert config.focal_px == 86.4 != model.focal_px
    known = network_settings(model)
    unit = float(str(known["depth_unit"])) * 86.4 / model.focal_px
    assert config.network.depth_unit == pytest.approx(unit)
    assert config.network.widths == tuple(known["widths"])  # pyright: ignore


def test_rendered_and_recorded_frames_are_mixed_by_command(
    tiny_settings: Path, tiny_run: Path, people_m: np.ndarray, tmp_path: Path
) -> None:
    mine, out = record(tmp_path / "a", people_m[:2]), tmp_path / "run"
    data = ("--data", f"{tiny_run}=0.6", "--data", f"{mine}=0.4")
    train = ("train", "maps", *data, "--out", out, "--config", tiny_settings)
    assert run(*train, "--steps", 1, "--tensorboard") == 0
    assert any((out / "tensorboard").iterdir())
    settings = json.loads((out / "config.json").read_text())
    assert settings["weights"] == [0.6, 0.4] and settings["focal_px"] == 86.4
    assert run(*train, "--steps", 2) == 0
    other = ("train", "maps", *data[:3], f"{mine}=0.5", "--out", out, "--config", tiny_settings)
    assert run(*other) == 2


def test_a_recording_of_other_joints_makes_a_model_of_them(
    tiny_settings: Path, people_m: np.ndarray, tmp_path: Path
) -> None:
    mine = record(tmp_path / "panoptic", people_m, skeleton=PANOPTIC15)
    assert run("fit", "prior", "--data", mine, "--out", tmp_path / "p.npz") == 0
    assert LimbPrior.load_npz(tmp_path / "p.npz").body_frame
    out = tmp_path / "run"
    train = ("train", "maps", "--data", mine, "--out", out, "--config", tiny_settings)
    assert run(*train, "--steps", 1) == 0
    model = tmp_path / "model"
    assert run("export", "--run", out, "--prior", tmp_path / "p.npz", "--out", model) == 0
    card = json.loads((model / "card.json").read_text())
    assert card["skeleton"]["name"] == "panoptic15" and card["focal_px"] == 144.0


def test_statistics_of_a_recording(
    people_m: np.ndarray, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine, out = record(tmp_path / "a", people_m), tmp_path / "statistics"
    assert run("fit", "statistics", "--data", mine, "--out", out) == 0
    LimbPrior.load(out / "mean_pose_limb.npy", out / "var_pose_limb.npy")
    stats = json.loads((out / "train_input_stats.json").read_text())
    np.testing.assert_allclose(stats["train_mean"], people_m.mean(0), atol=1e-3)
    few = record(tmp_path / "few", people_m[:3])
    assert run("fit", "statistics", "--data", few, "--out", out) == 1
    assert "at least 60 people" in capsys.readouterr().err


def test_a_refiner_needs_people_that_the_model_finds(
    tiny_parts: Path, tiny_settings: Path, people_m: np.ndarray, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    mine = record(tmp_path / "a", people_m[:2])
    fit = ("fit", "refiner", "--data", mine, "--model", tiny_parts / "detector")
    assert run(*fit, "--out", tmp_path / "r.onnx", "--config", tiny_settings) == 1
    assert "found none in 2 frames" in capsys.readouterr().err


def test_the_recipe_is_the_file(tmp_path: Path) -> None:
    path = Path(__file__).parents[2] / "configs" / "finetune.toml"
    assert tomllib.loads(path.read_text()) == {"maps": dict(RECIPE)}
