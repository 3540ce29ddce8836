"""Writes the plain format frame by frame; what it is, `plain` says."""

from __future__ import annotations

import json
from pathlib import Path
from types import TracebackType
from typing import IO

import numpy as np

from residualpose.datasets.plain import CAMERA_FILE, LABEL_FILE, SCHEMA
from residualpose.errors import UsageError
from residualpose.frames import DepthFrame
from residualpose.results import replacing
from residualpose.skeleton import ITOP15, Skeleton

_FARTHEST_MM = 65535
_DIGITS = 4


class PlainWriter:
    """A folder that grows by an image and a line a frame; readable whenever the writing ends."""

    def __init__(self, folder: Path, skeleton: Skeleton = ITOP15, one_person: bool = False) -> None:
        """Make the folder.

        Args:
            folder: must not hold labels yet.
            skeleton: of all joints to come.
            one_person: the labels know one person a frame, whoever else is in it.

        Raises:
            UsageError: it holds labels already.
            OSError: it cannot be made or written.
        """
        if (folder / LABEL_FILE).exists():
            raise UsageError(f"{folder / LABEL_FILE}: already there; choose another folder")
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.count = 0
        self._camera: dict[str, object] | None = None
        self._joints = len(skeleton.joints)
        self._lines: IO[str] = (folder / LABEL_FILE).open("x", encoding="utf-8")
        self._line(
            {
                "schema": SCHEMA, "skeleton": skeleton.to_dict(), "units": "m",
                "frame": "camera_optical", "one_person": one_person, "depth_unit_m": 0.001,
            }
        )  # fmt: skip

    def __enter__(self) -> PlainWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._lines.close()

    def add(
        self,
        frame: DepthFrame,
        joints_m: np.ndarray | None = None,
        visible: np.ndarray | None = None,
        sensor: str = "",
        view: str = "",
    ) -> Path:
        """Append a frame; returns its image.

        Args:
            frame: the first one's camera and size are those of all; readings beyond 65 m are lost.
            joints_m: (P, 15, 3) metres, camera frame, NaN unknown; None: nobody has labelled it.
            visible: (P, 15) bool; None: to be told from the depth.
            sensor: kind of sensor, or empty.
            view: kind of camera placement, or empty.

        Raises:
            UsageError: another camera or size than before.
            ValueError: arrays of another shape.
        """
        self._keep_camera(frame)
        name = f"{self.count:06d}.png"
        _save(self.folder / name, frame.depth_m)
        line: dict[str, object] = {"depth": name, "persons": None}
        if joints_m is not None:
            line["persons"] = self._persons(np.asarray(joints_m), visible)
        if frame.time_s is not None:
            line["time_s"] = frame.time_s
        line |= {key: text for key, text in (("sensor", sensor), ("view", view)) if text}
        self._line(line)
        self.count += 1
        return self.folder / name

    def _persons(self, joints_m: np.ndarray, visible: np.ndarray | None) -> list[dict[str, object]]:
        shape = (len(joints_m), self._joints)
        if joints_m.shape != (*shape, 3) or (visible is not None and visible.shape != shape):
            raise ValueError(f"joints_m: expected (P, {self._joints}, 3), got {joints_m.shape}")
        persons = []
        for p, joints in enumerate(joints_m.astype(np.float64).round(_DIGITS)):
            known = np.isfinite(joints).all(-1)
            rows = [
                xyz if there else None for xyz, there in zip(joints.tolist(), known, strict=True)
            ]
            person: dict[str, object] = {"joints_m": rows}
            if visible is not None:
                person["visible"] = visible[p].astype(bool).tolist()
            persons.append(person)
        return persons

    def _keep_camera(self, frame: DepthFrame) -> None:
        camera = {**frame.camera.to_dict(), "width": frame.width, "height": frame.height}
        if self._camera is None:
            with replacing(self.folder / CAMERA_FILE) as stream:
                stream.write((json.dumps(camera, indent=2) + "\n").encode())
            self._camera = camera
        elif self._camera != camera:
            raise UsageError(
                f"{self.folder}: one folder is of one camera: frame {self.count} has another "
                "camera or size than the first"
            )

    def _line(self, line: dict[str, object]) -> None:
        self._lines.write(json.dumps(line, allow_nan=False, separators=(",", ":")) + "\n")
        self._lines.flush()


def _save(path: Path, depth_m: np.ndarray) -> None:
    from PIL import Image

    millimetres = np.round(depth_m.astype(np.float64) * 1000)
    millimetres[millimetres > _FARTHEST_MM] = 0
    with replacing(path) as stream:
        Image.fromarray(millimetres.astype(np.uint16)).save(stream, "PNG")
