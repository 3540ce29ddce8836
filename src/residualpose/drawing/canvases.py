"""The three pictures of the original command: 2D people, completed 3D pose, refined 3D pose."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from residualpose.drawing.overlay import draw_overlay_large
from residualpose.drawing.pose3d import draw_pose3d
from residualpose.poses import Poses


@dataclass(frozen=True, slots=True)
class Canvases:
    """Pictures (H, W, 3) uint8, named as the original command names its files."""

    canvas_2d: np.ndarray
    canvas_3d_prior: np.ndarray
    """People after completion by the limb prior."""
    canvas_3d_regressed: np.ndarray
    """People after refinement: the result."""


def draw_canvases(depth_m: np.ndarray, poses: Poses, completed_m: np.ndarray) -> Canvases:
    """Draw one frame: depth (H, W) in metres, its people and their completed joints (P, J, 3)."""

    def people_3d(joints_m: np.ndarray) -> np.ndarray:
        return draw_pose3d(depth_m, poses.camera, joints_m, poses.origin, poses.skeleton)

    return Canvases(
        canvas_2d=draw_overlay_large(depth_m, poses),
        canvas_3d_prior=people_3d(completed_m),
        canvas_3d_regressed=people_3d(poses.joints_m),
    )
