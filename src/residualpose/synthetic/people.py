"""One rendered frame: dressed people in a room, seen by a camera, with the truth about them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from residualpose.camera import Camera
from residualpose.synthetic.bodies import BodyBank, part_transforms, posed_joints, skin
from residualpose.synthetic.dress import dress
from residualpose.synthetic.poses import PoseLibrary
from residualpose.synthetic.primitives import Primitives, merge
from residualpose.synthetic.rasterise import rasterise
from residualpose.synthetic.raycast import cast
from residualpose.synthetic.rooms import Room, add_clutter, sample_room
from residualpose.synthetic.viewpoints import Viewpoint, sample_viewpoint

MAX_PEOPLE = 4
VISIBLE_WITHIN_M = 0.25
"""A joint counts as visible when the surface at its pixel is its person's and at most so far in
front of it: about the half thickness of a trunk."""


@dataclass(frozen=True, slots=True)
class SceneConfig:
    """What the frames show."""

    width: int = 160
    """Image width, pixels."""
    height: int = 128
    """Image height, pixels."""
    focal_px: float = 144.0
    """Focal length, pixels."""
    centre_jitter_px: float = 14.0
    """The principal point moves by up to this much, as images are crops of wider ones."""
    people: tuple[float, ...] = (0.03, 0.47, 0.28, 0.14, 0.08)
    """Chance of 0, 1, 2, 3 and 4 people."""
    facing: float = 0.55
    """Share of people who roughly face the camera; the others head anywhere."""


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


@dataclass(frozen=True, slots=True)
class _Figure:
    points_m: torch.Tensor
    triangles: torch.Tensor
    material: torch.Tensor
    joints_m: torch.Tensor
    extras: Primitives


def render_frame(
    bank: BodyBank, poses: PoseLibrary, config: SceneConfig, rng: np.random.Generator
) -> RenderedFrame:
    """Sample and render one frame; the same generator state gives the same frame."""
    room = sample_room(rng)
    count = int(rng.choice(len(config.people), p=config.people))
    spots = _spots(room, max(count, 1), rng)
    subject = np.array([*spots[0], rng.uniform(0.8, 1.2)])
    viewpoint = sample_viewpoint(rng, subject, room)
    room = add_clutter(rng, room, viewpoint.T_world_camera, np.stack(spots))
    figures = [_figure(bank, poses, spot, viewpoint, config, rng) for spot in spots[:count]]
    jitter = rng.uniform(-1, 1, 2) * config.centre_jitter_px
    camera = Camera(
        config.focal_px,
        config.focal_px,
        (config.width - 1) / 2 + jitter[0],
        (config.height - 1) / 2 + jitter[1],
    )
    return _draw(room, figures, viewpoint, camera, config)


def _spots(room: Room, count: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Places on the floor: the first anywhere, the others mostly near it, none inside another."""
    first = room.free_spot(rng, 0.3)
    spots = [np.zeros(2) if first is None else np.asarray(first)]
    for _ in range(20 * count):
        if len(spots) == count:
            break
        spread = rng.choice([0.5, 1.0, 2.0])
        near = spots[0] + rng.normal(0, spread, 2)
        spot = room.free_spot(rng, 0.25, near)
        if spot is None:
            continue
        gap = min(float(np.linalg.norm(np.asarray(spot) - s)) for s in spots)
        if gap > 0.45:
            spots.append(np.asarray(spot))
    return spots


def _figure(
    bank: BodyBank,
    poses: PoseLibrary,
    spot: np.ndarray,
    viewpoint: Viewpoint,
    config: SceneConfig,
    rng: np.random.Generator,
) -> _Figure:
    body = int(rng.integers(len(bank)))
    pose = poses.sample(rng)
    outfit = dress(bank, body, rng)
    R, t = part_transforms(bank, body, pose)
    posed = skin(outfit.weights, outfit.vertices_m, R, t)
    to_camera = viewpoint.T_world_camera[:2, 3] - spot
    heading = np.arctan2(-to_camera[0], to_camera[1])  # turns +y towards the camera
    heading += rng.normal(0, 0.6) if rng.random() < config.facing else rng.uniform(-np.pi, np.pi)
    c, s = np.cos(heading), np.sin(heading)
    turn = torch.tensor([[c, -s, 0], [s, c, 0], [0, 0, 1]], dtype=torch.float32)
    posed = posed @ turn.T
    shift = torch.tensor([spot[0], spot[1], pose.lift_m], dtype=torch.float32)
    shift[2] -= posed[: len(bank.part), 2].min()
    joints = posed_joints(bank, body, R, t) @ turn.T + shift
    T_world_part = torch.eye(4).repeat(len(R), 1, 1)
    T_world_part[:, :3, :3], T_world_part[:, :3, 3] = turn @ R, t @ turn.T + shift
    extras = Primitives(
        np.array([a.kind for a in outfit.attachments], np.uint8),
        np.array(
            [T_world_part[a.part].numpy() @ a.T_rest_local for a in outfit.attachments], np.float32
        ).reshape(-1, 4, 4),
        np.array([a.material for a in outfit.attachments], np.uint8),
    )
    return _Figure(posed + shift, outfit.triangles, outfit.material, joints, extras)


def _draw(
    room: Room, figures: list[_Figure], viewpoint: Viewpoint, camera: Camera, config: SceneConfig
) -> RenderedFrame:
    T_world_camera = np.asarray(viewpoint.T_world_camera, np.float64)
    solids = merge([room.primitives, *(f.extras for f in figures)])
    owner = np.repeat(
        np.arange(len(figures) + 1), [len(room.primitives), *(len(f.extras) for f in figures)]
    )
    intrinsics = (camera.fx, camera.fy, camera.cx, camera.cy)
    depth, index = cast(solids, intrinsics, T_world_camera, config.width, config.height)
    index = index.long()
    person = torch.from_numpy(np.append(owner, 0))[index]
    material = torch.from_numpy(np.append(solids.material, 0).astype(np.int64))[index]
    T_camera_world = torch.from_numpy(np.linalg.inv(T_world_camera)).float()
    R, t = T_camera_world[:3, :3], T_camera_world[:3, 3]
    joints = np.zeros((0, 15, 3), np.float32)
    if figures:
        body_depth, label = _draw_bodies(figures, R, t, camera, config)
        nearer = (body_depth > 0) & ((depth == 0) | (body_depth < depth))
        depth = torch.where(nearer, body_depth, depth)
        person = torch.where(nearer, label >> 4, person)
        material = torch.where(nearer, label & 15, material)
        joints = torch.stack([f.joints_m @ R.T + t for f in figures]).numpy()
    arrays = depth.numpy(), person.numpy().astype(np.uint8), material.numpy().astype(np.uint8)
    visible = _visible(arrays[0], arrays[1], joints, camera)
    return RenderedFrame(*arrays, joints, visible, camera, viewpoint.kind)


def _draw_bodies(
    figures: list[_Figure], R: torch.Tensor, t: torch.Tensor, camera: Camera, config: SceneConfig
) -> tuple[torch.Tensor, torch.Tensor]:
    first, points, triangles, labels = 0, [], [], []
    for number, figure in enumerate(figures, start=1):
        points.append(figure.points_m @ R.T + t)
        triangles.append(figure.triangles + first)
        labels.append((number << 4) | figure.material)
        first += len(figure.points_m)
    scene = torch.cat(points), torch.cat(triangles), torch.cat(labels)
    return rasterise(*scene, camera, config.width, config.height)


def _visible(
    depth_m: np.ndarray, person: np.ndarray, joints_m: np.ndarray, camera: Camera
) -> np.ndarray:
    px = np.nan_to_num(camera.project(joints_m), nan=-1).round().astype(int)
    h, w = depth_m.shape
    inside = ((px >= 0) & (px < [w, h])).all(-1)
    u, v = np.clip(px[..., 0], 0, w - 1), np.clip(px[..., 1], 0, h - 1)
    own = person[v, u] == np.arange(1, len(joints_m) + 1)[:, None]
    return inside & own & (joints_m[..., 2] - depth_m[v, u] < VISIBLE_WITHIN_M)
