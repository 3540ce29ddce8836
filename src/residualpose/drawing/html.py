"""One self-contained interactive page: point clouds and people, for any browser."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from residualpose.camera import Camera
from residualpose.drawing.ground import Ground, settled
from residualpose.drawing.page_data import (
    FINE_PICTURE,
    SMALL_PICTURE,
    pack_frame,
    pack_ground,
)
from residualpose.drawing.palette import PERSON_RGB
from residualpose.errors import ResidualPoseError
from residualpose.poses import Poses

MAX_FRAMES = 120
"""Frames of a recording that go on its page: with as many it is about 10 MB and opens at once."""
MAX_CLOUD_POINTS = 40_000
MIN_CLOUD_POINTS, ALL_CLOUD_POINTS = 4_000, 600_000
"""Pages of many frames share their points, so that they still open quickly."""


MAX_FINE_PICTURES = 30
"""Up to so many frames, depth images are of full size."""
_SCRIPTS = ("scene", "page", "controls", "timeline", "start")


@dataclass(frozen=True, slots=True)
class PageFrame:
    """One frame of the page."""

    title: str
    depth_m: np.ndarray
    """(H, W) metres; 0 or NaN = no reading."""
    camera: Camera
    poses: Poses
    stages: Mapping[str, np.ndarray] = field(default_factory=dict)
    """Earlier results by name in order ("lifted", "completed"): (P, J, 3) metres, camera frame.

    The final one is "refined"; where it is absent, `poses.joints_m` is it.
    """
    number: int = 0
    """Place of the frame in its recording, from 0."""
    time_s: float | None = None
    """Its time stamp."""

    def __post_init__(self) -> None:
        if np.ndim(self.depth_m) != 2 or not np.size(self.depth_m):
            raise ResidualPoseError(
                f"{self.title}: expected depth as an (H, W) array, found {np.shape(self.depth_m)}"
            )
        for name, joints_m in self.stages.items():
            if np.shape(joints_m) != self.poses.joints_m.shape:
                raise ResidualPoseError(
                    f"{self.title}: stage {name!r} should have the shape of the poses, "
                    f"{self.poses.joints_m.shape}, found {np.shape(joints_m)}"
                )


def write_html(path: str | Path, frames: Sequence[PageFrame]) -> Path:
    """Write the page; it loads nothing from anywhere. Returns the path."""
    path = Path(path)
    page = render_html(frames)
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise ResidualPoseError(f"{path}: cannot write the page ({error.strerror})") from None
    return path


def render_html(frames: Sequence[PageFrame]) -> str:
    """The text of the page."""
    page = Page(len(frames))
    for frame in frames:
        page.add(frame)
    return page.render()


class Page:
    """A page that takes its frames one by one and keeps only what it shows of them."""

    def __init__(self, count: int, recorded: int | None = None, rate_hz: float = 30.0) -> None:
        """Begin.

        Args:
            count: Frames that will be added, about: they share the points.
            recorded: Frames of the recording, where these are some of them.
            rate_hz: Of the recording, where it holds no times.
        """
        share = ALL_CLOUD_POINTS // max(count, 1)
        self._points = min(MAX_CLOUD_POINTS, max(MIN_CLOUD_POINTS, share))
        self._picture = FINE_PICTURE if count <= MAX_FINE_PICTURES else SMALL_PICTURE
        self._recorded, self._rate_hz = recorded, rate_hz
        self._frames: list[dict[str, Any]] = []
        self._grounds: list[Ground] = []

    def __len__(self) -> int:
        """Frames so far."""
        return len(self._frames)

    def add(self, frame: PageFrame) -> None:
        """The next frame in time."""
        packed, ground = pack_frame(
            frame.title, frame.depth_m, frame.camera, frame.poses, frame.stages, self._points,
            self._picture,
        )  # fmt: skip
        time_s = frame.number / self._rate_hz if frame.time_s is None else frame.time_s
        self._frames.append(packed | {"number": frame.number, "time_s": round(time_s, 4)})
        self._grounds.append(ground)

    def render(self) -> str:
        """The text of the page with the frames so far.

        Raises:
            ResidualPoseError: there are none.
        """
        if not self._frames:
            raise ResidualPoseError("page: expected at least one frame, found none")
        grounds, still = settled(self._grounds)
        frames = [
            frame | {"ground": pack_ground(ground), "scene": 0 if still else place}
            for place, (frame, ground) in enumerate(zip(self._frames, grounds, strict=True))
        ]
        data = {"palette": PERSON_RGB, "recorded": self._recorded or len(frames), "frames": frames}
        # "<" is the only character that could end the script element that holds the data.
        text = json.dumps(data, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
        title = frames[0]["title"] if len(frames) == 1 else f"{len(frames)} frames"
        parts = {
            "TITLE": html.escape(f"{title} - residualpose"),
            "STYLE": _file("page.css"),
            "SCRIPT": "\n".join(_file(f"{name}.js") for name in _SCRIPTS),
            "DATA": text,
        }
        # One pass, so that nothing inside a part is taken for a mark.
        return re.sub(r"/\*([A-Z]+)\*/", lambda mark: parts[mark[1]], _file("page.html"))


def _file(name: str) -> str:
    return resources.files("residualpose.drawing").joinpath(name).read_text(encoding="utf-8")
