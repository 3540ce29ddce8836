"""ITOP-style HDF5 files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from residualpose import ResidualPoseError, UsageError, open_source
from residualpose.camera import preset

h5py = pytest.importorskip("h5py", reason="needs the h5 extra")


def save(path: Path, data: np.ndarray) -> None:
    with h5py.File(path, "w") as file:
        file["data"] = data
        file["id"] = np.array([b"04_00001"] * len(data))


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "ITOP_side_test_depth_map.h5"
    data = np.ones((5, 240, 320), dtype=np.float16) * np.arange(1, 6)[:, None, None]
    save(path, data.astype(np.float16))
    return path


def test_the_camera_is_itop(recording: Path) -> None:
    frames = list(open_source(recording))
    assert [frame.depth_m[0, 0] for frame in frames] == [1, 2, 3, 4, 5]
    assert [frame.index for frame in frames] == [0, 1, 2, 3, 4]
    assert frames[0].camera == preset("itop")


@pytest.mark.parametrize(
    ("text", "indices"),
    [(":1:3", [1, 2]), (":3:", [3, 4]), ("::2", [0, 1]), (":::2", [0, 2, 4]), (":4", [4]),
     (":-1", [4]), (":-2:", [3, 4]), ("::", [0, 1, 2, 3, 4]), (":3:99", [3, 4]),
     (":4:1:-2", [4, 2])],
)  # fmt: skip
def test_a_range_selects_frames(recording: Path, text: str, indices: list[int]) -> None:
    source = open_source(f"{recording}{text}")
    assert len(source) == len(indices)
    assert [frame.index for frame in source] == indices


def test_a_range_of_nothing_is_a_usage_error(recording: Path) -> None:
    with pytest.raises(UsageError, match="none of its 5 frames"):
        list(open_source(f"{recording}:7:9"))
    with pytest.raises(UsageError, match="step"):
        open_source(f"{recording}:0:3:0")
    with pytest.raises(UsageError, match="given in the source and as an argument"):
        open_source(f"{recording}:0:3", frames=slice(1))


def test_labels_are_no_depth(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "labels.h5", "w") as file:
        file["is_valid"] = np.ones(3)
    with pytest.raises(
        ResidualPoseError, match=r"labels\.h5: expected a data set named data.*is_v"
    ):
        list(open_source(tmp_path / "labels.h5"))


def test_point_clouds_are_no_depth(tmp_path: Path) -> None:
    save(tmp_path / "cloud.h5", np.ones((2, 76800, 3), dtype=np.float16))
    with pytest.raises(ResidualPoseError, match=r"cloud\.h5: expected one depth image"):
        list(open_source(tmp_path / "cloud.h5"))


@pytest.mark.parametrize("keep", [0, 8, 100, 3000])
def test_truncated_files_are_named(recording: Path, keep: int) -> None:
    recording.write_bytes(recording.read_bytes()[:keep])
    with pytest.raises(ResidualPoseError, match=r"\.h5: expected"):
        list(open_source(recording))
