"""NumPy files, good and bad."""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

from residualpose import ResidualPoseError, UsageError, open_source

K = np.array([[300.0, 0, 15.5], [0, 310.0, 11.5], [0, 0, 1]])


def read(path: Path, depth_unit: float | None = None) -> np.ndarray:
    """(N, H, W) metres of every frame."""
    source = open_source(path, "300,300,16,12", depth_unit)
    return np.stack([frame.depth_m for frame in source])


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["<u2", ">u2", "<f8"])
def test_npy_stack(tmp_path: Path, depth_mm: np.ndarray, order: str, dtype: str) -> None:
    path = tmp_path / "stack.npy"
    np.save(path, np.asarray(depth_mm.astype(dtype), order=order))  # type: ignore[call-overload]
    assert len(open_source(path)) == 3
    np.testing.assert_allclose(read(path), depth_mm / 1000, rtol=1e-6)


def test_npy_image_is_one_frame(tmp_path: Path, depth_mm: np.ndarray) -> None:
    np.save(tmp_path / "image.npy", depth_mm[0] / np.float32(1000))
    (frame,) = open_source(tmp_path / "image.npy", "300,301,16,12")
    np.testing.assert_allclose(frame.depth_m, depth_mm[0] / 1000, rtol=1e-6)
    assert (frame.camera.fx, frame.camera.fy) == (300, 301)
    assert frame.source == str(tmp_path / "image.npy")
    assert frame.index == 0


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize(
    "picked",
    [slice(None), slice(1, 3), slice(None, None, 2), slice(None, None, -1), slice(-1, None)],
)
def test_npz_stack_in_any_order(
    tmp_path: Path, depth_mm: np.ndarray, order: str, save: object, picked: slice
) -> None:
    path = tmp_path / "stack.npz"
    save(path, depth_mm=np.asarray(depth_mm, order=order), K=K)  # type: ignore[operator]
    frames = list(open_source(path, frames=picked))
    assert [frame.index for frame in frames] == list(range(3))[picked]
    for frame, expected in zip(frames, depth_mm[picked], strict=True):
        np.testing.assert_allclose(frame.depth_m, expected / 1000, rtol=1e-6)
        assert (frame.camera.fx, frame.camera.fy) == (300, 310)
        assert (frame.camera.cx, frame.camera.cy) == (15.5, 11.5)


@pytest.mark.parametrize(
    ("key", "values", "metres"),
    [
        ("depth_mm", 40.0, 0.04),
        ("depth_m", 60, 60.0),
        ("depth", 2000.0, 2.0),
        ("depth", 2.5, 2.5),
        ("depths", 2, 0.002),
        ("arr_0", 2.5, 2.5),
    ],
)
def test_npz_names_say_the_unit(tmp_path: Path, key: str, values: float, metres: float) -> None:
    arrays: dict = {key: np.full((20, 20), values), "labels": np.arange(3)}
    np.savez(tmp_path / "a.npz", **arrays)
    np.testing.assert_allclose(read(tmp_path / "a.npz"), metres, rtol=1e-6)
    np.testing.assert_allclose(read(tmp_path / "a.npz", depth_unit=0.5), values / 2, rtol=1e-6)


def test_npz_holds_a_camera_and_a_time_a_frame(tmp_path: Path, depth_mm: np.ndarray) -> None:
    matrices = np.stack([K, K * [[2], [2], [1]], K])
    np.savez(tmp_path / "a.npz", depth=depth_mm, K=matrices, time_s=[0.0, 0.1, 0.2])
    frames = list(open_source(tmp_path / "a.npz"))
    assert [frame.camera.fx for frame in frames] == [300, 600, 300]
    assert [frame.time_s for frame in frames] == [0.0, 0.1, 0.2]
    (frame, *_) = open_source(tmp_path / "a.npz", camera="kinect1")
    assert frame.camera.name == "kinect1", "the camera that was asked for wins"


def npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


GOOD = npy(np.ones((20, 20)))
BAD_NPY = {
    "empty": (b"", "an empty file"),
    "text": (b"depth,1,2,3\n", "begins with"),
    "pickle": (pickle.dumps([1, 2]), "begins with"),
    "pickled array": (npy(np.array([{}, {}])), "pickled Python objects"),
    "truncated": (GOOD[:-100], "NumPy .npy array"),
    "header only": (GOOD[:30], "NumPy .npy array"),
    "magic only": (GOOD[:6], "another version"),
    "no frames": (npy(np.ones((0, 20, 20))), "at least one frame"),
    "a line": (npy(np.ones(400)), r"\(H, W\)"),
    "a picture": (npy(np.ones((20, 20, 3))), r"\(H, W\)"),
    "four axes": (npy(np.ones((1, 1, 20, 20))), r"\(H, W\)"),
    "booleans": (npy(np.ones((20, 20), dtype=bool)), "integers or floats"),
    "complex": (npy(np.ones((20, 20), dtype=complex)), "integers or floats"),
    "strings": (npy(np.full((20, 20), "a")), "integers or floats"),
    "records": (npy(np.zeros((20, 20), dtype=[("a", "f4")])), "integers or floats"),
    "one pixel": (npy(np.ones((1, 1))), "found 1x1"),
    "thin": (npy(np.ones((20, 8))), "found 8x20"),
    "absurd size": (
        GOOD.replace(b"(20, 20), }          ", b"(10000, 10000), }    "),
        "found 10000x10000",
    ),
}


@pytest.mark.parametrize("case", BAD_NPY)
def test_bad_npy_is_named(tmp_path: Path, case: str) -> None:
    content, found = BAD_NPY[case]
    path = tmp_path / "bad.npy"
    path.write_bytes(content)
    with pytest.raises(ResidualPoseError, match=rf"bad\.npy: expected (?s:.*){found}"):
        read(path)


@pytest.mark.parametrize("case", BAD_NPY)
def test_bad_npz_members_are_named(tmp_path: Path, case: str) -> None:
    path = tmp_path / "bad.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("depth.npy", BAD_NPY[case][0])
    with pytest.raises(ResidualPoseError, match=r"bad\.npz: expected"):
        read(path)


@pytest.mark.parametrize(
    ("arrays", "found"),
    [
        ({"labels": np.ones(3)}, "found labels"),
        ({"depth": np.ones((20, 20)), "K": np.eye(4)}, r"K of shape \(3, 3\)"),
        ({"depth": np.ones((20, 20)), "K": -np.eye(3)}, "K: camera focal lengths"),
        ({"depth": np.ones((20, 20)), "K": np.full((3, 3), np.nan)}, "K: camera fx"),
        ({"depth": np.ones((20, 20)), "K": np.full((3, 3), "a")}, "K of shape"),
        ({"depth": np.ones((2, 20, 20)), "time_s": np.ones(5)}, "time_s of shape"),
    ],
)
def test_bad_archives_are_named(tmp_path: Path, arrays: dict, found: str) -> None:
    np.savez(tmp_path / "bad.npz", **arrays)
    with pytest.raises(ResidualPoseError, match=rf"bad\.npz: .*{found}"):
        list(open_source(tmp_path / "bad.npz"))


@pytest.mark.parametrize("keep", [0, 10, 200, -30])
def test_a_truncated_archive_is_named(tmp_path: Path, depth_mm: np.ndarray, keep: int) -> None:
    path = tmp_path / "bad.npz"
    np.savez_compressed(path, depth=depth_mm)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ResidualPoseError, match=r"bad\.npz: expected a NumPy \.npz archive"):
        read(path)


def test_pickles_in_archives_never_run(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple:
            return Path.touch, (tmp_path / "exploded",)

    for name in ("depth", "K"):
        arrays = {"depth": np.ones((20, 20))} | {name: np.array([Bomb()], dtype=object)}
        np.savez(tmp_path / "bomb.npz", allow_pickle=True, **arrays)
        with pytest.raises(ResidualPoseError, match="never"):
            list(open_source(tmp_path / "bomb.npz"))
    assert not (tmp_path / "exploded").exists()


def test_without_any_camera_the_presets_are_named(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.ones((20, 20)))
    with pytest.raises(UsageError, match=r"a\.npy: the file holds no camera.*kinect2"):
        list(open_source(tmp_path / "a.npy"))
