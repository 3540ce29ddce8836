"""`residualpose eval` and `bench`: tables on standard output, the same numbers as JSON."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from residualpose.cli.main import main
from residualpose.evaluation.timing import STAGES, WHOLE

K = np.array([[70.0, 0, 40], [0, 70, 30], [0, 0, 1]])


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


@pytest.fixture
def labelled(tmp_path: Path, standing_m: np.ndarray) -> Path:
    path = tmp_path / "labelled.npz"
    depth = np.full((2, 60, 80), 2500, np.uint16)
    np.savez(path, depth_mm=depth, K=K, joints_m=np.stack([standing_m] * 2))
    return path


def test_eval_of_an_npz_shows_stages_and_joints(
    tiny_model: Path, labelled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = tmp_path / "scores.json"
    assert (
        run("eval", labelled, "--model", tiny_model, "--json", report, "--convention", "itop") == 0
    )
    shown = capsys.readouterr().out
    assert all(word in shown for word in ("2 frames", "completed", "pa-mpjpe", "left_knee"))
    scores = json.loads(report.read_text())
    assert scores["model"]["name"] == "tiny" and scores["convention"] == "itop"
    assert set(scores["stages"]) == {"lifted", "completed", "refined"}
    assert scores["stages"]["refined"]["pck10"] == 0  # there is nobody to see
    assert len(scores["stages"]["refined"]["pck10_joint"]) == 15


def test_eval_of_shards_counts_their_people(
    tiny_model: Path, tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = tmp_path / "scores.json"
    data = ("eval", tiny_run, "--model", tiny_model, "--limit", 3)
    assert run(*data, "--json", report) == 0
    scores = json.loads(report.read_text())
    assert scores["frames"] == 3 and 3 <= scores["people"] <= 6
    assert f"of {scores['people']} people found" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [("--limit", 0), ("--model", "absent"), ("--seed", "x")])
def test_eval_refuses_in_one_line(
    arguments: tuple[object, ...], labelled: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("eval", labelled, *arguments) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_bench_times_every_stage(
    tiny_model: Path, labelled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = tmp_path / "times.json"
    bench = ("bench", labelled, "--model", tiny_model, "--rounds", 2, "--json", report)
    assert run(*bench) == 0
    shown = capsys.readouterr().out
    times = json.loads(report.read_text())
    assert list(times["stages_ms"]) == [*STAGES, WHOLE]
    assert all(word in shown for word in (*STAGES, WHOLE, times["machine"]["cpu"], "80x60"))
    for stage in times["stages_ms"].values():
        assert 0 < stage["median_ms"] <= stage["p95_ms"]
    assert (times["frames"], times["rounds"], times["sizes"]) == (2, 2, ["80x60"])


def test_bench_refuses_no_rounds(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("bench", "--rounds", 0) == 2
    assert "--rounds" in capsys.readouterr().err
