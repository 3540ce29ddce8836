"""MATLAB files up to version 7: the variable `depth`, and `K` if it is there."""

from __future__ import annotations

import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np

from residualpose.errors import ResidualPoseError
from residualpose.sources.raw import (
    RawDepth,
    Recording,
    camera_from_matrix,
    reading,
    stack_shape,
)

_BROKEN = (
    ValueError, TypeError, KeyError, IndexError, EOFError, NotImplementedError,
    OverflowError, zlib.error, struct.error,
)  # fmt: skip


def read_mat(path: Path) -> Recording:
    """Open `depth`, (H, W) or (N, H, W)."""
    from scipy.io import whosmat

    with _decoding(path):
        _refuse_hdf5(path)
        shapes = {name: shape for name, shape, _ in whosmat(path)}
    if "depth" not in shapes:
        raise ResidualPoseError(
            f"{path}: expected a variable named depth, found {', '.join(shapes) or 'none'}"
        )
    count = stack_shape(path, shapes["depth"], np.dtype(float))[0]
    return Recording(count, partial(_frames, path))


def _frames(path: Path, indices: range) -> Iterator[RawDepth]:
    from scipy.io import loadmat

    with _decoding(path):
        loaded = loadmat(path, variable_names=["depth", "K"])
        depth = np.asarray(loaded["depth"])
    stack = depth.reshape(stack_shape(path, depth.shape, depth.dtype))
    camera = camera_from_matrix(path, np.asarray(loaded["K"])) if "K" in loaded else None
    yield from (RawDepth(stack[i], i, camera) for i in indices)


@contextmanager
def _decoding(path: Path) -> Iterator[None]:
    from scipy.io.matlab import MatReadError

    # scipy warns about odd headers; what it cannot read still raises.
    with reading(path, "a MATLAB .mat file", *_BROKEN, MatReadError), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _refuse_hdf5(path: Path) -> None:
    with path.open("rb") as stream:
        head = stream.read(128)
    if not head:
        raise ResidualPoseError(f"{path}: expected a MATLAB .mat file, found an empty file")
    if head.startswith((b"MATLAB 7.3", b"\x89HDF")):
        raise ResidualPoseError(
            f"{path}: expected a MATLAB file up to version 7, found version 7.3 (HDF5): "
            "save it again in MATLAB with save(name, 'depth', '-v7')"
        )
