"""Our own plain format: a folder of 16-bit PNG images, camera.json and labels.jsonl.

    camera.json    {"fx", "fy", "cx", "cy", "width", "height", "distortion": optional}
    labels.jsonl   a header line, then a line a frame:
        {"schema": "residualpose-labels/1", "skeleton": {"name", "joints", "limbs"} or its name,
         "units": "m", "frame": "camera_optical", "one_person": false, "depth_unit_m": 0.001}
        {"depth": "000000.png", "time_s": 0.0, "persons": [{"joints_m": [[x, y, z] or null, ...],
         "visible": [true, ...]}]}

persons null: nobody has labelled the frame, and it is left out; []: nobody is in it. Without
`visible` it is told from the depth image. `residualpose predict FOLDER` reads the images as well.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from residualpose.camera import Camera
from residualpose.datasets.cloud import seen_in_depth
from residualpose.datasets.dataset import Sample
from residualpose.datasets.faults import outside_frame
from residualpose.errors import ResidualPoseError, UsageError
from residualpose.frames import DepthFrame
from residualpose.skeleton import SKELETONS, Skeleton
from residualpose.sources.images import read_image

SCHEMA = "residualpose-labels/1"
CAMERA_FILE, LABEL_FILE = "camera.json", "labels.jsonl"


@dataclass(frozen=True, slots=True)
class PlainLabel:
    """One labelled line."""

    depth: str
    """Name of the image in the folder."""
    joints_m: np.ndarray
    """(P, 15, 3) metres, camera frame; NaN where null."""
    visible: np.ndarray | None
    """(P, 15) bool, where the line tells."""
    time_s: float | None
    sensor: str
    view: str


@dataclass(frozen=True, slots=True)
class PlainDataset:
    """A folder in the plain format."""

    path: Path
    camera: Camera
    size: tuple[int, int]
    """Width and height of every image."""
    skeleton: Skeleton
    one_person: bool
    unit_m: float
    """Metres per stored unit."""
    labels: tuple[PlainLabel, ...]
    unlabelled: int
    """Frames that nobody has labelled."""
    kind: str = "plain"

    def __len__(self) -> int:
        return len(self.labels)

    def frames(self, indices: Iterable[int] | None = None) -> Iterator[Sample]:
        """Labelled frames by number; see `Dataset.frames`."""
        for i in range(len(self)) if indices is None else indices:
            label = self.labels[i]
            path = self.path / label.depth
            values = next(read_image(path).read(range(1))).values
            if values.shape[::-1] != self.size:
                raise ResidualPoseError(
                    f"{path}: expected {self.size[0]}x{self.size[1]}, as in {CAMERA_FILE}, found "
                    f"{values.shape[1]}x{values.shape[0]}"
                )
            depth_m = values.astype(np.float32) * np.float32(self.unit_m)
            frame = DepthFrame(depth_m, self.camera, str(path), i, label.time_s)
            visible = label.visible
            if visible is None:
                visible = seen_in_depth(frame, label.joints_m)
            yield Sample(frame, label.joints_m, visible, label.sensor, label.view)

    def about(self) -> dict[str, str]:
        """See `Dataset.about`."""
        return {
            "files": f"{LABEL_FILE}, {CAMERA_FILE} and images",
            "frames": f"{len(self) + self.unlabelled}, {len(self)} of them labelled",
        }

    def faults(self) -> list[str]:
        """See `Dataset.faults`."""
        told = [label for label in self.labels if label.visible is not None]
        joints_m = np.concatenate([label.joints_m for label in told] or [np.zeros((0, 15, 3))])
        visible = [label.visible for label in told if label.visible is not None]
        asked = np.concatenate(visible or [np.zeros((0, 15), bool)])
        names = [label.depth for label in told for _ in label.joints_m]
        missing = [x.depth for x in self.labels if not (self.path / x.depth).is_file()]
        found = outside_frame(
            joints_m, asked, self.camera, self.size, 0, self.skeleton, lambda i: names[i]
        )
        if missing:
            found.append(f"{len(missing)} images are not there, first {missing[0]}")
        return found


def open_plain(path: Path) -> PlainDataset:
    """Open a folder, or its labels.jsonl.

    Raises:
        UsageError: there are no labels, or no camera.
        ResidualPoseError: a line is not as it should be, or no frame is labelled.
    """
    folder = path if path.is_dir() else path.parent
    labels, camera_file = folder / LABEL_FILE, folder / CAMERA_FILE
    if not labels.is_file():
        raise UsageError(f"{folder}: expected {LABEL_FILE}, found none")
    if not camera_file.is_file():
        raise ResidualPoseError(
            f'{camera_file}: expected {{"fx": , "fy": , "cx": , "cy": , "width": , "height": }}, '
            "found no such file"
        )
    camera = Camera.load(camera_file)
    rows = _lines(labels)
    where, header = next(rows, ("", None))
    if not isinstance(header, dict) or header.get("schema") != SCHEMA:
        raise ResidualPoseError(f'{labels}: expected a first line with "schema": "{SCHEMA}"')
    skeleton, order = _skeleton(where, header)
    parsed = [_label(where, line, order) for where, line in rows]
    known = tuple(label for label in parsed if label is not None)
    if not known:
        raise ResidualPoseError(
            f"{labels}: expected labelled frames, found none in {len(parsed)} lines"
        )
    return PlainDataset(
        folder, camera, _size(camera_file), skeleton, bool(header.get("one_person", False)),
        _unit(where, header), known, len(parsed) - len(known),
    )  # fmt: skip


def _lines(path: Path) -> Iterator[tuple[str, Any]]:
    """Where each line is, and what it holds."""
    where = str(path)
    try:
        with path.open(encoding="utf-8") as stream:
            for number, text in enumerate(stream, 1):
                where = f"{path}: line {number}"
                yield where, json.loads(text, parse_constant=_no_number)
    except (OSError, ValueError) as error:
        raise ResidualPoseError(f"{where}: expected a JSON object, found {error}") from None


def _no_number(name: str) -> float:
    raise ValueError(f"{name}, which is no number: a joint that is not known is null")


def _skeleton(where: str, header: dict[str, Any]) -> tuple[Skeleton, list[int]]:
    """The skeleton, and for each of its joints the column of the file."""
    stored = header.get("skeleton", "itop15")
    names = stored.get("joints") if isinstance(stored, dict) else None
    for known in SKELETONS.values():
        if isinstance(names, list) and sorted(map(str, names)) == sorted(known.joints):
            return known, [names.index(joint) for joint in known.joints]
    try:
        return Skeleton.from_json(stored), list(range(15))
    except ResidualPoseError as error:
        raise ResidualPoseError(f"{where}: {error}") from None


def _unit(where: str, header: dict[str, Any]) -> float:
    unit = header.get("depth_unit_m", 0.001)
    if not isinstance(unit, (int, float)) or not 0 < unit < 1:
        raise ResidualPoseError(f"{where}: expected depth_unit_m in metres, found {unit!r}")
    return float(unit)


def _size(path: Path) -> tuple[int, int]:
    data = json.loads(path.read_text(encoding="utf-8"))
    size = data.get("width"), data.get("height")
    if not all(isinstance(side, int) and side > 0 for side in size):
        raise ResidualPoseError(f"{path}: expected width and height in pixels, found {size}")
    return size


def _label(where: str, line: Any, order: list[int]) -> PlainLabel | None:
    """One line; None where nobody has labelled it."""
    if not isinstance(line, dict) or not isinstance(line.get("depth"), str):
        raise ResidualPoseError(
            f"{where}: expected depth, the name of an image, found {line!r:.80}"
        )
    persons = line.get("persons")
    if persons is None:
        return None
    if not isinstance(persons, list) or not all(isinstance(one, dict) for one in persons):
        raise ResidualPoseError(f"{where}: expected persons as a list of objects")
    joints = [_joints(where, one.get("joints_m"), order) for one in persons]
    told = [one.get("visible") for one in persons]
    if any(v is not None for v in told) and not all(
        isinstance(v, list) and len(v) == len(order) for v in told
    ):
        raise ResidualPoseError(f"{where}: expected visible with {len(order)} truth values for all")
    visible = None
    if persons and told[0] is not None:
        visible = np.array(told, bool)[:, order]
    return PlainLabel(
        line["depth"], np.array(joints, np.float64).reshape(-1, len(order), 3), visible,
        line.get("time_s"), str(line.get("sensor", "")), str(line.get("view", "")),
    )  # fmt: skip


def _joints(where: str, stored: Any, order: list[int]) -> np.ndarray:
    """(15, 3) in the order of the skeleton, NaN where null."""
    if not isinstance(stored, list) or len(stored) != len(order):
        found = len(stored) if isinstance(stored, list) else repr(stored)
        raise ResidualPoseError(f"{where}: expected joints_m of {len(order)} joints, found {found}")
    try:
        rows = [[np.nan] * 3 if joint is None else joint for joint in stored]
        joints_m = np.array(rows, np.float64)
    except (TypeError, ValueError):
        joints_m = np.zeros(0)
    if joints_m.shape != (len(order), 3) or np.isinf(joints_m).any():
        raise ResidualPoseError(f"{where}: expected each joint as [x, y, z] in metres, or null")
    return joints_m[order]
