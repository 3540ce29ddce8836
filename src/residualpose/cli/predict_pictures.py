"""The pictures that `residualpose predict` draws of each frame, and the page of each recording."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from residualpose.frames import DepthFrame
from residualpose.results import replacing

if TYPE_CHECKING:
    from residualpose.drawing.html import Page, PageFrame
    from residualpose.estimator import Stages


class Pictures:
    """The pictures of one file and the page that shows them together."""

    def __init__(self, folder: Path, stem: str, kinds: tuple[str, ...], count: int) -> None:
        self._folder = folder
        self._stem = stem
        self._kinds = kinds
        self._count = count
        self._on_page: set[int] = set()
        self._page: Page | None = None
        if "html" in kinds:
            from residualpose.drawing.html import MAX_FRAMES, Page

            # Evenly spread over the recording.
            chosen = np.linspace(0, count - 1, min(count, MAX_FRAMES)).round().astype(int)
            self._on_page = set(chosen.tolist())
            self._page = Page(len(self._on_page), count)

    def page_needs(self, number: int) -> bool:
        """Whether the frame that comes `number` th, from 0, goes on the page."""
        return number in self._on_page

    def add(self, number: int, frame: DepthFrame, stages: Stages) -> None:
        """Draw the frame that comes `number` th, and keep it if it goes on the page."""
        if self._page is not None and number in self._on_page:
            self._page.add(_page_frame(number, frame, stages))
        if "png" in self._kinds:
            self._draw(frame, stages)

    def write_page(self) -> None:
        """Write the interactive page of the frames so far, if there are any."""
        if self._page is None or not len(self._page):
            return
        with replacing(self._folder / f"{self._stem}.html") as stream:
            stream.write(self._page.render().encode())
        self._page = None

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


def _page_frame(number: int, frame: DepthFrame, stages: Stages) -> PageFrame:
    """What the page needs of a frame: less than all of its stages, so that maps can be freed."""
    from residualpose.drawing.html import PageFrame

    return PageFrame(
        f"{Path(frame.source).name} frame {frame.index}",
        frame.depth_m,
        frame.camera,
        stages.poses,
        {"lifted": stages.lifted_m, "completed": stages.completed_m},
        number,
        frame.time_s,
    )
