"""Depth of boxes and ellipsoids seen by a pinhole camera, one exact ray per pixel, in torch.

Along a pixel's ray the inverse z-depth q = 1/z of a plane is affine in the pixel (u, v). A box is
hit at q = min over the planes that the camera is outside of, if that is positive and at least the
max over those it is inside of. An ellipsoid is hit at q = beta + sqrt(delta), beta affine and
delta quadratic in (u, v). The coefficients are computed in float64 on the CPU, so a device only
evaluates polynomials, and only in the image tiles that a solid's outline touches.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from residualpose.errors import MissingExtraError
from residualpose.synthetic.primitives import BOX, Primitives, merge

if TYPE_CHECKING:
    import torch

__all__ = ["Primitives", "cast", "merge"]

NEAR_M = 0.01
"""Surfaces nearer than this are not seen; solids around the camera are transparent."""
TILE_W, TILE_H = 16, 8
_NEVER = -1e9

_CORNERS = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], np.float64)
_EDGES = np.array([(a, b) for a in range(8) for b in (a ^ 1, a ^ 2, a ^ 4) if a < b])


def cast(
    primitives: Primitives,
    camera: tuple[float, float, float, float],
    T_world_camera: np.ndarray,
    width: int,
    height: int,
    device: torch.device | str = "cpu",
) -> tuple[torch.Tensor, torch.Tensor]:
    """Renders solids. Integer pixel coordinates are pixel centres.

    Args:
        primitives: The scene, world frame.
        camera: fx, fy, cx, cy in pixels.
        T_world_camera: (4, 4) rigid pose of the camera (x right, y down, z forward).
        width: Image width in pixels.
        height: Image height in pixels.
        device: Where the tensors live.

    Returns:
        (height, width) float32 z-depth in metres, 0 where nothing is, and the (height, width)
        int32 number of the primitive seen there, -1 where nothing is.
    """
    try:
        import torch
    except ImportError as error:
        raise MissingExtraError("torch", "synthetic") from error

    columns, rows = -(-width // TILE_W), -(-height // TILE_H)
    buffer = torch.zeros((rows * columns, TILE_H * TILE_W), dtype=torch.int64, device=device)
    maps = np.linalg.inv(np.asarray(T_world_camera, np.float64)) @ primitives.T_world_local
    pixel_map = _pixel_map(camera)
    left, top, right, bottom = _screen_box(primitives.kind, maps, pixel_map, width, height)
    for is_box in (True, False):
        chosen = np.flatnonzero(
            ((primitives.kind == BOX) == is_box) & (left <= right) & (top <= bottom)
        )
        spans = (left[chosen], top[chosen], right[chosen], bottom[chosen])
        which, tile_x, tile_y = _tiles(*spans)
        form = _box_form if is_box else _ellipsoid_form
        local = _shift(form(maps[chosen], pixel_map)[which], tile_x * TILE_W, tile_y * TILE_H)
        kept = _may_hit(local) if is_box else np.ones(len(which), bool)
        if not kept.any():
            continue
        table = torch.as_tensor(local[kept].astype(np.float32), device=device)
        inverse = _box_inverse_depth(table) if is_box else _ellipsoid_inverse_depth(table)
        number = torch.as_tensor(chosen[which[kept]], device=device)
        tile = torch.as_tensor((tile_y * columns + tile_x)[kept], device=device)
        _keep_nearest(buffer, tile, inverse, number)
    return _unpack(buffer, rows, columns, width, height)


def _pixel_map(camera: tuple[float, float, float, float]) -> np.ndarray:
    """(3, 3) map from [1, u, v] to the ray with z = 1."""
    fx, fy, cx, cy = camera
    return np.array([[-cx / fx, 1 / fx, 0], [-cy / fy, 0, 1 / fy], [1, 0, 0]])


def _screen_box(
    kind: np.ndarray, maps: np.ndarray, pixel_map: np.ndarray, width: int, height: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(K,) first column and row, last column and row that each solid can cover."""
    fx, fy = 1 / pixel_map[0, 1], 1 / pixel_map[1, 2]
    cx, cy = -pixel_map[0, 0] * fx, -pixel_map[1, 0] * fy
    corners = np.einsum("kij,cj->kci", maps[:, :3, :3], _CORNERS) + maps[:, None, :3, 3]
    start, end = corners[:, _EDGES[:, 0]], corners[:, _EDGES[:, 1]]
    # Edges through the near plane are cut there: corners behind the camera do not project.
    rise = end[..., 2] - start[..., 2]
    crossing = (start[..., 2] < NEAR_M) != (end[..., 2] < NEAR_M)
    part = np.where(crossing, (NEAR_M - start[..., 2]) / np.where(crossing, rise, 1), 0)
    cut = start + part[..., None] * (end - start)
    points = np.concatenate([corners, cut], axis=1)
    seen = np.concatenate([corners[..., 2] >= NEAR_M, crossing], axis=1)
    depth = np.where(seen, np.maximum(points[..., 2], NEAR_M), 1)
    u = fx * points[..., 0] / depth + cx
    v = fy * points[..., 1] / depth + cy
    low_high = [np.where(seen, u, np.inf).min(1), np.where(seen, v, np.inf).min(1)]
    low_high += [np.where(seen, u, -np.inf).max(1), np.where(seen, v, -np.inf).max(1)]
    ball = (kind != BOX) & (maps[:, 2, 3] - np.sqrt((maps[:, 2, :3] ** 2).sum(-1)) > NEAR_M)
    tight = _ellipse_box(maps[ball], (fx, fy, cx, cy))
    for value, exact in zip(low_high, tight, strict=True):
        value[ball] = exact
    limits = (width, height)
    first = [np.ceil(np.clip(low_high[i] - 1e-3, -1, limits[i])).clip(0) for i in (0, 1)]
    last = [np.floor(np.clip(low_high[2 + i] + 1e-3, -1, limits[i] - 1)) for i in (0, 1)]
    left, top, right, bottom = (edge.astype(np.int64) for edge in (*first, *last))
    return left, top, right, bottom


def _ellipse_box(
    maps: np.ndarray, camera: tuple[float, float, float, float]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Exact u, v minimum and maximum of ellipsoids before the camera, from the dual conic."""
    fx, fy, cx, cy = camera
    project = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]]) @ maps[:, :3]
    conic = project * np.array([1, 1, 1, -1]) @ project.transpose(0, 2, 1)
    scale = conic[:, 2, 2]
    edges = []
    for sign in (1, -1):  # scale is negative for a solid wholly before the camera
        for axis in (0, 1):
            middle = conic[:, axis, 2]
            root = np.sqrt(np.maximum(middle**2 - conic[:, axis, axis] * scale, 0))
            edges.append((middle + sign * root) / scale)
    return edges[0], edges[1], edges[2], edges[3]


def _tiles(
    left: np.ndarray, top: np.ndarray, right: np.ndarray, bottom: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(M,) row of the solid, tile column and tile row for every tile that a solid's box touches."""
    x0, y0 = left // TILE_W, top // TILE_H
    across, down = right // TILE_W - x0 + 1, bottom // TILE_H - y0 + 1
    count = across * down
    which = np.repeat(np.arange(len(left)), count)
    order = np.arange(len(which)) - np.repeat(np.cumsum(count) - count, count)
    return which, x0[which] + order % across[which], y0[which] + order // across[which]


def _ray_form(maps: np.ndarray, pixel_map: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Camera centre (K, 3) and ray direction (K, 3, 3: affine in [1, u, v]) in the unit solid."""
    inverse = np.linalg.inv(maps[:, :3, :3])
    return -np.einsum("kij,kj->ki", inverse, maps[:, :3, 3]), inverse @ pixel_map


def _box_form(maps: np.ndarray, pixel_map: np.ndarray) -> np.ndarray:
    """(K, 9, 3) affine forms: three upper bounds of 1/z, then six lower bounds."""
    origin, ray = _ray_form(maps, pixel_map)
    sign = np.array([1.0, -1.0])
    room = 1 - sign * origin[..., None]  # distance inside each of the planes (K, axis, side)
    room = np.where(np.abs(room) < 1e-9, -1e-9, room)
    planes = (sign / room)[..., None] * ray[:, :, None, :]
    outside = np.asarray(room < 0)[..., None]
    never, always = np.array([_NEVER, 0, 0]), np.array([-_NEVER, 0, 0])
    upper = np.where(outside.any(2), np.where(outside, planes, 0).sum(2), always)
    lower = np.where(outside, np.array([1e-6, 0, 0]), planes).reshape(-1, 6, 3)
    around = ~np.any(outside, axis=(1, 2))[:, 0]
    upper[around] = never
    return np.concatenate([upper, lower], axis=1)


def _ellipsoid_form(maps: np.ndarray, pixel_map: np.ndarray) -> np.ndarray:
    """(K, 4, 3): the affine form of beta, then the three rows of the quadratic form delta."""
    origin, ray = _ray_form(maps, pixel_map)
    beyond = (origin**2).sum(-1) - 1
    around = beyond <= 1e-9
    beyond = np.where(around, 1, beyond)[:, None]
    beta = -np.einsum("ki,kij->kj", origin, ray) / beyond
    # b^2 - a c = |d|^2 - |o x d|^2: without the cancellation of the textbook form.
    cross = np.cross(origin[:, :, None], ray, axis=1)
    square = ray.transpose(0, 2, 1) @ ray - cross.transpose(0, 2, 1) @ cross
    delta = square / beyond[..., None] ** 2
    delta[around] = 0
    delta[around, 0, 0] = _NEVER
    return np.concatenate([beta[:, None], delta], axis=1)


def _shift(forms: np.ndarray, u0: np.ndarray, v0: np.ndarray) -> np.ndarray:
    """Forms in [1, u, v] written in [1, u - u0, v - v0]: float32 then suffices inside a tile."""
    move = np.tile(np.eye(3), (len(forms), 1, 1))
    move[:, 1, 0], move[:, 2, 0] = u0, v0
    moved = forms @ move
    if forms.shape[1] == 4:  # an ellipsoid: the quadratic rows turn on both sides
        moved[:, 1:] = move.transpose(0, 2, 1) @ moved[:, 1:]
    return moved


def _may_hit(forms: np.ndarray) -> np.ndarray:
    """(M,) bool: False where a box's bounds exclude each other all over the tile."""
    reach_u, reach_v = forms[..., 1] * (TILE_W - 1), forms[..., 2] * (TILE_H - 1)
    lowest = forms[..., 0] + np.minimum(reach_u, 0) + np.minimum(reach_v, 0)
    highest = forms[..., 0] + np.maximum(reach_u, 0) + np.maximum(reach_v, 0)
    return highest[:, :3].min(1) * (1 + 1e-6) >= lowest[:, 3:].max(1) - 1e-6


def _grid(table: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(TILE_H * TILE_W,) column and row offsets inside a tile."""
    import torch

    order = torch.arange(TILE_H * TILE_W, device=table.device)
    return (order % TILE_W).float(), (order // TILE_W).float()


def _box_inverse_depth(forms: torch.Tensor) -> torch.Tensor:
    """(M, tile) 1/z from (M, 9, 3) forms, 0 where missed."""
    import torch

    du, dv = _grid(forms)

    def bound(slot: int) -> torch.Tensor:
        values = torch.addcmul(forms[:, slot, :1], forms[:, slot, 1:2], du)
        return values.addcmul_(forms[:, slot, 2:], dv)

    upper, lower = bound(0), bound(3)
    for slot in (1, 2):
        upper = torch.minimum(upper, bound(slot), out=upper)
    for slot in range(4, 9):
        lower = torch.maximum(lower, bound(slot), out=lower)
    return torch.where((upper >= lower) & (upper > 0), upper, 0)


def _ellipsoid_inverse_depth(forms: torch.Tensor) -> torch.Tensor:
    """(M, tile) 1/z from (M, 4, 3) forms, 0 where missed."""
    import torch

    du, dv = _grid(forms)
    c = forms[..., None]
    beta = torch.addcmul(c[:, 0, 0], c[:, 0, 1], du).addcmul_(c[:, 0, 2], dv)
    delta = torch.addcmul(c[:, 1, 0], 2 * c[:, 1, 1], du).addcmul_(2 * c[:, 1, 2], dv)
    delta.addcmul_(c[:, 2, 1], du * du).addcmul_(2 * c[:, 2, 2], du * dv)
    delta.addcmul_(c[:, 3, 2], dv * dv)
    inverse = beta + delta.clamp(min=0).sqrt_()
    return torch.where((delta >= 0) & (beta > 0), inverse, 0)


def _keep_nearest(
    buffer: torch.Tensor, tile: torch.Tensor, inverse: torch.Tensor, number: torch.Tensor
) -> None:
    """Z-buffer: the larger 1/z wins, then the lower number; order of writing does not matter."""
    import torch

    # Bits of positive floats sort like the floats, so (1/z, number) fits one sortable integer.
    inverse = torch.where(inverse <= 1 / NEAR_M, inverse, 0)
    key = (inverse.view(torch.int32).long() << 24) | (0xFFFFFF - number[:, None])
    key = torch.where(inverse > 0, key, 0)
    buffer.scatter_reduce_(0, tile[:, None].expand_as(key), key, "amax")


def _unpack(
    buffer: torch.Tensor, rows: int, columns: int, width: int, height: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Depth and number images from the tiled buffer."""
    import torch

    image = buffer.view(rows, columns, TILE_H, TILE_W).transpose(1, 2)
    image = image.reshape(rows * TILE_H, columns * TILE_W)[:height, :width]
    inverse = (image >> 24).to(torch.int32).view(torch.float32)
    depth = torch.where(image > 0, 1 / inverse, 0)
    index = torch.where(image > 0, 0xFFFFFF - (image & 0xFFFFFF), -1)
    return depth, index.to(torch.int32)
