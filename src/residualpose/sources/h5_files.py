"""HDF5 files, also gzipped, as ITOP is published."""

from __future__ import annotations

import gzip
import shutil
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from residualpose.errors import MissingExtraError
from residualpose.sources.raw import reading

if TYPE_CHECKING:
    import h5py


class H5File:
    """An .h5 file; of an .h5.gz, an unpacked copy that is deleted with this object."""

    def __init__(self, path: Path) -> None:
        """Unpack where that is needed: HDF5 is read here and there, which gzip cannot do.

        Raises:
            ResidualPoseError: no such file, no gzip, or no room for the copy.
        """
        self.path = path
        self._plain = path
        self._folder: TemporaryDirectory[str] | None = None
        if path.suffix.lower() != ".gz":
            return
        with reading(path, "a gzipped .h5 file", EOFError, zlib.error):
            self._folder = TemporaryDirectory(prefix="residualpose_")
            self._plain = Path(self._folder.name) / path.stem
            with gzip.open(path) as packed, self._plain.open("wb") as plain:
                shutil.copyfileobj(packed, plain, 1 << 20)

    def __getstate__(self) -> dict[str, object]:
        # A worker process borrows the copy of the process that made it.
        return {"path": self.path, "_plain": self._plain, "_folder": None}

    @contextmanager
    def open(self) -> Iterator[h5py.File]:
        """The file, for reading.

        Raises:
            MissingExtraError: h5py is not installed.
            ResidualPoseError: it cannot be read; names the file as it was given.
        """
        try:
            import h5py
        except ImportError:
            raise MissingExtraError("h5py", "h5") from None
        broken = RuntimeError, KeyError, ValueError
        with reading(self.path, "an ITOP-style .h5 file", *broken), h5py.File(self._plain) as file:
            yield file
