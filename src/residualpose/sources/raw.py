"""What a reader hands over: arrays as stored, with whatever the file says about itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from residualpose.camera import Camera
from residualpose.errors import ResidualPoseError
from residualpose.frames import MAX_SIDE_PX, MIN_SIDE_PX


@dataclass(frozen=True, slots=True)
class RawDepth:
    """One depth image as stored, before units and camera are settled."""

    values: np.ndarray
    """(H, W) numbers in the file's own unit."""
    index: int
    """Number of the frame in its file."""
    camera: Camera | None = None
    """The file's own camera, if it holds one."""
    unit_m: float | None = None
    """Metres per stored unit, if the file says; None: the rule of `units.to_metres`."""
    time_s: float | None = None
    """Time stamp in seconds, if the file holds one."""


@dataclass(frozen=True, slots=True)
class Recording:
    """An opened file: how many frames it holds, and how to read some of them one at a time."""

    count: int | None
    """None: nobody knows, and they come only once."""
    read: Callable[[range], Iterator[RawDepth]]


@contextmanager
def reading(path: Path, expected: str, *broken: type[Exception]) -> Iterator[None]:
    """Turn what a decoder raises on a bad file (`broken`, OSError) into one teaching sentence."""
    try:
        yield
    except ResidualPoseError:
        raise
    except FileNotFoundError:
        raise ResidualPoseError(f"{path}: no such file") from None
    except (OSError, MemoryError, *broken) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        first_line = (reason.strip() or type(error).__name__).splitlines()[0]
        raise ResidualPoseError(f"{path}: expected {expected}, found: {first_line}") from None


def stack_shape(path: Path, shape: tuple[int, ...], dtype: np.dtype) -> tuple[int, int, int]:
    """(N, H, W) of stored depth: one image (H, W) or a stack (N, H, W).

    Checked before a frame is decoded, so that an absurd size costs nothing.

    Raises:
        ResidualPoseError: not numbers, not images, empty, or sides outside the limits.
    """
    if dtype.kind not in "fiu":
        raise ResidualPoseError(f"{path}: expected depth as integers or floats, found {dtype}")
    if len(shape) not in (2, 3) or (len(shape) == 3 and shape[-1] <= 4):
        raise ResidualPoseError(
            f"{path}: expected one depth image (H, W) or a stack (N, H, W), found shape {shape}"
        )
    count, height, width = shape if len(shape) == 3 else (1, *shape)
    if count == 0:
        raise ResidualPoseError(f"{path}: expected at least one frame, found shape {shape}")
    if not all(MIN_SIDE_PX <= side <= MAX_SIDE_PX for side in (height, width)):
        raise ResidualPoseError(
            f"{path}: expected an image of {MIN_SIDE_PX} to {MAX_SIDE_PX} pixels a side, "
            f"found {width}x{height}"
        )
    return count, height, width


def camera_from_matrix(path: Path, matrix: np.ndarray) -> Camera:
    """The camera of a (3, 3) intrinsic matrix stored in a file."""
    if matrix.shape != (3, 3) or matrix.dtype.kind not in "fiu":
        raise ResidualPoseError(
            f"{path}: expected K as a 3x3 matrix of numbers, found shape {matrix.shape} "
            f"of {matrix.dtype}"
        )
    try:
        return Camera(
            matrix[0, 0], matrix[1, 1], matrix[0, 2], matrix[1, 2], name=f"K of {path.name}"
        )
    except ResidualPoseError as error:
        raise ResidualPoseError(f"{path}: K: {error}") from None
