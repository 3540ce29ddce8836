"""ROS 1 bags and ROS 2 bags (sqlite and mcap) of depth topics; needs the ros extra, no ROS.

Image 16UC1 is millimetres, 32FC1 metres (REP 118); the camera is the CameraInfo beside the topic.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from residualpose.camera import Camera
from residualpose.errors import MissingExtraError, ResidualPoseError
from residualpose.sources.raw import RawDepth, Recording, reading, stack_shape

IMAGE, CAMERA_INFO = "sensor_msgs/msg/Image", "sensor_msgs/msg/CameraInfo"

_ENCODINGS = {"16UC1": ("u2", 0.001), "mono16": ("u2", 0.001), "32FC1": ("f4", 1.0)}
"""dtype and metres per unit of each; mono16 is what some drivers call 16UC1."""

_MODELS = ("plumb_bob", "rational_polynomial", "")
_REALSENSE_TAIL = 4
"""Bytes that librealsense leaves behind each image of its ROS 1 bags."""


def read_ros_bag(path: Path) -> Recording:
    """Open the first depth topic, by name, of a ROS 1 .bag, or a ROS 2 bag's folder or file."""
    with _opened(path) as bag:
        connection = _depth_topic(path, bag)
        camera = _camera(path, bag, connection.topic)
        unit_m = _realsense_unit(bag, connection.topic)
        count = connection.msgcount
    return Recording(count, partial(_frames, path, connection.topic, camera, unit_m))


def is_ros2_folder(path: Path) -> bool:
    """Whether a folder is a ROS 2 bag."""
    return (path / "metadata.yaml").is_file()


def _frames(
    path: Path, topic: str, camera: Camera | None, realsense_m: float | None, indices: range
) -> Iterator[RawDepth]:
    if not indices:
        return
    last, wanted = max(indices), set(indices)
    with _opened(path) as bag:
        connections = [one for one in bag.connections if one.topic == topic]
        for index, (connection, _, raw) in enumerate(bag.messages(connections)):
            if index in wanted:
                image = _message(bag, raw, connection.msgtype)
                yield _frame(path, index, image, camera, realsense_m)
            if index == last:
                return


def _frame(
    path: Path, index: int, image: Any, camera: Camera | None, realsense_m: float | None
) -> RawDepth:
    values, unit_m = depth_of(f"{path}: frame {index}", image)
    stamp = image.header.stamp
    return RawDepth(values, index, camera, realsense_m or unit_m, stamp.sec + stamp.nanosec * 1e-9)


def depth_of(where: str, image: Any) -> tuple[np.ndarray, float]:
    """(H, W) values of a sensor_msgs/Image and metres per unit; `where` begins messages.

    Raises:
        ResidualPoseError: it is no depth image.
    """
    if image.encoding not in _ENCODINGS:
        raise ResidualPoseError(
            f"{where}: expected {', '.join(_ENCODINGS)}, found {image.encoding}"
        )
    code, unit_m = _ENCODINGS[image.encoding]
    dtype = np.dtype(code).newbyteorder(">" if image.is_bigendian else "<")
    height, width, step = int(image.height), int(image.width), int(image.step)
    stack_shape(Path(where), (height, width), dtype)
    if step < width * dtype.itemsize or len(image.data) < height * step:
        raise ResidualPoseError(
            f"{where}: expected {height} rows of {step} bytes, found {len(image.data)} bytes"
        )
    rows = np.asarray(image.data[: height * step], np.uint8).reshape(height, step)
    return np.ascontiguousarray(rows[:, : width * dtype.itemsize]).view(dtype), unit_m


def _depth_topic(path: Path, bag: Any) -> Any:
    """The connection of the first topic that holds depth images."""
    images = sorted((one for one in bag.connections if one.msgtype == IMAGE), key=_topic)
    found = []
    for connection in images:
        for _, _, raw in bag.messages([connection]):
            encoding = _message(bag, raw, IMAGE).encoding
            if encoding in _ENCODINGS:
                return connection
            found.append(f"{connection.topic} ({encoding})")
            break
    topics = ", ".join(found) or ", ".join(sorted(map(_topic, bag.connections))) or "none"
    raise ResidualPoseError(
        f"{path}: expected a topic of Image in {', '.join(_ENCODINGS)}, found {topics}"
    )


def _topic(connection: Any) -> str:
    return connection.topic


def _camera(path: Path, bag: Any, topic: str) -> Camera | None:
    """The CameraInfo whose topic has most in common with the images'; None without any."""
    infos = [one for one in bag.connections if one.msgtype == CAMERA_INFO]
    if not infos:
        return None

    def alike(connection: Any) -> int:
        pairs = zip(connection.topic, topic, strict=False)
        return next((i for i, (a, b) in enumerate(pairs) if a != b), len(topic))

    best = max(infos, key=alike)
    for _, _, raw in bag.messages([best]):
        info = _message(bag, raw, CAMERA_INFO)
        return camera_of(f"{path}: {best.topic}", info, best.topic)
    return None


def camera_of(where: str, info: Any, name: str = "") -> Camera:
    """The camera of a sensor_msgs/CameraInfo; `where` begins messages.

    Raises:
        ResidualPoseError: a lens that we cannot describe.
    """
    matrix = np.asarray(getattr(info, "k", getattr(info, "K", None)), float)
    distortion = np.asarray(getattr(info, "d", getattr(info, "D", ())), float)
    if info.distortion_model not in _MODELS or (len(distortion) > 8 and distortion[8:].any()):
        raise ResidualPoseError(
            f"{where}: expected distortion plumb_bob or rational_polynomial, found "
            f"{info.distortion_model!r} with {len(distortion)} coefficients: give --camera"
        )
    kept = 8 if distortion[5:].any() else 5
    try:
        return Camera(matrix[0], matrix[4], matrix[2], matrix[5], tuple(distortion[:kept]), name)
    except ResidualPoseError as error:
        raise ResidualPoseError(f"{where}: {error}") from None


def _realsense_unit(bag: Any, topic: str) -> float | None:
    """Metres per unit where librealsense (before 2.57) wrote the bag; None for other bags."""
    option = "/".join(topic.split("/")[:3]) + "/option/Depth_Units/value"
    connections = [one for one in bag.connections if one.topic == option]
    for connection, _, raw in bag.messages(connections) if connections else ():
        return float(_message(bag, raw, connection.msgtype).data)
    return None


def _message(bag: Any, raw: bytes, kind: str) -> Any:
    """Deserialise, also what librealsense wrote."""
    from rosbags.highlevel import AnyReaderError

    try:
        return bag.deserialize(raw, kind)
    except AnyReaderError:  # of another size
        return bag.deserialize(raw[:-_REALSENSE_TAIL], kind)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        from rosbags.highlevel import AnyReader, AnyReaderError
        from rosbags.typesys import Stores, get_typestore
    except ImportError:
        raise MissingExtraError("rosbags", "ros") from None
    # Bags of before Iron do not hold their message definitions.
    types = get_typestore(Stores.ROS2_HUMBLE)
    broken = (AnyReaderError, AssertionError, ValueError, LookupError, RuntimeError)
    with (
        reading(path, "a ROS bag", *broken),
        AnyReader([path], default_typestore=types) as bag,
    ):
        yield bag
