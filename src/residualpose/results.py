"""Poses as JSON: one frame, COCO results, and the lines of a run (schema "residualpose/1").

`results.schema.json`, beside this file, describes both kinds of line.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np

from residualpose.errors import ResidualPoseError, UsageError
from residualpose.frames import DepthFrame
from residualpose.poses import Origin, Poses
from residualpose.skeleton import Skeleton

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
        stream.write(json_line(header))
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
        raise unwritable(path, error) from None
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def header_line(
    model: Mapping[str, object], skeleton: Skeleton, **extra: object
) -> dict[str, object]:
    """The first line of a run: what all frames share."""
    return {**_common_header(skeleton), "model": dict(model), **extra}


def frame_line(frame: DepthFrame, poses: Poses) -> dict[str, object]:
    """The line of one frame."""
    return {
        "source": frame.source,
        "frame": frame.index,
        "time_s": frame.time_s,
        "camera": {**frame.camera.to_dict(), "width": frame.width, "height": frame.height},
        "persons": poses_to_dict(poses)["persons"],
    }


def json_line(data: Mapping[str, object]) -> bytes:
    """Compact JSON and a line end."""
    return (json.dumps(data, allow_nan=False, separators=(",", ":")) + "\n").encode()


def unwritable(path: Path, error: OSError) -> UnwritableError:
    """What to say of a file that the system did not take."""
    return UnwritableError(f"{path}: cannot be written ({error.strerror})")


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


def _temporary_beside(path: Path) -> IO[bytes]:
    """A file in the same folder, so that moving it to `path` is one atomic step."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp").open("xb")
