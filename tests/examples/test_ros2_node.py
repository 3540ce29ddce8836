"""The example node against a stand-in for rclpy whose messages are of ROS's own definitions."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rosbags", reason="needs the ros extra")

from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from residualpose import PoseEstimator, open_source
from residualpose.sinks.ros_bag import HRI_MESSAGES, filled

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "src/residualpose/samples/time_of_flight_two.npz"
OF_ROS = ("sensor_msgs", "std_msgs", "geometry_msgs", "visualization_msgs")


class Node:
    """What the example asks of rclpy's Node; keeps what is published."""

    def __init__(self, name: str) -> None:
        self.callbacks: dict[str, Callable[[Any], None]] = {}
        self.published: dict[str, list[Any]] = {}
        self.complaints: list[str] = []

    def create_subscription(self, kind: Any, topic: str, callback: Any, qos: Any) -> None:
        self.callbacks[topic] = callback

    def create_publisher(self, kind: Any, topic: str, qos: int) -> Any:
        sent = self.published.setdefault(topic, [])

        def publish(message: Any) -> None:
            # What ROS would send: fails on fields of another type.
            raw = kind.store.serialize_cdr(plain(message), kind.name)
            sent.append(kind.store.deserialize_cdr(raw, kind.name))

        return SimpleNamespace(publish=publish, topic=topic)

    def destroy_publisher(self, publisher: Any) -> None:
        del self.published[publisher.topic]

    def get_logger(self) -> Any:
        def note(text: str, once: bool) -> None:
            self.complaints.append(text)

        return SimpleNamespace(error=note, warning=note)


def plain(message: Any) -> Any:
    """A message of the stand-in as rosbags knows it."""
    if isinstance(message, list):
        return [plain(item) for item in message]
    return getattr(message, "stored", message)


def message_class(store: Any, name: str) -> type:
    """Takes some of a message's fields by name, as rclpy's classes do, and nothing else."""
    constants, fields = store.fielddefs[name]
    known = {field for field, _ in fields}

    def init(self: Any, **given: Any) -> None:
        assert set(given) <= known, f"{name} has no {set(given) - known}"
        self.stored = filled(store, name, {})
        for field, value in given.items():
            if isinstance(value, list) and value and isinstance(value[0], str):
                assert field == "ids"
            setattr(self.stored, field, plain(value))

    def get(self: Any, field: str) -> Any:
        return getattr(self.__dict__["stored"], field)

    body = {"__init__": init, "__getattr__": get, "store": store, "name": name}
    return type(name, (), body | {constant: value for constant, _, value in constants})


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    store = get_typestore(Stores.ROS2_HUMBLE)
    for kind, text in HRI_MESSAGES.items():
        store.register(get_types_from_msg(text, kind))
    for package in (*OF_ROS, "hri_msgs", "tf2_msgs"):
        module = ModuleType(f"{package}.msg")
        for name in store.types:
            if name.startswith(f"{package}/msg/"):
                setattr(module, name.rpartition("/")[2], message_class(store, name))
        monkeypatch.setitem(sys.modules, package, ModuleType(package))
        monkeypatch.setitem(sys.modules, f"{package}.msg", module)
    qos = {name: SimpleNamespace(KEEP_LAST=1, BEST_EFFORT=2) for name in
           ("HistoryPolicy", "ReliabilityPolicy")}  # fmt: skip
    for name, content in (
        ("rclpy", {}), ("rclpy.node", {"Node": Node}),
        ("rclpy.qos", qos | {"QoSProfile": SimpleNamespace}),
    ):  # fmt: skip
        module = ModuleType(name)
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, name, module)
    spec = importlib.util.spec_from_file_location("ros2_node", ROOT / "examples/ros2_node.py")
    assert spec is not None and spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    node = example.PeopleNode(PoseEstimator(), smooth=0.0)
    node.example, node.store = example, store
    yield node


def image(node: Any, depth_mm: np.ndarray, time_ns: int) -> Any:
    height, width = depth_mm.shape
    stamp = node.store.types["builtin_interfaces/msg/Time"](*divmod(time_ns, 10**9))
    header = node.example.Header(stamp=stamp, frame_id="depth_optical")
    data = np.frombuffer(depth_mm.astype("<u2").tobytes(), np.uint8)
    return node.example.Image(header=header, height=height, width=width, encoding="16UC1",
                              step=2 * width, data=data)  # fmt: skip


def test_people_of_a_rendered_frame_are_published(node: Any) -> None:
    stored = np.load(SAMPLE)
    (frame,) = open_source(SAMPLE)
    expected = PoseEstimator()(frame)
    node.callbacks["image"](image(node, stored["depth_mm"], 1))
    assert node.complaints == ["no camera_info yet"]
    info = node.example.CameraInfo(k=stored["K"].ravel(), distortion_model="plumb_bob")
    node.callbacks["camera_info"](info)
    for number in range(4):  # somebody new is believed after a few frames
        node.callbacks["image"](image(node, stored["depth_mm"], 10**9 + number * 33_000_000))
    assert node.complaints == ["no camera_info yet"]
    tracked = node.published["/humans/bodies/tracked"][-1]
    assert (tracked.header.stamp.sec, tracked.header.stamp.nanosec) == (1, 99_000_000)
    assert tracked.header.frame_id == "depth_optical"
    assert len(tracked.ids) == len(expected) >= 2
    size = np.array([stored["depth_mm"].shape[1], stored["depth_mm"].shape[0]])
    necks = (expected.joints_px[:, expected.skeleton.index("neck")] + 0.5) / size
    found = []
    for body in tracked.ids:
        (*_, skeleton) = node.published[f"/humans/bodies/{body}/skeleton2d"]
        assert len(skeleton.skeleton) == 18
        found.append([skeleton.skeleton[1].x, skeleton.skeleton[1].y])
    order = np.lexsort(necks.T), np.lexsort(np.array(found).T)
    np.testing.assert_allclose(np.array(found)[order[1]], necks[order[0]], atol=1e-4)
    check_3d(node, expected, tracked.ids)


def check_3d(node: Any, expected: Any, ids: list[str]) -> None:
    """Markers hold the joints of the estimate in metres; every body has its frame."""
    shown = node.published["/humans/bodies/markers"][-1].markers
    joints = [marker for marker in shown if marker.ns == "joints"]
    points = np.array([[p.x, p.y, p.z] for marker in joints for p in marker.points])
    truth = expected.joints_m[np.isfinite(expected.joints_m).all(-1)]
    assert len(points) == len(truth)
    assert np.linalg.norm(points[:, None] - truth, axis=-1).min(1).max() < 1e-4
    frames = {one.child_frame_id for one in node.published["/tf"][-1].transforms}
    assert {f"body_{body}" for body in ids} <= frames


def test_who_has_left_is_forgotten_and_bad_images_are_told(node: Any) -> None:
    stored = np.load(SAMPLE)
    node.callbacks["camera_info"](node.example.CameraInfo(k=stored["K"].ravel()))
    for number in range(4):
        node.callbacks["image"](image(node, stored["depth_mm"], number * 33_000_000))
    empty = np.zeros_like(stored["depth_mm"])
    assert any(topic.endswith("skeleton2d") for topic in node.published)
    for time_s in (1, 9):
        node.callbacks["image"](image(node, empty, time_s * 10**9))
    assert node.published["/humans/bodies/tracked"][-1].ids == []
    assert not any(topic.endswith("skeleton2d") for topic in node.published)
    colour = image(node, empty, 10 * 10**9)
    colour.stored.encoding = "rgb8"
    node.callbacks["image"](colour)
    assert node.complaints == ["image: expected 16UC1, mono16, 32FC1, found rgb8"]
