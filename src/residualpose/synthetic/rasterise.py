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
    u, v = corner[:2]
    u0, v0 = u.amin(0).ceil_().clamp_min_(0), v.amin(0).ceil_().clamp_min_(0)
    across = (u.amax(0).floor_().clamp_max_(width - 1) - u0).add_(1).clamp_min_(0).int()
    down = (v.amax(0).floor_().clamp_max_(height - 1) - v0).add_(1).clamp_min_(0).int()
    # Most triangles are so small that they hold no pixel centre.
    counts = across * down
    hit = counts.nonzero()[:, 0]
    corner = corner.index_select(2, hit)
    counts, across, u0, v0, labels, image = (
        field.index_select(0, hit) for field in (counts, across, u0, v0, labels, image)
    )
    forms = _edge_forms(corner, u0, v0)
    base = (image * height + v0.int()) * width + u0.int()
    tri = torch.repeat_interleave(counts)
    start = counts.cumsum(0, dtype=torch.int32) - counts
    number = torch.stack([start, across, base])
    start, across, base = number.index_select(1, tri)
    local = (torch.arange(len(tri), dtype=torch.int32, device=device) - start).float()
    row = ((local + 0.5) / across).floor_()  # exact: a box has fewer than 2^23 pixels
    column = local - row * across
    inside, inverse_z = _inside(forms.index_select(1, tri), column, row)
    pixel = base.index_select(0, inside) + (row * width + column).index_select(0, inside).int()
    tri = tri.index_select(0, inside)
    # Bits of positive floats sort like the floats: the largest key is the nearest surface.
    key = inverse_z[inside].view(torch.int32).long() << _LABEL_BITS
    key |= _LABEL_MASK - labels[tri]
    buffer.scatter_reduce_(0, pixel.long(), key, "amax")
    depth = torch.where(buffer > 0, 1 / (buffer >> _LABEL_BITS).int().view(torch.float32), 0.0)
    label = torch.where(buffer > 0, _LABEL_MASK - (buffer & _LABEL_MASK), -1)
    shape = (len(meshes), height, width)
    return depth.view(shape), label.view(shape)


def _corners(
    meshes: Sequence[Mesh], intrinsics: Tensor, near_m: float
) -> tuple[Tensor, Tensor, Tensor]:
    """(3, 3, N) u, v, 1/z of the corners of front faces, their labels and image numbers (N,)."""
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
        u = torch.where(seen, u, torch.nan)
        index = triangles.T.contiguous()
        ua, ub, uc = (u.index_select(0, row) for row in index)
        va, vb, vc = (v.index_select(0, row) for row in index)
        area = (ub - ua) * (vc - va) - (uc - ua) * (vb - va)
        front = (area < 0).nonzero()[:, 0]
        index = index.index_select(1, front).view(-1)
        corner = torch.stack([a.index_select(0, index).view(3, -1) for a in (u, v, inverse)])
        image = torch.full_like(front, number, dtype=torch.int32)
        parts.append((corner, label.to(image.device).index_select(0, front), image))
    corners, labels, images = zip(*parts, strict=True)
    return torch.cat(corners, 2), torch.cat(labels), torch.cat(images)


def _edge_forms(corner: Tensor, u0: Tensor, v0: Tensor) -> Tensor:
    """(9, N) weights of two corners and 1/z, each affine in pixels from u0, v0 (N,)."""
    (ua, ub, uc), (va, vb, vc) = corner[0] - u0, corner[1] - v0
    za, zb, zc = corner[2]
    area = (ub - ua) * (vc - va) - (uc - ua) * (vb - va)
    scale = 1 / area.clamp_max(-1e-9)
    a = torch.stack([ub * vc - uc * vb, vb - vc, uc - ub]).mul_(scale)
    b = torch.stack([uc * va - ua * vc, vc - va, ua - uc]).mul_(scale)
    depth = a * (za - zc) + b * (zb - zc)
    depth[0] += zc
    return torch.cat([a, b, depth])


def _inside(forms: Tensor, column: Tensor, row: Tensor) -> tuple[Tensor, Tensor]:
    """Which pixel centres lie inside their triangle, and 1/z there (linear in the image)."""
    a, b, inverse_z = (
        torch.addcmul(forms[k], forms[k + 1], column).addcmul_(forms[k + 2], row) for k in (0, 3, 6)
    )
    # A hair of tolerance closes the seams between neighbouring triangles.
    inside = (a >= -1e-4) & (b >= -1e-4) & (a + b <= 1 + 1e-4) & (inverse_z > 0)
    return inside.nonzero()[:, 0], inverse_z
