"""OpenEXR images, as renderers write them; needs the exr extra."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np

from residualpose.errors import MissingExtraError, ResidualPoseError
from residualpose.sources.raw import RawDepth, Recording, reading, stack_shape

CHANNELS = ("Z", "depth", "Depth", "depth.Z", "Depth.Z", "V", "Y", "R")
"""Channels taken for depth, the first present: depth passes, then one-channel pictures."""

_MAGIC = b"\x76\x2f\x31\x01"


def read_exr(path: Path) -> Recording:
    """Open the depth channel of one image."""
    with reading(path, "an OpenEXR image"), path.open("rb") as stream:
        head = stream.read(4)
    if head != _MAGIC:
        found = f"a file that begins with {head!r}" if head else "an empty file"
        raise ResidualPoseError(f"{path}: expected an OpenEXR image, found {found}")
    return Recording(1, partial(_frames, path))


def _frames(path: Path, indices: range) -> Iterator[RawDepth]:
    try:
        import OpenEXR
    except ImportError:
        raise MissingExtraError("OpenEXR", "exr") from None
    with reading(path, "an OpenEXR image", RuntimeError, ValueError, TypeError):
        with _silenced(), OpenEXR.File(str(path), separate_channels=True) as image:
            channels = image.channels()
            name = next((name for name in CHANNELS if name in channels), None)
            if name is None:
                raise ResidualPoseError(
                    f"{path}: expected a channel named {', '.join(CHANNELS)}, "
                    f"found {', '.join(channels) or 'none'}"
                )
            values = np.array(channels[name].pixels)
        stack_shape(path, values.shape, values.dtype)
    yield from (RawDepth(values, i) for i in indices)


@contextmanager
def _silenced() -> Iterator[None]:
    """Keep the C++ library, which reports broken files twice, off standard error."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
