"""`residualpose eval benchmark`: renders what is missing, scores, writes whole files or none."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("anny", reason="needs the synthetic extra")

from residualpose.cli.main import main
from residualpose.evaluation.benchmark import Recipe, benchmark_folder
from residualpose.settings import build, read_section

TINY = """
[benchmark]
name = "tiny"
seed = 4
frames = 3
bodies = 3
poses = 200
attempts = 2
people = [1, 2]
[[benchmark.setups]]
sensor = "time_of_flight"
camera = "kinect2"
width = 128
height = 106
"""


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recipe") / "tiny.toml"
    path.write_text(TINY)
    return path


@pytest.fixture(scope="module")
def cache(recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with two of the three frames."""
    from residualpose.synthetic.benchmark import render_benchmark

    folder = tmp_path_factory.mktemp("cache")
    tiny = build(Recipe, read_section(recipe, "benchmark"), "tiny")
    assert len(list(render_benchmark(benchmark_folder(folder, tiny), tiny, 2, 1))) == 2
    return folder


def test_goals_stand_above_the_tables_and_files_hold_them(
    recipe: Path, cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report, page = tmp_path / "scores.json", tmp_path / "report.html"
    bench = ("eval", "benchmark", "--recipe", recipe, "--cache", cache, "--limit", 2)
    assert run(*bench, "--json", report, "--html", page) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("tiny: 2 frames")
    assert shown.index("at least 80%") < shown.index("pa-mpjpe") < shown.index("sensor: time_of")
    scores = json.loads(report.read_text())
    assert len(scores["headline"]) == 5 and scores["benchmark"]["name"] == "tiny"
    assert scores["benchmark"]["recipe_sha256"][:8] in next(cache.iterdir()).name
    axes = {group["axis"] for group in scores["groups"]}
    assert axes >= {"view", "sensor", "people", "heading", "distance", "occlusion", "joint"}
    assert page.read_text(encoding="utf-8").count("goal:") == 5


def test_what_is_missing_is_rendered_and_kept(recipe: Path, cache: Path) -> None:
    folder = next(cache.iterdir())
    first = (folder / "frame_0000.npz").stat().st_mtime_ns
    bench = ("eval", "benchmark", "--recipe", recipe, "--cache", cache, "--workers", 1)
    assert run(*bench) == 0
    assert len(list(folder.glob("frame_*.npz"))) == 3
    assert (folder / "frame_0000.npz").stat().st_mtime_ns == first


def test_ctrl_c_leaves_earlier_results_and_whole_frames(
    recipe: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    from residualpose.synthetic import benchmark

    def interrupted(*_: object) -> Iterator[Path]:
        yield Path("one")
        raise KeyboardInterrupt

    monkeypatch.setattr(benchmark, "render_benchmark", interrupted)
    report = tmp_path / "scores.json"
    report.write_text("earlier")
    bench = ("eval", "benchmark", "--recipe", recipe, "--json", report)
    assert run(*bench, "--cache", tmp_path / "new") == 130
    assert capsys.readouterr().err.strip() == "residualpose eval: interrupted"
    assert [path.name for path in tmp_path.iterdir()] == ["scores.json"]
    assert report.read_text() == "earlier"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("benchmark", "--workers", 0), "--workers"),
        (("benchmark", "--recipe", "absent.toml"), "absent.toml"),
        (("benchmark", "--json", "no/such/folder/scores.json"), "no/such/folder"),
        (("frames.npz", "--cache", "somewhere"), "eval benchmark"),
        (("frames.npz", "--recipe", "x.toml"), "eval benchmark"),
    ],
)
def test_impossible_requests_are_refused_in_one_line(
    arguments: tuple[object, ...], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("eval", *arguments) == 2
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1
