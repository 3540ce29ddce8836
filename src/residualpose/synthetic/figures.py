"""One dressed, posed person at a place in the world."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from residualpose.synthetic.bodies import BodyBank, part_transforms, posed_joints, skin
from residualpose.synthetic.body_pose import BodyPose
from residualpose.synthetic.companions import Place
from residualpose.synthetic.dress import Outfit, dress
from residualpose.synthetic.materials import Material
from residualpose.synthetic.poses import PoseLibrary
from residualpose.synthetic.primitives import Primitives

_CHILD_LEG_TO_HEAD_M = 1.2
"""Ankle to head of whom adults hold before them."""
_EVERYDAY = {"fixed": 0.8, "overhead": 0.8}
"""Share of people on their feet who gesture, before cameras that are mounted for that."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One person, world frame, metres."""

    points_m: torch.Tensor
    """(V, 3) float32; the first ones are the body's own vertices."""
    triangles: torch.Tensor
    """(T, 3) int64."""
    material: torch.Tensor
    """(T,) int64 of Material."""
    joints_m: torch.Tensor
    """(15, 3) float32, our own joint convention."""
    extras: Primitives
    """Hats, bags and other solids."""
    source: str
    """Where the pose came from."""


def make_figure(
    bank: BodyBank,
    poses: PoseLibrary,
    place: Place,
    viewpoint_kind: str,
    dressed: float,
    rng: np.random.Generator,
) -> Figure:
    """A random body in a random pose at a place; the lowest point touches the floor."""
    body = _sample_body(bank, place.relation, rng)
    everyday = rng.random() < _EVERYDAY.get(viewpoint_kind, 0.0)
    pose = poses.everyday(rng) if everyday else poses.sample(rng)
    outfit = dress(bank, body, rng) if rng.random() < dressed else _bare(bank, body)
    return _posed(bank, body, pose, outfit, place)


def _sample_body(bank: BodyBank, relation: str, rng: np.random.Generator) -> int:
    if relation == "child":
        tall = (bank.joints_m[:, 0, 2] - bank.joints_m[:, 13, 2]).numpy()
        small = np.flatnonzero(tall < _CHILD_LEG_TO_HEAD_M)
        if len(small):
            return int(rng.choice(small))
    return int(rng.integers(len(bank)))


def _bare(bank: BodyBank, body: int) -> Outfit:
    material = torch.full((len(bank.triangles),), int(Material.SKIN))
    return Outfit(bank.vertices_m[body], bank.weights, bank.triangles, material, ())


def _posed(bank: BodyBank, body: int, pose: BodyPose, outfit: Outfit, place: Place) -> Figure:
    R, t = part_transforms(bank, body, pose)
    posed = skin(outfit.weights, outfit.vertices_m, R, t)
    c, s = np.cos(place.heading_rad), np.sin(place.heading_rad)
    turn = torch.tensor([[c, -s, 0], [s, c, 0], [0, 0, 1]], dtype=torch.float32)
    posed = posed @ turn.T
    shift = torch.tensor([*place.xy_m, pose.lift_m], dtype=torch.float32)
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
    return Figure(posed + shift, outfit.triangles, outfit.material, joints, extras, pose.source)
