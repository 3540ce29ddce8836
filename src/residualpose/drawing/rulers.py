"""Metric grids of the 3D pictures: parallel lines at round metres, numbered at one end."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from residualpose.drawing.palette import Rgb
from residualpose.drawing.view3d import View

GRID: Rgb = (216, 220, 228)
LABEL: Rgb = (92, 100, 116)


@dataclass(frozen=True, slots=True)
class Ruler:
    """A family of grid lines in the ground frame (0 right, 1 up, 2 towards the camera)."""

    axis: int
    """The axis that is measured."""
    along: int
    """The axis the lines run along; the third axis stays at its low end."""
    label_high: bool
    """Numbers stand at the high end of the lines, else at the low end."""


FLOOR_RIGHT = Ruler(0, 2, True)
FLOOR_DISTANCE = Ruler(2, 0, False)
WALL_HEIGHT = Ruler(1, 0, False)
DISTANCE_UNDER = Ruler(2, 1, False)
HEIGHT_BESIDE = Ruler(1, 2, True)


def draw_rulers(
    canvas: np.ndarray,
    rulers: tuple[Ruler, ...],
    view: View,
    low: np.ndarray,
    high: np.ndarray,
    fine: int,
) -> None:
    """Draw the rulers of the box low..high (3,) into `canvas` (H, W, 3) uint8, in place."""
    picture = Image.fromarray(canvas)
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(12.5 * fine)
    step = _step(float((high - low).max()))
    for ruler in rulers:
        for tick in _ticks(low[ruler.axis], high[ruler.axis], step):
            first, last = low.copy(), low.copy()
            first[ruler.axis] = last[ruler.axis] = tick
            last[ruler.along] = high[ruler.along]
            ends, _ = view.project(np.stack([last, first] if ruler.label_high else [first, last]))
            draw.line((*ends[0], *ends[1]), fill=GRID, width=fine)
            outward = (ends[0] - ends[1]) / max(float(np.linalg.norm(ends[0] - ends[1])), 1e-6)
            # Distance grows away from the camera, against the axis.
            metres = -tick if ruler.axis == 2 else tick
            at = ends[0] + outward * 17 * fine
            draw.text((at[0], at[1]), f"{metres + 0:g}", fill=LABEL, font=font, anchor="mm")
    canvas[:] = np.asarray(picture)


def _step(span_m: float) -> float:
    """Spacing of the grid: half a metre around one person, wider for large scenes."""
    return 0.5 if span_m < 4.5 else 1.0 if span_m < 10 else 5.0


def _ticks(low: float, high: float, step: float) -> np.ndarray:
    return np.arange(np.ceil(low / step), np.floor(high / step) + 1) * step
