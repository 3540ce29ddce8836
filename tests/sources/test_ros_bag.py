"""Bags written with rosbags' own writers: frames, intrinsics and times come back exactly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from residualpose import Camera, ResidualPoseError, UsageError, open_source

pytest.importorskip("rosbags", reason="needs the ros extra")

from rosbags.rosbag1 import Writer as Writer1
from rosbags.rosbag2 import StoragePlugin
from rosbags.rosbag2 import Writer as Writer2
from rosbags.typesys import Stores, get_typestore

DISTORTION = (0.1, -0.02, 0.001, 0.002, 0.003)
TIMES_NS = (100_000_000_000, 100_033_333_333, 100_100_000_000)
IMAGE, INFO = "sensor_msgs/msg/Image", "sensor_msgs/msg/CameraInfo"


def messages(
    store: Any, depth_mm: np.ndarray, encoding: str, one: bool, lens: tuple[float, ...] = DISTORTION
) -> list[tuple]:
    """(topic, kind, time in ns, message) of a depth camera beside a colour one."""
    types = store.types
    out = []
    for number, (values, time_ns) in enumerate(zip(depth_mm, TIMES_NS, strict=True)):
        stamp = types["builtin_interfaces/msg/Time"](time_ns // 10**9, time_ns % 10**9)
        sequence = (number,) if one else ()
        header = types["std_msgs/msg/Header"](*sequence, stamp, "depth")
        stored = values if encoding != "32FC1" else (values / 1000).astype(np.float32)
        rows = stored.view(np.uint8).reshape(24, -1)
        padded = np.pad(rows, ((0, 0), (0, 8)))  # drivers may align their rows
        roi = types["sensor_msgs/msg/RegionOfInterest"](0, 0, 0, 0, False)
        matrix = np.array([30.5, 0, 15.5, 0, 31, 11, 0, 0, 1.0])
        info = types[INFO](
            header, 24, 32, "plumb_bob" if len(lens) == 5 else "rational_polynomial",
            np.array(lens), matrix, np.eye(3).ravel(),
            np.zeros(12), 0, 0, roi,
        )  # fmt: skip
        colour = types[IMAGE](header, 24, 32, "rgb8", 0, 96, np.zeros(24 * 96, np.uint8))
        depth = types[IMAGE](header, 24, 32, encoding, 0, padded.shape[1], padded.ravel())
        out += [("/cam/color/image", IMAGE, time_ns, colour),
                ("/cam/depth/camera_info", INFO, time_ns, info),
                ("/cam/depth/image", IMAGE, time_ns, depth)]  # fmt: skip
    return out


def write1(
    path: Path, depth_mm: np.ndarray, encoding: str, lens: tuple[float, ...] = DISTORTION
) -> Path:
    store = get_typestore(Stores.ROS1_NOETIC)
    with Writer1(path) as bag:
        topics: dict[str, Any] = {}
        for topic, kind, time_ns, message in messages(store, depth_mm, encoding, True, lens):
            if topic not in topics:
                topics[topic] = bag.add_connection(topic, kind, typestore=store)
            bag.write(topics[topic], time_ns, store.serialize_ros1(message, kind))
    return path


def write2(path: Path, depth_mm: np.ndarray, encoding: str, plugin: StoragePlugin) -> Path:
    store = get_typestore(Stores.ROS2_HUMBLE)
    with Writer2(path, version=9, storage_plugin=plugin) as bag:
        topics: dict[str, Any] = {}
        for topic, kind, time_ns, message in messages(store, depth_mm, encoding, False):
            if topic not in topics:
                topics[topic] = bag.add_connection(topic, kind, typestore=store)
            bag.write(topics[topic], time_ns, store.serialize_cdr(message, kind))
    return path


def check(path: Path, depth_mm: np.ndarray) -> None:
    source = open_source(path)
    assert len(source) == 3
    frames = list(source)
    assert [frame.time_s for frame in frames] == pytest.approx([t / 1e9 for t in TIMES_NS])
    for frame, values in zip(frames, depth_mm, strict=True):
        np.testing.assert_array_equal(np.round(frame.depth_m * 1000), values)
        camera = frame.camera
        assert (camera.fx, camera.fy, camera.cx, camera.cy) == (30.5, 31, 15.5, 11)
        assert camera.distortion == DISTORTION
    assert [frame.index for frame in open_source(f"{path}:1:3")] == [1, 2]
    given = Camera(1, 1, 1, 1)
    assert next(iter(open_source(path, given))).camera is given


@pytest.mark.parametrize("encoding", ["16UC1", "32FC1", "mono16"])
def test_ros1(tmp_path: Path, depth_mm: np.ndarray, encoding: str) -> None:
    check(write1(tmp_path / "walk.bag", depth_mm, encoding), depth_mm)


@pytest.mark.parametrize("encoding", ["16UC1", "32FC1"])
@pytest.mark.parametrize("plugin", [StoragePlugin.SQLITE3, StoragePlugin.MCAP])
def test_ros2(tmp_path: Path, depth_mm: np.ndarray, encoding: str, plugin: StoragePlugin) -> None:
    check(write2(tmp_path / "walk", depth_mm, encoding, plugin), depth_mm)


def test_lenses_of_eight_coefficients(tmp_path: Path, depth_mm: np.ndarray) -> None:
    wide = (*DISTORTION, 0.2, 0.1, 0.05)
    path = write1(tmp_path / "azure.bag", depth_mm, "16UC1", wide)
    assert next(iter(open_source(path))).camera.distortion == wide
    unknown = write1(tmp_path / "tilted.bag", depth_mm, "16UC1", (*wide, 0.1))
    with pytest.raises(ResidualPoseError, match=r"with 9 coefficients: give --camera"):
        list(open_source(unknown))


def test_the_bags_of_librealsense(tmp_path: Path, depth_mm: np.ndarray) -> None:
    """Its topics, its unit as an option, and four bytes too many behind each image."""
    store, path = get_typestore(Stores.ROS1_NOETIC), tmp_path / "realsense.bag"
    names = {"/cam/depth/image": "/device_0/sensor_0/Depth_0/image/data",
             "/cam/depth/camera_info": "/device_0/sensor_0/Depth_0/info/camera_info"}  # fmt: skip
    with Writer1(path) as bag:
        option = bag.add_connection(
            "/device_0/sensor_0/option/Depth_Units/value", "std_msgs/msg/Float32", typestore=store
        )
        unit = store.types["std_msgs/msg/Float32"](0.00025)
        bag.write(option, TIMES_NS[0], store.serialize_ros1(unit, "std_msgs/msg/Float32"))
        topics: dict[str, Any] = {}
        for topic, kind, time_ns, message in messages(store, depth_mm * 4, "mono16", True):
            if topic in names:
                if topic not in topics:
                    topics[topic] = bag.add_connection(names[topic], kind, typestore=store)
                tail = b"\0\0\0\0" if kind == IMAGE else b""
                raw = bytes(store.serialize_ros1(message, kind)) + tail
                bag.write(topics[topic], time_ns, raw)
    check(path, depth_mm)


def test_a_bag_without_depth_says_what_it_has(tmp_path: Path, depth_mm: np.ndarray) -> None:
    path = write1(tmp_path / "walk.bag", depth_mm, "bgr16")
    with pytest.raises(ResidualPoseError, match=r"found /cam/color/image \(rgb8\), /cam/depth"):
        list(open_source(path))
    with pytest.raises(UsageError, match="none of its 3 frames"):
        list(open_source(f"{write1(tmp_path / 'b.bag', depth_mm, '16UC1')}:7:9"))


def test_a_broken_bag_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "a.bag").write_bytes(b"no bag")
    with pytest.raises(ResidualPoseError, match=r"a\.bag: expected a ROS bag"):
        list(open_source(tmp_path / "a.bag"))
