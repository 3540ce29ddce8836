"""`residualpose synth`: the same bytes with any number of workers, nothing mixed, nothing half."""

from __future__ import annotations

import json
import multiprocessing
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("anny", reason="needs the synthetic extra")

from residualpose.cli.main import main
from residualpose.cli.synth import Options, settings_of
from residualpose.synthetic import workers
from residualpose.synthetic.bodies import BodyBank
from residualpose.synthetic.shards import load_cast, load_shard, make_shard, shard_path

SETTINGS = """
[synth]
shards = 3
frames = 2
bodies = 3
[synth.scene]
width = 48
height = 32
focal_px = 40
centre_jitter_px = 4
people = [0.2, 0.8, 0, 0, 0]
"""


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    path = tmp_path / "small.toml"
    path.write_text(SETTINGS)
    return path


@pytest.fixture
def folder(tmp_path: Path, tiny_bank: BodyBank) -> Callable[[str], Path]:
    """Makes folders in which the bodies are there already."""

    def make(name: str) -> Path:
        (tmp_path / name).mkdir()
        tiny_bank.save(tmp_path / name / "bodies_3_0.npz")
        return tmp_path / name

    return make


def names(path: Path) -> list[str]:
    return sorted(one.name for one in path.iterdir())


def test_any_number_of_workers_makes_the_same_bytes_and_a_stopped_one_leaves_whole_shards(
    folder: Callable[[str], Path], settings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, two = folder("one"), folder("two")
    config = settings_of(Options(two, settings))
    workers.open_run(two, config)
    rendering = workers.render_shards(two, config, 2)
    first = next(rendering)
    rendering.close()
    # The pool's own thread may be the one that reaps a stopped worker, a moment later.
    deadline = time.monotonic() + 10
    while multiprocessing.active_children() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not multiprocessing.active_children()
    left = [name for name in names(two) if name not in ("bodies_3_0.npz", "config.json")]
    assert first.name in left
    assert all(len(load_shard(two / name)) == 2 for name in left)  # no half ones among them

    kept = first.stat().st_mtime_ns
    assert run("synth", "--out", two, "--config", settings, "--workers", 1) == 0
    assert f"3 shards in {two}, {3 - len(left)} of them new" in capsys.readouterr().out
    assert first.stat().st_mtime_ns == kept
    assert names(two) == [
        "bodies_3_0.npz",
        "config.json",
        *(f"shard_0000{k}.npz" for k in range(3)),
    ]

    cast = load_cast(one, config)
    for k in range(3):
        make_shard(one, k, config, cast)
        assert shard_path(one, k).read_bytes() == shard_path(two, k).read_bytes()


@pytest.fixture
def no_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rendering that takes no time: every missing shard is an empty file."""

    def touch(path: Path, config: object, _: int) -> Iterator[Path]:
        for k in workers.missing_shards(path, config):  # type: ignore[arg-type]
            shard_path(path, k).touch()
            yield shard_path(path, k)

    monkeypatch.setattr(workers, "render_shards", touch)


@pytest.mark.usefixtures("no_workers")
def test_flags_go_over_the_settings_and_more_shards_join(tmp_path: Path, settings: Path) -> None:
    out = tmp_path / "data"
    assert run("synth", "--out", out, "--config", settings, "--seed", 7) == 0
    stored = json.loads((out / "config.json").read_text())
    assert (stored["seed"], stored["frames"], stored["scene"]["width"]) == (7, 2, 48)
    assert run("synth", "--out", out, "--config", settings, "--seed", 7, "--shards", 5) == 0
    assert shard_path(out, 4).exists()
    assert json.loads((out / "config.json").read_text())["shards"] == 5


@pytest.mark.usefixtures("no_workers")
def test_other_settings_are_refused_and_named(
    tmp_path: Path, settings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "data"
    assert run("synth", "--out", out, "--config", settings) == 0
    settings.write_text(SETTINGS.replace("width = 48", "width = 64"))
    capsys.readouterr()
    assert run("synth", "--out", out, "--config", settings) == 2
    error = capsys.readouterr().err
    assert "scene.width was 48, now 64" in error and error.count("\n") == 1
    (out / "config.json").unlink()
    assert run("synth", "--out", out, "--config", settings) == 2
    assert "no config.json" in capsys.readouterr().err


@pytest.mark.usefixtures("no_workers")
def test_motion_capture_is_known_by_its_content(
    tmp_path: Path, settings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, clips = tmp_path / "data", tmp_path / "clips"
    clips.mkdir()
    (clips / "walk.bvh").write_text("HIERARCHY")
    assert run("synth", "--out", out, "--config", settings, "--mocap", clips) == 0
    shutil.move(clips, tmp_path / "elsewhere")
    elsewhere = shutil.move(tmp_path / "elsewhere", tmp_path / "b" / "clips")
    assert run("synth", "--out", out, "--config", settings, "--mocap", elsewhere) == 0
    (Path(elsewhere) / "walk.bvh").write_text("MOTION")
    assert run("synth", "--out", out, "--config", settings, "--mocap", elsewhere) == 2
    assert "mocap was" in capsys.readouterr().err
    assert run("synth", "--out", out, "--config", settings, "--mocap", tmp_path / "none.zip") == 2
    assert "none.zip" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("--workers", 0), 2, "--workers"),
        (("--frames", 0), 2, "frames: expected at least 1"),
        (("--seed", -1), 2, "seed: expected at least 0"),
        (("--config", "absent.toml"), 2, "absent.toml"),
    ],
)
def test_impossible_requests_are_one_line(
    arguments: tuple[object, ...], status: int, words: str, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    assert run("synth", "--out", tmp_path / "data", *arguments) == status
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1
    assert not (tmp_path / "data").exists()


def test_a_file_in_place_of_the_folder_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "data").write_text("")
    assert run("synth", "--out", tmp_path / "data") == 2
    assert run("synth", "--out", tmp_path / "data" / "inner") == 2
    assert capsys.readouterr().err.count("\n") == 2


def test_an_interrupted_run_says_what_is_there(
    tmp_path: Path, settings: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    def interrupted(path: Path, *_: object) -> Iterator[Path]:
        shard_path(path, 0).touch()
        yield shard_path(path, 0)
        raise KeyboardInterrupt

    monkeypatch.setattr(workers, "render_shards", interrupted)
    assert run("synth", "--out", tmp_path / "data", "--config", settings) == 130
    assert "holds 1 of 3 shards" in capsys.readouterr().err
