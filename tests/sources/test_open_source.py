"""Folders, globs, and what is no source at all."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from residualpose import Camera, ResidualPoseError, UsageError, open_source

CAMERA = Camera(300, 300, 16, 12)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in (1, 2, 10):
        np.save(tmp_path / f"frame{number}.npy", np.full((20, 20), float(number)))
    (tmp_path / "notes.txt").write_text("not depth")
    (tmp_path / "sub.npy").mkdir()
    return tmp_path


def names(source: str | Path, **options: object) -> list[str]:
    opened = open_source(source, CAMERA, **options)  # type: ignore[arg-type]
    return [Path(frame.source).name for frame in opened]


def test_a_folder_is_read_in_natural_order(folder: Path) -> None:
    assert names(folder) == ["frame1.npy", "frame2.npy", "frame10.npy"]
    assert len(open_source(folder)) == 3


def test_a_range_of_a_folder_selects_files(folder: Path) -> None:
    assert names(f"{folder}:1:") == ["frame2.npy", "frame10.npy"]
    assert names(folder, frames=slice(0, 1)) == ["frame1.npy"]
    with pytest.raises(UsageError, match="none of 3 files"):
        names(f"{folder}:5:9")


def test_a_glob_is_read_in_natural_order(folder: Path) -> None:
    assert names(f"{folder}/frame1*.npy") == ["frame1.npy", "frame10.npy"]
    (folder / "day").mkdir()
    (folder / "frame2.npy").rename(folder / "day" / "frame2.npy")
    assert names(f"{folder}/**/frame?.npy") == ["frame2.npy", "frame1.npy"]


def test_names_with_marks_are_files_first(tmp_path: Path) -> None:
    for name in ("a[1].npy", "b:3.npy"):
        np.save(tmp_path / name, np.ones((20, 20)))
        assert names(tmp_path / name) == [name]


def test_split_gives_one_source_a_file(folder: Path) -> None:
    assert [len(part) for part in open_source(folder, CAMERA).split()] == [1, 1, 1]


def test_frames_are_read_one_at_a_time(folder: Path) -> None:
    frames = iter(open_source(folder, CAMERA))
    next(frames)
    (folder / "frame2.npy").unlink()
    with pytest.raises(ResidualPoseError, match=r"frame2\.npy: no such file"):
        next(frames)


@pytest.mark.parametrize("source", ["nothing.npy", "nothing", "no*thing.npy", "", "nothing.npy:3"])
def test_nothing_there_is_said(tmp_path: Path, source: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ResidualPoseError):
        open_source(f"{tmp_path}/empty/{source}")


@pytest.mark.parametrize("name", ["notes.txt", "clip.mp4", "a.npy.gz", "noending"])
def test_other_formats_name_the_known_ones(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("x")
    with pytest.raises(ResidualPoseError, match=r"expected one of \.npy.*found"):
        open_source(tmp_path / name)


def test_a_wrong_camera_or_unit_is_said_at_once(folder: Path) -> None:
    with pytest.raises(UsageError, match="unknown camera"):
        open_source(folder, camera="nokia")
    with pytest.raises(UsageError, match="depth unit"):
        open_source(folder, depth_unit="cm")


def test_a_preset_of_another_shape_names_the_file(folder: Path) -> None:
    with pytest.raises(ResidualPoseError, match=r"frame1\.npy: camera preset 'kinect1'"):
        list(open_source(folder, camera="kinect1"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_forbidden_file_is_named(folder: Path) -> None:
    (folder / "frame2.npy").chmod(0)
    with pytest.raises(ResidualPoseError, match=r"frame2\.npy: .*ermission"):
        names(folder)


def test_nothing_but_holes_is_a_frame(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.full((20, 20), np.nan))
    np.save(tmp_path / "b.npy", np.full((20, 20), -3.0))
    for frame in open_source(tmp_path, CAMERA):
        assert (frame.depth_m == 0).all()
