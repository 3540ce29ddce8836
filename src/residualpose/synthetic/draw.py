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
    depth, label = draw([view], width, height, "cpu")
    person, material = label >> PERSON_SHIFT, label & MATERIAL_MASK
    lens = lenses([view], "cpu")
    seen = visible_joints(depth, person, torch.from_numpy(view.joints_m)[None], lens)
    return RenderedFrame(
        depth[0].numpy(), person[0].numpy(), material[0].numpy(), view.joints_m, seen[0].numpy(),
        view.camera, view.viewpoint,
    )  # fmt: skip


def lenses(views: Sequence[View], device: torch.device | str) -> torch.Tensor:
    """(B, 4) float64 fx, fy, cx, cy."""
    cameras = [(v.camera.fx, v.camera.fy, v.camera.cx, v.camera.cy) for v in views]
    return torch.tensor(cameras, dtype=torch.float64, device=device)


def draw(
    views: Sequence[View], width: int, height: int, device: torch.device | str
) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw views as (B, H, W) float32 z-depth, 0 where nothing, and (B, H, W) uint8 labels."""
    intrinsics = lenses(views, device)
    depth, number = cast([s.solids for s in views], intrinsics, width, height)
    solid_label = np.concatenate([[0], *(s.solid_label for s in views)]).astype(np.uint8)
    label = torch.from_numpy(solid_label).to(device)[(number + 1).long()]
    meshes = [(s.points_m, s.triangles, s.triangle_label) for s in views]
    body_depth, body_label = rasterise(meshes, intrinsics.float(), width, height)
    nearer = (body_depth > 0) & ((depth == 0) | (body_depth < depth))
    depth = torch.where(nearer, body_depth, depth)
    return depth, torch.where(nearer, body_label, label.long()).to(torch.uint8)


def visible_joints(
    depth_m: torch.Tensor, person: torch.Tensor, joints_m: torch.Tensor, intrinsics: torch.Tensor
) -> torch.Tensor:
    """(B, P, 15) bool: which joints lie just behind a surface of their own person.

    Args:
        depth_m: (B, H, W) z-depth.
        person: (B, H, W) uint8, 0 background, p + 1 for person p.
        joints_m: (B, P, 15, 3) camera frame, NaN for absent people.
        intrinsics: (B, 4) float64 fx, fy, cx, cy.
    """
    images, height, width = depth_m.shape
    z = joints_m[..., 2]
    pixel = joints_m[..., :2].double() / z[..., None] * intrinsics[:, None, None, :2]
    pixel = (pixel + intrinsics[:, None, None, 2:]).round()
    inside = (pixel >= 0) & (pixel < pixel.new_tensor([width, height]))
    inside = inside.all(-1) & (z > 0)
    u, v = torch.where(inside[..., None], pixel, 0.0).long().unbind(-1)
    image = torch.arange(images, device=z.device)[:, None, None]
    number = torch.arange(1, joints_m.shape[1] + 1, device=z.device)[:, None]
    own = person[image, v, u] == number
    return inside & own & (z - depth_m[image, v, u] < VISIBLE_WITHIN_M)
