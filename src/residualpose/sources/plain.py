"""Our own recordings: 16-bit PNG images, camera.json and labels.jsonl in a folder or a tar.

The lines of labels.jsonl give the order and the times; without that file the images come in the
order of their names. `datasets.plain` describes the format; here labels do not matter.
"""

from __future__ import annotations

import json
import re
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Any

from residualpose.camera import Camera
from residualpose.errors import ResidualPoseError
from residualpose.sources.images import decode_image
from residualpose.sources.raw import RawDepth, Recording, reading

CAMERA_FILE, LABEL_FILE = "camera.json", "labels.jsonl"

BROKEN_TAR = (tarfile.TarError, EOFError, zlib.error)


@dataclass(frozen=True, slots=True)
class PlainImage:
    """One line: an image and when it was taken."""

    name: str
    time_s: float | None = None


def is_plain_folder(path: Path) -> bool:
    """Whether the images of a folder are one recording."""
    return (path / LABEL_FILE).is_file() and (path / CAMERA_FILE).is_file()


def read_plain_folder(path: Path) -> Recording:
    """Open a folder with camera.json and labels.jsonl."""
    with reading(path, "a folder of depth images", UnicodeDecodeError):
        text = (path / LABEL_FILE).read_text(encoding="utf-8")
    images, unit_m = images_of(path / LABEL_FILE, text)
    camera = Camera.load(path / CAMERA_FILE)

    def frames(indices: range) -> Iterator[RawDepth]:
        for index in indices:
            file = path / images[index].name
            with reading(file, "a depth image"), file.open("rb") as stream:
                values = decode_image(file, stream)
            yield RawDepth(values, index, camera, unit_m, images[index].time_s)

    return Recording(len(images), frames)


def read_tar(path: Path) -> Recording:
    """Open a .tar, .tar.gz or .tgz of such a folder, or of images beside a camera.json."""
    with reading(path, "a tar of depth images", *BROKEN_TAR), tarfile.open(path) as archive:
        names = {member.name: member for member in archive.getmembers() if member.isfile()}

        def text_of(ending: str) -> str | None:
            name = next((name for name in names if PurePosixPath(name).name == ending), None)
            stream = archive.extractfile(names[name]) if name else None
            return stream.read().decode() if stream else None

        labels, stored = text_of(LABEL_FILE), text_of(CAMERA_FILE)
    camera = camera_from_text(path, stored) if stored is not None else None
    images, unit_m = images_of(path, labels) if labels is not None else (_by_name(names), None)
    full = {PurePosixPath(name).name: name for name in names}
    members = [names.get(image.name) or names.get(full.get(image.name, "")) for image in images]
    for image, member in zip(images, members, strict=True):
        if member is None:
            raise ResidualPoseError(f"{path}: expected {image.name}, as {LABEL_FILE} says")
    if not images:
        raise ResidualPoseError(f"{path}: expected .png depth images, found none")

    def frames(indices: range) -> Iterator[RawDepth]:
        with reading(path, "a tar of depth images", *BROKEN_TAR), tarfile.open(path) as archive:
            for index in indices:
                stream = archive.extractfile(members[index])  # type: ignore[arg-type]
                values = decode_image(path, BytesIO(stream.read() if stream else b""))
                yield RawDepth(values, index, camera, unit_m, images[index].time_s)

    return Recording(len(images), frames)


def camera_from_text(path: Path, text: str) -> Camera:
    """The camera.json inside of `path`.

    Raises:
        ResidualPoseError: it holds no camera.
    """
    try:
        data = json.loads(text)
        distortion = tuple(data.get("distortion", ()))
        return Camera(data["fx"], data["fy"], data["cx"], data["cy"], distortion, CAMERA_FILE)
    except (ValueError, KeyError, TypeError, ResidualPoseError) as error:
        raise ResidualPoseError(
            f"{path}: {CAMERA_FILE}: expected a camera, found {error}"
        ) from None


def images_of(where: Path, text: str) -> tuple[list[PlainImage], float]:
    """The images in the order of their lines, and metres per stored unit; a torn end is left."""
    whole = text.splitlines(keepends=True)
    lines = [_parsed(where, number, line) for number, line in enumerate(whole, 1)
             if line.endswith("\n")]  # fmt: skip
    if not lines or not str(lines[0].get("schema", "")).startswith("residualpose-labels/"):
        raise ResidualPoseError(f"{where}: expected a header line of {LABEL_FILE}, found none")
    unit_m = lines[0].get("depth_unit_m", 0.001)
    if not isinstance(unit_m, int | float) or not 0 < unit_m < 1:
        raise ResidualPoseError(f"{where}: expected depth_unit_m in metres, found {unit_m!r}")
    images = []
    for line in lines[1:]:
        name, time_s = line.get("depth"), line.get("time_s")
        if not isinstance(name, str) or not isinstance(time_s, int | float | None):
            raise ResidualPoseError(f"{where}: expected depth and time_s, found {line!r:.80}")
        images.append(PlainImage(name, time_s))
    if not images:
        raise ResidualPoseError(f"{where}: expected at least one frame, found none")
    return images, float(unit_m)


def _parsed(where: Path, number: int, line: str) -> dict[str, Any]:
    try:
        data = json.loads(line)
    except ValueError as error:
        raise ResidualPoseError(f"{where}: line {number}: expected JSON, found {error}") from None
    if not isinstance(data, dict):
        raise ResidualPoseError(f"{where}: line {number}: expected a JSON object, found {line:.40}")
    return data


def natural_order(name: str) -> list[tuple[int, str]]:
    """Sort key of names: 9.png before 10.png."""
    parts = re.split(r"(\d+)", name)
    return [(int(part), "") if part.isdigit() else (-1, part.lower()) for part in parts]


def _by_name(names: dict[str, tarfile.TarInfo]) -> list[PlainImage]:
    images = (name for name in names if name.lower().endswith(".png"))
    return [PlainImage(name) for name in sorted(images, key=natural_order)]
