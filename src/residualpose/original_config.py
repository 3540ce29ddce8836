"""The original tool's JSON configuration: which files, which camera, which axes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from residualpose.camera import Camera
from residualpose.errors import UsageError
from residualpose.skeleton import ITOP15

CONVENTIONS = ("itop", "panoptic")
FILES = {
    "hourglass": "pretrained_hgpose",
    "regressor": "pretrained_respose",
    "prior_mean": "prior_mean",
    "prior_var": "prior_var",
    "input_stats": "reg3d_input_stats",
    "output_stats": "reg3d_output_stats",
}
"""Our names of the release's six files and the configuration's keys for them."""


@dataclass(frozen=True, slots=True)
class OriginalConfig:
    """A configuration file of the release, read and checked."""

    source: Path
    """The configuration file itself."""
    files: dict[str, Path]
    """By the names of `FILES`; keys that the configuration lacks are absent."""
    camera: Camera
    """The camera of the frames in our own axes: positive focal lengths, y down."""
    axes: np.ndarray
    """(3,) of +1 or -1: our camera frame times this is the configuration's frame."""
    convention: str | None
    """Data set whose labels the networks learned: "itop", "panoptic", or None if not said."""
    landmark_conf: float
    """Least height of a part map's peak in the released networks."""
    n_features: int
    """Width of the 3D network."""
    n_resblocks: int
    """Residual blocks of the 3D network."""

    @classmethod
    def load(cls, path: str | Path) -> OriginalConfig:
        """Read a file; relative paths in it start at the working directory, as they always did.

        Where nothing is found there, the folder above the configuration's is tried.

        Raises:
            UsageError: unreadable, not JSON, or an impossible value; names the key.
        """
        path = Path(path)
        data = _read_json(path)
        camera, axes = _camera(path, data.get("matrix_calibration"))
        landmarks = _number(path, data, "n_landmarks", 15)
        if landmarks != len(ITOP15.joints):
            raise UsageError(f"{path}: expected n_landmarks 15, found {landmarks:g}")
        return cls(
            source=path,
            files=_files(path, data),
            camera=camera,
            axes=axes,
            convention=_convention(path, data),
            landmark_conf=_number(path, data, "landmark_conf", 0.3),
            n_features=int(_number(path, data, "n_features", 2048)),
            n_resblocks=int(_number(path, data, "n_resblocks", 3)),
        )

    def missing_files(self) -> list[str]:
        """The release's files that are not on this disk, or the keys not configured."""
        return [
            str(self.files.get(name, key))
            for name, key in FILES.items()
            if name not in self.files or not self.files[name].is_file()
        ]


def _read_json(path: Path) -> dict[str, object]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: cannot read the configuration ({error.strerror})") from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}: expected a JSON configuration, found {error}") from None
    if not isinstance(data, dict):
        raise UsageError(f"{path}: expected a JSON object, found {type(data).__name__}")
    return data


def _camera(path: Path, matrix: object) -> tuple[Camera, np.ndarray]:
    try:
        K = np.asarray(matrix, dtype=np.float64)
    except (TypeError, ValueError):
        K = np.empty(0)
    if K.shape != (3, 3) or not np.isfinite(K).all() or not K[0, 0] or not K[1, 1]:
        raise UsageError(
            f"{path}: expected matrix_calibration [[fx, 0, cx], [0, fy, cy], [0, 0, 1]] in "
            f"pixels, found {json.dumps(matrix)[:80]}"
        )
    try:
        camera = Camera(abs(K[0, 0]), abs(K[1, 1]), K[0, 2], K[1, 2], name=path.name)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None
    return camera, np.array([np.sign(K[0, 0]), np.sign(K[1, 1]), 1.0])


def _number(path: Path, data: dict[str, object], key: str, default: float) -> float:
    value = data.get(key, default)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < 1e6:
        raise UsageError(f"{path}: expected a positive number for {key}, found {value!r}")
    return value


def _files(path: Path, data: dict[str, object]) -> dict[str, Path]:
    files: dict[str, Path] = {}
    for name, key in FILES.items():
        value = data.get(key)
        if value is None or value == "":
            continue
        if not isinstance(value, str):
            raise UsageError(f"{path}: expected a file path for {key}, found {value!r}")
        beside = path.resolve().parent.parent / value
        files[name] = beside if beside.is_file() and not Path(value).is_file() else Path(value)
    return files


def _convention(path: Path, data: dict[str, object]) -> str | None:
    """The data set named by the configuration's paths: the original has no key for it."""
    words = " ".join(str(data.get(key, "")) for key in FILES.values()) + path.name
    named = [name for name in CONVENTIONS if name in words.lower()]
    return named[0] if len(named) == 1 else None
