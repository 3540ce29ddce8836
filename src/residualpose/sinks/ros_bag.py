"""ROS 2 bags with the people of a run, sqlite or mcap; needs the ros extra, no ROS.

What is on which topic, `rep155` says. Message definitions go into the bag, hri_msgs' too.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np

from residualpose.errors import MissingExtraError
from residualpose.results import unwritable
from residualpose.sinks.rep155 import (
    MARKERS,
    TRACKED,
    Link,
    body_name,
    body_topic,
    links,
    marks,
    region,
    skeleton_2d,
)
from residualpose.sinks.run import FrameRecord, Run

FRAME_ID = "camera_optical_frame"

# Written after REP 155 and the constants of hri_msgs 2: rosbags does not know them.
HRI_MESSAGES = {
    "hri_msgs/msg/IdsList": "std_msgs/Header header\nstring[] ids\n",
    "hri_msgs/msg/NormalizedPointOfInterest2D": "float32 x\nfloat32 y\nfloat32 c\n",
    "hri_msgs/msg/Skeleton2D": (
        "std_msgs/Header header\nhri_msgs/NormalizedPointOfInterest2D[18] skeleton\n"
    ),
}

_LINE_LIST, _SPHERE_LIST, _TEXT, _DELETE_ALL = 5, 7, 9, 3

Message = tuple[str, str, dict[str, Any]]
"""Topic, kind, and the fields that are not 0."""


def write_db3(run: Run, base: Path) -> None:
    """Write the folders BASE_SEQUENCE_db3; raises MissingExtraError without rosbags."""
    _write(run, base, "SQLITE3", "db3")


def write_mcap(run: Run, base: Path) -> None:
    """Write the folders BASE_SEQUENCE_mcap; raises MissingExtraError without rosbags."""
    _write(run, base, "MCAP", "mcap")


def _write(run: Run, base: Path, plugin: str, ending: str) -> None:
    names = run.sequence_names()
    for name in dict.fromkeys(names.values()):
        records = (record for record in run.frames() if names[record.source] == name)
        folder = base.with_name(f"{base.name}_{name}_{ending}")
        try:
            temporary = Path(mkdtemp(prefix=f".{folder.name}.", suffix=".tmp", dir=folder.parent))
            try:
                # The bag calls its file as its folder: it has the right name from the start.
                _write_bag(temporary / folder.name, records, run.fps, plugin)
                shutil.rmtree(folder, ignore_errors=True)
                (temporary / folder.name).replace(folder)
            finally:
                shutil.rmtree(temporary, ignore_errors=True)
        except OSError as error:
            raise unwritable(folder, error) from None


def _write_bag(path: Path, records: Iterator[FrameRecord], fps: float, plugin: str) -> None:
    try:
        from rosbags.rosbag2 import StoragePlugin, Writer
        from rosbags.typesys import Stores, get_types_from_msg, get_typestore
    except ImportError:
        raise MissingExtraError("rosbags", "ros") from None
    store = get_typestore(Stores.ROS2_HUMBLE)
    for kind, text in HRI_MESSAGES.items():
        store.register(get_types_from_msg(text, kind))
    topics: dict[str, Any] = {}
    with Writer(path, version=9, storage_plugin=StoragePlugin[plugin]) as bag:
        for number, record in enumerate(records):
            time_s = number / fps if record.time_s is None else record.time_s
            # A float of today's time is exact to a quarter of a microsecond: add what is below 1 s.
            time_ns = int(time_s) * 10**9 + round(time_s % 1 * 1e9)
            for topic, kind, fields in _messages(record, time_ns):
                if topic not in topics:
                    topics[topic] = bag.add_connection(topic, kind, typestore=store)
                bag.write(topics[topic], time_ns, store.serialize_cdr(filled(store, kind, fields),
                                                                      kind))  # fmt: skip


def _messages(record: FrameRecord, time_ns: int) -> Iterator[Message]:
    """All of one frame."""
    header = {"stamp": dict(zip(("sec", "nanosec"), divmod(time_ns, 10**9), strict=True)),
              "frame_id": FRAME_ID}  # fmt: skip
    poses = record.poses
    ids = [body_name(person) for person in record.ids]
    yield TRACKED, "hri_msgs/msg/IdsList", {"header": header, "ids": ids}
    markers: list[dict[str, Any]] = [{"header": header, "action": _DELETE_ALL}]
    transforms: list[dict[str, Any]] = []
    for row, person in enumerate(record.ids):
        x, y, width, height = region(poses, row, record.size)
        box = {"x_offset": x, "y_offset": y, "width": width, "height": height}
        yield body_topic(person, "roi"), "sensor_msgs/msg/RegionOfInterest", box
        skeleton = [dict(zip("xyc", map(float, point), strict=True))
                    for point in skeleton_2d(poses, row, record.size)]  # fmt: skip
        content = {"header": header, "skeleton": skeleton}
        yield body_topic(person, "skeleton2d"), "hri_msgs/msg/Skeleton2D", content
        transforms += [_transform(link, header) for link in links(poses, row, FRAME_ID)]
        markers += _markers(record, row, header)
    yield MARKERS, "visualization_msgs/msg/MarkerArray", {"markers": markers}
    if transforms:
        yield "/tf", "tf2_msgs/msg/TFMessage", {"transforms": transforms}


def _transform(link: Link, header: dict[str, Any]) -> dict[str, Any]:
    return {
        "header": header | {"frame_id": link.parent},
        "child_frame_id": link.child,
        "transform": {"translation": _xyz(link.translation_m),
                      "rotation": dict(zip("xyzw", link.quaternion.tolist(), strict=True))},
    }  # fmt: skip


def _markers(record: FrameRecord, row: int, header: dict[str, Any]) -> list[dict[str, Any]]:
    """Joints, limbs and name of one person."""
    shown = marks(record.poses, row)
    if shown is None:
        return []
    level = {"orientation": {"w": 1.0}}
    shared = {"header": header, "id": record.ids[row], "pose": level}
    text = {"ns": "name", "type": _TEXT, "text": body_name(record.ids[row]), "scale": {"z": 0.15},
            "pose": level | {"position": _xyz(shown.name_m)},
            "color": _rgba(np.append(shown.joints_rgba[0, :3], 1.0))}  # fmt: skip
    return [
        shared | {"ns": "joints", "type": _SPHERE_LIST, "scale": _xyz(np.full(3, 0.06)),
                  "points": [_xyz(point) for point in shown.joints_m],
                  "colors": [_rgba(colour) for colour in shown.joints_rgba]},
        shared | {"ns": "limbs", "type": _LINE_LIST, "scale": {"x": 0.03},
                  "points": [_xyz(point) for point in shown.limbs_m],
                  "colors": [_rgba(colour) for colour in shown.limbs_rgba]},
        shared | text,
    ]  # fmt: skip


def _xyz(point: np.ndarray) -> dict[str, float]:
    return dict(zip("xyz", point.tolist(), strict=True))


def _rgba(colour: np.ndarray) -> dict[str, float]:
    return dict(zip("rgba", colour.tolist(), strict=True))


def filled(store: Any, kind: str, fields: Mapping[str, Any]) -> Any:
    """A message of these fields; all others are 0, empty or what 0 is to their kind."""
    _, defined = store.fielddefs[kind]
    values = {name: _value(store, node, fields.get(name)) for name, node in defined}
    return store.types[kind](**values)


def _value(store: Any, node: Any, given: Any) -> Any:
    from rosbags.interfaces import Nodetype

    tag, detail = node
    if tag == Nodetype.NAME:
        return filled(store, detail, given or {})
    if tag == Nodetype.BASE:
        name = detail[0]
        zero = {"string": "", "bool": False}.get(name, 0.0 if name.startswith("float") else 0)
        return zero if given is None else given
    element = detail[0]
    given = given or []
    if element[0] == Nodetype.BASE and element[1][0] != "string":
        return np.array(given, dtype=element[1][0])
    return [_value(store, element, item) for item in given]
