"""`residualpose train` and `export`: a model of every part, resumed runs, errors in one line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import pytest

pytest.importorskip("anny", reason="needs the synthetic extra")
pytest.importorskip("onnx", reason="needs the train extra")

import torch

from residualpose import Camera, PoseEstimator, ResidualPoseError
from residualpose.cli.main import main
from residualpose.learning.checkpoint import load_checkpoint
from residualpose.model import ModelFolder

if TYPE_CHECKING:
    from residualpose.learning.refiner_data import RefinerData


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def train_maps(data: Path, out: Path, settings: Path, *more: object) -> int:
    return run("train", "maps", "--data", data, "--out", out, "--config", settings, *more)


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    error = capsys.readouterr().err
    assert error.count("\n") == 1, error
    return error


def test_the_whole_model_loads_and_its_card_tells_how_it_was_trained(tiny_model: Path) -> None:
    card = json.loads((tiny_model / "card.json").read_text())
    assert (card["name"], card["summary"]) == ("tiny", "for tests")
    assert set(card["sha256"]) == {"maps.onnx", "prior.npz", "refiner.onnx"}
    training = card["training"]
    assert (training["steps"], training["samples"], training["maps"]["batch"]) == (3, 6, 2)
    assert training["rendered"][0]["scene"]["width"] == 96
    assert "out" not in training["maps"]  # a path of the machine that trained
    poses = PoseEstimator(tiny_model)(np.full((60, 80), 2, np.float32), Camera(70, 70, 40, 30))
    assert poses.joints_m.shape == (len(poses), 15, 3)


def test_a_model_without_refiner_says_how_to_get_one(tiny_parts: Path) -> None:
    with pytest.raises(ResidualPoseError, match=r"without refiner\.onnx.*fit refiner"):
        PoseEstimator(tiny_parts / "detector")


def test_an_interrupted_run_goes_on_to_the_same_weights(
    tiny_settings: Path, tiny_run: Path, tiny_parts: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    from residualpose.cli import training

    real = training.train_maps

    def interrupted(config: training.MapsConfig, _: object) -> Path:
        def stop(step: int, losses: dict[str, float]) -> None:
            if step == 1:
                raise KeyboardInterrupt

        return real(config, stop)

    with monkeypatch.context() as patch:
        patch.setattr(training, "train_maps", interrupted)
        assert train_maps(tiny_run, tmp_path, tiny_settings) == 130
    assert "goes on from" in capsys.readouterr().err
    assert load_checkpoint(tmp_path / "checkpoint.pt")["step"] == 1
    assert train_maps(tiny_run, tmp_path, tiny_settings) == 0
    resumed = load_checkpoint(tmp_path / "checkpoint.pt")
    straight = load_checkpoint(tiny_parts / "run" / "checkpoint.pt")
    assert resumed["step"] == straight["step"] == 3
    for name, weight in straight["average"].items():
        assert torch.equal(weight, resumed["average"][name]), name


def test_a_run_refuses_other_settings_but_takes_more_steps(
    tiny_settings: Path, tiny_run: Path, tiny_parts: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    out = shutil.copytree(tiny_parts / "run", tmp_path / "run")
    assert train_maps(tiny_run, out, tiny_settings, "--batch", 1) == 2
    assert "batch was 2, now 1" in one_line(capsys)
    assert train_maps(tiny_run, out, tiny_settings, "--steps", 4) == 0
    assert load_checkpoint(out / "checkpoint.pt")["step"] == 4


@pytest.mark.parametrize("kept", [0, 100, 0.5])
def test_a_damaged_checkpoint_is_one_line(
    kept: float, tiny_settings: Path, tiny_run: Path, tiny_parts: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    out = shutil.copytree(tiny_parts / "run", tmp_path / "run")
    whole = (out / "checkpoint.pt").read_bytes()
    (out / "checkpoint.pt").write_bytes(whole[: int(kept if kept >= 1 else kept * len(whole))])
    assert train_maps(tiny_run, out, tiny_settings) == 1
    assert "expected a checkpoint" in one_line(capsys)
    export = ("export", "--run", out, "--prior", tiny_parts / "prior.npz", "--out", tmp_path / "m")
    assert run(*export) == 1
    assert "checkpoint.pt" in one_line(capsys)
    assert not (tmp_path / "m").exists()


def test_a_checkpoint_of_something_else_is_one_line(
    tiny_settings: Path, tiny_run: Path, tiny_parts: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    out = shutil.copytree(tiny_parts / "run", tmp_path / "run")
    torch.save({"weights": torch.zeros(2)}, out / "checkpoint.pt")
    assert train_maps(tiny_run, out, tiny_settings) == 1
    assert "something else" in one_line(capsys)


def test_data_that_is_not_there_is_one_line(
    tiny_settings: Path, tiny_run: Path, tiny_parts: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    assert train_maps(tmp_path, tmp_path / "run", tiny_settings) == 2
    assert "residualpose synth" in one_line(capsys)
    assert train_maps(tiny_run, tmp_path / "run", tiny_settings, "--shards", 9) == 2
    assert "hold 2 shards, but 9" in one_line(capsys)
    assert not (tmp_path / "run").exists()
    assert run("fit", "prior", "--data", tmp_path, "--out", tmp_path / "p.npz") == 2
    one_line(capsys)


def test_a_refiner_needs_people_to_learn_from(
    tiny_settings: Path, tiny_run: Path, tiny_parts: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    model, out = tiny_parts / "detector", tmp_path / "refiner.onnx"
    refiner = ("fit", "refiner", "--data", tiny_run, "--model", model, "--out", out)
    assert run(*refiner, "--config", tiny_settings) == 1
    assert "nobody is found in the 2 shards" in one_line(capsys)
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_refiner_goes_on_to_the_same_file(
    tiny_settings: Path, tiny_run: Path, tiny_parts: Path, people_found: RefinerData,
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    from residualpose.cli import fitting
    from residualpose.learning import train_refiner

    fit = ("fit", "refiner", "--data", tiny_run, "--model", tiny_parts / "detector", "--config",
           tiny_settings, "--steps", 5)  # fmt: skip
    monkeypatch.setattr(fitting, "collect", lambda *_: people_found)
    monkeypatch.setattr(train_refiner, "_SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    assert run(*fit, "--out", tmp_path / "whole.onnx") == 0
    real = train_refiner.refiner_loss
    steps: list[int] = []

    def loss(*tensors: torch.Tensor) -> torch.Tensor:
        if len(steps) == 3:
            raise KeyboardInterrupt
        steps.append(1)
        return real(*tensors)

    monkeypatch.setattr(train_refiner, "refiner_loss", loss)
    out = tmp_path / "killed.onnx"
    capsys.readouterr()
    assert run(*fit, "--out", out) == 130
    assert "goes on from" in one_line(capsys) and not out.exists()
    monkeypatch.setattr(train_refiner, "refiner_loss", real)
    assert run(*fit, "--out", out, "--steps", 6) == 2
    assert "steps was 5, now 6" in one_line(capsys)
    assert run(*fit, "--out", out) == 0
    assert out.read_bytes() == (tmp_path / "whole.onnx").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["killed.onnx", "whole.onnx"]


@pytest.mark.parametrize("enough", [True, False])
def test_a_refiner_of_enough_people_is_of_integers(
    tiny_settings: Path, tiny_run: Path, tiny_parts: Path, people_found: RefinerData,
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, enough: bool,
) -> None:  # fmt: skip
    import onnx

    from residualpose.cli import fitting

    monkeypatch.setattr(fitting, "collect", lambda *_: people_found)
    monkeypatch.setattr(fitting, "ENOUGH_PEOPLE", len(people_found) + (not enough))
    fit = ("fit", "refiner", "--data", tiny_run, "--model", tiny_parts / "detector", "--config",
           tiny_settings, "--steps", 3, "--out", tmp_path / "refiner.onnx")  # fmt: skip
    assert run(*fit) == 0
    kinds = {node.op_type for node in onnx.load(str(tmp_path / "refiner.onnx")).graph.node}
    assert ("MatMulIntegerToFloat" in kinds) == ("QuantizeLinear" in kinds) == enough


def test_export_keeps_an_earlier_model_unless_told_and_never_a_broken_part(
    tiny_parts: Path, tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = shutil.copytree(tiny_model, tmp_path / "model")
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    parts = ("export", "--run", tiny_parts / "run", "--prior", tiny_parts / "prior.npz")
    assert run(*parts, "--out", out) == 2
    assert "--overwrite" in one_line(capsys)
    (tmp_path / "bad.onnx").write_text("no network")
    assert run(*parts, "--out", out, "--refiner", tmp_path / "bad.onnx", "--overwrite") == 1
    assert "refiner.onnx" in one_line(capsys)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert run(*parts, "--out", out, "--overwrite", "--name", "other") == 0
    assert json.loads((out / "card.json").read_text())["name"] == "other"
    assert not (out / "refiner.onnx").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.onnx", "model"]
    assert run(*parts, "--out", tmp_path, "--overwrite") == 2
    assert "no model folder" in one_line(capsys)


def test_a_network_for_closer_looks_is_trained_and_exported_beside_the_first(
    tiny_settings: Path, tiny_run: Path, tiny_parts: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    for focal_px in (86.4, 43.2):
        settings, out = tmp_path / "closer.toml", tmp_path / f"closer{focal_px}"
        crop = f"[maps.crop]\nwidth = 32\nheight = 48\ncloser_px = {focal_px}\n[maps.network]"
        settings.write_text(tiny_settings.read_text().replace("[maps.network]", crop))
        assert run("train", "maps", "--data", tiny_run, "--out", out, "--config", settings) == 0
        assert json.loads((out / "config.json").read_text())["focal_px"] == focal_px
    parts = ("export", "--run", tiny_parts / "run", "--prior", tiny_parts / "prior.npz")
    assert run(*parts, "--closer", tmp_path / "closer86.4", "--out", tmp_path / "m") == 0
    model = ModelFolder.open(tmp_path / "m")
    assert model.closer_path == tmp_path / "m" / "closer.onnx"
    closer = cast(dict, model.card["closer"])
    assert closer["maps"]["crop"]["closer_px"] == 86.4 and closer["steps"] == 3
    capsys.readouterr()
    assert run(*parts, "--closer", tmp_path / "closer43.2", "--out", tmp_path / "n") == 2
    assert "expected focal_px 86.4" in one_line(capsys) and not (tmp_path / "n").exists()


def test_export_keeps_the_scores_of_eval(
    tiny_parts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "side.json").write_text('{"frames": 3}')
    parts = ("export", "--run", tiny_parts / "run", "--prior", tiny_parts / "prior.npz")
    assert run(*parts, "--out", tmp_path / "m", "--scores", tmp_path / "side.json") == 0
    card = json.loads((tmp_path / "m" / "card.json").read_text())
    assert card["scores"] == {"side": {"frames": 3}}


@pytest.mark.parametrize("section", ["synth", "maps", "prior", "refiner"])
def test_the_shipped_settings_are_understood(section: str, tmp_path: Path) -> None:
    from residualpose.learning.mix import Share
    from residualpose.learning.train_maps import MapsConfig
    from residualpose.learning.train_prior import PriorConfig
    from residualpose.learning.train_refiner import RefinerConfig
    from residualpose.settings import build, read_section
    from residualpose.synthetic.shards import SynthConfig

    kinds = {"maps": MapsConfig, "prior": PriorConfig, "refiner": RefinerConfig}
    values = read_section(Path(__file__).parents[2] / "configs" / "base.toml", section)
    fixed = {"data": (Share(tmp_path),), "out": tmp_path} if section == "maps" else {}
    built = build(kinds.get(section, SynthConfig), values, "base.toml", **fixed)
    plain_names = [name for name, value in values.items() if isinstance(value, int | float)]
    assert plain_names
    assert all(getattr(built, name) == values[name] for name in plain_names)
