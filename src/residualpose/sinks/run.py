"""A run read back from its journal, for the files that are made of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from residualpose.camera import Camera
from residualpose.errors import ResidualPoseError
from residualpose.poses import Poses
from residualpose.sinks.journal import read_frames, read_header
from residualpose.skeleton import Skeleton

if TYPE_CHECKING:
    from residualpose.sources import FrameSource


@dataclass(frozen=True, slots=True)
class FrameRecord:
    """One line of a journal."""

    source: str
    index: int
    """Number of the frame in its source."""
    time_s: float | None
    size: tuple[int, int]
    """Width and height of the depth image, pixels."""
    ids: tuple[int, ...]
    """One a person."""
    poses: Poses
    """As written: pixels to 0.01, metres to 0.0001; the covariance is NaN."""


@dataclass(frozen=True)
class Run:
    """The results of a run, read from its journal as often as needed."""

    journal: Path
    depth: Sequence[FrameSource] = ()
    """Where its depth images came from, for pictures."""
    fps: float = 30.0
    """Frames a second where a recording holds no times."""

    @cached_property
    def header(self) -> dict[str, Any]:
        """The first line."""
        return read_header(self.journal)

    @cached_property
    def skeleton(self) -> Skeleton:
        """Of all people."""
        return Skeleton.from_json(self.header["skeleton"])

    def frames(self) -> Iterator[FrameRecord]:
        """Every frame in order.

        Raises:
            ResidualPoseError: a line that is no frame.
        """
        for line in read_frames(self.journal):
            try:
                record = _record(line, self.skeleton)
            except (KeyError, TypeError, ValueError) as error:
                raise ResidualPoseError(
                    f"{self.journal}: expected a frame of results, found {error}"
                ) from None
            yield record

    def sequence_names(self) -> dict[str, str]:
        """Name of the sequence of each source; images of one frame each belong to their folder."""
        lines = Counter(record.source for record in self.frames())
        owners = {
            source: Path(source) if count > 1 else Path(source).parent
            for source, count in lines.items()
        }
        if len(lines) == 1:
            owners = {source: Path(source) for source in lines}
        names: dict[Path, str] = {}
        for owner in owners.values():
            name, number = owner.stem or "frames", 2
            while name in (taken for path, taken in names.items() if path != owner):
                name, number = f"{owner.stem}-{number}", number + 1
            names[owner] = name
        return {source: names[owner] for source, owner in owners.items()}


def _record(line: dict[str, Any], skeleton: Skeleton) -> FrameRecord:
    """One line as arrays."""
    stored, persons = line["camera"], line["persons"]
    camera = Camera(
        stored["fx"], stored["fy"], stored["cx"], stored["cy"],
        tuple(stored.get("distortion", ())), stored.get("name", ""),
    )  # fmt: skip
    people, joints = len(persons), len(skeleton.joints)
    ids = tuple(person["id"] for person in persons)

    def column(key: str, *shape: int) -> np.ndarray:
        values = np.array([person[key] for person in persons], dtype=np.float32)  # None is NaN
        return values.reshape(people, *shape)

    poses = Poses(
        column("joints_px", joints, 2), column("joints_m", joints, 3),
        column("joint_score", joints), column("score"), column("origin", joints),
        np.full((people, joints, 3, 3), np.nan), camera, skeleton,
        np.array(ids, np.int64),
    )  # fmt: skip
    return FrameRecord(
        line["source"], line["frame"], line["time_s"], (stored["width"], stored["height"]),
        ids, poses,
    )  # fmt: skip
