"""What `residualpose predict` leaves in its folder: JSON lines, pictures, pages."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Literal

import numpy as np

from residualpose import __version__
from residualpose.errors import ResidualPoseError, UsageError
from residualpose.frames import DepthFrame
from residualpose.poses import Poses
from residualpose.results import JsonlWriter, replacing
from residualpose.skeleton import Skeleton
from residualpose.sources import FrameSource

if TYPE_CHECKING:
    from residualpose.drawing.html import PageFrame
    from residualpose.estimator import Stages

Kind = Literal["jsonl", "png", "html"]

KINDS: tuple[Kind, ...] = ("jsonl", "png", "html")

_PATTERNS: dict[Kind, tuple[str, ...]] = {
    "jsonl": ("poses.jsonl",),
    "png": ("*_2d.png", "*_3d_completed.png", "*_3d_refined.png"),
    "html": ("*.html",),
}

_PAGE_FRAMES = 24
"""Frames shown in the page of one recording, evenly spread: a page of hundreds opens slowly."""


def prepare_folder(folder: Path, kinds: tuple[Kind, ...], overwrite: bool) -> None:
    """Make the folder and make sure that no earlier result is lost.

    Raises:
        UsageError: it holds such results and `overwrite` is off, or it is no folder.
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
    patterns = [pattern for kind in kinds for pattern in _PATTERNS[kind]]
    earlier = next((path for pattern in patterns for path in folder.glob(pattern)), None)
    if earlier is not None and not overwrite:
        raise UsageError(
            f"{earlier}: results of an earlier run; choose another folder or add --overwrite"
        )


class RunOutput:
    """The results of one run; `poses.jsonl` takes its final name when the run is left."""

    def __init__(
        self,
        folder: Path,
        kinds: tuple[Kind, ...],
        model: Mapping[str, object],
        convention: str | None,
        skeleton: Skeleton,
        failures: int,
    ) -> None:
        """Write `kinds` into a folder made by `prepare_folder`; nothing happens before a frame.

        Args:
            folder: For all files of the run.
            kinds: What to write.
            model: "name" and "sha256", for the header line.
            convention: Of the joints, for the header line.
            skeleton: Of all poses to come.
            failures: Files given up so far.
        """
        self.frames = 0
        self.people = 0
        self.failures = failures
        self._folder = folder
        self._kinds = kinds
        self._stems: dict[str, Path] = {}
        self._jsonl = JsonlWriter(
            folder / "poses.jsonl",
            model,
            skeleton,
            overwrite=True,  # prepare_folder has asked
            convention=convention,
            version=__version__,
        )

    def __enter__(self) -> RunOutput:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._jsonl.close(complete=kind is None and not self.failures)

    def add(self, frame: DepthFrame, poses: Poses) -> None:
        """Append one frame to the numbers."""
        if "jsonl" in self._kinds:
            self._jsonl.write(frame, poses)
        self.frames += 1
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
        files = {"jsonl": self._jsonl.path.name, "png": "*.png", "html": "*.html"}
        where = ", ".join(str(self._folder / files[kind]) for kind in KINDS if kind in self._kinds)
        people = f"{self.people} {'person' if self.people == 1 else 'people'}"
        return f"{people} in {self.frames} frame{'s' if self.frames > 1 else ''}: {where}"

    def _stem(self, source: FrameSource) -> str:
        """File name without its ending; numbered where two folders hold the same name."""
        path = source.files[0].path
        stem, number = path.stem, 2
        while self._stems.setdefault(stem, path) != path:
            stem, number = f"{path.stem}-{number}", number + 1
        return stem


class Pictures:
    """The pictures of one file and the page that shows them together."""

    def __init__(self, folder: Path, stem: str, kinds: tuple[Kind, ...], count: int) -> None:
        self._folder = folder
        self._stem = stem
        self._kinds = kinds
        self._count = count
        self._seen = 0
        chosen = np.linspace(0, count - 1, min(count, _PAGE_FRAMES)).round().astype(int)
        self._on_page = set(chosen.tolist()) if "html" in kinds else set()
        self._page: list[PageFrame] = []

    def add(self, frame: DepthFrame, stages: Stages) -> None:
        """Draw one frame, and keep it if it goes on the page."""
        if self._seen in self._on_page:
            self._page.append(_page_frame(frame, stages))
        self._seen += 1
        if "png" in self._kinds:
            self._draw(frame, stages)

    def write_page(self) -> None:
        """Write the interactive page of the frames so far, if there are any."""
        if not self._page:
            return
        from residualpose.drawing.html import render_html

        with replacing(self._folder / f"{self._stem}.html") as stream:
            stream.write(render_html(self._page).encode())
        self._page = []

    def _draw(self, frame: DepthFrame, stages: Stages) -> None:
        from residualpose.drawing.overlay import draw_overlay_large
        from residualpose.drawing.pose3d import draw_pose3d

        alone = self._count == 1 and frame.index == 0
        name = self._stem if alone else f"{self._stem}_{frame.index:06d}"
        poses = stages.poses
        self._save(f"{name}_2d.png", draw_overlay_large(frame.depth_m, poses))
        for stage, joints_m in (
            ("completed", stages.completed_m),
            ("refined", stages.refined_m),
        ):
            picture = draw_pose3d(
                frame.depth_m, frame.camera, joints_m, poses.origin, poses.skeleton
            )
            self._save(f"{name}_3d_{stage}.png", picture)

    def _save(self, name: str, picture: np.ndarray) -> None:
        from PIL import Image

        with replacing(self._folder / name) as stream:
            Image.fromarray(picture).save(stream, "PNG")


def _page_frame(frame: DepthFrame, stages: Stages) -> PageFrame:
    """What the page needs of a frame: less than all of its stages, so that maps can be freed."""
    from residualpose.drawing.html import PageFrame

    return PageFrame(
        f"{Path(frame.source).name} frame {frame.index}",
        frame.depth_m,
        frame.camera,
        stages.poses,
        {"lifted": stages.lifted_m, "completed": stages.completed_m},
    )
