"""Each stored frame seen anew: rolled, nearer or farther, mirrored, and cut to a crop.

Crops cost half of a whole frame and nearly all they leave out is room. Done on clean depth, before
the sensor's faults, which must stay upright and in pixels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from residualpose.pipeline.closer import CLOSE_M
from residualpose.skeleton import ITOP15, TORSO

ROLL_SD_RAD, ROLL_MAX_RAD = 0.08, 0.35
ZOOM = (0.85, 1.2)
SIZE = (0.75, 1.2)
"""The world made smaller or larger about the camera: the same picture of shorter or taller people.
Depth scales and focal lengths of real sensors err: the grown-up of the recorded walk measures
1.13 m from nose to ankle, and scaled depth moved that walk's score by 16 points."""
CENTRE_JITTER = 0.28
"""How far the person chosen may lie from the middle of a crop, in sizes of it."""
CLOSER_M = (0.75 * CLOSE_M, 1.4 * CLOSE_M)
"""How far away closer looks show people."""
ENLARGED = (1.15, 2.2)
"""How many times larger than at first sight they show them at most: what cameras' pixels allow."""
CLOSER_JITTER = 0.12
"""The same as `CENTRE_JITTER` for closer looks, whose windows are cut around the person."""


@dataclass(frozen=True, slots=True)
class Scene:
    """B clean frames with their truth."""

    depth_m: Tensor
    """(B, H, W) float32, 0 where nothing."""
    label: Tensor
    """(B, H, W) uint8: person number times 16 plus material."""
    joints_m: Tensor
    """(B, P, 15, 3) float32 camera frame, NaN for absent people."""
    visible: Tensor
    """(B, P, 15) bool."""
    intrinsics: Tensor
    """(B, 4) fx, fy, cx, cy."""
    sensed: Tensor | None = None
    """(B,) bool: taken by a real sensor, so that no faults need to be added; None: none is."""
    nearer_m: Tensor | None = None
    """(B,) how much nearer the surfaces seem than they are; None: as near as they are."""
    enlarged: Tensor | None = None
    """(B,) the sensor's focal length over the one the image seems to have; None: 1."""


def mirror(scene: Scene, chosen: Tensor) -> Scene:
    """Left-right mirror images of the chosen (B,) frames: right hands become left hands."""
    partner = list(ITOP15.mirror)
    width = scene.depth_m.shape[-1]
    flipped_joints = scene.joints_m[:, :, partner] * scene.joints_m.new_tensor([-1.0, 1.0, 1.0])
    flipped_intrinsics = scene.intrinsics.clone()
    flipped_intrinsics[:, 2] = width - 1 - flipped_intrinsics[:, 2]

    def pick(flipped: Tensor, plain: Tensor) -> Tensor:
        return torch.where(chosen.view(-1, *[1] * (plain.ndim - 1)), flipped, plain)

    return Scene(
        pick(scene.depth_m.flip(-1), scene.depth_m),
        pick(scene.label.flip(-1), scene.label),
        pick(flipped_joints, scene.joints_m),
        pick(scene.visible[:, :, partner], scene.visible),
        pick(flipped_intrinsics, scene.intrinsics),
    )


def look_again(scene: Scene, size: tuple[int, int], rng: np.random.Generator) -> Scene:
    """Images of `size` (width, height) of the same frames, rolled and moved along the view.

    A roll turns image and joints about the optical axis, exactly. Zoom s moves the person looked at
    from depth z to z / s and everything else by as many metres; depths along the body stay, so its
    shape is stretched by a few per cent across, which only adds to the variety of bodies.
    """
    zoom = np.exp(rng.uniform(math.log(ZOOM[0]), math.log(ZOOM[1]), len(scene.depth_m)))
    target_px, target_m = _look_at(scene, rng, 0.0)
    zoom_t = torch.from_numpy(zoom).float().to(scene.depth_m.device)
    return _seen_anew(scene, target_px, target_m, zoom_t, zoom_t, CENTRE_JITTER, size, rng)


def look_closer(
    scene: Scene, focal_px: float, size: tuple[int, int], rng: np.random.Generator
) -> Scene:
    """As `look_again`, but what the network is shown by a closer look (pipeline/closer.py).

    Surfaces seem nearer than they are and the focal length shorter; the sensor's faults are those
    of where people really are.
    """
    target_px, target_m = _look_at(scene, rng, CLOSER_M[0] * ENLARGED[0])
    low, high = np.log(CLOSER_M)
    wanted_m = target_m.new_tensor(np.exp(rng.uniform(low, high, len(target_m))))
    most = target_m.new_tensor(rng.uniform(*ENLARGED, len(target_m)))
    enlarged = (target_m / wanted_m).clamp_min(1.0).minimum(most)
    magnified = enlarged * focal_px / scene.intrinsics[:, 0]
    seen = _seen_anew(
        scene, target_px, target_m, enlarged, magnified, CLOSER_JITTER, size, rng
    )  # fmt: skip
    return replace(seen, nearer_m=target_m * (1 - 1 / enlarged), enlarged=enlarged)


def _seen_anew(
    scene: Scene,
    target_px: Tensor,
    target_m: Tensor,
    zoom: Tensor,
    magnified: Tensor,
    jitter: float,
    size: tuple[int, int],
    rng: np.random.Generator,
) -> Scene:
    """Images of `size` around (B, 2) targets, rolled, the (B,) targets' depths divided by `zoom`.

    Args:
        scene: what is there.
        target_px: what is to be in the middle, or near it.
        target_m: its depth.
        zoom: how many times nearer it comes.
        magnified: how many times larger pixels become; where that is not `zoom`, the focal length
            changes.
        jitter: how far the target may be from the middle, in sizes of the image.
        size: width and height.
        rng: for rolls and jitter.
    """
    count, device = len(scene.depth_m), scene.depth_m.device
    roll = np.clip(rng.normal(0, ROLL_SD_RAD, count), -ROLL_MAX_RAD, ROLL_MAX_RAD)
    apart = rng.uniform(-jitter, jitter, (count, 2)) * size
    c, s = (torch.from_numpy(a).float().to(device) for a in (np.cos(roll), np.sin(roll)))
    turn = torch.stack([torch.stack([c, -s], -1), torch.stack([s, c], -1)], -2)
    middle = target_px.new_tensor(size) / 2 - 0.5 + torch.from_numpy(apart).float().to(device)
    old_centre = scene.intrinsics[:, 2:]
    seen = torch.einsum("bij,bj->bi", turn, target_px - old_centre) * magnified[:, None]
    new_centre = _kept_inside(middle - seen, size, scene, magnified)
    moved_m = target_m * (1 / zoom - 1)
    pixel = _source_pixels(size, old_centre, new_centre, turn, magnified)
    depth, label, outside = _gather(scene, pixel)
    depth = torch.where((depth > 0) & ~outside, depth + moved_m[:, None, None], 0.0)
    joints = _move(scene.joints_m, turn, zoom, moved_m)
    focal_px = scene.intrinsics[:, :2] * (magnified / zoom)[:, None]
    intrinsics = torch.cat([focal_px, new_centre], -1)
    visible = scene.visible & _inside(joints, intrinsics, size)
    return Scene(depth.clamp_min(0), label * ~outside, joints, visible, intrinsics)


def resize(scene: Scene, chosen: Tensor, rng: np.random.Generator) -> Scene:
    """The chosen (B,) frames with a world of another size, see `SIZE`: image and rays stay."""
    factor = np.exp(rng.uniform(math.log(SIZE[0]), math.log(SIZE[1]), len(chosen)))
    factor = torch.where(chosen, torch.from_numpy(factor).float().to(chosen.device), 1.0)
    nearer_m = None if scene.nearer_m is None else scene.nearer_m * factor
    factor = factor[:, None, None]
    return replace(
        scene, depth_m=scene.depth_m * factor, joints_m=scene.joints_m * factor[..., None],
        nearer_m=nearer_m,
    )  # fmt: skip


def _look_at(scene: Scene, rng: np.random.Generator, from_m: float) -> tuple[Tensor, Tensor]:
    """Pixel (B, 2) and depth (B,) of one visible person a frame, or of the image's middle.

    Somebody farther away than `from_m` where there is anybody.
    """
    height, width = scene.depth_m.shape[1:]
    weight = scene.visible.float().cpu().numpy()
    draw = rng.random(weight.shape[:2])
    draw += scene.joints_m[..., TORSO, 2].cpu().numpy() > from_m
    who = np.where(weight.sum(-1) >= 3, draw, -1.0).argmax(1)
    rows = torch.arange(len(who), device=scene.depth_m.device)
    chosen = torch.from_numpy(who).to(rows.device)
    joints, shown = scene.joints_m[rows, chosen], scene.visible[rows, chosen]
    there = shown.any(-1)
    share = (shown / shown.sum(-1, keepdim=True).clamp_min(1))[..., None]
    middle = (torch.where(shown[..., None], joints, 0.0) * share).sum(1)
    depth = torch.where(there, middle[:, 2], 3.0)
    focal, centre = scene.intrinsics[:, :2], scene.intrinsics[:, 2:]
    px = middle[:, :2] / depth[:, None] * focal + centre
    fallback = px.new_tensor([(width - 1) / 2, (height - 1) / 2])
    return torch.where(there[:, None], px, fallback), depth


def _kept_inside(centre: Tensor, size: tuple[int, int], scene: Scene, zoom: Tensor) -> Tensor:
    """The principal point (B, 2) moved so that a crop shows little beyond the frame."""
    old = scene.intrinsics[:, 2:] * zoom[:, None]
    height, width = scene.depth_m.shape[1:]
    extent = zoom[:, None] * zoom.new_tensor([width, height])
    lowest, highest = old + zoom.new_tensor(size) - extent, old
    fits = lowest <= highest
    return torch.where(fits, torch.clamp(centre, lowest, highest), (lowest + highest) / 2)


def _source_pixels(
    size: tuple[int, int], old_centre: Tensor, new_centre: Tensor, turn: Tensor, zoom: Tensor
) -> Tensor:
    """(B, h, w, 2) where each pixel of the new images lies in the old ones."""
    width, height = size
    u = torch.arange(width, device=zoom.device, dtype=torch.float32)
    v = torch.arange(height, device=zoom.device, dtype=torch.float32)
    grid = torch.stack(torch.meshgrid(u, v, indexing="xy"), -1)
    apart = (grid[None] - new_centre[:, None, None]) / zoom[:, None, None, None]
    return apart @ turn[:, None] + old_centre[:, None, None]  # a row times R is R^T times it


def _gather(scene: Scene, pixel: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Nearest depth and label at source pixels, and what lies outside the old images."""
    count, height, width = scene.depth_m.shape
    nearest = pixel.round().long()
    u, v = nearest[..., 0], nearest[..., 1]
    outside = (u < 0) | (u >= width) | (v < 0) | (v >= height)
    index = (v.clamp(0, height - 1) * width + u.clamp(0, width - 1)).view(count, -1)
    depth = scene.depth_m.reshape(count, -1).gather(1, index).view(outside.shape)
    label = scene.label.reshape(count, -1).gather(1, index).view(outside.shape)
    return depth, label, outside


def _move(joints_m: Tensor, turn: Tensor, zoom: Tensor, moved_m: Tensor) -> Tensor:
    """Joints such that their pixels and depths are those of the moved images."""
    z = joints_m[..., 2:]
    z_new = z + moved_m[:, None, None, None]
    xy = torch.einsum("bij,bpkj->bpki", turn, joints_m[..., :2])
    moved = torch.cat([xy * zoom[:, None, None, None] * z_new / z, z_new], -1)
    return torch.where(z_new > 0.1, moved, torch.nan)


def _inside(joints_m: Tensor, intrinsics: Tensor, size: tuple[int, int]) -> Tensor:
    focal, centre = intrinsics[:, None, None, :2], intrinsics[:, None, None, 2:]
    px = joints_m[..., :2] / joints_m[..., 2:] * focal + centre
    return ((px > -0.5) & (px < px.new_tensor(size) - 0.5)).all(-1)
