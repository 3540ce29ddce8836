"""From what the user typed to files: one file with a frame range, a folder, a glob."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from glob import glob
from pathlib import Path

from residualpose.errors import ResidualPoseError, UsageError

_RANGE = re.compile(r"(?P<path>.+?):(?P<range>-?\d+|-?\d*:-?\d*(?::-?\d*)?)$")
_ALL = slice(None)
_LONG_ENDINGS = (".tar.gz", ".h5.gz", "depthdata.dat")


@dataclass(frozen=True, slots=True)
class Selection:
    """A file and which of its frames are wanted."""

    path: Path
    frames: slice


def list_files(
    source: str,
    suffixes: tuple[str, ...],
    frames: slice = _ALL,
    is_recording: Callable[[Path], bool] = lambda _: False,
) -> list[Selection]:
    """The files behind a source, in natural order (frame9 before frame10).

    "FILE:5" is one frame of a recording and "FILE:START:STOP[:STEP]" a Python slice of it; of a
    folder or a glob the slice selects files. `frames` says the same in code. A folder that
    `is_recording` says is one recording counts as a file.

    Raises:
        ResidualPoseError: nothing there.
        UsageError: the selection is empty, or asks for frames twice.
    """
    text, chosen = split_range(source)
    if chosen is not None and frames != _ALL:
        raise UsageError(f"{source}: frames are given in the source and as an argument")
    wanted = chosen or frames
    path = Path(text)
    if path.is_dir() and is_recording(path):
        return [Selection(path, wanted)]
    if path.is_dir():
        inside = (p for p in path.iterdir() if p.is_file() or is_recording(p))
        found = [p for p in inside if ending(p) in suffixes or p.is_dir()]
        where = f"folder with {', '.join(suffixes)} files"
    elif path.exists() or not any(mark in text for mark in "*?["):
        return [Selection(path, wanted)]
    else:
        # Path.glob refuses absolute patterns.
        matches = glob(text, recursive=True)  # noqa: PTH207
        found = [p for p in map(Path, matches) if p.is_file() or is_recording(p)]
        where = "glob that matches files"
    if not found:
        raise ResidualPoseError(f"{text}: expected a {where}, found none")
    files = sorted(found, key=_natural)[wanted]
    if not files:
        raise UsageError(f"{source}: the range selects none of {len(found)} files")
    return [Selection(file, _ALL) for file in files]


def ending(path: Path) -> str:
    """How a file's name ends, in small letters, where .gz and .dat alone say too little."""
    name = path.name.lower()
    return next((end for end in _LONG_ENDINGS if name.endswith(end)), path.suffix.lower())


def split_range(source: str) -> tuple[str, slice | None]:
    """The source itself, and which of its frames are wanted."""
    match = _RANGE.match(source)
    # A file whose name ends in ":3" is still that file.
    if match is None or Path(source).exists():
        return source, None
    bounds = [int(part) if part else None for part in match["range"].split(":")]
    if len(bounds) == 1:
        first = bounds[0] or 0
        return match["path"], slice(first, first + 1 or None)
    if len(bounds) == 3 and bounds[2] == 0:
        raise UsageError(f"{source}: the step of a frame range cannot be 0")
    return match["path"], slice(*bounds)


def _natural(path: Path) -> list[tuple[int, str]]:
    """Sort key that compares runs of digits as numbers."""
    parts = re.split(r"(\d+)", str(path))
    return [(int(part), "") if part.isdigit() else (-1, part.lower()) for part in parts]
