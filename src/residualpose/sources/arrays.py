"""NumPy files: .npy (memory-mapped) and .npz (streamed); pickled objects are never loaded."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import IO

import numpy as np

from residualpose.errors import ResidualPoseError
from residualpose.sources.raw import (
    RawDepth,
    Recording,
    camera_from_matrix,
    reading,
    stack_shape,
)

DEPTH_KEYS: dict[str, float | None] = {
    "depth_mm": 0.001,
    "depth_m": 1.0,
    "depth": None,
    "depths": None,
    "arr_0": None,
}
"""Arrays of an .npz file taken for depth, the first present, and their metres per unit."""

BROKEN_ARRAY = (ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error, NotImplementedError)


def read_npy(path: Path) -> Recording:
    """Open one (H, W) or (N, H, W) array."""
    with reading(path, "a NumPy .npy array", *BROKEN_ARRAY):
        with path.open("rb") as stream:
            shape, dtype, _ = read_header(path, stream)
        count, height, width = stack_shape(path, shape, dtype)
        stack = np.load(path, mmap_mode="r", allow_pickle=False).reshape(count, height, width)

    def frames(indices: range) -> Iterator[RawDepth]:
        return (RawDepth(np.array(stack[i]), i) for i in indices)

    return Recording(count, frames)


def read_npz(path: Path) -> Recording:
    """Open a stack under one of `DEPTH_KEYS`, with optional K ((3, 3) or one a frame), time_s."""
    with reading(path, "a NumPy .npz archive", *BROKEN_ARRAY), zipfile.ZipFile(path) as archive:
        names = {name.removesuffix(".npy") for name in archive.namelist()}
        key = next((key for key in DEPTH_KEYS if key in names), None)
        if key is None:
            raise ResidualPoseError(
                f"{path}: expected an array named {', '.join(DEPTH_KEYS)}, "
                f"found {', '.join(sorted(names)) or 'nothing'}"
            )
        with archive.open(f"{key}.npy") as stream:
            shape, dtype, _ = read_header(path, stream)
        count = stack_shape(path, shape, dtype)[0]
        matrices = _small_array(archive, path, "K", count, (3, 3))
        times_s = _small_array(archive, path, "time_s", count, ())
    return Recording(count, partial(_npz_frames, path, key, matrices, times_s))


def _npz_frames(
    path: Path,
    key: str,
    matrices: np.ndarray | None,
    times_s: np.ndarray | None,
    indices: range,
) -> Iterator[RawDepth]:
    with reading(path, "a NumPy .npz archive", *BROKEN_ARRAY), zipfile.ZipFile(path) as archive:
        for index, values in _stream(archive, path, key, indices):
            yield RawDepth(
                values,
                index,
                camera=None if matrices is None else camera_from_matrix(path, matrices[index]),
                unit_m=DEPTH_KEYS[key],
                time_s=None if times_s is None else float(times_s[index]),
            )


def _stream(
    archive: zipfile.ZipFile, path: Path, key: str, indices: range
) -> Iterator[tuple[int, np.ndarray]]:
    """Frames of a compressed stack one at a time: (index, (H, W))."""
    with archive.open(f"{key}.npy") as stream:
        shape, dtype, fortran_order = read_header(path, stream)
        count, height, width = stack_shape(path, shape, dtype)
        if fortran_order or indices.step < 0:  # not readable front to back: take it whole
            flat = np.frombuffer(stream.read(), dtype)
            stack = flat.reshape(shape, order="F" if fortran_order else "C")
            yield from ((i, stack.reshape(count, height, width)[i]) for i in indices)
            return
        frame_bytes = height * width * dtype.itemsize
        position = 0
        for index in indices:
            stream.seek(stream.tell() + (index - position) * frame_bytes)
            buffer = stream.read(frame_bytes)
            if len(buffer) < frame_bytes:
                raise ResidualPoseError(
                    f"{path}: expected {count} frames, found the data of {index} (truncated)"
                )
            yield index, np.frombuffer(buffer, dtype).reshape(height, width)
            position = index + 1


def _small_array(
    archive: zipfile.ZipFile, path: Path, key: str, count: int, item: tuple[int, ...]
) -> np.ndarray | None:
    """Array `key` as (count, *item), given once or once a frame; None where absent."""
    if f"{key}.npy" not in archive.namelist():
        return None
    with archive.open(f"{key}.npy") as stream:
        shape, dtype, _ = read_header(path, stream)
    if shape not in (item, (1, *item), (count, *item)) or dtype.kind not in "fiu":
        raise ResidualPoseError(
            f"{path}: expected {key} of shape {item} or {(count, *item)}, found {shape} of {dtype}"
        )
    with archive.open(f"{key}.npy") as stream:
        return np.broadcast_to(np.lib.format.read_array(stream, allow_pickle=False), (count, *item))


def read_header(path: Path, stream: IO[bytes]) -> tuple[tuple[int, ...], np.dtype, bool]:
    """Shape, dtype and Fortran order of the array that starts here."""
    magic = stream.read(len(np.lib.format.MAGIC_PREFIX))
    if magic != np.lib.format.MAGIC_PREFIX:
        found = "an empty file" if not magic else f"a file that begins with {magic!r}"
        raise ResidualPoseError(f"{path}: expected a NumPy array, found {found}")
    parse = {
        1: np.lib.format.read_array_header_1_0,
        2: np.lib.format.read_array_header_2_0,
    }.get((stream.read(2) or b"\0")[0])
    if parse is None:
        raise ResidualPoseError(f"{path}: expected NumPy format 1 or 2, found another version")
    shape, fortran_order, dtype = parse(stream)
    if dtype.hasobject:
        raise ResidualPoseError(
            f"{path}: expected an array of numbers, found pickled Python objects, which are never "
            "loaded because they can run code: save the depth as a plain array"
        )
    return shape, dtype, fortran_order
