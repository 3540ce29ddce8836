"""A run that is killed, interrupted or out of disk goes on where it was, and loses nothing."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from residualpose import DepthFrame, Origin, Poses
from residualpose.cli.main import main
from residualpose.skeleton import ITOP15

SAVE = ("--save", "jsonl", "csv", "coco", "openpose", "trc")


def recording(path: Path, count: int) -> Path:
    """Frames whose depth tells their number: 1 m and a millimetre each."""
    depth_mm = np.zeros((count, 24, 32), np.uint16)
    depth_mm += (1000 + np.arange(count, dtype=np.uint16))[:, None, None]
    times_s = np.arange(count) / 30
    np.savez(path, depth_mm=depth_mm, K=np.array([[30.0, 0, 15], [0, 30, 11], [0, 0, 1]]),
             time_s=times_s)  # fmt: skip
    return path


class Estimator:
    """Two people whose place tells which frame they are from; takes no time."""

    model = SimpleNamespace(name="fake", sha256="f" * 64, skeleton=ITOP15)
    pause_s = 0.0

    def __init__(self, model: str | None = None, convention: str | None = None) -> None:
        pass

    def __call__(self, frame: DepthFrame) -> Poses:
        time.sleep(self.pause_s)
        joints_m = np.zeros((2, 15, 3)) + [0, 0, float(frame.depth_m.max())]
        joints_m[..., 0] += np.linspace(-0.5, 0.5, 15) + np.array([[0], [0.1]])
        return Poses(
            frame.camera.project(joints_m), joints_m, np.full((2, 15), 0.8), np.full(2, 0.9),
            np.full((2, 15), Origin.MEASURED), np.full((2, 15, 3, 3), 1e-4), frame.camera,
        )  # fmt: skip

    def explain(self, frame: DepthFrame) -> SimpleNamespace:
        poses = self(frame)
        joints_m = poses.joints_m
        return SimpleNamespace(
            poses=poses, lifted_m=joints_m, completed_m=joints_m, refined_m=joints_m
        )

    def stream(self, frames: Iterable[DepthFrame]) -> Iterator[Poses]:
        return (self(frame) for frame in frames)


@pytest.fixture(autouse=True)
def fake_estimator(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("residualpose.estimator")
    module.PoseEstimator = Estimator  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "residualpose.estimator", module)


@dataclass
class Run:
    """A `residualpose predict` in a process of its own, which starts at once: it is a fork."""

    pid: int
    status: int | None = None

    def ended(self) -> bool:
        if self.status is None and (waited := os.waitpid(self.pid, os.WNOHANG))[0]:
            self.status = os.waitstatus_to_exitcode(waited[1])
        return self.status is not None

    def wait(self) -> int:
        while not self.ended():
            time.sleep(0.001)
        return self.status or 0


def start(*arguments: object, pause_s: float = 0.0) -> Run:
    import residualpose.cli.predict
    import residualpose.sinks.export  # noqa: F401

    pid = os.fork()
    if not pid:
        status = 70
        try:
            Estimator.pause_s = pause_s
            status = main(["predict", *map(str, arguments)])
        finally:
            os._exit(status)
    return Run(pid)


def run(*arguments: object) -> int:
    return main(["predict", *map(str, arguments)])


def stop_after_growth(process: Run, journal: Path, size: int, sign: signal.Signals) -> int:
    """Send the signal as soon as the file has more than `size` bytes; returns the exit status."""
    while not process.ended():
        if journal.exists() and journal.stat().st_size > size:
            os.kill(process.pid, sign)
            break
        time.sleep(0.001)
    return process.wait()


def whole_lines(path: Path) -> list[dict]:
    """The lines that a reader may trust: all but one that is torn at the end."""
    *whole, _ = path.read_bytes().split(b"\n")
    return [json.loads(line) for line in whole]


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def kill_and_resume(tmp_path: Path, frames: int, kills: int, save: tuple[str, ...]) -> None:
    """Kill a run at random moments, resume it each time, and compare with one in one go."""
    source = recording(tmp_path / "walk.npz", frames)
    whole, out = tmp_path / "whole", tmp_path / "out"
    assert run(source, "-o", whole, *save) == 0
    line_bytes = (whole / "poses.jsonl").stat().st_size / frames
    rng = np.random.default_rng(7)
    stops = np.sort(rng.uniform(0, frames - 2, kills)) * line_bytes
    partial, seen = out / "poses.partial.jsonl", 0
    for stop in stops:
        process = start(source, "-o", out, *save, "--resume", pause_s=0.002)
        status = stop_after_growth(process, partial, int(stop), signal.SIGKILL)
        assert status == -signal.SIGKILL
        lines = whole_lines(partial)[1:]
        assert [line["frame"] for line in lines] == list(range(len(lines)))
        assert len(lines) >= seen
        seen = len(lines)
    assert 0 < seen < frames
    assert run(source, "-o", out, *save, "--resume") == 0
    assert digests(out) == digests(whole)


def test_killed_runs_go_on(tmp_path: Path) -> None:
    kill_and_resume(tmp_path, frames=60, kills=4, save=SAVE)


@pytest.mark.skipif("RESIDUALPOSE_SLOW" not in os.environ, reason="minutes: set RESIDUALPOSE_SLOW")
def test_twenty_kills_of_two_thousand_frames(tmp_path: Path) -> None:
    kill_and_resume(tmp_path, frames=2000, kills=20, save=SAVE)


def test_killed_pictures_go_on(tmp_path: Path) -> None:
    kill_and_resume(tmp_path, frames=8, kills=2, save=("--save", "jsonl", "png", "html", "gif"))


def test_a_torn_line_is_done_again(tmp_path: Path) -> None:
    source = recording(tmp_path / "walk.npz", 5)
    assert run(source, "-o", tmp_path / "whole", *SAVE) == 0
    for torn in (b'{"source":"x","fra', b"\0" * 40, b""):
        out = tmp_path / f"out{len(torn)}"
        out.mkdir()
        head, *rest = (tmp_path / "whole" / "poses.jsonl").read_bytes().splitlines(keepends=True)
        (out / "poses.partial.jsonl").write_bytes(head + b"".join(rest[:3]) + torn)
        assert run(source, "-o", out, *SAVE, "--resume") == 0
        assert digests(out) == digests(tmp_path / "whole")


def test_a_torn_header_begins_again(tmp_path: Path) -> None:
    source, out = recording(tmp_path / "walk.npz", 3), tmp_path / "out"
    out.mkdir()
    (out / "poses.partial.jsonl").write_bytes(b'{"schema":"resid')
    assert run(source, "-o", out, "--save", "jsonl", "--resume") == 0
    assert len(whole_lines(out / "poses.jsonl")) == 4


def test_a_finished_run_is_left_as_it_is(tmp_path: Path) -> None:
    source, out = recording(tmp_path / "walk.npz", 3), tmp_path / "out"
    assert run(source, "-o", out, *SAVE, "--resume") == 0
    before = digests(out)
    assert run(source, "-o", out, *SAVE, "--resume") == 0
    assert digests(out) == before


def test_an_unfinished_run_is_not_written_over_by_chance(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    source, out = recording(tmp_path / "walk.npz", 300), tmp_path / "out"
    process = start(source, "-o", out, "--save", "jsonl", pause_s=0.01)
    stop_after_growth(process, out / "poses.partial.jsonl", 5000, signal.SIGKILL)
    before = digests(out)
    assert run(source, "-o", out, "--save", "jsonl") == 2
    errors = capfd.readouterr().err
    assert errors.count("\n") == 1
    assert "--resume to go on" in errors
    assert digests(out) == before


def test_only_the_same_run_goes_on(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    source, out = recording(tmp_path / "walk.npz", 3), tmp_path / "out"
    assert run(source, "-o", out, "--save", "jsonl") == 0
    before = digests(out)
    other = recording(tmp_path / "other.npz", 3)
    for arguments, words in (
        ((source, "--camera", "30,30,15,11"), "same request"),
        ((other,), "walk.npz, which is not among the sources"),
        ((source, "--overwrite"), "give one of them"),
    ):
        assert run(*arguments, "-o", out, "--save", "jsonl", "--resume") == 2
        errors = capfd.readouterr().err
        assert errors.count("\n") == 1
        assert words in errors
    assert digests(out) == before


def test_a_broken_file_is_tried_again_and_nothing_doubled(tmp_path: Path) -> None:
    first, last = recording(tmp_path / "a.npz", 3), recording(tmp_path / "c.npz", 4)
    broken, out = tmp_path / "b.npz", tmp_path / "out"
    broken.write_text("not yet copied")
    sources = (first, broken, last, "-o", out, *SAVE)
    assert run(*sources) == 1
    assert len(whole_lines(out / "poses.jsonl")) == 1 + 7
    recording(broken, 2)
    assert run(*sources, "--resume") == 0
    lines = whole_lines(out / "poses.jsonl")[1:]
    names = [(Path(line["source"]).name, line["frame"]) for line in lines]
    expected = [(n, i) for n, count in (("a.npz", 3), ("c.npz", 4), ("b.npz", 2))
                for i in range(count)]  # fmt: skip
    assert names == expected
    assert len((out / "poses.csv").read_text().splitlines()) == 1 + 9 * 2 * 15


def test_ctrl_c_writes_all_files_up_to_the_last_frame(tmp_path: Path) -> None:
    source, out = recording(tmp_path / "walk.npz", 90), tmp_path / "out"
    process = start(source, "-o", out, *SAVE, pause_s=0.04)
    assert stop_after_growth(process, out / "poses.partial.jsonl", 9_000, signal.SIGINT) == 130
    done = len(whole_lines(out / "poses.jsonl")) - 1
    assert 2 < done < 90
    assert len((out / "poses.csv").read_text().splitlines()) == 1 + done * 30
    assert len(json.loads((out / "poses.coco.json").read_text())["images"]) == done
    assert len(list((out / "poses_openpose").iterdir())) == done
    assert run(source, "-o", out, *SAVE, "--resume") == 0
    assert run(source, "-o", tmp_path / "whole", *SAVE) == 0
    assert digests(out) == digests(tmp_path / "whole")
