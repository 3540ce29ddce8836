"""Standard input and cameras: what a writer sends comes out; only cameras drop frames."""

from __future__ import annotations

import io
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event, Thread
from types import SimpleNamespace

import numpy as np
import pytest

from residualpose import Camera, DepthFrame, ResidualPoseError, UsageError, open_source
from residualpose.datasets.plain_writer import PlainWriter

CAMERA = Camera(30.5, 31, 15.5, 11)

Feed = Callable[[bytes], None]


@pytest.fixture
def feed(monkeypatch: pytest.MonkeyPatch) -> Feed:
    """Sets what is to come from standard input."""

    def put(data: bytes) -> None:
        stream = io.BufferedReader(io.BytesIO(data))  # type: ignore[arg-type]
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=stream, isatty=lambda: False))

    return put


def npy(*arrays: np.ndarray) -> bytes:
    stream = io.BytesIO()
    for array in arrays:
        np.save(stream, array)
    return stream.getvalue()


@pytest.fixture
def folder(tmp_path: Path, depth_mm: np.ndarray) -> Path:
    """A recording of ours, with times."""
    with PlainWriter(tmp_path / "walk") as writer:
        for index, values in enumerate(depth_mm):
            depth_m = (values / 1000).astype(np.float32)
            writer.add(DepthFrame(depth_m, CAMERA, "walk", index, 100 + index / 20))
    return tmp_path / "walk"


def packed(folder: Path, *names: str, mode: str = "w|") -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as archive:  # type: ignore[call-overload]
        for name in names:
            archive.add(folder / name, f"walk/{name}")
    return stream.getvalue()


IMAGES = ("000000.png", "000001.png", "000002.png")


def check(frames: list[DepthFrame], depth_mm: np.ndarray, times_s: list[float | None]) -> None:
    assert [frame.index for frame in frames] == list(range(len(depth_mm)))
    assert [frame.time_s for frame in frames] == times_s
    for frame, values in zip(frames, depth_mm, strict=True):
        np.testing.assert_array_equal(np.round(frame.depth_m * 1000), values)
        assert (frame.camera.fx, frame.camera.cy) == (30.5, 11)


def test_arrays_one_after_the_other(feed: Feed, depth_mm: np.ndarray) -> None:
    feed(npy(depth_mm[0], depth_mm[1:]))
    source = open_source("-", CAMERA)
    assert source.unbounded and not source.live
    check(list(source), depth_mm, [None] * 3)
    feed(npy(np.asfortranarray(depth_mm)))
    check(list(open_source("-", CAMERA)), depth_mm, [None] * 3)
    feed(npy((depth_mm / 1000).astype(np.float32)))
    check(list(open_source("-", CAMERA)), depth_mm, [None] * 3)


@pytest.mark.parametrize("mode", ["w|", "w|gz"])
def test_a_tar_of_ours(feed: Feed, folder: Path, depth_mm: np.ndarray, mode: str) -> None:
    feed(packed(folder, "camera.json", "labels.jsonl", *IMAGES, mode=mode))
    check(list(open_source("-")), depth_mm, [100.0, 100.05, 100.1])
    feed(packed(folder, *IMAGES, mode=mode))
    check(list(open_source("-", CAMERA)), depth_mm, [None] * 3)


def test_some_frames_end_the_reading(feed: Feed, depth_mm: np.ndarray) -> None:
    feed(npy(*depth_mm) + b"what comes later is not looked at")
    frames = list(open_source("-:1:3", CAMERA))
    assert [frame.index for frame in frames] == [1, 2]
    with pytest.raises(UsageError, match="from its start"):
        open_source("-:-1:", CAMERA)


def test_frames_come_as_they_are_sent(tmp_path: Path, depth_mm: np.ndarray) -> None:
    """The second frame is only written when the first has come out."""
    import os

    ours, theirs = os.pipe()
    taken = Event()

    def write() -> None:
        with os.fdopen(theirs, "wb") as stream:
            for values in depth_mm:
                stream.write(npy(values))
                stream.flush()
                assert taken.wait(10)
                taken.clear()

    writer = Thread(target=write)
    writer.start()
    with os.fdopen(ours, "rb") as stream, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdin", SimpleNamespace(buffer=stream, isatty=lambda: False))
        for frame, values in zip(open_source("-", CAMERA), depth_mm, strict=True):
            np.testing.assert_array_equal(np.round(frame.depth_m * 1000), values)
            taken.set()
    writer.join()


def test_images_out_of_turn_are_refused(feed: Feed, folder: Path) -> None:
    feed(packed(folder, "camera.json", IMAGES[0], IMAGES[2], IMAGES[1]))
    with pytest.raises(ResidualPoseError, match=r"after 000002\.png, found 000001\.png: pack"):
        list(open_source("-"))
    feed(packed(folder, "camera.json", "labels.jsonl", IMAGES[1]))
    with pytest.raises(ResidualPoseError, match=r"expected 000000\.png, found 000001\.png: pack"):
        list(open_source("-"))


def test_what_is_no_stream_is_one_sentence(
    feed: Feed, folder: Path, depth_mm: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    for data, words in (
        (b"", "found nothing"),
        (b"hello" * 200, "expected a tar of depth images or .npy arrays"),
        (packed(folder, "camera.json"), "found none"),
        (npy(depth_mm[0])[:-5], "truncated"),
    ):
        feed(data)
        with pytest.raises(ResidualPoseError, match=words):
            list(open_source("-", CAMERA))
    feed(npy(depth_mm[0]))
    with pytest.raises(UsageError, match="give --camera"):
        list(open_source("-"))
    with pytest.raises(UsageError, match="how many frames"):
        len(open_source("-"))
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: True))
    with pytest.raises(UsageError, match="found a terminal"):
        list(open_source("-", CAMERA))
    with pytest.raises(UsageError, match="found rtsp://"):
        open_source("rtsp://camera")


@pytest.fixture
def software_camera(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int, float], None]]:
    """A camera of librealsense's own making, number 123; sends frames of 4000 + their number."""
    rs = pytest.importorskip(
        "pyrealsense2", reason="needs the realsense extra and libusb", exc_type=ImportError
    )
    device = rs.software_device()
    device.register_info(rs.camera_info.serial_number, "123")
    sensor = device.add_sensor("Stereo Module")
    lens = rs.intrinsics()
    lens.width, lens.height, lens.fx, lens.fy, lens.ppx, lens.ppy = 64, 48, 60.5, 61, 31.5, 23.5
    lens.model, lens.coeffs = rs.distortion.brown_conrady, [0.1, 0, 0, 0, 0]
    stream = rs.video_stream()
    stream.type, stream.index, stream.uid = rs.stream.depth, 0, 0
    stream.width, stream.height, stream.fps, stream.bpp = 64, 48, 30, 2
    stream.fmt, stream.intrinsics = rs.format.z16, lens
    profile = sensor.add_video_stream(stream).as_video_stream_profile()
    sensor.add_read_only_option(rs.option.depth_units, 0.00025)
    # A context lists no devices but those on USB.
    monkeypatch.setattr(rs, "context", lambda: SimpleNamespace(query_devices=lambda: [device]))

    def send(count: int, pause_s: float) -> None:
        for number in range(count):
            frame = rs.software_video_frame()
            frame.pixels = np.full((48, 64), 4000 + number, np.uint16)
            frame.stride, frame.bpp, frame.frame_number = 128, 2, 70 + number
            frame.timestamp = 1000 + number * 25.0
            frame.domain = rs.timestamp_domain.hardware_clock
            frame.profile, frame.depth_units = profile, 0.00025
            sensor.on_video_frame(frame)
            time.sleep(pause_s)

    yield send


def test_a_camera_gives_its_newest_frame(
    software_camera: Callable[[int, float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("residualpose.sources.realsense_live.LONGEST_WAIT_S", 1.0)
    source = open_source("realsense://123")
    assert source.live and source.unbounded
    frames, started = [], time.monotonic()
    sender = Thread(target=software_camera, args=(30, 0.02))
    with pytest.raises(ResidualPoseError, match=r"realsense:/123: expected a frame within 1 s"):
        reading = iter(source)
        sender.start()
        for frame in reading:
            frames.append(frame)
            time.sleep(0.07)  # slower than the camera
    sender.join()
    numbers = [frame.index for frame in frames]
    assert numbers == sorted(set(numbers))
    assert 3 < len(numbers) < 20 and numbers[-1] >= 28
    assert time.monotonic() - started < 10
    start = round(frames[0].depth_m[0, 0] / 0.00025) - 4000
    for frame in frames:
        np.testing.assert_allclose(frame.depth_m, (4000 + start + frame.index) * 0.00025, rtol=1e-6)
        assert frame.time_s == pytest.approx(1 + (start + frame.index) * 0.025)
        assert (frame.camera.fx, frame.camera.distortion[0]) == (60.5, pytest.approx(0.1))


def test_a_camera_that_is_not_there(software_camera: Callable[[int, float], None]) -> None:
    with pytest.raises(ResidualPoseError, match="expected the camera 9, found 123"):
        next(iter(open_source("realsense://9")))
