"""One self-contained interactive page: point clouds and people, for any browser."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

import numpy as np

from residualpose.camera import Camera
from residualpose.drawing.page_data import pack_frame
from residualpose.drawing.palette import PERSON_RGB
from residualpose.errors import ResidualPoseError
from residualpose.poses import Poses

MAX_CLOUD_POINTS = 40_000
MIN_CLOUD_POINTS, ALL_CLOUD_POINTS = 4_000, 600_000
"""Pages of many frames share their points, so that they still open quickly."""


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
    if not frames:
        raise ResidualPoseError("page: expected at least one frame, found none")
    share = ALL_CLOUD_POINTS // len(frames)
    points = min(MAX_CLOUD_POINTS, max(MIN_CLOUD_POINTS, share))
    data = {
        "palette": PERSON_RGB,
        "frames": [
            pack_frame(f.title, f.depth_m, f.camera, f.poses, f.stages, points) for f in frames
        ],
    }
    # "<" is the only character that could end the script element that holds the data.
    text = json.dumps(data, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    title = frames[0].title if len(frames) == 1 else f"{len(frames)} frames"
    parts = {
        "TITLE": html.escape(f"{title} - residualpose"),
        "STYLE": _file("page.css"),
        "SCRIPT": "\n".join(_file(name) for name in ("scene.js", "page.js", "controls.js")),
        "DATA": text,
    }
    # One pass, so that nothing inside a part is taken for a mark.
    return re.sub(r"/\*([A-Z]+)\*/", lambda mark: parts[mark[1]], _file("page.html"))


def _file(name: str) -> str:
    return resources.files("residualpose.drawing").joinpath(name).read_text(encoding="utf-8")
