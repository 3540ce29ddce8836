"""Triangles to depth: a z-buffer in plain torch, the same on CPU and CUDA, many images at once.

People are tens of thousands of triangles of about a pixel each, so every triangle is tested only
against the pixel centres inside its bounding box, all of them in one vectorised pass.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

_LABEL_BITS = 16
_LABEL_MASK = (1 << _LABEL_BITS) - 1

Mesh = tuple[Tensor, Tensor, Tensor]
"""(V, 3) float32 vertices in the camera frame (x right, y down, z forward), metres; (T, 3) int64
triangles, counter-clockwise seen from outside; (T,) int64 labels in 0..65535."""


def rasterise(
    meshes: Sequence[Mesh], intrinsics: Tensor, width: int, height: int, near_m: float = 0.1
) -> tuple[Tensor, Tensor]:
    """Draw a mesh an image as z-depth and labels; back faces are skipped.

    Args:
        meshes: one for each of B images.
        intrinsics: (B, 4) float32 fx, fy, cx, cy of undistorted pinholes.
        width: image width, pixels.
        height: image height, pixels.
        near_m: triangles with a vertex nearer than this are skipped.

    Returns:
        depth (B, H, W) float32 metres, 0 where nothing; label (B, H, W) int64, -1 where nothing.
        Where two triangles are equally near, the lower label wins.
    """
    device = intrinsics.device
    buffer = torch.zeros(len(meshes) * height * width, dtype=torch.int64, device=device)
    corner, labels, image = _corners(meshes, intrinsics, near_m)
    low, high = corner[:, :2].amin(2).ceil_(), corner[:, :2].amax(2).floor_()
    low = low.clamp_min_(0)
    high = torch.minimum(high, high.new_tensor([width - 1, height - 1]), out=high)
    size = (high - low + 1).clamp_min_(0).int()
    counts = size[:, 0] * size[:, 1]
    # Most triangles are so small that they hold no pixel centre.
    hit = counts.nonzero()[:, 0]
    counts, across, low = counts[hit], size[hit, 0], low[hit].int()
    forms, labels = _edge_forms(corner[hit], low), labels[hit]
    base = (image[hit] * height + low[:, 1]) * width + low[:, 0]
    tri = torch.repeat_interleave(counts)
    local = torch.arange(len(tri), device=device) - (counts.cumsum(0) - counts)[tri]
    row = torch.div(local, across[tri], rounding_mode="floor")
    column = local - row * across[tri]
    inside, inverse_z = _inside(forms[tri], column.float(), row.float())
    pixel = (base[tri] + row * width + column)[inside]
    # Bits of positive floats sort like the floats: the largest key is the nearest surface.
    key = inverse_z[inside].view(torch.int32).long() << _LABEL_BITS
    key |= _LABEL_MASK - labels[tri[inside]]
    buffer.scatter_reduce_(0, pixel, key, "amax")
    depth = torch.where(buffer > 0, 1 / (buffer >> _LABEL_BITS).int().view(torch.float32), 0.0)
    label = torch.where(buffer > 0, _LABEL_MASK - (buffer & _LABEL_MASK), -1)
    shape = (len(meshes), height, width)
    return depth.view(shape), label.view(shape)


def _corners(
    meshes: Sequence[Mesh], intrinsics: Tensor, near_m: float
) -> tuple[Tensor, Tensor, Tensor]:
    """(N, 3, 3) u, v, 1/z of the corners of front faces, their labels and image numbers (N,)."""
    parts = []
    for number, (points, triangles, label) in enumerate(meshes):
        points, triangles = points.to(intrinsics.device), triangles.to(intrinsics.device)
        fx, fy, cx, cy = intrinsics[number]
        z = points[:, 2]
        seen = z > near_m
        inverse = 1 / torch.where(seen, z, near_m)
        u = points[:, 0] * inverse * fx + cx
        v = points[:, 1] * inverse * fy + cy
        # What is too near gets u = NaN, which no comparison below lets through.
        screen = torch.stack([torch.where(seen, u, torch.nan), v, inverse])
        corner = screen[:, triangles.T.contiguous()]
        (ua, ub, uc), (va, vb, vc) = corner[0], corner[1]
        area = (ub - ua) * (vc - va) - (uc - ua) * (vb - va)
        front = (area < 0).nonzero()[:, 0]
        image = torch.full_like(front, number)
        parts.append((corner[:, :, front].permute(2, 0, 1), label.to(image.device)[front], image))
    corner, label, image = (torch.cat(field) for field in zip(*parts, strict=True))
    return corner, label, image


def _edge_forms(corner: Tensor, origin: Tensor) -> Tensor:
    """(N, 9) weights of two corners and 1/z, each affine in pixels from `origin` (N, 2)."""
    u, v = (corner[:, axis] - origin[:, axis : axis + 1] for axis in (0, 1))
    (ua, ub, uc), (va, vb, vc) = u.unbind(1), v.unbind(1)
    za, zb, zc = corner[:, 2].unbind(1)
    area = (ub - ua) * (vc - va) - (uc - ua) * (vb - va)
    scale = 1 / area.clamp_max(-1e-9)
    a = torch.stack([ub * vc - uc * vb, vb - vc, uc - ub], 1) * scale[:, None]
    b = torch.stack([uc * va - ua * vc, vc - va, ua - uc], 1) * scale[:, None]
    depth = a * (za - zc)[:, None] + b * (zb - zc)[:, None]
    depth[:, 0] += zc
    return torch.cat([a, b, depth], 1)


def _inside(forms: Tensor, column: Tensor, row: Tensor) -> tuple[Tensor, Tensor]:
    """Which pixel centres lie inside their triangle, and 1/z there (linear in the image)."""
    a, b, inverse_z = (
        torch.addcmul(forms[:, k], forms[:, k + 1], column).addcmul_(forms[:, k + 2], row)
        for k in (0, 3, 6)
    )
    # A hair of tolerance closes the seams between neighbouring triangles.
    inside = (a >= -1e-4) & (b >= -1e-4) & (a + b <= 1 + 1e-4) & (inverse_z > 0)
    return inside.nonzero()[:, 0], inverse_z
