"""RealSense recordings of librealsense 2.57 and later (.db3), played by the vendor's library.

Needs the realsense extra. Recordings of earlier versions (.bag) are ROS 1 bags: see `ros_bag`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from importlib import import_module
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np

from residualpose.camera import Camera
from residualpose.errors import MissingExtraError, ResidualPoseError
from residualpose.sources.raw import RawDepth, Recording, reading
from residualpose.sources.ros_bag import read_ros_bag

_COUNT = """SELECT count(*) FROM messages JOIN topics ON topics.id = messages.topic_id
WHERE topics.name LIKE '/device_%/Depth_%/image/data%'"""
_DEVICE = "SELECT count(*) FROM topics WHERE name LIKE '/device_%'"

_LONGEST_WAIT_MS = 5000
"""Without a frame for so long, a recording that is played as fast as it can has ended."""
_SHORT_WAIT_MS = 10


def read_db3(path: Path) -> Recording:
    """Open a .db3: RealSense's own, or else a ROS 2 bag."""
    if not path.is_file():
        raise ResidualPoseError(f"{path}: no such file")
    with (
        reading(path, "a recording of sqlite", sqlite3.Error),
        closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as tables,
    ):
        of_realsense = tables.execute(_DEVICE).fetchone()[0] > 0
        count = tables.execute(_COUNT).fetchone()[0] if of_realsense else 0
    if not of_realsense:
        return read_ros_bag(path)
    if not count:
        raise ResidualPoseError(f"{path}: expected a depth stream, found none")
    return Recording(count, partial(_frames, path, count))


def _frames(path: Path, count: int, indices: range) -> Iterator[RawDepth]:
    rs = import_sdk()
    wanted, last = set(indices), max(indices)
    with reading(path, "a RealSense recording", RuntimeError):
        playback = rs.playback(rs.context().load_device(str(path)))
        playback.set_real_time(False)  # it then waits for us, and drops nothing
        sensor, profile = _depth_stream(path, rs, playback)
        # Not a frame_queue: Python would hold its lock while that waits for room.
        frames = rs.syncer(1)
        sensor.open(profile)
        sensor.start(frames)
        try:
            for index in range(last + 1):
                there, together = frames.try_wait_for_frames(_LONGEST_WAIT_MS)
                if not there:
                    raise ResidualPoseError(
                        f"{path}: expected {count} frames, found {index} (truncated)"
                    )
                if index in wanted:
                    yield depth_frame(rs, together.get_depth_frame(), index)
        finally:
            _stop(sensor, frames)
            sensor.close()


def _stop(sensor: Any, frames: Any) -> None:
    """Stop a playback, which waits for room for its next frame as long as nobody takes one."""
    stopping = Thread(target=sensor.stop)
    stopping.start()
    while stopping.is_alive():
        frames.try_wait_for_frames(_SHORT_WAIT_MS)
    stopping.join()


def _depth_stream(path: Path, rs: Any, playback: Any) -> tuple[Any, Any]:
    for sensor in playback.query_sensors():
        for profile in sensor.get_stream_profiles():
            if profile.stream_type() == rs.stream.depth:
                return sensor, profile
    raise ResidualPoseError(f"{path}: expected a depth stream, found none")


def import_sdk() -> Any:
    """The vendor's library, whose types do not say what is in it.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        return import_module("pyrealsense2")
    except ImportError:
        raise MissingExtraError("pyrealsense2", "realsense") from None


def depth_frame(rs: Any, depth: Any, index: int) -> RawDepth:
    """A frame of the library as we pass it on, with its lens, unit and time."""
    values = np.array(depth.get_data())
    stored = depth.get_profile().as_video_stream_profile().get_intrinsics()
    distortion = tuple(stored.coeffs) if any(stored.coeffs) else ()
    camera = None  # of a lens that we cannot describe: it has to be given
    if not distortion or stored.model == rs.distortion.brown_conrady:
        camera = Camera(stored.fx, stored.fy, stored.ppx, stored.ppy, distortion, "RealSense")
    return RawDepth(values, index, camera, depth.get_units(), depth.get_timestamp() / 1000)
