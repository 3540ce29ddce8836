"""MATLAB files up to version 7: the variable `depth`, and `K` if it is there."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from residualpose.errors import ResidualPoseError
from residualpose.sources.matlab import MatlabArray, matlab_arrays
from residualpose.sources.raw import (
    RawDepth,
    Recording,
    camera_from_matrix,
    reading,
    stack_shape,
)

_BROKEN = (ValueError, KeyError, OverflowError, zlib.error, struct.error)


def read_mat(path: Path) -> Recording:
    """Open `depth`, (H, W) or (N, H, W)."""
    depth = _variables(path)["depth"]
    count = stack_shape(path, depth.shape, depth.dtype)[0]
    return Recording(count, partial(_frames, path))


def _frames(path: Path, indices: range) -> Iterator[RawDepth]:
    found = _variables(path)
    with reading(path, "a MATLAB .mat file", *_BROKEN):
        depth = found["depth"].values()
        matrix = found["K"].values() if "K" in found else None
    stack = depth.reshape(stack_shape(path, depth.shape, depth.dtype))
    camera = camera_from_matrix(path, matrix) if matrix is not None else None
    yield from (RawDepth(stack[i], i, camera) for i in indices)


def _variables(path: Path) -> dict[str, MatlabArray]:
    """What the file holds, `depth` among it."""
    with reading(path, "a MATLAB .mat file", *_BROKEN):
        content = path.read_bytes()
        if not content:
            raise ResidualPoseError(f"{path}: expected a MATLAB .mat file, found an empty file")
        if content.startswith((b"MATLAB 7.3", b"\x89HDF")):
            raise ResidualPoseError(
                f"{path}: expected a MATLAB file up to version 7, found version 7.3 (HDF5): "
                "save it again in MATLAB with save(name, 'depth', '-v7')"
            )
        found = matlab_arrays(content)
    if "depth" not in found:
        raise ResidualPoseError(
            f"{path}: expected a variable named depth, found {', '.join(found) or 'none'}"
        )
    return found
