"""Poses as files: JSON, COCO results, and the JSON lines of a run (schema "residualpose/1").

`results.schema.json`, beside this file, describes both kinds of line.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import IO

import numpy as np

from residualpose.errors import ResidualPoseError, UsageError
from residualpose.frames import DepthFrame
from residualpose.poses import Origin, Poses
from residualpose.skeleton import ITOP15, Skeleton

SCHEMA = "residualpose/1"

_PIXEL_DIGITS, _METRE_DIGITS, _SCORE_DIGITS = 2, 4, 4  # 0.01 px and 0.1 mm: below any sensor


class UnwritableError(ResidualPoseError):
    """Results cannot be written: no use in going on with the next file."""


def poses_to_dict(poses: Poses) -> dict[str, object]:
    """JSON-ready camera and `persons` of one frame; None for NaN."""
    return {
        "camera": poses.camera.to_dict(),
        "persons": [
            {
                "id": int(poses.person_id[person]),
                "score": _numbers(poses.person_score[person], _SCORE_DIGITS),
                "joints_px": _numbers(poses.joints_px[person], _PIXEL_DIGITS),
                "joints_m": _numbers(poses.joints_m[person], _METRE_DIGITS),
                "joint_score": _numbers(poses.joint_score[person], _SCORE_DIGITS),
                "origin": poses.origin[person].tolist(),
            }
            for person in range(len(poses))
        ],
    }


def poses_to_coco(poses: Poses, image_id: int = 0) -> list[dict[str, object]]:
    """COCO keypoint results, one dict a person: keypoints is x, y, v for each joint.

    v is 2 where the depth was measured, 1 where the joint was guessed, 0 where it is absent (then
    x = y = 0, as COCO has it).
    """
    seen = np.isfinite(poses.joints_px).all(axis=-1) & (poses.origin != Origin.ABSENT)
    visibility = np.where(seen, np.where(poses.origin == Origin.MEASURED, 2, 1), 0)
    joints_px = np.where(seen[..., None], poses.joints_px, 0)
    keypoints = np.concatenate([joints_px, visibility[..., None]], axis=-1)
    return [
        {
            "image_id": image_id,
            "category_id": 1,
            "keypoints": _numbers(keypoints[person].reshape(-1), _PIXEL_DIGITS),
            "num_keypoints": int(seen[person].sum()),
            "score": _numbers(poses.person_score[person], _SCORE_DIGITS),
        }
        for person in range(len(poses))
    ]


def save_poses(poses: Poses, path: Path) -> Path:
    """Write the people of one frame as a JSON file; a file that is there is replaced whole.

    Raises:
        UsageError: the name does not end in .json.
        UnwritableError: the folder is missing or cannot be written.
    """
    if path.suffix.lower() != ".json":
        raise UsageError(f"{path}: expected a name that ends in .json, found {path.suffix!r}")
    header = {**_common_header(poses.skeleton), **poses_to_dict(poses)}
    with replacing(path) as stream:
        stream.write(_line(header).encode())
    return path


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A stream whose content becomes `path` at the end, and only if nothing went wrong."""
    temporary = None
    try:
        with _temporary_beside(path) as stream:
            temporary = Path(stream.name)
            yield stream
        temporary.replace(path)
    except OSError as error:
        raise _unwritable(path, error) from None
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


class JsonlWriter:
    """A header line and then a line a frame, moved to its final name when the run is over.

    A run that did not go through keeps its complete lines: under the final name, or, if results of
    an earlier run stand there, as NAME.partial.jsonl beside them. A run without a frame leaves
    everything as it was.
    """

    def __init__(
        self,
        path: Path,
        model: Mapping[str, object],
        skeleton: Skeleton = ITOP15,
        overwrite: bool = False,
        **extra: object,
    ) -> None:
        """Prepare to write; nothing is on disk before the first frame.

        Args:
            path: Final name, such as DIR/poses.jsonl.
            model: "name" and "sha256" of the model.
            skeleton: Of all poses to come.
            overwrite: Replace an earlier file at the end of a successful run.
            **extra: Further JSON-ready entries of the header line.

        Raises:
            UsageError: the file exists and `overwrite` is off.
        """
        if path.exists() and not overwrite:
            raise UsageError(f"{path}: already there; choose another folder or add --overwrite")
        self.path = path
        self.frames = 0
        self._header = {**_common_header(skeleton), "model": dict(model), **extra}
        self._stream: IO[bytes] | None = None
        self._complete_bytes = 0

    def __enter__(self) -> JsonlWriter:
        return self

    def write(self, frame: DepthFrame, poses: Poses) -> None:
        """Append one frame's people."""
        people = poses_to_dict(poses)
        camera = {**frame.camera.to_dict(), "width": frame.width, "height": frame.height}
        line = {
            "source": frame.source,
            "frame": frame.index,
            "time_s": frame.time_s,
            "camera": camera,
            "persons": people["persons"],
        }
        try:
            if self._stream is None:
                self._stream = _temporary_beside(self.path)
                self._stream.write(_line(self._header).encode())
            self._stream.write(_line(line).encode())
            self._stream.flush()
        except OSError as error:
            raise _unwritable(self.path, error) from None
        self._complete_bytes = self._stream.tell()
        self.frames += 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close(complete=kind is None)

    def close(self, complete: bool) -> None:
        """Give the file its name; only a complete run takes the place of an earlier one."""
        if self._stream is None:
            return
        temporary = Path(self._stream.name)
        with suppress(OSError):  # what a full disk did not take was never a complete line
            self._stream.close()
        self._stream = None
        if not self.frames:
            temporary.unlink()
            return
        os.truncate(temporary, self._complete_bytes)
        if not complete and self.path.exists():
            self.path = self.path.with_suffix(".partial.jsonl")
        temporary.replace(self.path)


def _common_header(skeleton: Skeleton) -> dict[str, object]:
    return {
        "schema": SCHEMA,
        "skeleton": skeleton.to_dict(),
        "units": "m",
        "frame": "camera_optical",
        "origins": {str(int(origin)): origin.name.lower() for origin in Origin},
    }


def _numbers(values: np.ndarray, digits: int) -> object:
    """Nested lists of rounded floats, None for NaN."""
    rounded = np.asarray(np.round(np.asarray(values, dtype=np.float64), digits))
    listed = rounded.astype(object)
    listed[~np.isfinite(rounded)] = None
    return listed.tolist()


def _unwritable(path: Path, error: OSError) -> UnwritableError:
    return UnwritableError(f"{path}: cannot be written ({error.strerror})")


def _line(data: Mapping[str, object]) -> str:
    return json.dumps(data, allow_nan=False, separators=(",", ":")) + "\n"


def _temporary_beside(path: Path) -> IO[bytes]:
    """A file in the same folder, so that moving it to `path` is one atomic step."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp").open("xb")
