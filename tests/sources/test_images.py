"""PNG and TIFF images."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from residualpose import ResidualPoseError, open_source

CAMERA = "300,300,16,12"


@pytest.mark.parametrize("name", ["a.png", "a.tif", "A.TIFF"])
def test_16_bit_images_are_millimetres(tmp_path: Path, depth_mm: np.ndarray, name: str) -> None:
    Image.fromarray(depth_mm[0]).save(tmp_path / name)
    (frame,) = open_source(tmp_path / name, CAMERA)
    np.testing.assert_allclose(frame.depth_m, depth_mm[0] / 1000, rtol=1e-6)


def test_the_unit_can_be_given(tmp_path: Path, depth_mm: np.ndarray) -> None:
    Image.fromarray(depth_mm[0] * 5).save(tmp_path / "tum.png")
    (frame,) = open_source(tmp_path / "tum.png", CAMERA, depth_unit="0.0002")
    np.testing.assert_allclose(frame.depth_m, depth_mm[0] / 1000, rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "int32"])
def test_tiff_in_other_numbers(tmp_path: Path, depth_mm: np.ndarray, dtype: str) -> None:
    values = depth_mm[0] / 1000 if dtype == "float32" else depth_mm[0]
    Image.fromarray(values.astype(dtype)).save(tmp_path / "a.tif")
    (frame,) = open_source(tmp_path / "a.tif", CAMERA)
    np.testing.assert_allclose(frame.depth_m, depth_mm[0] / 1000, rtol=1e-6)


def test_tiff_pages_are_frames(tmp_path: Path, depth_mm: np.ndarray) -> None:
    first, *others = (Image.fromarray(values) for values in depth_mm)
    first.save(tmp_path / "a.tif", save_all=True, append_images=others)
    frames = list(open_source(f"{tmp_path / 'a.tif'}:1:3", CAMERA))
    assert [frame.index for frame in frames] == [1, 2]
    np.testing.assert_allclose(frames[1].depth_m, depth_mm[2] / 1000, rtol=1e-6)


def test_the_camera_beside_the_image_is_used(tmp_path: Path, depth_mm: np.ndarray) -> None:
    Image.fromarray(depth_mm[0]).save(tmp_path / "a.png")
    numbers = {"fx": 123, "fy": 124, "cx": 16, "cy": 12, "distortion": [0.1, 0, 0, 0]}
    (tmp_path / "camera.json").write_text(json.dumps(numbers))
    (frame,) = open_source(tmp_path / "a.png")
    assert (frame.camera.fx, frame.camera.distortion) == (123, (0.1, 0, 0, 0))
    (frame,) = open_source(tmp_path / "a.png", CAMERA)
    assert frame.camera.fx == 300


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "1"])
@pytest.mark.parametrize("ending", ["png", "tif"])
def test_pictures_are_refused(tmp_path: Path, mode: str, ending: str) -> None:
    path = tmp_path / f"picture.{ending}"
    Image.new(mode, (32, 24)).save(path)
    with pytest.raises(ResidualPoseError, match=r"picture\.\w+: expected a 16-bit.*mode"):
        list(open_source(path, CAMERA))


@pytest.mark.parametrize("ending", ["png", "tif"])
@pytest.mark.parametrize("keep", [0, 4, 20, 60, 400])
def test_truncated_images_are_named(
    tmp_path: Path, depth_mm: np.ndarray, ending: str, keep: int
) -> None:
    path = tmp_path / f"bad.{ending}"
    Image.fromarray(depth_mm[0]).save(path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ResidualPoseError, match=r"bad\.\w+: expected a depth image, found"):
        list(open_source(path, CAMERA))


@pytest.mark.parametrize("side", [1, 10_000])
def test_absurd_sizes_are_refused_before_decoding(tmp_path: Path, side: int) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(np.zeros((side, side), dtype=np.uint16)).save(path, compress_level=1)
    with pytest.raises(ResidualPoseError, match=f"found {side}x{side}"):
        list(open_source(path, CAMERA))
