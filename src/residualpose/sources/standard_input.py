"""Depth frames from standard input: our tar, or .npy arrays one after the other.

A pipe holds its writer up while we work, so that no frame is lost. docs/recordings.md says how to
write either.
"""

from __future__ import annotations

import sys
import tarfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

import numpy as np

from residualpose.camera import Camera
from residualpose.errors import ResidualPoseError, UsageError
from residualpose.sources.arrays import BROKEN_ARRAY, read_header
from residualpose.sources.images import decode_image
from residualpose.sources.plain import (
    BROKEN_TAR,
    CAMERA_FILE,
    LABEL_FILE,
    PlainImage,
    camera_from_text,
    images_of,
    natural_order,
)
from residualpose.sources.raw import RawDepth, Recording, reading, stack_shape

_NPY_BEGINS = np.lib.format.MAGIC_PREFIX[:1]


def read_standard_input(path: Path) -> Recording:
    """Whatever comes, until its end; `path` is what messages call it."""
    if sys.stdin.isatty():
        raise UsageError("-: expected a tar or .npy arrays on standard input, found a terminal")
    return Recording(None, partial(_frames, path))


def _frames(path: Path, indices: range) -> Iterator[RawDepth]:
    stream = sys.stdin.buffer
    # One byte tells them apart, and more might not have come yet.
    begins = stream.peek(1)[:1]  # type: ignore[attr-defined]
    if not begins:
        raise ResidualPoseError(f"{path}: expected a tar or .npy arrays, found nothing")
    read = _arrays(path, stream) if begins == _NPY_BEGINS else _tar(path, stream)
    for frame in read:
        if frame.index in indices:
            yield frame
        if frame.index >= indices[-1]:
            return


def _arrays(path: Path, stream: IO[bytes]) -> Iterator[RawDepth]:
    """Each (H, W) or (N, H, W)."""
    index = 0
    with reading(path, "NumPy .npy arrays", *BROKEN_ARRAY):
        while stream.peek(1)[:1]:  # type: ignore[attr-defined]
            shape, dtype, fortran_order = read_header(path, stream)
            count, height, width = stack_shape(path, shape, dtype)
            images = count if fortran_order else 1
            for _ in range(count // images):
                size = images * height * width * dtype.itemsize
                data = stream.read(size)
                if len(data) < size:
                    raise ResidualPoseError(
                        f"{path}: frame {index}: expected {size} bytes, found {len(data)} "
                        "(truncated)"
                    )
                flat = np.frombuffer(data, dtype)
                whole = flat.reshape(shape, order="F") if fortran_order else flat
                for values in whole.reshape(images, height, width):
                    yield RawDepth(values, index)
                    index += 1


def _tar(path: Path, stream: IO[bytes]) -> Iterator[RawDepth]:
    """Images in the order in which they come, which has to be that of their lines or names."""
    camera: Camera | None = None
    listed: list[PlainImage] | None = None
    unit_m, index, last = None, 0, ""
    with (
        reading(path, "a tar of depth images or .npy arrays", UnicodeDecodeError, *BROKEN_TAR),
        tarfile.open(fileobj=stream, mode="r|*") as archive,
    ):
        for member in archive:
            name, content = PurePosixPath(member.name).name, archive.extractfile(member)
            if content is None:
                continue
            if name == CAMERA_FILE:
                camera = camera_from_text(path, content.read().decode())
            elif name == LABEL_FILE and not index:
                listed, unit_m = images_of(path, content.read().decode())
            elif name.lower().endswith(".png"):
                image = _expected(path, name, last, index, listed)
                with reading(path / name, "a depth image"):
                    values = decode_image(path / name, content)
                yield RawDepth(values, index, camera, unit_m, image.time_s)
                index, last = index + 1, name
    if not index:
        raise ResidualPoseError(f"{path}: expected .png depth images in the tar, found none")


def _expected(
    path: Path, name: str, last: str, index: int, listed: list[PlainImage] | None
) -> PlainImage:
    """The image that comes now, if it is its turn."""
    advice = f"pack {CAMERA_FILE}, then {LABEL_FILE}, then the images in order"
    if listed is None:
        if last and natural_order(name) <= natural_order(last):
            raise ResidualPoseError(
                f"{path}: expected an image after {last}, found {name}: {advice}"
            )
        return PlainImage(name)
    wanted = PurePosixPath(listed[index].name).name if index < len(listed) else "no more"
    if name != wanted:
        raise ResidualPoseError(f"{path}: expected {wanted}, found {name}: {advice}")
    return listed[index]
