"""Views: what one camera has before it, as arrays that any process makes and any device draws."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from residualpose.camera import Camera
from residualpose.synthetic.figures import Figure
from residualpose.synthetic.primitives import Primitives, merge
from residualpose.synthetic.viewpoints import Viewpoint

PERSON_SHIFT = 4
"""A label is the person's number (0 background) times 16 plus the material."""
MATERIAL_MASK = (1 << PERSON_SHIFT) - 1


@dataclass(frozen=True, slots=True)
class View:
    """Solids and triangles before a camera; picklable, so that workers can make it."""

    solids: Primitives
    """Boxes and ellipsoids, camera frame."""
    solid_label: np.ndarray
    """(K,) uint8 label of each solid."""
    points_m: torch.Tensor
    """(V, 3) float32 vertices, camera frame."""
    triangles: torch.Tensor
    """(T, 3) int64."""
    triangle_label: torch.Tensor
    """(T,) int64 label of each triangle."""
    joints_m: np.ndarray
    """(P, 15, 3) float32, camera frame."""
    camera: Camera
    viewpoint: str
    """Kind of camera placement."""


def seen_from(
    room: Primitives, figures: Sequence[Figure], viewpoint: Viewpoint, camera: Camera
) -> View:
    """What a camera at a viewpoint has before it: a room and the people in it."""
    T_camera_world = np.linalg.inv(np.asarray(viewpoint.T_world_camera, np.float64))
    parts = [room, *(figure.extras for figure in figures)]
    owner = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    world = merge(parts)
    maps = T_camera_world @ world.T_world_local
    solids = Primitives(world.kind, maps, world.material)
    R = torch.from_numpy(T_camera_world[:3, :3]).float()
    t = torch.from_numpy(T_camera_world[:3, 3]).float()
    first, points, triangles, labels = 0, [torch.zeros(0, 3)], [], []
    for number, figure in enumerate(figures, start=1):
        points.append(figure.points_m @ R.T + t)
        triangles.append(figure.triangles + first)
        labels.append((number << PERSON_SHIFT) | figure.material)
        first += len(figure.points_m)
    joints = [(figure.joints_m @ R.T + t).numpy() for figure in figures]
    empty = torch.zeros(0, dtype=torch.int64)
    return View(
        solids,
        (owner << PERSON_SHIFT | world.material).astype(np.uint8),
        torch.cat(points),
        torch.cat([empty.view(0, 3), *triangles]),
        torch.cat([empty, *labels]),
        np.stack(joints) if joints else np.zeros((0, 15, 3), np.float32),
        camera,
        viewpoint.kind,
    )
