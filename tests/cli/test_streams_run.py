"""predict and record on what comes only once: standard input, and a camera that drops frames."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from residualpose.cli.main import main
from residualpose.sources.raw import RawDepth, Recording

CAMERA = ("--camera", "60,60,31.5,23.5")


@pytest.fixture
def piped(monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """Three frames on standard input."""
    depth_mm = np.random.default_rng(2).integers(2000, 2100, (3, 48, 64)).astype(np.uint16)
    data = io.BytesIO()
    for values in depth_mm:
        np.save(data, values)
    stream = io.BufferedReader(io.BytesIO(data.getvalue()))  # type: ignore[arg-type]
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=stream, isatty=lambda: False))
    return depth_mm


@pytest.fixture
def camera(monkeypatch: pytest.MonkeyPatch) -> None:
    """A camera that has sent 3 frames between any two that are taken."""

    def frames(indices: range) -> Iterator[RawDepth]:
        for index in range(0, indices[-1] + 1, 4):
            yield RawDepth(np.full((48, 64), 2000, np.uint16), index, None, None, index / 30)

    monkeypatch.setattr(
        "residualpose.sources.frame_source.read_camera", lambda _: Recording(None, frames)
    )


def lines(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "poses.jsonl").read_text().splitlines()[1:]]


def test_predict_reads_standard_input(piped: np.ndarray, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert main(["predict", "-", *CAMERA, "--track", "--save", "jsonl", "csv", "-o", str(out)]) == 0
    assert [line["frame"] for line in lines(out)] == [0, 1, 2]
    assert lines(out)[0]["source"] == "/dev/stdin"


def test_record_reads_standard_input(piped: np.ndarray, tmp_path: Path) -> None:
    from PIL import Image

    assert main(["record", "-", *CAMERA, "-o", str(tmp_path / "walk")]) == 0
    for number, values in enumerate(piped):
        with Image.open(tmp_path / "walk" / f"{number:06d}.png") as image:
            np.testing.assert_array_equal(np.asarray(image), values)


@pytest.mark.parametrize("kind", ["html", "gif"])
def test_what_is_read_twice_needs_a_recording(
    piped: np.ndarray, tmp_path: Path, capfd: pytest.CaptureFixture[str], kind: str
) -> None:
    out = tmp_path / "out"
    assert main(["predict", "-", *CAMERA, "--save", "jsonl", kind, "-o", str(out)]) == 2
    assert f"{kind} needs them twice" in capfd.readouterr().err
    assert not out.exists()


@pytest.mark.usefixtures("camera")
def test_a_camera_says_how_many_frames_were_dropped(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out, source = tmp_path / "out", "realsense://7:0:13"
    assert main(["predict", source, *CAMERA, "--save", "jsonl", "-o", str(out)]) == 0
    assert "0 people in 4 frames (9 dropped): " in capfd.readouterr().out
    assert [line["frame"] for line in lines(out)] == [0, 4, 8, 12]
    assert main(["record", source, *CAMERA, "-o", str(tmp_path / "walk")]) == 0
    assert "4 frames (9 dropped): " in capfd.readouterr().out
    again = ["predict", source, *CAMERA, "--save", "jsonl", "-o", str(out), "--resume"]
    assert main(again) == 2
    assert "leave --resume out" in capfd.readouterr().err


def test_some_frames_of_a_stream(piped: np.ndarray, tmp_path: Path) -> None:
    assert main(["predict", "-:0:1", *CAMERA, "--save", "jsonl", "-o", str(tmp_path / "o")]) == 0
    assert len(lines(tmp_path / "o")) == 1
