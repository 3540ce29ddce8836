"""The ITOP data set's depth files (zenodo 3932973): HDF5 with `data` (n, H, W) metres."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from residualpose.camera import preset
from residualpose.errors import ResidualPoseError
from residualpose.sources.h5_files import H5File
from residualpose.sources.raw import RawDepth, Recording, stack_shape

if TYPE_CHECKING:
    import h5py


def read_itop_h5(path: Path) -> Recording:
    """Open a *_depth_map.h5 file, or a gzipped one; its camera is the preset "itop"."""
    file = H5File(path)
    with depth_maps(file) as data:
        count = stack_shape(path, data.shape, data.dtype)[0]
    return Recording(count, partial(_frames, file))


def _frames(file: H5File, indices: range) -> Iterator[RawDepth]:
    with depth_maps(file) as data:
        camera = preset("itop", (data.shape[-1], data.shape[-2]))
        for index in indices:
            values = np.asarray(data[index] if data.ndim == 3 else data[()])
            yield RawDepth(values, index, camera)


@contextmanager
def depth_maps(file: H5File) -> Iterator[h5py.Dataset]:
    """The depth images of a *_depth_map.h5 file.

    Raises:
        MissingExtraError: h5py is not installed.
        ResidualPoseError: it cannot be read, or holds something else.
    """
    with file.open() as opened:
        import h5py

        data = opened.get("data")
        if not isinstance(data, h5py.Dataset):
            raise ResidualPoseError(
                f"{file.path}: expected a data set named data, found "
                f"{', '.join(opened) or 'none'} (labels and depth maps are separate files)"
            )
        yield data
