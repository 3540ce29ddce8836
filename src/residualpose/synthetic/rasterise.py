"""Triangles to depth: a z-buffer in plain torch, the same on CPU and CUDA.

People are tens of thousands of triangles of about a pixel each, so every triangle is tested only
against the pixel centres inside its bounding box, all of them in one vectorised pass.
"""

from __future__ import annotations

import torch

from residualpose.camera import Camera

_DEPTH_STEP_M = 1e-4
_LABEL_BITS = 16


def rasterise(
    points_m: torch.Tensor,
    triangles: torch.Tensor,
    labels: torch.Tensor,
    camera: Camera,
    width: int,
    height: int,
    near_m: float = 0.1,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw triangles as z-depth and labels.

    Args:
        points_m: (V, 3) float32 vertices in the camera frame (x right, y down, z forward), metres.
        triangles: (T, 3) int64, counter-clockwise seen from outside; back faces are skipped.
        labels: (T,) int64 in 0..65535, drawn where the triangle is nearest.
        camera: undistorted pinhole.
        width: image width, pixels.
        height: image height, pixels.
        near_m: triangles with a vertex nearer than this are skipped.

    Returns:
        depth (H, W) float32 metres, 0 where nothing; label (H, W) int64, -1 where nothing.
    """
    corner = points_m[triangles]
    corner, labels = _facing(corner, labels, near_m)
    z = corner[..., 2]
    u = corner[..., 0] / z * camera.fx + camera.cx
    v = corner[..., 1] / z * camera.fy + camera.cy
    u0, u1 = u.amin(1).ceil().clamp_min(0), u.amax(1).floor().clamp_max(width - 1)
    v0, v1 = v.amin(1).ceil().clamp_min(0), v.amax(1).floor().clamp_max(height - 1)
    nu, nv = (u1 - u0 + 1).clamp_min(0).long(), (v1 - v0 + 1).clamp_min(0).long()
    counts = nu * nv
    hit = counts.nonzero()[:, 0]
    tri = hit.repeat_interleave(counts[hit])
    start = torch.cumsum(counts[hit], 0) - counts[hit]
    local = torch.arange(len(tri), device=tri.device) - start.repeat_interleave(counts[hit])
    pu = u0[tri].long() + local % nu[tri]
    pv = v0[tri].long() + local // nu[tri]
    inside, inverse_z = _barycentric(u[tri], v[tri], 1 / z[tri], pu, pv)
    step = (1 / inverse_z[inside] / _DEPTH_STEP_M).round().long()
    key = (step << _LABEL_BITS) | labels[tri[inside]]
    empty = torch.iinfo(torch.int64).max
    buffer = torch.full((height * width,), empty, dtype=torch.int64, device=points_m.device)
    buffer.scatter_reduce_(0, pv[inside] * width + pu[inside], key, "amin")
    drawn = buffer != empty
    depth = torch.where(drawn, (buffer >> _LABEL_BITS) * _DEPTH_STEP_M, 0.0)
    label = torch.where(drawn, buffer & ((1 << _LABEL_BITS) - 1), -1)
    return depth.float().view(height, width), label.view(height, width)


def _facing(
    corner: torch.Tensor, labels: torch.Tensor, near_m: float
) -> tuple[torch.Tensor, torch.Tensor]:
    a, b, c = corner.unbind(1)
    towards = (torch.cross(b - a, c - a, dim=-1) * a).sum(-1) < 0
    keep = (towards & (corner[..., 2] > near_m).all(1)).nonzero()[:, 0]
    return corner[keep], labels[keep]


def _barycentric(
    u: torch.Tensor, v: torch.Tensor, inverse_z: torch.Tensor, pu: torch.Tensor, pv: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Which pixel centres lie inside their triangle, and 1/z there (linear in the image)."""
    (ua, ub, uc), (va, vb, vc) = u.unbind(1), v.unbind(1)
    area = (ub - ua) * (vc - va) - (uc - ua) * (vb - va)
    area = torch.where(area.abs() < 1e-9, torch.full_like(area, 1e-9), area)
    wa = ((ub - pu) * (vc - pv) - (uc - pu) * (vb - pv)) / area
    wb = ((uc - pu) * (va - pv) - (ua - pu) * (vc - pv)) / area
    wc = 1 - wa - wb
    # A hair of tolerance closes the seams between neighbouring triangles.
    inside = (wa >= -1e-4) & (wb >= -1e-4) & (wc >= -1e-4)
    za, zb, zc = inverse_z.unbind(1)
    return inside, wa * za + wb * zb + wc * zc
