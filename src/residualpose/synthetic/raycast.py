"""Depth of boxes and ellipsoids seen by pinhole cameras, one exact ray per pixel, in torch.

Along a pixel's ray the inverse z-depth q = 1/z of a plane is affine in the pixel (u, v). A box is
hit at q = min over the planes that the camera is outside of, if that is positive and at least the
max over those it is inside of. An ellipsoid is hit at q = beta + sqrt(delta), beta affine and
delta quadratic in (u, v). The coefficients are computed in float64, then only polynomials are left
to evaluate, and only in the image tiles that a solid's outline touches.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from residualpose.synthetic.primitives import BOX, Primitives

NEAR_M = 0.01
"""Surfaces nearer than this are not seen; solids around the camera are transparent."""
TILE_W, TILE_H = 16, 8
_NEVER = -1e9
_NUMBER_BITS = 24
_NUMBER_MASK = (1 << _NUMBER_BITS) - 1

_CORNERS = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], np.float64)
_EDGES = np.array([(a, b) for a in range(8) for b in (a ^ 1, a ^ 2, a ^ 4) if a < b])


def cast(
    solids: Sequence[Primitives], intrinsics: Tensor, width: int, height: int
) -> tuple[Tensor, Tensor]:
    """Renders one group of solids an image. Integer pixel coordinates are pixel centres.

    Args:
        solids: For each of B images, in its camera's frame (x right, y down, z forward).
        intrinsics: (B, 4) float64 fx, fy, cx, cy in pixels; their device does the work.
        width: Image width in pixels.
        height: Image height in pixels.

    Returns:
        (B, height, width) float32 z-depth in metres, 0 where nothing is, and (B, height, width)
        int32 number of the solid seen there, counted through all groups, -1 where nothing is.
    """
    device = intrinsics.device
    columns, rows = -(-width // TILE_W), -(-height // TILE_H)
    tiles = len(solids) * rows * columns
    buffer = torch.zeros((tiles, TILE_H * TILE_W), dtype=torch.int64, device=device)
    kind, maps, image = _gathered(solids, device)
    lens = intrinsics[image]
    left, top, right, bottom = _screen_box(kind, maps, lens, width, height).unbind(1)
    seen = (left <= right) & (top <= bottom)
    for is_box in (True, False):
        chosen = (seen & ((kind == BOX) == is_box)).nonzero()[:, 0]
        which, tile_x, tile_y = _tiles(left[chosen], top[chosen], right[chosen], bottom[chosen])
        origin, ray = _ray_form(maps[chosen], lens[chosen])
        form = _box_form(origin, ray) if is_box else _ellipsoid_form(origin, ray)
        shift = _shifted_box if is_box else _shifted_ellipsoid
        local = shift(form[which], tile_x * TILE_W, tile_y * TILE_H)
        number = chosen[which]
        tile = (image[number] * rows + tile_y) * columns + tile_x
        if is_box:
            kept = _may_hit(local).nonzero()[:, 0]
            local, number, tile = local[kept], number[kept], tile[kept]
        inverse = (_box_inverse_depth if is_box else _ellipsoid_inverse_depth)(local.float())
        _keep_nearest(buffer, tile, inverse, number)
    return _unpack(buffer, (len(solids), rows, columns), width, height)


def _gathered(solids: Sequence[Primitives], device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Kinds (K,), float64 maps (K, 4, 4) and image numbers (K,) of all groups."""
    kind = np.concatenate([np.zeros(0, np.uint8), *(group.kind for group in solids)])
    maps = np.concatenate([np.zeros((0, 4, 4)), *(group.T_world_local for group in solids)])
    image = np.repeat(np.arange(len(solids)), [len(group) for group in solids])
    kind, maps, image = (torch.from_numpy(array).to(device) for array in (kind, maps, image))
    return kind, maps, image


def _screen_box(kind: Tensor, maps: Tensor, lens: Tensor, width: int, height: int) -> Tensor:
    """(K, 4) first column and row, last column and row that each solid can cover."""
    corner = torch.from_numpy(_CORNERS).to(maps.device)
    corners = maps[:, None, :3, 3] + corner @ maps[:, :3, :3].transpose(1, 2)
    edges = torch.from_numpy(_EDGES).to(maps.device)
    start, end = corners[:, edges[:, 0]], corners[:, edges[:, 1]]
    # Edges through the near plane are cut there: corners behind the camera do not project.
    crossing = (start[..., 2] < NEAR_M) != (end[..., 2] < NEAR_M)
    rise = torch.where(crossing, end[..., 2] - start[..., 2], 1.0)
    part = torch.where(crossing, (NEAR_M - start[..., 2]) / rise, 0.0)
    points = torch.cat([corners, start + part[..., None] * (end - start)], 1)
    seen = torch.cat([corners[..., 2] >= NEAR_M, crossing], 1)[..., None]
    depth = torch.where(seen, points[..., 2:].clamp_min(NEAR_M), 1.0)
    pixel = lens[:, None, :2] * points[..., :2] / depth + lens[:, None, 2:]
    low = torch.where(seen, pixel, torch.inf).amin(1)
    high = torch.where(seen, pixel, -torch.inf).amax(1)
    reach = maps[:, 2, :3].square().sum(-1).sqrt()
    ball = ((kind != BOX) & (maps[:, 2, 3] - reach > NEAR_M)).nonzero()[:, 0]
    low[ball], high[ball] = _ellipse_box(maps[ball], lens[ball])
    size = low.new_tensor([width, height])
    first = torch.minimum((low - 1e-3).clamp_min(-1), size).ceil().clamp_min(0)
    last = torch.minimum((high + 1e-3).clamp_min(-1), size - 1).floor()
    return torch.cat([first, last], 1).long()


def _ellipse_box(maps: Tensor, lens: Tensor) -> tuple[Tensor, Tensor]:
    """(K, 2) exact lowest and highest u, v of ellipsoids before the camera, from the dual conic."""
    rows = lens[:, :2, None] * maps[:, :2] + lens[:, 2:, None] * maps[:, 2:3]
    signs = maps.new_tensor([1.0, 1.0, 1.0, -1.0])
    signed = signs * maps[:, 2]
    scale = (signed * maps[:, 2]).sum(-1, keepdim=True)  # negative for a solid before the camera
    middle = (rows * signed[:, None]).sum(-1)
    square = (rows * rows * signs).sum(-1)
    root = (middle**2 - square * scale).clamp_min(0).sqrt()
    return (middle + root) / scale, (middle - root) / scale


def _tiles(
    left: Tensor, top: Tensor, right: Tensor, bottom: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """(M,) row of the solid, tile column and tile row for every tile that a solid's box touches."""
    x0, y0 = left // TILE_W, top // TILE_H
    across, down = right // TILE_W - x0 + 1, bottom // TILE_H - y0 + 1
    count = across * down
    which = torch.repeat_interleave(count)
    order = torch.arange(len(which), device=which.device) - (count.cumsum(0) - count)[which]
    return which, x0[which] + order % across[which], y0[which] + order // across[which]


def _ray_form(maps: Tensor, lens: Tensor) -> tuple[Tensor, Tensor]:
    """Camera centre (K, 3) and ray direction (K, 3, 3: affine in [1, u, v]) in the unit solid."""
    inverse = torch.linalg.inv(maps[:, :3, :3])
    x, y = inverse[..., 0] / lens[:, :1], inverse[..., 1] / lens[:, 1:2]
    constant = inverse[..., 2] - x * lens[:, 2:3] - y * lens[:, 3:]
    origin = -(inverse @ maps[:, :3, 3:])[..., 0]
    return origin, torch.stack([constant, x, y], -1)


def _box_form(origin: Tensor, ray: Tensor) -> Tensor:
    """(K, 9, 3) affine forms: three upper bounds of 1/z, then six lower bounds."""
    sign = origin.new_tensor([1.0, -1.0])
    room = 1 - sign * origin[..., None]  # distance inside each of the planes (K, axis, side)
    room = torch.where(room.abs() < 1e-9, -1e-9, room)
    planes = (sign / room)[..., None] * ray[:, :, None, :]
    outside = (room < 0)[..., None]
    never, tiny = origin.new_tensor([_NEVER, 0, 0]), origin.new_tensor([1e-6, 0, 0])
    upper = torch.where(outside.any(2), torch.where(outside, planes, 0.0).sum(2), -never)
    lower = torch.where(outside, tiny, planes).flatten(1, 2)
    around = ~outside.flatten(1).any(1)
    upper = torch.where(around[:, None, None], never, upper)
    return torch.cat([upper, lower], 1)


def _ellipsoid_form(origin: Tensor, ray: Tensor) -> Tensor:
    """(K, 9): beta in [1, u, v], then delta in [1, u, v, uu, uv, vv]."""
    beyond = origin.square().sum(-1) - 1
    around = beyond <= 1e-9
    beyond = torch.where(around, 1.0, beyond)[:, None]
    beta = -(origin[:, None] @ ray)[:, 0] / beyond
    # b^2 - a c = |d|^2 - |o x d|^2: without the cancellation of the textbook form.
    cross = torch.linalg.cross(origin[..., None].expand_as(ray), ray, dim=1)
    square = (ray.transpose(1, 2) @ ray - cross.transpose(1, 2) @ cross) / beyond[..., None] ** 2
    never = square.new_tensor([_NEVER, 0, 0, 0, 0, 0])
    delta = torch.stack(
        [square[:, 0, 0], 2 * square[:, 0, 1], 2 * square[:, 0, 2],
         square[:, 1, 1], 2 * square[:, 1, 2], square[:, 2, 2]], 1
    )  # fmt: skip
    return torch.cat([beta, torch.where(around[:, None], never, delta)], 1)


def _shifted_box(forms: Tensor, u0: Tensor, v0: Tensor) -> Tensor:
    """Forms in [1, u, v] written in [1, u - u0, v - v0]: float32 then suffices inside a tile."""
    constant = forms[..., 0] + forms[..., 1] * u0[:, None] + forms[..., 2] * v0[:, None]
    return torch.cat([constant[..., None], forms[..., 1:]], -1)


def _shifted_ellipsoid(forms: Tensor, u0: Tensor, v0: Tensor) -> Tensor:
    """As `_shifted_box`, for an affine and a quadratic form."""
    b, bu, bv, d, du, dv, duu, duv, dvv = forms.unbind(1)
    return torch.stack(
        [b + bu * u0 + bv * v0, bu, bv,
         d + (du + duu * u0 + duv * v0) * u0 + (dv + dvv * v0) * v0,
         du + 2 * duu * u0 + duv * v0, dv + 2 * dvv * v0 + duv * u0, duu, duv, dvv], 1
    )  # fmt: skip


def _may_hit(forms: Tensor) -> Tensor:
    """(M,) bool: False where a box's bounds exclude each other all over the tile."""
    reach_u, reach_v = forms[..., 1] * (TILE_W - 1), forms[..., 2] * (TILE_H - 1)
    lowest = forms[:, 3:, 0] + reach_u[:, 3:].clamp_max(0) + reach_v[:, 3:].clamp_max(0)
    highest = forms[:, :3, 0] + reach_u[:, :3].clamp_min(0) + reach_v[:, :3].clamp_min(0)
    return highest.amin(1) * (1 + 1e-6) >= lowest.amax(1) - 1e-6


def _grid(table: Tensor) -> tuple[Tensor, Tensor]:
    """(TILE_H * TILE_W,) column and row offsets inside a tile."""
    order = torch.arange(TILE_H * TILE_W, device=table.device)
    return (order % TILE_W).float(), (order // TILE_W).float()


def _box_inverse_depth(forms: Tensor) -> Tensor:
    """(M, tile) 1/z from (M, 9, 3) forms, 0 where missed."""
    du, dv = _grid(forms)

    def bound(slot: int) -> Tensor:
        values = torch.addcmul(forms[:, slot, :1], forms[:, slot, 1:2], du)
        return values.addcmul_(forms[:, slot, 2:], dv)

    upper, lower = bound(0), bound(3)
    for slot in (1, 2):
        upper = torch.minimum(upper, bound(slot), out=upper)
    for slot in range(4, 9):
        lower = torch.maximum(lower, bound(slot), out=lower)
    return upper.mul_((upper >= lower) & (upper > 0) & (upper <= 1 / NEAR_M))


def _ellipsoid_inverse_depth(forms: Tensor) -> Tensor:
    """(M, tile) 1/z from (M, 9) forms, 0 where missed."""
    du, dv = _grid(forms)
    c = forms[..., None]
    beta = torch.addcmul(c[:, 0], c[:, 1], du).addcmul_(c[:, 2], dv)
    delta = torch.addcmul(c[:, 3], c[:, 4], du).addcmul_(c[:, 5], dv)
    delta.addcmul_(c[:, 6], du * du).addcmul_(c[:, 7], du * dv).addcmul_(c[:, 8], dv * dv)
    inverse = delta.clamp(min=0).sqrt_().add_(beta)
    return inverse.mul_((delta >= 0) & (beta > 0) & (inverse <= 1 / NEAR_M))


def _keep_nearest(buffer: Tensor, tile: Tensor, inverse: Tensor, number: Tensor) -> None:
    """Z-buffer: the larger 1/z wins, then the lower number; order of writing does not matter."""
    # Bits of positive floats sort like the floats, so (1/z, number) fits one sortable integer.
    key = inverse.view(torch.int32).long() << _NUMBER_BITS
    key |= _NUMBER_MASK - number[:, None]
    buffer.scatter_reduce_(0, tile[:, None].expand_as(key), key, "amax")


def _unpack(
    buffer: Tensor, tiles: tuple[int, int, int], width: int, height: int
) -> tuple[Tensor, Tensor]:
    """Depth and number images from the tiled buffer."""
    images, rows, columns = tiles
    image = buffer.view(*tiles, TILE_H, TILE_W).transpose(2, 3)
    image = image.reshape(images, rows * TILE_H, columns * TILE_W)[:, :height, :width]
    inverse = (image >> _NUMBER_BITS).to(torch.int32).view(torch.float32)
    depth = torch.where(inverse > 0, 1 / inverse, 0)
    number = torch.where(inverse > 0, _NUMBER_MASK - (image & _NUMBER_MASK), -1)
    return depth, number.to(torch.int32)
