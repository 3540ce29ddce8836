"""The JSON lines of a run: appended frame by frame, whole after any end, continued by the next run.

A run writes NAME.partial.jsonl, which becomes NAME.jsonl when it is over. Only a complete run takes
the place of an earlier one.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from residualpose.errors import ResidualPoseError, UsageError
from residualpose.frames import DepthFrame
from residualpose.poses import Poses
from residualpose.results import SCHEMA, frame_line, header_line, json_line, unwritable
from residualpose.skeleton import ITOP15, Skeleton

_SHARED = ("schema", "skeleton", "model", "convention", "request")
"""Entries of the header that must not change between the parts of one run."""


class JsonlWriter:
    """A header line and then a line a frame; nothing is on disk before the first frame."""

    def __init__(
        self,
        path: Path,
        model: Mapping[str, object],
        skeleton: Skeleton = ITOP15,
        overwrite: bool = False,
        resume: bool = False,
        **extra: object,
    ) -> None:
        """Prepare to write, or to go on.

        Args:
            path: Final name, such as DIR/poses.jsonl.
            model: "name" and "sha256" of the model.
            skeleton: Of all poses to come.
            overwrite: Replace an earlier file at the end of a successful run.
            resume: Go on after the last whole frame of an earlier run, if there is one.
            **extra: Further JSON-ready entries of the header line.

        Raises:
            UsageError: the file exists and neither is on; or that run was of another kind.
        """
        self._final, self._partial = path, partial_of(path)
        earlier = next((file for file in (self._partial, path) if file.exists()), None)
        if earlier is not None and not (overwrite or resume):
            raise UsageError(f"{earlier}: already there; choose another folder or add --overwrite")
        self.path = path
        self.frames = 0
        self.done: Counter[tuple[str, int]] = Counter()
        self._header = header_line(model, skeleton, **extra)
        self._stream: IO[bytes] | None = None
        self._complete_bytes = 0
        self._resumed: Path | None = None
        if resume and earlier is not None:
            self._take_up(earlier)

    def __enter__(self) -> JsonlWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close(complete=kind is None)

    def has(self, source: str, index: int) -> bool:
        """Whether an earlier part of the run did this frame; each of its lines counts once."""
        if not self.done[source, index]:
            return False
        self.done[source, index] -= 1
        return True

    def write(self, frame: DepthFrame, poses: Poses) -> None:
        """Append one frame's people.

        Raises:
            UnwritableError: the disk is full, or the folder is gone.
        """
        try:
            stream = self._stream or self._open()
            stream.write(json_line(frame_line(frame, poses)))
            stream.flush()
        except OSError as error:
            raise unwritable(self._final, error) from None
        self._complete_bytes = stream.tell()
        self.frames += 1

    def close(self, complete: bool) -> None:
        """Give the file its name; only a complete run takes the place of an earlier one."""
        if self._stream is None and self._resumed != self._partial:
            return  # nothing was written, or a finished run had nothing to add
        if self._stream is not None:
            with suppress(OSError):  # what a full disk did not take was never a complete line
                self._stream.close()
            self._stream = None
        os.truncate(self._partial, self._complete_bytes)
        if not self.frames:
            self._partial.unlink()
        elif complete or not self._final.exists():
            self._partial.replace(self._final)
            self.path = self._final
        else:
            self.path = self._partial

    def _open(self) -> IO[bytes]:
        """Make the file ready for the next line."""
        if self._resumed is None:
            self._stream = _open_file(self._partial, "wb")
            self._stream.write(json_line(self._header))
            return self._stream
        if self._resumed != self._partial:
            self._resumed = self._resumed.replace(self._partial)
        self._stream = _open_file(self._partial, "r+b")
        self._stream.truncate(self._complete_bytes)
        self._stream.seek(self._complete_bytes)
        return self._stream

    def _take_up(self, earlier: Path) -> None:
        """Count what an earlier run has done, and check that it was this run."""
        with earlier.open("rb") as stream:
            lines = _whole_lines(stream)
            header, _ = next(lines, ({}, 0))
            if header.get("schema") != SCHEMA:
                if earlier == self._partial:
                    return  # killed before its first line was whole: begin again
                raise UsageError(f"{earlier}: expected results to go on with, found another file")
            wanted = json.loads(json_line(self._header))
            for key in _SHARED:
                if header.get(key) != wanted.get(key):
                    raise UsageError(
                        f"{earlier}: expected results of the same {key} ({wanted.get(key)}), found "
                        f"{header.get(key)}: give the same options, or add --overwrite"
                    )
            for line, end in lines:
                self.done[line["source"], line["frame"]] += 1
                self.frames += 1
                self._complete_bytes = end
        if self.frames:
            self.path = self._resumed = earlier


def partial_of(path: Path) -> Path:
    """Name of the file while its run goes on: poses.partial.jsonl."""
    return path.with_suffix(f".partial{path.suffix}")


def read_header(path: Path) -> dict[str, Any]:
    """The first line of a journal.

    Raises:
        ResidualPoseError: it is none.
    """
    with path.open("rb") as stream:
        header, _ = next(_whole_lines(stream), ({}, 0))
    if header.get("schema") != SCHEMA:
        raise ResidualPoseError(f'{path}: expected a first line with "schema": "{SCHEMA}"')
    return header


def read_frames(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of the frames, up to the last that is whole."""
    with path.open("rb") as stream:
        lines = _whole_lines(stream)
        next(lines, None)
        yield from (line for line, _ in lines)


def _whole_lines(stream: IO[bytes]) -> Iterator[tuple[dict[str, Any], int]]:
    """Lines up to the first that is torn, each with the position of its end."""
    end = 0
    for text in stream:
        try:
            line = json.loads(text)
        except ValueError:
            return
        if not text.endswith(b"\n") or not isinstance(line, dict):
            return
        end += len(text)
        yield line, end


def _open_file(path: Path, mode: str) -> IO[bytes]:
    return path.open(mode)
