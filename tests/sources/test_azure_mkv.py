"""Recordings as an Azure Kinect makes them, written with PyAV: frames, lens and times come back."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from residualpose import PoseEstimator, ResidualPoseError, UsageError, open_source

av = pytest.importorskip("av", reason="needs the video extra")

TIMES_MS = (1200, 1233, 1300)
PARAMETERS = [
    0.5127, 0.5169, 0.4928, 0.4929, 6.0841, 4.3755, 0.2362, 6.4087, 6.4183, 1.2203, 0, 0, 6.5e-5,
    -5.5e-5,
]  # fmt: skip


def calibration(**changes: Any) -> bytes:
    """As the camera's firmware holds it; the colour camera comes first here."""

    def camera(location: str, parameters: list[float]) -> dict[str, Any]:
        lens = {"ModelParameterCount": len(parameters), "ModelParameters": parameters,
                "ModelType": "CALIBRATION_LensDistortionModelBrownConrady"}  # fmt: skip
        return {"Location": location, "Intrinsics": lens, "SensorWidth": 1024, "SensorHeight": 1024}

    depth = camera("CALIBRATION_CameraLocationD0", PARAMETERS)
    depth["Intrinsics"] |= changes
    colour = camera("CALIBRATION_CameraLocationPV0", [0.1] * 14)
    return json.dumps({"CalibrationInformation": {"Cameras": [colour, depth]}}).encode()


def write(path: Path, depth_mm: np.ndarray, lens: bytes | None, name: str = "DEPTH") -> Path:
    """Infrared beside depth, both as big-endian 16-bit grey, as the format's description says."""
    height, width = depth_mm.shape[1:]
    with av.open(str(path), "w", format="matroska", options={"allow_raw_vfw": "1"}) as file:
        tracks = []
        for title in ("IR", name):
            track = file.add_stream("rawvideo", rate=30)
            track.width, track.height, track.pix_fmt = width, height, "gray16be"
            track.codec_context.codec_tag = "b16g"
            track.metadata["title"] = title
            tracks.append(track)
        if lens is not None:
            file.add_attachment("calibration.json", "application/octet-stream", lens)
        for values, time_ms in zip(depth_mm, TIMES_MS, strict=True):
            for track, image in zip(tracks, (values // 2, values), strict=True):
                packet = av.Packet(image.astype(">u2").tobytes())
                packet.stream, packet.time_base = track, Fraction(1, 1000)
                packet.pts = packet.dts = time_ms
                file.mux(packet)
    return path


def image_mm(width: int, height: int) -> np.ndarray:
    return np.random.default_rng(5).integers(0, 5000, (3, height, width)).astype(np.uint16)


@pytest.mark.parametrize(
    ("size", "whole", "cut"),
    [((320, 288), 512, (96, 90)), ((640, 576), 1024, (192, 180)), ((512, 512), 512, (0, 0)),
     ((1024, 1024), 1024, (0, 0))],
)  # fmt: skip
def test_every_mode_comes_back(
    tmp_path: Path, size: tuple[int, int], whole: int, cut: tuple[int, int]
) -> None:
    depth_mm = image_mm(*size)
    source = open_source(write(tmp_path / "walk.mkv", depth_mm, calibration()))
    assert len(source) == 3
    frames = list(source)
    assert [frame.time_s for frame in frames] == pytest.approx([t / 1000 for t in TIMES_MS])
    for frame, values in zip(frames, depth_mm, strict=True):
        np.testing.assert_array_equal(np.round(frame.depth_m * 1000), values)
    camera = frames[0].camera
    # The middle of the lens is PARAMETERS of the whole sensor, from the corner of its first pixel.
    middle = np.array([0.5127, 0.5169]) * whole - cut - 0.5
    np.testing.assert_allclose([camera.cx, camera.cy], middle)
    np.testing.assert_allclose([camera.fx, camera.fy], np.array([0.4928, 0.4929]) * whole)
    k1, k2, k3, k4, k5, k6, _, _, p2, p1 = PARAMETERS[4:]
    assert camera.distortion == (k1, k2, p1, p2, k3, k4, k5, k6)


def test_some_frames_of_it(tmp_path: Path) -> None:
    depth_mm = image_mm(320, 288)
    path = write(tmp_path / "walk.mkv", depth_mm, calibration())
    assert [frame.index for frame in open_source(f"{path}:0:3:2")] == [0, 2]
    (last,) = open_source(f"{path}:-1:")
    np.testing.assert_array_equal(np.round(last.depth_m * 1000), depth_mm[2])


def test_frames_go_through_the_pipeline(tmp_path: Path) -> None:
    depth_mm = np.full((3, 288, 320), 3000, np.uint16)
    frames = open_source(write(tmp_path / "wall.mkv", depth_mm, calibration()))
    assert len(PoseEstimator()(next(iter(frames)))) == 0


@pytest.mark.parametrize(
    "lens", [None, calibration(ModelType="CALIBRATION_LensDistortionModelRational6KT")]
)
def test_without_a_lens_that_we_know_the_camera_is_asked_for(
    tmp_path: Path, lens: bytes | None
) -> None:
    path = write(tmp_path / "walk.mkv", image_mm(320, 288), lens)
    with pytest.raises(UsageError, match="give --camera"):
        list(open_source(path))
    assert len(list(open_source(path, "azure-nfov"))) == 3


def test_other_files_are_one_sentence(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mkv", image_mm(64, 48), None, "COLOR")
    with pytest.raises(ResidualPoseError, match=r"a\.mkv: expected a track DEPTH.*found IR, COLOR"):
        list(open_source(path))
    (tmp_path / "b.mkv").write_bytes(b"no video" * 100)
    with pytest.raises(ResidualPoseError, match=r"b\.mkv: expected an Azure Kinect recording"):
        list(open_source(tmp_path / "b.mkv"))
    broken = write(tmp_path / "c.mkv", image_mm(320, 288), b"{}")
    with pytest.raises(ResidualPoseError, match=r"c\.mkv: calibration\.json: expected"):
        list(open_source(broken))
