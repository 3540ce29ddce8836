"""The ITOP data set's depth files (zenodo 3932973): HDF5 with `data` (n, H, W) metres."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from residualpose.camera import preset
from residualpose.errors import MissingExtraError, ResidualPoseError
from residualpose.sources.raw import RawDepth, Recording, reading, stack_shape

if TYPE_CHECKING:
    import h5py


def read_itop_h5(path: Path) -> Recording:
    """Open a *_depth_map.h5 file; its camera is the preset "itop"."""
    with _dataset(path) as data:
        count = stack_shape(path, data.shape, data.dtype)[0]
    return Recording(count, partial(_frames, path))


def _frames(path: Path, indices: range) -> Iterator[RawDepth]:
    with _dataset(path) as data:
        camera = preset("itop", (data.shape[-1], data.shape[-2]))
        for index in indices:
            values = np.asarray(data[index] if data.ndim == 3 else data[()])
            yield RawDepth(values, index, camera)


@contextmanager
def _dataset(path: Path) -> Iterator[h5py.Dataset]:
    try:
        import h5py
    except ImportError:
        raise MissingExtraError("h5py", "h5") from None
    with (
        reading(path, "an ITOP-style .h5 file", RuntimeError, KeyError, ValueError),
        h5py.File(path, "r") as file,
    ):
        data = file.get("data")
        if not isinstance(data, h5py.Dataset):
            raise ResidualPoseError(
                f"{path}: expected a data set named data, found {', '.join(file) or 'none'} "
                "(labels and depth maps are separate files)"
            )
        yield data
