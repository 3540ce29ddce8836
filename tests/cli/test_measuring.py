"""`residualpose eval` and `bench`: tables on standard output, the same numbers as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from residualpose import Camera, DepthFrame, PoseEstimator
from residualpose.cli.main import main
from residualpose.evaluation import timing
from residualpose.evaluation.timing import CLOSER, OUTSIDE, STAGES, WHOLE
from residualpose.model import bundled_models

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
    assert run(*bench, "--no-released") == 0
    shown = capsys.readouterr().out
    times = json.loads(report.read_text())
    (measured,) = times["measured"]  # there is nobody to see
    assert (measured["model"], measured["set"], measured["people"]) == ("tiny", "one person", 0)
    assert list(measured["stages_ms"]) == [*STAGES, OUTSIDE, WHOLE]
    assert all(word in shown for word in (*STAGES, WHOLE, times["machine"]["cpu"], "80x60", "99 %"))
    for stage in measured["stages_ms"].values():
        assert 0 < stage["median_ms"] <= stage["p95_ms"] <= stage["p99_ms"]
    assert (measured["frames"], times["rounds"], measured["sizes"]) == (2, 2, "80x60")
    assert list(times["models"]) == ["tiny"] and times["released_ms"] == {}
    assert times["in_a_row"] == [] and "in a row" not in shown


def test_bench_tells_how_steady_calls_in_a_row_are(
    tiny_model: Path, labelled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = tmp_path / "times.json"
    bench = ("bench", labelled, "--model", tiny_model, "--rounds", 1, "--no-released")
    assert run(*bench, "--calls", 5, "--json", report) == 0
    shown = capsys.readouterr().out
    (row,) = json.loads(report.read_text())["in_a_row"]
    assert (row["model"], row["set"], row["calls"]) == ("tiny", "one person", 5)
    assert 0 < row["median_ms"] <= row["p95_ms"] <= row["p99_ms"]
    assert "tiny, one person, 5 calls in a row" in shown
    assert f"{row['p99_ms'] / row['median_ms']:.2f} times as long" in shown


def test_the_steadiest_run_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    durations_s = iter([9, 1, 1, *[3, 1, 1] * 3, 2, 1, 1])
    clock = [0.0]
    monkeypatch.setattr(timing.time, "perf_counter", lambda: clock[0])

    def estimate(frame: DepthFrame) -> None:
        clock[0] += next(durations_s)

    frame = DepthFrame(np.ones((60, 80)), Camera(70, 70, 40, 30))
    times = timing.in_a_row(cast(PoseEstimator, estimate), [frame], 3)
    assert times.median_ms == pytest.approx(1000) and 1.9 < times.tail < 2.0


def test_bench_of_the_samples_compares_all_models_with_the_released_network(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = tmp_path / "times.json"
    assert run("bench", "--rounds", 1, "--json", report) == 0
    shown, times = capsys.readouterr().out, json.loads(report.read_text())
    assert list(times["models"]) == bundled_models()
    found = {(one["model"], one["set"]): one["people"] for one in times["measured"]}
    for model in bundled_models():
        assert found[model, "one person"] == 1 and found[model, "several people"] >= 6
    timed = {one["model"]: list(one["stages_ms"]) for one in times["measured"]}
    assert timed["base"] == [*STAGES, OUTSIDE, WHOLE]
    assert timed["large"] == [*STAGES[:5], CLOSER, *STAGES[5:], OUTSIDE, WHOLE]
    assert list(times["released_ms"]) == [
        "released network, ONNX Runtime",
        "released network, torch",
    ]
    assert shown.count("times faster than released network") == 2 * len(found)


def test_bench_without_torch_says_what_is_missing(
    tiny_model: Path, labelled: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("residualpose.evaluation.released_speed.find_spec", lambda _: None)
    assert run("bench", labelled, "--model", tiny_model, "--rounds", 1) == 0
    shown = capsys.readouterr()
    assert "torch is not installed: pip install 'residualpose[train]'" in shown.err
    assert "released" not in shown.out and WHOLE in shown.out


def test_bench_refuses_no_rounds(capsys: pytest.CaptureFixture[str]) -> None:
    for wrong in (("--rounds", 0), ("--calls", -1)):
        assert run("bench", *wrong) == 2
        assert wrong[0] in capsys.readouterr().err
