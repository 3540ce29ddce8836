"""Azure Kinect recordings (.mkv), also those of Orbbec's wrapper, read by PyAV without the SDK.

Needs the video extra. The depth track holds big-endian 16-bit millimetres without compression; the
attachment calibration.json holds the lens, in parts of the sensor, from which each mode takes a
cut. Checked with files that PyAV wrote after Microsoft's description of the format, not yet with a
camera's own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from residualpose.camera import Camera
from residualpose.errors import MissingExtraError, ResidualPoseError
from residualpose.sources.raw import RawDepth, Recording, reading, stack_shape

_MODES: dict[tuple[int, int], tuple[int, tuple[int, int]]] = {
    (320, 288): (512, (96, 90)),
    (640, 576): (1024, (192, 180)),
    (512, 512): (512, (0, 0)),
    (1024, 1024): (1024, (0, 0)),
}
"""Image size of each depth mode: pixels a side of the whole sensor, and where the cut begins."""

_SENSOR_PX = 1024
_LENS = "CALIBRATION_LensDistortionModelBrownConrady"
_UNIT_M = 0.001


def read_mkv(path: Path) -> Recording:
    """Open the depth track of a recording."""
    with _opened(path) as file:
        track = _depth_track(path, file)
        size = int(track.width), int(track.height)
        stack_shape(path, (size[1], size[0]), np.dtype(">u2"))
        camera = _camera(path, file, size)
        count = sum(1 for _ in _packets(file, track))
    if not count:
        raise ResidualPoseError(f"{path}: expected at least one depth frame, found none")
    return Recording(count, partial(_frames, path, size, camera))


def _frames(
    path: Path, size: tuple[int, int], camera: Camera | None, indices: range
) -> Iterator[RawDepth]:
    if not indices:
        return
    wanted, last, (width, height) = set(indices), max(indices), size
    with _opened(path) as file:
        for index, packet in enumerate(_packets(file, _depth_track(path, file))):
            if index in wanted:
                data = bytes(packet)
                if len(data) != width * height * 2:
                    raise ResidualPoseError(
                        f"{path}: frame {index}: expected {width}x{height} pixels of 2 bytes, "
                        f"found {len(data)} bytes"
                    )
                # Not decoded: the decoder takes 16-bit grey for colours.
                values = np.frombuffer(data, ">u2").reshape(height, width)
                time_s = None if packet.pts is None else float(packet.pts * packet.time_base)
                yield RawDepth(values, index, camera, _UNIT_M, time_s)
            if index == last:
                return


def _packets(file: Any, track: Any) -> Iterator[Any]:
    return (packet for packet in file.demux(track) if packet.size)


def _depth_track(path: Path, file: Any) -> Any:
    names = []
    for track in file.streams.video:
        name = track.metadata.get("title", f"track {track.index}")
        if name == "DEPTH" or "K4A_DEPTH_TRACK" in track.metadata:
            return track
        names.append(name)
    raise ResidualPoseError(
        f"{path}: expected a track DEPTH, as Azure Kinect recordings have, found "
        f"{', '.join(names) or 'no video'}"
    )


def _camera(path: Path, file: Any, size: tuple[int, int]) -> Camera | None:
    """The depth camera of the calibration; None without one, or of a size that is no mode."""
    attached = (track for track in file.streams if track.type == "attachment")
    stored = next((a for a in attached if a.metadata.get("filename") == "calibration.json"), None)
    if stored is None or size not in _MODES:
        return None
    try:
        text = bytes(stored.data).rstrip(b"\0").decode()
        cameras = json.loads(text)["CalibrationInformation"]["Cameras"]
        depth = next(c for c in cameras if c["Location"] == "CALIBRATION_CameraLocationD0")
        lens = depth["Intrinsics"]
        parameters = [float(value) for value in lens["ModelParameters"]]
        sensor = depth["SensorWidth"], depth["SensorHeight"]
        if lens["ModelType"] != _LENS or len(parameters) < 14 or sensor != (_SENSOR_PX,) * 2:
            return None  # an early device, whose lens we cannot describe: it has to be given
        return _cut_camera(parameters, *_MODES[size])
    except (ValueError, KeyError, TypeError, StopIteration, ResidualPoseError) as error:
        raise ResidualPoseError(
            f"{path}: calibration.json: expected the calibration of an Azure Kinect, found "
            f"{type(error).__name__} {error}"
        ) from None


def _cut_camera(parameters: list[float], whole_px: int, cut_px: tuple[int, int]) -> Camera:
    """Camera of a mode from cx, cy, fx, fy in parts of the sensor, k1..k6, -, -, p2, p1."""
    cx, cy, fx, fy, k1, k2, k3, k4, k5, k6, _, _, p2, p1 = parameters[:14]
    # Theirs counts from the corner of the first pixel, ours from its centre.
    return Camera(
        fx * whole_px, fy * whole_px,
        cx * whole_px - cut_px[0] - 0.5, cy * whole_px - cut_px[1] - 0.5,
        (k1, k2, p1, p2, k3, k4, k5, k6), "Azure Kinect recording",
    )  # fmt: skip


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        import av
        from av.error import FFmpegError
    except ImportError:
        raise MissingExtraError("av", "video") from None
    with (
        reading(path, "an Azure Kinect recording", FFmpegError, ValueError),
        av.open(str(path)) as file,
    ):
        yield file
