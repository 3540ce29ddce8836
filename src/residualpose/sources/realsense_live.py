"""RealSense cameras as they see (realsense://SERIAL): always the newest frame.

Needs the realsense extra. A frame's index is the camera's own count from the first, so that gaps
are the frames that were dropped while we worked.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

from residualpose.errors import ResidualPoseError
from residualpose.sources.raw import RawDepth, Recording, reading
from residualpose.sources.realsense import depth_frame, import_sdk

LONGEST_WAIT_S = 5.0
_STEP_MS = 200
"""Between looks at Ctrl-C."""


def read_camera(path: Path) -> Recording:
    """Find the camera of realsense:/SERIAL, or the first where no serial number is given."""
    with reading(path, "a RealSense camera", RuntimeError):
        _device(path, import_sdk())
    return Recording(None, partial(_frames, path))


def _frames(path: Path, indices: range) -> Iterator[RawDepth]:
    rs = import_sdk()
    with reading(path, "a RealSense camera", RuntimeError):
        device = _device(path, rs)  # kept: its sensors end with it
        sensor, profile = _depth_stream(path, rs, device)
        newest = rs.frame_queue(1)
        sensor.open(profile)
        sensor.start(newest)
        try:
            first = None
            while True:
                frame = _next(path, newest)
                first = frame.get_frame_number() if first is None else first
                index = frame.get_frame_number() - first
                if index in indices:
                    yield depth_frame(rs, frame.as_depth_frame(), index)
                if index >= indices[-1]:
                    return
        finally:
            sensor.stop()
            sensor.close()


def _next(path: Path, newest: Any) -> Any:
    end_s = monotonic() + LONGEST_WAIT_S
    while monotonic() < end_s:
        there, frame = newest.try_wait_for_frame(_STEP_MS)
        if there:
            return frame
    raise ResidualPoseError(f"{path}: expected a frame within {LONGEST_WAIT_S:g} s, found none")


def _device(path: Path, rs: Any) -> Any:
    wanted = "" if path == Path("realsense:") else path.name
    found = []
    for device in rs.context().query_devices():
        serial = device.get_info(rs.camera_info.serial_number)
        if wanted in ("", serial):
            return device
        found.append(serial)
    raise ResidualPoseError(
        f"{path}: expected {f'the camera {wanted}' if wanted else 'a camera'}, found "
        f"{', '.join(found) or 'none'}"
    )


def _depth_stream(path: Path, rs: Any, device: Any) -> tuple[Any, Any]:
    """The sensor, and the way of streaming depth that the vendor takes by default."""
    found = [
        (sensor, profile)
        for sensor in device.query_sensors()
        for profile in sensor.get_stream_profiles()
        if profile.stream_type() == rs.stream.depth and profile.format() == rs.format.z16
    ]
    if not found:
        raise ResidualPoseError(f"{path}: expected a depth stream, found none")
    return next((pair for pair in found if pair[1].is_default()), found[0])
