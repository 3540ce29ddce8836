"""The 3D people in their point cloud: seen from a corner, the side and above."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from residualpose.camera import Camera
from residualpose.drawing.figure import Pen, draw_people, shrink
from residualpose.drawing.ground import Ground, find_ground
from residualpose.drawing.legend import draw_legend
from residualpose.drawing.palette import INK, PAPER, Rgb
from residualpose.drawing.rulers import (
    DISTANCE_UNDER,
    FLOOR_DISTANCE,
    FLOOR_RIGHT,
    HEIGHT_BESIDE,
    LABEL,
    WALL_HEIGHT,
    Ruler,
    draw_rulers,
)
from residualpose.drawing.shade import surface_light
from residualpose.drawing.view3d import View, blend, fit_view, splat, turned
from residualpose.skeleton import ITOP15, Skeleton

SIZE_PX = (1200, 760)
FINE = 2
"""Everything is drawn this many times larger, then averaged."""
CLOUD_DARK: Rgb = (112, 124, 146)
CLOUD_LIGHT: Rgb = (230, 234, 240)
MARGIN_M = 0.35
LEGEND_WIDTH_PX = 520
MAX_CLOUD_POINTS = 60_000


@dataclass(frozen=True, slots=True)
class _Panel:
    title: str
    note: str
    corner_px: tuple[int, int]
    """Where the title starts."""
    box_px: tuple[int, int, int, int]
    """Left, top, right, bottom of the space for the scene."""
    R_view_ground: np.ndarray
    eye_m: float
    rulers: tuple[Ruler, ...]


_PANELS = (
    _Panel(
        "Three-quarter view", "metres; {zero}", (28, 36), (64, 80, 650, 706),
        turned(-0.62, 0.34), 7.0, (FLOOR_RIGHT, FLOOR_DISTANCE, WALL_HEIGHT),
    ),
    _Panel(
        "From the right", "height over distance from the camera (m)", (714, 36),
        (752, 74, 1176, 370), turned(np.pi / 2, 0.0), np.inf, (DISTANCE_UNDER, HEIGHT_BESIDE),
    ),
    _Panel(
        "From above", "distance over right (m)", (714, 436), (752, 474, 1176, 722),
        turned(0.0, np.pi / 2), np.inf, (FLOOR_RIGHT, FLOOR_DISTANCE),
    ),
)  # fmt: skip


def draw_pose3d(
    depth_m: np.ndarray,
    camera: Camera,
    joints_m: np.ndarray,
    origin: np.ndarray,
    skeleton: Skeleton = ITOP15,
) -> np.ndarray:
    """A (760, 1200, 3) uint8 picture of people in their room.

    `depth_m` (H, W) and `joints_m` (P, J, 3, camera frame, NaN unknown) in metres; `origin` (P, J).
    """
    depth_m = np.asarray(depth_m, dtype=np.float32)
    points_m, light, width_m = _cloud(depth_m, camera)
    joints_m = np.asarray(joints_m, dtype=np.float64)
    ground = find_ground(depth_m, camera, joints_m, skeleton)
    points_m, joints_m = ground.to_ground(points_m), ground.to_ground(joints_m)
    low, high = _extent(points_m, joints_m)
    near = ((points_m > low) & (points_m < high)).all(-1)
    canvas = np.full((SIZE_PX[1] * FINE, SIZE_PX[0] * FINE, 3), PAPER, dtype=np.uint8)
    layer = Image.new("RGBA", (canvas.shape[1], canvas.shape[0]))
    draw = ImageDraw.Draw(layer)
    for panel in _PANELS:
        view = _fit(panel, low, high)
        draw_rulers(canvas, panel.rulers, view, low, high, FINE)
        _draw_cloud(canvas, view, points_m[near], light[near], width_m[near])
        xy, distance = view.project(joints_m)
        limb = float(np.clip(0.021 * view.scale_px, 2.2 * FINE, 5.5 * FINE))
        pen = Pen(limb, 1.05 * limb, max(0.2 * limb, 0.5 * FINE))
        draw_people(draw, xy, distance, origin, skeleton, pen)
    _draw_titles(draw, ground)
    picture = Image.fromarray(canvas).convert("RGBA")
    picture.alpha_composite(layer)
    drawn = np.array(shrink(picture.convert("RGB"), FINE))
    legend = draw_legend(LEGEND_WIDTH_PX)
    drawn[-len(legend) :, :LEGEND_WIDTH_PX] = legend
    return drawn


def _cloud(depth_m: np.ndarray, camera: Camera) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """At most MAX_CLOUD_POINTS: points (N, 3) in metres, light (N,), width in metres (N,)."""
    valid = np.isfinite(depth_m) & (depth_m > 0)
    step = max(1, int(np.ceil(np.sqrt(valid.sum() / MAX_CLOUD_POINTS))))
    kept = np.zeros_like(valid)
    kept[::step, ::step] = valid[::step, ::step]
    v, u = np.nonzero(kept)
    points_m = camera.backproject(np.stack([u, v], -1), depth_m[v, u])
    return points_m, surface_light(depth_m)[v, u], step * depth_m[v, u] / camera.fx


def _extent(points_m: np.ndarray, joints_m: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ground-frame corners of what is worth showing: the people, or without them the cloud."""
    known = joints_m[np.isfinite(joints_m).all(-1)]
    if len(known):
        low, high = known.min(0) - MARGIN_M, known.max(0) + MARGIN_M
    elif len(points_m):
        low, high = np.percentile(points_m, [3, 97], axis=0)
    else:
        low, high = np.array([-1.0, 0, -3]), np.array([1.0, 2, -1])
    # At least a metre and a half across; the floor stays in the picture when it is near the feet.
    middle, half = 0.5 * (low + high), np.maximum(0.5 * (high - low), 0.7)
    low, high = np.where([True, False, True], middle - half, low), np.maximum(high, middle + half)
    low[1] = min(low[1], -0.03) if low[1] < 0.5 else low[1]
    return low, high


def _corners(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    pick = np.array([[i >> axis & 1 for axis in range(3)] for i in range(8)])
    return np.where(pick, high, low)


def _fit(panel: _Panel, low: np.ndarray, high: np.ndarray) -> View:
    box_px = np.multiply(panel.box_px, FINE)
    return fit_view(panel.R_view_ground, _corners(low, high), box_px, panel.eye_m)


def _draw_cloud(
    canvas: np.ndarray, view: View, points_m: np.ndarray, light: np.ndarray, width_m: np.ndarray
) -> None:
    if not len(points_m):
        return
    xy, distance = view.project(points_m)
    far, near = distance.max(), distance.min()
    fade = (distance - near) / max(far - near, 1e-6)
    rgb = blend(CLOUD_DARK, CLOUD_LIGHT, np.clip(0.85 * light**1.5 + 0.28 * fade, 0, 1))
    splat(canvas, xy, distance, rgb, np.clip(view.scale_px * width_m, 1.5 * FINE, 6 * FINE))


def _draw_titles(draw: ImageDraw.ImageDraw, ground: Ground) -> None:
    title, small = ImageFont.load_default(17 * FINE), ImageFont.load_default(12.5 * FINE)
    zero = "height 0 = the floor" if ground.measured else "no floor seen: height 0 = lowest joint"
    for panel in _PANELS:
        x, y = panel.corner_px[0] * FINE, panel.corner_px[1] * FINE
        draw.text((x, y), panel.title, fill=INK, font=title, anchor="ls")
        note = panel.note.format(zero=zero)
        draw.text((x, y + 17 * FINE), note, fill=LABEL, font=small, anchor="ls")
