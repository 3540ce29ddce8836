"""MATLAB files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from residualpose import ResidualPoseError, open_source


@pytest.mark.parametrize("version", ["4", "5"])
@pytest.mark.parametrize("compressed", [False, True])
def test_mat_image(tmp_path: Path, depth_mm: np.ndarray, version: str, compressed: bool) -> None:
    path = tmp_path / "a.mat"
    depth_m = depth_mm[0] / 1000
    savemat(path, {"depth": depth_m, "other": 3.0}, format=version, do_compression=compressed)
    (frame,) = open_source(path, "300,300,16,12")
    np.testing.assert_allclose(frame.depth_m, depth_m, rtol=1e-6)


def test_mat_stack_with_its_camera(tmp_path: Path, depth_mm: np.ndarray) -> None:
    matrix = np.array([[300.0, 0, 16], [0, 300, 12], [0, 0, 1]])
    savemat(tmp_path / "a.mat", {"depth": depth_mm, "K": matrix})
    frames = list(open_source(tmp_path / "a.mat"))
    assert len(frames) == 3
    np.testing.assert_allclose(frames[2].depth_m, depth_mm[2] / 1000, rtol=1e-6)
    assert frames[2].camera.cx == 16


def test_a_file_without_depth_says_what_it_holds(tmp_path: Path) -> None:
    savemat(tmp_path / "a.mat", {"image": np.ones((20, 20))})
    with pytest.raises(ResidualPoseError, match=r"a\.mat: expected a variable named depth.*image"):
        list(open_source(tmp_path / "a.mat"))


def test_version_7_3_teaches_how_to_save(tmp_path: Path) -> None:
    (tmp_path / "a.mat").write_bytes(b"MATLAB 7.3 MAT-file, Platform: GLNXA64" + b" " * 600)
    with pytest.raises(ResidualPoseError, match=r"7\.3 \(HDF5\): save it again.*'-v7'"):
        list(open_source(tmp_path / "a.mat"))


@pytest.mark.parametrize("content", [b"", b"hello", b"depth,1,2\n" * 100, bytes(600)])
def test_other_content_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.mat").write_bytes(content)
    with pytest.raises(ResidualPoseError, match=r"a\.mat: expected"):
        list(open_source(tmp_path / "a.mat"))


@pytest.mark.parametrize("keep", [100, 130, 150, 200, 400, -100])
@pytest.mark.parametrize("compressed", [False, True])
def test_a_truncated_file_is_named(
    tmp_path: Path, depth_mm: np.ndarray, keep: int, compressed: bool
) -> None:
    path = tmp_path / "a.mat"
    savemat(path, {"depth": depth_mm}, do_compression=compressed)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ResidualPoseError, match=r"a\.mat: expected"):
        list(open_source(path))


@pytest.mark.parametrize(
    "depth",
    ["text", np.ones((1, 1)), np.ones((20, 20)) * 1j, {"a": 1}, np.array([["a", 1]], dtype=object)],
)
def test_a_depth_that_is_no_image_is_named(tmp_path: Path, depth: object) -> None:
    savemat(tmp_path / "a.mat", {"depth": depth})
    with pytest.raises(ResidualPoseError, match=r"a\.mat: expected"):
        list(open_source(tmp_path / "a.mat"))
