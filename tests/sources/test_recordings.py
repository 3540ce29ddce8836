"""Recordings of cameras: frames, intrinsics, units and times come back as they were written."""

from __future__ import annotations

import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from residualpose import Camera, ResidualPoseError, UsageError, open_source
from residualpose.cli.main import main

CAMERA = Camera(30.5, 31, 15.5, 11, (0.1, -0.02, 0.001, 0.002, 0.003))
TIMES_S = [100.0, 100.0333, 100.1]


@pytest.fixture
def recording(tmp_path: Path, depth_mm: np.ndarray) -> Path:
    """A .npz to copy from."""
    path = tmp_path / "walk.npz"
    np.savez(path, depth_mm=depth_mm, K=CAMERA.K, time_s=TIMES_S)
    return path


def record(*arguments: object) -> int:
    return main(["record", *map(str, arguments)])


def check(source: Path, depth_mm: np.ndarray, distorted: bool = False) -> None:
    opened = open_source(source)
    assert len(opened) == 3
    frames = list(opened)
    assert [frame.index for frame in frames] == [0, 1, 2]
    assert [frame.time_s for frame in frames] == pytest.approx(TIMES_S, abs=1e-9)
    for frame, values in zip(frames, depth_mm, strict=True):
        np.testing.assert_array_equal(np.round(frame.depth_m * 1000), values)
        np.testing.assert_array_equal(frame.camera.K, CAMERA.K)
        assert frame.camera.distortion == (CAMERA.distortion if distorted else ())
    (second,) = open_source(f"{source}:1")
    assert second.index == 1
    np.testing.assert_array_equal(second.depth_m, frames[1].depth_m)


def test_a_recorded_folder_is_one_recording(
    tmp_path: Path, recording: Path, depth_mm: np.ndarray, capfd: pytest.CaptureFixture[str]
) -> None:
    assert record(recording, "-o", tmp_path / "plain") == 0
    assert capfd.readouterr().out == f"3 frames: {tmp_path / 'plain'}\n"
    check(tmp_path / "plain", depth_mm)
    assert len(open_source(tmp_path / "plain").split()) == 1


@pytest.mark.parametrize("name", ["walk.tar", "walk.tar.gz", "walk.tgz"])
def test_a_tar_of_it_is_the_same(
    tmp_path: Path, recording: Path, depth_mm: np.ndarray, name: str
) -> None:
    assert record(recording, "-o", tmp_path / "plain") == 0
    with tarfile.open(tmp_path / name, "w" if name.endswith(".tar") else "w:gz") as archive:
        archive.add(tmp_path / "plain", "plain")
    check(tmp_path / name, depth_mm)


def test_a_tar_of_images_alone_is_in_natural_order(tmp_path: Path, depth_mm: np.ndarray) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for number in (10, 9, 2):
            Image.fromarray(depth_mm[{2: 0, 9: 1, 10: 2}[number]]).save(tmp_path / f"{number}.png")
            archive.add(tmp_path / f"{number}.png", f"{number}.png")
    frames = list(open_source(tmp_path / "a.tar", CAMERA))
    for frame, values in zip(frames, depth_mm, strict=True):
        np.testing.assert_array_equal(np.round(frame.depth_m * 1000), values)
    with pytest.raises(UsageError, match="holds no camera"):
        list(open_source(tmp_path / "a.tar"))


def test_a_recording_cut_short_is_read_to_its_last_whole_line(
    tmp_path: Path, recording: Path
) -> None:
    assert record(recording, "-o", tmp_path / "plain") == 0
    labels = tmp_path / "plain" / "labels.jsonl"
    labels.write_text(labels.read_text()[:-9])
    assert len(list(open_source(tmp_path / "plain"))) == 2


def test_a_recording_is_not_written_over(
    tmp_path: Path, recording: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert record(recording, "-o", tmp_path / "plain") == 0
    before = {path.name: path.read_bytes() for path in (tmp_path / "plain").iterdir()}
    capfd.readouterr()
    assert record(recording, "-o", tmp_path / "plain") == 2
    assert record(tmp_path / "gone.npz", "-o", tmp_path / "new") == 1
    assert record(recording, "-o", recording) == 2
    assert len(capfd.readouterr().err.splitlines()) == 3
    assert {path.name: path.read_bytes() for path in (tmp_path / "plain").iterdir()} == before
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("name", "content"), [("a.tar", b"no tar"), ("a.tgz", b"\x1f\x8b no"), ("a.mcap", b"\x89MCAP")]
)
def test_a_broken_recording_is_one_sentence(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ResidualPoseError, match=rf"{name}.*expected"):
        list(open_source(tmp_path / name, CAMERA))
