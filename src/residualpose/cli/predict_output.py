"""What `residualpose predict` leaves in its folder: JSON lines, what is made of them, pictures."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from residualpose import __version__
from residualpose.cli.predict_pictures import Pictures
from residualpose.errors import ResidualPoseError, UsageError
from residualpose.frames import DepthFrame
from residualpose.poses import Poses
from residualpose.results import UnwritableError
from residualpose.sinks.export import EXPORTS
from residualpose.sinks.journal import JsonlWriter, partial_of
from residualpose.sinks.run import Run
from residualpose.skeleton import Skeleton
from residualpose.sources import FrameSource

_JSONL, _JOURNAL = "poses.jsonl", ".poses.jsonl"
"""Lines that were asked for, and lines that only serve to go on and to make the other files."""

_PATTERNS: dict[str, tuple[str, ...]] = {
    "jsonl": (_JSONL,),
    "png": ("*_2d.png", "*_3d_completed.png", "*_3d_refined.png"),
    "html": ("*.html",),
    **{kind: (exporter.pattern,) for kind, exporter in EXPORTS.items()},
}
KINDS = tuple(_PATTERNS)
"""What can be saved."""

_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{8}\.tmp")
"""Files that `results.replacing` had not finished when a run was killed."""


def prepare_folder(
    folder: Path, kinds: tuple[str, ...], overwrite: bool = False, resume: bool = False
) -> None:
    """Make the folder and make sure that no earlier result is lost.

    Raises:
        UsageError: it holds such results and both switches are off, or it is no folder.
        ResidualPoseError: it cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise UsageError(f"{folder}: expected a folder for the results, found a file") from None
    except OSError as error:
        raise ResidualPoseError(f"{folder}: cannot be made ({error.strerror})") from None
    if not os.access(folder, os.W_OK):
        raise ResidualPoseError(f"{folder}: cannot be written (permission denied)")
    if resume:
        _remove(path for path in folder.iterdir() if _TEMPORARY.fullmatch(path.name))
        return
    patterns = [pattern for kind in kinds for pattern in _PATTERNS[kind]]
    earlier = next((path for pattern in patterns for path in folder.glob(pattern)), None)
    if overwrite:
        return
    unfinished = partial_of(folder / journal_name(kinds))
    if unfinished.exists():
        raise UsageError(
            f"{unfinished}: a run that was cut short; add --resume to go on, --overwrite to begin "
            "again, or choose another folder"
        )
    if earlier is not None:
        raise UsageError(
            f"{earlier}: results of an earlier run; choose another folder or add --overwrite"
        )


def journal_name(kinds: tuple[str, ...]) -> str:
    """The file of the lines: hidden where nobody asked for it."""
    return _JSONL if "jsonl" in kinds else _JOURNAL


def _remove(paths: Iterable[Path]) -> None:
    for path in list(paths):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


class RunOutput:
    """The results of one run; the journal and what is made of it get their names at its end."""

    def __init__(
        self,
        folder: Path,
        kinds: tuple[str, ...],
        journal: JsonlWriter,
        sources: list[FrameSource],
        fps: float,
    ) -> None:
        """Write `kinds` into a folder made by `prepare_folder`; nothing happens before a frame.

        Args:
            folder: For all files of the run.
            kinds: What to write.
            journal: The lines, which are also what exports are made of.
            sources: All of the run, in order.
            fps: Frames a second where a recording holds no times.
        """
        self.people = 0
        self.dropped = 0
        self.failures = 0
        self._folder = folder
        self._kinds = kinds
        self._journal = journal
        self._sources = sources
        self._fps = fps
        self._stems: dict[str, Path] = {}
        self._live_last = {str(f.path): -1 for one in sources if one.live for f in one.files}

    def __enter__(self) -> RunOutput:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        complete = kind is None and not self.failures
        self._journal.close(complete)
        if self.frames and kind not in (UnwritableError, GeneratorExit):
            self._export(complete)

    @property
    def draws(self) -> bool:
        """Whether there are pictures of every frame."""
        return "png" in self._kinds or "html" in self._kinds

    @property
    def frames(self) -> int:
        """Frames in the results, those of earlier parts of the run included."""
        return self._journal.frames

    def has(self, frame: DepthFrame) -> bool:
        """Whether an earlier part of the run did this frame."""
        return self._journal.has(frame.source, frame.index)

    def add(self, frame: DepthFrame, poses: Poses) -> None:
        """Append one frame: from here on it is done, so its pictures must be there."""
        self._journal.write(frame, poses)
        if (last := self._live_last.get(frame.source)) is not None:
            self.dropped += frame.index - last - 1
            self._live_last[frame.source] = frame.index
        self.people += len(poses)

    @contextmanager
    def file(self, source: FrameSource, count: int) -> Iterator[Pictures]:
        """The pictures of a file of `count` frames; its page is written also if the file breaks."""
        pictures = Pictures(self._folder, self._stem(source), self._kinds, count)
        try:
            yield pictures
        except ResidualPoseError:
            pictures.write_page()
            raise
        pictures.write_page()

    def summary(self) -> str:
        """One line for the terminal."""
        if not self.frames:
            return "nothing"
        files = {kind: patterns[0] for kind, patterns in _PATTERNS.items()}
        files["png"], files["jsonl"] = "*.png", self._journal.path.name
        where = ", ".join(str(self._folder / files[kind]) for kind in KINDS if kind in self._kinds)
        people = f"{self.people} {'person' if self.people == 1 else 'people'}"
        dropped = f" ({self.dropped} dropped)" if self._live_last else ""
        return f"{people} in {self.frames} frame{'s' if self.frames > 1 else ''}{dropped}: {where}"

    def _export(self, complete: bool) -> None:
        """Make the other files of the journal, and drop it where it was not asked for."""
        journal, whole = self._journal.path, self._folder / "poses"
        run = Run(journal, tuple(self._sources), self._fps)
        for kind in self._kinds:
            if kind not in EXPORTS:
                continue
            taken = next(self._folder.glob(_PATTERNS[kind][0]), None) is not None
            # An earlier result gives way only to a complete one.
            partial = taken and not complete
            EXPORTS[kind].write(run, whole.with_name("poses.partial") if partial else whole)
        if complete:
            _remove(self._folder.glob("poses.partial*"))
            if "jsonl" not in self._kinds:
                journal.unlink()

    def _stem(self, source: FrameSource) -> str:
        """File name without its ending; numbered where two folders hold the same name."""
        path = source.files[0].path
        stem, number = path.stem, 2
        while self._stems.setdefault(stem, path) != path:
            stem, number = f"{path.stem}-{number}", number + 1
        return stem


def open_journal(
    folder: Path,
    model: Mapping[str, object],
    skeleton: Skeleton,
    convention: str | None,
    request: Mapping[str, object],
    kinds: tuple[str, ...],
    resume: bool,
) -> JsonlWriter:
    """The lines of a run into a folder made by `prepare_folder`."""
    return JsonlWriter(
        folder / journal_name(kinds),
        model,
        skeleton,
        overwrite=not resume,  # prepare_folder has asked
        resume=resume,
        convention=convention,
        request=dict(request),
        version=__version__,
    )
