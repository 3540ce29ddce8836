"""Views to images: solids by ray casting, people as triangles, whatever is nearest wins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from residualpose.camera import Camera
from residualpose.synthetic.rasterise import rasterise
from residualpose.synthetic.raycast import cast
from residualpose.synthetic.views import MATERIAL_MASK, PERSON_SHIFT, View

VISIBLE_WITHIN_M = 0.25
"""A joint counts as visible when the surface at its pixel is its person's and at most so far in
front of it: about the half thickness of a trunk."""


@dataclass(frozen=True, slots=True)
class RenderedFrame:
    """A clean depth image with its truth."""

    depth_m: np.ndarray
    """(H, W) float32 z-depth, 0 where nothing."""
    person: np.ndarray
    """(H, W) uint8: 0 background, p + 1 for person p."""
    material: np.ndarray
    """(H, W) uint8 of Material."""
    joints_m: np.ndarray
    """(P, 15, 3) float32 camera frame, our own joint convention."""
    visible: np.ndarray
    """(P, 15) bool: the joint's own person is the surface right in front of it."""
    camera: Camera
    viewpoint: str
    """Kind of camera placement."""


def draw_frame(view: View, width: int, height: int) -> RenderedFrame:
    """One view drawn on the CPU."""
    depth, label = (image[0].numpy() for image in draw([view], width, height, "cpu"))
    person, material = label >> PERSON_SHIFT, label & MATERIAL_MASK
    joints, camera = view.joints_m, view.camera
    seen = visible_joints(depth, person, joints, camera)
    return RenderedFrame(depth, person, material, joints, seen, camera, view.viewpoint)


def draw(
    views: Sequence[View], width: int, height: int, device: torch.device | str
) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw views as (B, H, W) float32 z-depth, 0 where nothing, and (B, H, W) uint8 labels."""
    cameras = [(s.camera.fx, s.camera.fy, s.camera.cx, s.camera.cy) for s in views]
    intrinsics = torch.tensor(cameras, dtype=torch.float64, device=device)
    depth, number = cast([s.solids for s in views], intrinsics, width, height)
    solid_label = np.concatenate([[0], *(s.solid_label for s in views)]).astype(np.uint8)
    label = torch.from_numpy(solid_label).to(device)[(number + 1).long()]
    meshes = [(s.points_m, s.triangles, s.triangle_label) for s in views]
    body_depth, body_label = rasterise(meshes, intrinsics.float(), width, height)
    nearer = (body_depth > 0) & ((depth == 0) | (body_depth < depth))
    depth = torch.where(nearer, body_depth, depth)
    return depth, torch.where(nearer, body_label, label.long()).to(torch.uint8)


def visible_joints(
    depth_m: np.ndarray, person: np.ndarray, joints_m: np.ndarray, camera: Camera
) -> np.ndarray:
    """(P, 15) bool: which joints lie just behind a surface of their own person."""
    px = np.nan_to_num(camera.project(joints_m), nan=-1).round().astype(int)
    h, w = depth_m.shape
    inside = ((px >= 0) & (px < [w, h])).all(-1)
    u, v = np.clip(px[..., 0], 0, w - 1), np.clip(px[..., 1], 0, h - 1)
    own = person[v, u] == np.arange(1, len(joints_m) + 1)[:, None]
    return inside & own & (joints_m[..., 2] - depth_m[v, u] < VISIBLE_WITHIN_M)
