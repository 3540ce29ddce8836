"""Recordings written by RealSense's own recorder from a camera of software."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from residualpose import ResidualPoseError, open_source

COUNT, UNIT_M = 30, 0.00025


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Frame i is 4000 + i everywhere, in quarters of a millimetre."""
    rs = pytest.importorskip(
        "pyrealsense2", reason="needs the realsense extra and libusb", exc_type=ImportError
    )
    path = tmp_path_factory.mktemp("realsense") / "walk.db3"
    device = rs.software_device()
    sensor = device.add_sensor("Stereo Module")
    lens = rs.intrinsics()
    lens.width, lens.height, lens.fx, lens.fy, lens.ppx, lens.ppy = 64, 48, 60.5, 61, 31.5, 23.5
    lens.model, lens.coeffs = rs.distortion.brown_conrady, [0.1, -0.02, 0.001, 0.002, 0.003]
    stream = rs.video_stream()
    stream.type, stream.index, stream.uid = rs.stream.depth, 0, 0
    stream.width, stream.height, stream.fps, stream.bpp = 64, 48, 30, 2
    stream.fmt, stream.intrinsics = rs.format.z16, lens
    profile = sensor.add_video_stream(stream).as_video_stream_profile()
    sensor.add_read_only_option(rs.option.depth_units, UNIT_M)
    recorder = rs.recorder(str(path), device)
    recorded = recorder.query_sensors()[0]
    recorded.open(recorded.get_stream_profiles()[0])
    recorded.start(lambda _: None)
    for number in range(COUNT):
        frame = rs.software_video_frame()
        frame.pixels = np.full((48, 64), 4000 + number, np.uint16)
        frame.stride, frame.bpp, frame.frame_number = 128, 2, number + 1
        frame.timestamp, frame.domain = 1000 + number * 33.25, rs.timestamp_domain.hardware_clock
        frame.profile, frame.depth_units = profile, UNIT_M
        sensor.on_video_frame(frame)
        time.sleep(0.02)
    recorded.stop()
    recorded.close()
    del recorder
    return path


def test_every_frame_comes_back_to_a_slow_reader(recording: Path) -> None:
    source = open_source(recording)
    assert len(source) == COUNT
    for number, frame in enumerate(source):
        if number < 12:
            time.sleep(0.06)
        assert frame.index == number
        assert frame.time_s == pytest.approx(1 + number * 0.03325)
        np.testing.assert_allclose(frame.depth_m, (4000 + number) * UNIT_M, rtol=1e-6)
        camera = frame.camera
        assert (camera.fx, camera.fy, camera.cx, camera.cy) == (60.5, 61, 31.5, 23.5)
        np.testing.assert_allclose(camera.distortion, [0.1, -0.02, 0.001, 0.002, 0.003], rtol=1e-6)
    assert number == COUNT - 1


def test_some_frames_of_it(recording: Path) -> None:
    frames = list(open_source(f"{recording}:3:9:2"))
    assert [frame.index for frame in frames] == [3, 5, 7]
    assert [frame.depth_m[0, 0] for frame in frames] == pytest.approx([1.00075, 1.00125, 1.00175])


def test_another_database_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "a.db3").write_bytes(b"no database" * 100)
    with pytest.raises(ResidualPoseError, match=r"a\.db3: expected a recording of sqlite"):
        list(open_source(tmp_path / "a.db3"))
