"""16-bit PNG and TIFF images through Pillow; TIFF pages are frames."""

from __future__ import annotations

import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO

import numpy as np

from residualpose.errors import ResidualPoseError
from residualpose.sources.raw import RawDepth, Recording, reading, stack_shape

_DTYPES = {"I;16": np.uint16, "I;16L": np.uint16, "I;16B": np.uint16, "I": np.int32, "F": "f4"}
"""Pillow's modes that can hold depth; everything else is a picture to look at."""

_BROKEN = (ValueError, SyntaxError, EOFError, KeyError, TypeError, struct.error)


def read_image(path: Path) -> Recording:
    """Open one image, or the pages of a TIFF."""
    from PIL import Image

    with _decoding(path), Image.open(path) as image:
        _check_page(path, image.mode, image.size)
        count = getattr(image, "n_frames", 1)
    return Recording(count, partial(_pages, path))


def decode_image(path: Path, stream: IO[bytes]) -> np.ndarray:
    """The (H, W) stored numbers of one image that is inside of `path`."""
    from PIL import Image

    with _decoding(path), Image.open(stream) as image:
        _check_page(path, image.mode, image.size)
        return np.array(image)


def _pages(path: Path, indices: range) -> Iterator[RawDepth]:
    from PIL import Image

    with _decoding(path), Image.open(path) as image:
        for index in indices:
            if index:  # PNG has one page and no seek worth the name
                image.seek(index)
            _check_page(path, image.mode, image.size)
            yield RawDepth(np.array(image), index)


def _check_page(path: Path, mode: str, size: tuple[int, int]) -> None:
    if mode not in _DTYPES:
        raise ResidualPoseError(
            f"{path}: expected a 16-bit (or 32-bit) one-channel depth image, "
            f"found a picture of mode {mode}, which holds no distances"
        )
    stack_shape(path, (size[1], size[0]), np.dtype(_DTYPES[mode]))


@contextmanager
def _decoding(path: Path) -> Iterator[None]:
    # Pillow only warns about truncated TIFF tags and about images of absurd size.
    with reading(path, "a depth image", *_BROKEN), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
