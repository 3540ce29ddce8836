"""CMU Panoptic's depthdata.dat: bare frames of 512x424 uint16 millimetres, mirrored left-right."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from residualpose.camera import Camera
from residualpose.datasets.kinoptic_calibration import read_calibrations
from residualpose.errors import ResidualPoseError, UsageError
from residualpose.sources.raw import RawDepth, Recording, reading

WIDTH, HEIGHT = 512, 424
MM = 0.001
DEPTH_FILE = "depthdata.dat"
_FRAME_BYTES = WIDTH * HEIGHT * 2
_NODE = "KINECTNODE"


def map_depth(path: Path) -> np.ndarray:
    """(N, 424, 512) uint16 millimetres, unmirrored, 0 = no reading; read when it is looked at.

    Raises:
        ResidualPoseError: no such file, empty, or cut within a frame.
    """
    with reading(path, "a file of 512x424 depth frames"):
        size = path.stat().st_size
    count, rest = divmod(size, _FRAME_BYTES)
    if not count or rest:
        raise ResidualPoseError(
            f"{path}: expected whole frames of {_FRAME_BYTES} bytes (512x424 uint16), found "
            f"{size} bytes, {rest} too many"
        )
    with reading(path, "a file of 512x424 depth frames", ValueError):
        frames = np.memmap(path, "<u2", "r", shape=(count, HEIGHT, WIDTH))
    return frames[:, :, ::-1]


def node_number(path: Path) -> int:
    """3 for a file in a folder KINECTNODE3.

    Raises:
        UsageError: the folder has another name.
    """
    digits = path.parent.name.removeprefix(_NODE)
    if not path.parent.name.startswith(_NODE) or not digits.isdigit():
        raise UsageError(f"{path}: expected it in a folder {_NODE}1 to {_NODE}10, as published")
    return int(digits)


def read_kinoptic(path: Path) -> Recording:
    """Open a depthdata.dat; its camera is that of the calibration in a folder above, if there."""
    count = len(map_depth(path))
    return Recording(count, partial(_frames, path, _camera_of(path)))


def _frames(path: Path, camera: Camera | None, indices: range) -> Iterator[RawDepth]:
    frames = map_depth(path)
    for index in indices:
        yield RawDepth(np.ascontiguousarray(frames[index]), index, camera, MM)


def _camera_of(path: Path) -> Camera | None:
    for folder in path.absolute().parents[1:3]:
        if any(folder.glob("kcalibration_*.json")):
            number = node_number(path)
            return read_calibrations(folder, [number])[number].camera
    return None
