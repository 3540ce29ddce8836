"""The command line: what it writes, what it says, and what it leaves alone when it fails."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from residualpose import DepthFrame, Origin, Poses, UsageError
from residualpose.cli.main import COMMANDS, main
from residualpose.skeleton import ITOP15

K = np.array([[60.0, 0, 31.5], [0, 60, 23.5], [0, 0, 1]])


@dataclass
class FakeStages:
    """One person two metres away in the middle of the image, or nobody in an empty frame."""

    frame: DepthFrame

    @property
    def poses(self) -> Poses:
        camera, people = self.frame.camera, int(self.frame.depth_m.any())
        rng = np.random.default_rng(0)
        joints_m = rng.normal([0, 0, 2], [0.2, 0.4, 0.05], (1, 15, 3))[:people]
        return Poses(
            camera.project(joints_m), joints_m, np.full((people, 15), 0.8), np.full(people, 0.9),
            np.full((people, 15), Origin.MEASURED), np.full((people, 15, 3, 3), 1e-4), camera,
        )  # fmt: skip

    @property
    def refined_m(self) -> np.ndarray:
        return self.poses.joints_m

    lifted_m = completed_m = refined_m


class FakeEstimator:
    """Stands for the networks, so that these tests are about files and words."""

    model = SimpleNamespace(name="fake", sha256="f" * 64, skeleton=ITOP15)
    interrupt_at: int | None = None

    def __init__(self, model: str | None = None, convention: str | None = None) -> None:
        if model not in (None, "fake"):
            raise UsageError(f"no model {model!r}")

    def explain(self, frame: DepthFrame) -> FakeStages:
        if frame.index == self.interrupt_at:
            raise KeyboardInterrupt
        return FakeStages(frame)

    def stream(self, frames: Iterable[DepthFrame]) -> Iterator[Poses]:
        return (self.explain(frame).poses for frame in frames)


@pytest.fixture(autouse=True)
def fake_estimator(monkeypatch: pytest.MonkeyPatch) -> type[FakeEstimator]:
    module = ModuleType("residualpose.estimator")
    estimator = type("Estimator", (FakeEstimator,), {})
    module.PoseEstimator = estimator  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "residualpose.estimator", module)
    return estimator


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "good.npz"
    np.savez(path, depth_mm=np.full((48, 64), 2000, dtype=np.uint16), K=K)
    return path


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    path = tmp_path / "stack.npz"
    np.savez(path, depth_mm=np.full((4, 48, 64), 2000, dtype=np.uint16), K=K)
    return path


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def read_lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_one_frame_gives_numbers_pictures_and_a_page(tmp_path: Path, good: Path) -> None:
    out = tmp_path / "out"
    assert run("predict", good, "--output", out) == 0
    assert sorted(contents(out)) == [
        "good.html", "good_2d.png", "good_3d_completed.png", "good_3d_refined.png", "poses.jsonl",
    ]  # fmt: skip
    header, line = read_lines(out / "poses.jsonl")
    assert header["schema"] == "residualpose/1"
    assert header["model"] == {"name": "fake", "sha256": "f" * 64}
    assert line["source"] == str(good)
    assert len(line["persons"]) == 1
    assert line["camera"]["fx"] == 60
    with Image.open(out / "good_2d.png") as picture:
        assert min(picture.size) >= 48
    assert "<html" in (out / "good.html").read_text()[:200]


def test_a_recording_gives_a_line_and_pictures_a_frame(tmp_path: Path, stack: Path) -> None:
    out = tmp_path / "out"
    assert run("predict", f"{stack}:1:3", "--output", out) == 0
    assert [line["frame"] for line in read_lines(out / "poses.jsonl")[1:]] == [1, 2]
    assert sorted(p.name for p in out.glob("*_2d.png")) == [
        "stack_000001_2d.png", "stack_000002_2d.png",
    ]  # fmt: skip
    assert [p.name for p in out.glob("*.html")] == ["stack.html"]


@pytest.mark.parametrize("kind", ["jsonl", "png", "html"])
def test_save_writes_what_was_asked_for(tmp_path: Path, good: Path, kind: str) -> None:
    out = tmp_path / "out"
    assert run("predict", good, "--output", out, "--save", kind) == 0
    assert {Path(name).suffix for name in contents(out)} == {f".{kind}"}


def test_files_of_one_name_in_two_folders_do_not_collide(tmp_path: Path, good: Path) -> None:
    (tmp_path / "other").mkdir()
    twin = tmp_path / "other" / "good.npz"
    twin.write_bytes(good.read_bytes())
    out = tmp_path / "out"
    assert run("predict", good, twin, "--output", out) == 0
    assert {p.name for p in out.glob("*_2d.png")} == {"good_2d.png", "good-2_2d.png"}


def test_an_empty_frame_is_nobody_and_no_error(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.full((240, 320), np.nan))
    out = tmp_path / "out"
    assert run("predict", tmp_path / "a.npy", "--camera", "itop", "--output", out) == 0
    assert read_lines(out / "poses.jsonl")[1]["persons"] == []


def npy(path: Path, array: np.ndarray) -> Path:
    np.save(path, array, allow_pickle=True)
    return path


BAD_FILES = {
    "missing": lambda p: p / "bad.npy",
    "empty": lambda p: [p / "bad.npy", (p / "bad.npy").write_bytes(b"")][0],
    "text": lambda p: [p / "bad.npy", (p / "bad.npy").write_text("a b\nc")][0],
    "text png": lambda p: [p / "bad.png", (p / "bad.png").write_text("a b\nc")][0],
    "text mat": lambda p: [p / "bad.mat", (p / "bad.mat").write_text("a b\nc")][0],
    "text exr": lambda p: [p / "bad.exr", (p / "bad.exr").write_text("a b\nc")][0],
    "text h5": lambda p: [p / "bad.h5", (p / "bad.h5").write_text("a b\nc")][0],
    "text npz": lambda p: [p / "bad.npz", (p / "bad.npz").write_text("a b\nc")][0],
    "truncated": lambda p: [
        npy(p / "bad.npy", np.ones((48, 64))),
        (p / "bad.npy").write_bytes((p / "bad.npy").read_bytes()[:900]),
    ][0],
    "pickled": lambda p: npy(p / "bad.npy", np.array([{}], dtype=object)),
    "picture": lambda p: npy(p / "bad.npy", np.ones((48, 64, 3))),
    "one pixel": lambda p: npy(p / "bad.npy", np.ones((1, 1))),
    "unknown ending": lambda p: [p / "bad.xyz", (p / "bad.xyz").write_text("x")][0],
    "empty folder": lambda p: [p / "bad", (p / "bad").mkdir()][0],
    "line break in name": lambda p: p / "bad\nname.npy",
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_FILES)
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_bad_file_is_one_line_and_harms_nothing(
    tmp_path: Path, good: Path, case: str, overwrite: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    if overwrite:
        assert run("predict", good, "--output", out, "--save", "jsonl") == 0
    before = contents(out)
    capfd.readouterr()
    bad = BAD_FILES[case](tmp_path)
    flags = ["--overwrite"] if overwrite else []
    assert run("predict", bad, "--camera", "itop", "--output", out, *flags) == 1
    output, errors = capfd.readouterr()
    assert output == ""
    assert errors.count("\n") == 1
    assert "bad" in errors
    assert "Traceback" not in errors
    assert contents(out) == before


def test_a_huge_frame_is_refused_without_reading_it(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "huge.npy"
    np.lib.format.open_memmap(path, "w+", np.uint16, (10_000, 10_000))
    assert run("predict", path, "--camera", "500,500,1,1", "--output", tmp_path / "out") == 1
    assert "16 to 4096 pixels a side, found 10000x10000" in capfd.readouterr().err


BAD_REQUESTS = {
    "no command": ([], 2, ""),
    "unknown command": (["predikt"], 2, "did you mean predict?"),
    "no source": (["predict", "--output", "{out}"], 2, "SOURCE"),
    "no output": (["predict", "{good}"], 2, "--output"),
    "unknown option": (["predict", "{good}", "--output", "{out}", "--speed", "9"], 2, "--speed"),
    "two values at once": (
        ["predict", "{good}", "--output", "{out}", "--model", "base", "small"], 2,
        "--model takes one value at a time; if it may be given again, write --model small",
    ),
    "unknown kind": (["predict", "{good}", "--output", "{out}", "--save", "bmp"], 2, "bmp"),
    "nothing to save": (["predict", "{good}", "--output", "{out}", "--save"], 2, "--save"),
    "unknown camera": (["predict", "{good}", "--output", "{out}", "--camera", "nokia"], 2, "nokia"),
    "impossible camera": (
        ["predict", "{good}", "--output", "{out}", "--camera", "0,1,1,1"], 2, "positive",
    ),
    "missing camera file": (
        ["predict", "{good}", "--output", "{out}", "--camera", "no.json"], 2, "no.json",
    ),
    "no camera": (["predict", "{plain}", "--output", "{out}"], 2, "--camera"),
    "camera of another shape": (
        ["predict", "{plain}", "--output", "{out}", "--camera", "d435"], 1, "plain.npy",
    ),
    "unknown unit": (["predict", "{good}", "--output", "{out}", "--depth-unit", "cm"], 2, "cm"),
    "unknown convention": (
        ["predict", "{good}", "--output", "{out}", "--convention", "coco"], 2, "coco",
    ),
    "unknown model": (["predict", "{good}", "--output", "{out}", "--model", "huge"], 2, "huge"),
    "no such frames": (["predict", "{good}:5:9", "--output", "{out}"], 2, "none of its 1 frames"),
    "output is a file": (["predict", "{good}", "--output", "{good}"], 2, "found a file"),
    "output under a file": (["predict", "{good}", "--output", "{good}/out"], 2, "found a file"),
    "output nowhere": (["predict", "{good}", "--output", "/proc/nowhere/out"], 1, "/proc/nowhere"),
    "earlier results": (["predict", "{good}", "--output", "{done}"], 2, "--overwrite"),
    "earlier pictures": (
        ["predict", "{good}", "--output", "{done}", "--save", "png"], 2, "--overwrite",
    ),
    "unknown model card": (["models", "huge"], 2, "huge"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_REQUESTS)
def test_a_bad_request_is_one_line_and_harms_nothing(
    tmp_path: Path, good: Path, case: str, capfd: pytest.CaptureFixture[str]
) -> None:
    if "/proc" in str(BAD_REQUESTS[case][0]) and sys.platform != "linux":
        pytest.skip("no /proc to fail on")
    done = tmp_path / "done"
    assert run("predict", good, "--output", done, "--save", "jsonl") == 0
    (done / "good_2d.png").touch()
    plain = npy(tmp_path / "plain.npy", np.ones((48, 64)))
    before = contents(tmp_path)
    capfd.readouterr()
    arguments, status, words = BAD_REQUESTS[case]
    places = {"good": good, "plain": plain, "done": done, "out": tmp_path / "out"}
    assert run(*(argument.format(**places) for argument in arguments)) == status
    output, errors = capfd.readouterr()
    if arguments:
        assert errors.count("\n") == 1
        assert words in errors
        assert output == ""
    assert "Traceback" not in errors
    assert contents(tmp_path) == before


def test_one_bad_file_among_several_does_not_stop_the_others(
    tmp_path: Path, good: Path, stack: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.npz").write_text("no archive")
    out = tmp_path / "out"
    sources = [good, tmp_path / "bad.npz", tmp_path / "gone.npy", stack]
    assert run("predict", *sources, "--output", out, "--save", "jsonl") == 1
    _, errors = capfd.readouterr()
    assert len(errors.splitlines()) == 2
    assert "bad.npz" in errors
    assert "gone.npy" in errors
    assert len(read_lines(out / "poses.jsonl")) == 1 + 1 + 4


def test_a_folder_with_a_bad_file_does_the_others(tmp_path: Path, good: Path) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    for name in ("a.npz", "c.npz"):
        (folder / name).write_bytes(good.read_bytes())
    (folder / "b.npz").write_text("no archive")
    out = tmp_path / "out"
    assert run("predict", folder, "--output", out, "--save", "jsonl") == 1
    sources = [Path(line["source"]).name for line in read_lines(out / "poses.jsonl")[1:]]
    assert sources == ["a.npz", "c.npz"]


def test_a_failed_rerun_stands_beside_the_earlier_results(
    tmp_path: Path, good: Path, stack: Path
) -> None:
    out = tmp_path / "out"
    assert run("predict", stack, "--output", out, "--save", "jsonl") == 0
    (tmp_path / "bad.npz").write_text("no archive")
    arguments = [good, tmp_path / "bad.npz", "--output", out, "--save", "jsonl", "--overwrite"]
    assert run("predict", *arguments) == 1
    assert len(read_lines(out / "poses.jsonl")) == 5
    assert len(read_lines(out / "poses.partial.jsonl")) == 2


def test_overwrite_replaces(tmp_path: Path, good: Path, stack: Path) -> None:
    out = tmp_path / "out"
    assert run("predict", stack, "--output", out, "--save", "jsonl") == 0
    assert run("predict", good, "--output", out, "--save", "jsonl", "--overwrite") == 0
    assert len(read_lines(out / "poses.jsonl")) == 2
    assert list(contents(out)) == ["poses.jsonl"]


def test_ctrl_c_keeps_what_is_complete(
    tmp_path: Path,
    stack: Path,
    fake_estimator: type[FakeEstimator],
    capfd: pytest.CaptureFixture[str],
) -> None:
    fake_estimator.interrupt_at = 2
    out = tmp_path / "out"
    assert run("predict", stack, "--output", out, "--save", "jsonl") == 130
    assert len(read_lines(out / "poses.jsonl")) == 3
    assert list(contents(out)) == ["poses.jsonl"]
    errors = capfd.readouterr().err
    assert errors.count("\n") == 1
    assert "kept 2 people in 2 frames" in errors


def test_ctrl_c_leaves_earlier_results(
    tmp_path: Path, stack: Path, fake_estimator: type[FakeEstimator]
) -> None:
    out = tmp_path / "out"
    assert run("predict", stack, "--output", out, "--save", "jsonl") == 0
    earlier = (out / "poses.jsonl").read_bytes()
    fake_estimator.interrupt_at = 1
    assert run("predict", stack, "--output", out, "--save", "jsonl", "--overwrite") == 130
    assert (out / "poses.jsonl").read_bytes() == earlier
    assert len(read_lines(out / "poses.partial.jsonl")) == 2


def test_a_full_disk_ends_the_run_in_one_line(
    tmp_path: Path,
    good: Path,
    stack: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    def full(path: Path, mode: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("residualpose.sinks.journal._open_file", full)
    out = tmp_path / "out"
    assert run("predict", good, stack, "--output", out, "--save", "jsonl") == 1
    errors = capfd.readouterr().err
    assert errors.count("\n") == 1
    assert "poses.jsonl: cannot be written (No space left on device)" in errors


@pytest.mark.parametrize("name", [None, *COMMANDS])
def test_help_teaches_with_examples(name: str | None, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(*([name] if name else []), "--help") == 0
    output, errors = capfd.readouterr()
    assert errors == ""
    assert "residualpose predict" in output or "Examples:" in output


def test_version(capfd: pytest.CaptureFixture[str]) -> None:
    assert run("--version") == 0
    assert capfd.readouterr().out == "residualpose 0.1.0\n"
