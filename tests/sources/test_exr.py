"""OpenEXR images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from residualpose import ResidualPoseError, open_source

OpenEXR = pytest.importorskip("OpenEXR", reason="needs the exr extra")

CAMERA = "300,300,16,12"


def save(path: Path, channels: dict[str, np.ndarray]) -> None:
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    with OpenEXR.File(header, channels) as image:
        image.write(str(path))


@pytest.mark.parametrize("channel", ["Z", "depth", "Y", "V"])
@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_a_depth_channel_is_metres(
    tmp_path: Path, depth_mm: np.ndarray, channel: str, dtype: str
) -> None:
    depth_m = (depth_mm[0] / 1000).astype(dtype)
    save(tmp_path / "a.exr", {channel: depth_m})
    (frame,) = open_source(tmp_path / "a.exr", CAMERA)
    np.testing.assert_allclose(frame.depth_m, depth_m.astype("f4"))


def test_depth_is_found_beside_colour(tmp_path: Path, depth_mm: np.ndarray) -> None:
    grey = np.full((24, 32), 0.5, dtype="f4")
    depth_m = (depth_mm[0] / 1000).astype("f4")
    save(tmp_path / "a.exr", {"R": grey, "G": grey, "B": grey, "Z": depth_m})
    (frame,) = open_source(tmp_path / "a.exr", CAMERA)
    np.testing.assert_allclose(frame.depth_m, depth_m)


def test_no_depth_channel_says_what_is_there(tmp_path: Path) -> None:
    save(tmp_path / "a.exr", {"U": np.ones((24, 32), dtype="f4")})
    with pytest.raises(ResidualPoseError, match=r"a\.exr: expected a channel named Z.*found U"):
        list(open_source(tmp_path / "a.exr", CAMERA))


@pytest.mark.parametrize("keep", [0, 3, 20, 100, -200])
def test_truncated_files_are_named_once(
    tmp_path: Path, depth_mm: np.ndarray, keep: int, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bad.exr"
    save(path, {"Z": (depth_mm[0] / 1000).astype("f4")})
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ResidualPoseError, match=r"bad\.exr: expected an OpenEXR image, found"):
        list(open_source(path, CAMERA))
    assert capfd.readouterr().err == "", "the library must not talk over our one line"


def test_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "bad.exr").write_text("hello")
    with pytest.raises(ResidualPoseError, match="begins with b'hell'"):
        list(open_source(tmp_path / "bad.exr", CAMERA))
