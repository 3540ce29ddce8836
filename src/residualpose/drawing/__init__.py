"""Pictures to look at: overlays, 3D views and one interactive page."""

from residualpose.drawing.canvases import Canvases, draw_canvases
from residualpose.drawing.html import PageFrame, write_html
from residualpose.drawing.overlay import draw_overlay, draw_overlay_large
from residualpose.drawing.pose3d import draw_pose3d
from residualpose.drawing.shade import shade_depth

__all__ = [
    "Canvases",
    "PageFrame",
    "draw_canvases",
    "draw_overlay",
    "draw_overlay_large",
    "draw_pose3d",
    "shade_depth",
    "write_html",
]
