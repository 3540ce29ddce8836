"""One dressed, posed person in the world, with the seat or bed that carries it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from residualpose.synthetic.bodies import PARTS, BodyBank, posed_joints, skin
from residualpose.synthetic.dress import Outfit, dress
from residualpose.synthetic.materials import Material
from residualpose.synthetic.primitives import Primitives, merge, pose_matrix
from residualpose.synthetic.rooms import Room
from residualpose.synthetic.stances import Stance
from residualpose.synthetic.supports import lies, make_bed, make_seat, seat_of, sits

_SEAT_PARTS = tuple(PARTS.index(name) for name in ("pelvis", "thigh_r", "thigh_l"))
_ON_BED = 0.6
"""Share of those who lie who do so on something, where there is room for it."""


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
    support: Primitives
    """What the person sits or lies on; it belongs to the room."""
    source: str
    """Where the pose came from."""


def make_figure(
    bank: BodyBank, stance: Stance, room: Room, dressed: float, rng: np.random.Generator
) -> Figure:
    """A stance with clothes on; its lowest point touches the floor, the seat, or neither in a jump.

    Args:
        bank: The bodies.
        stance: Who stands where and how.
        room: The room, which must have space for a bed.
        dressed: Chance of clothes, hair and things; otherwise the body is bare.
        rng: Source of randomness.
    """
    outfit = dress(bank, stance.body, rng) if rng.random() < dressed else _bare(bank, stance.body)
    R, t = stance.R, stance.t
    posed = skin(outfit.weights, outfit.vertices_m, R, t)
    body = posed[: len(bank.part)]
    lift_m = stance.pose.lift_m - float(body[:, 2].min())
    joints = posed_joints(bank, stance.body, R, t)
    support, raised_m = _support(bank, stance, body.numpy(), joints.numpy(), lift_m, room, rng)
    place = stance.place
    x_m, y_m = place.xy_m.tolist()
    T_world_person = pose_matrix(x_m, y_m, place.heading_rad, lift_m + raised_m)
    return placed_figure(outfit, posed, joints, (R, t), T_world_person, support, stance.pose.source)


def placed_figure(
    outfit: Outfit,
    posed_m: torch.Tensor,
    joints_m: torch.Tensor,
    parts: tuple[torch.Tensor, torch.Tensor],
    T_world_person: np.ndarray,
    support: Primitives,
    source: str,
) -> Figure:
    """A posed, dressed body put into the world, with what it wears and holds.

    Args:
        outfit: What the body wears.
        posed_m: (N, 3) posed vertices, metres, the person's frame.
        joints_m: (15, 3) metres, the person's frame.
        parts: Rotations (K, 3, 3) and shifts (K, 3) of the body's parts from rest.
        T_world_person: (4, 4).
        support: What the person sits or lies on, world frame.
        source: Where the pose is from.
    """
    R, t = parts
    turn = torch.from_numpy(T_world_person[:3, :3]).float()
    shift = torch.from_numpy(T_world_person[:3, 3]).float()
    T_person_part = np.tile(np.eye(4), (len(R), 1, 1))
    T_person_part[:, :3, :3], T_person_part[:, :3, 3] = R.numpy(), t.numpy()
    maps = [T_world_person @ T_person_part[a.part] @ a.T_rest_local for a in outfit.attachments]
    extras = Primitives(
        np.array([a.kind for a in outfit.attachments], np.uint8),
        np.array(maps, np.float32).reshape(-1, 4, 4),
        np.array([a.material for a in outfit.attachments], np.uint8),
    )
    return Figure(
        posed_m @ turn.T + shift, outfit.triangles, outfit.material, joints_m @ turn.T + shift,
        extras, support, source,
    )  # fmt: skip


def _bare(bank: BodyBank, body: int) -> Outfit:
    material = torch.full((len(bank.triangles),), int(Material.SKIN))
    return Outfit(bank.vertices_m[body], bank.weights, bank.triangles, material, ())


def _support(
    bank: BodyBank,
    stance: Stance,
    body_m: np.ndarray,
    joints_m: np.ndarray,
    lift_m: float,
    room: Room,
    rng: np.random.Generator,
) -> tuple[Primitives, float]:
    """Solids that carry the person, world frame, and how high they lift it off the floor."""
    rotations, place = stance.pose.rotations, stance.place
    T_world_floor = pose_matrix(float(place.xy_m[0]), float(place.xy_m[1]), place.heading_rad)
    if sits(rotations):
        hips, knees, feet = joints_m[9:11], joints_m[11:13], joints_m[13:15]
        flesh = body_m[np.isin(bank.part.numpy(), _SEAT_PARTS)]
        middle = (hips[:, 1].mean() + knees[:, 1].mean()) / 2
        low_m = float(flesh[flesh[:, 1] < middle, 2].min()) + lift_m
        seat = make_seat(rng, seat_of(hips, knees, feet, low_m))
        return (merge([]) if seat is None else seat.moved(T_world_floor)), 0.0
    if lies(rotations) and rng.random() < _ON_BED:
        along = joints_m[1, :2] - joints_m[9:11, :2].mean(0)
        turn = float(np.arctan2(-along[0], along[1]))
        axes = pose_matrix(0, 0, turn)[:2, :2]
        flat = body_m[:, :2] @ axes
        bed, raised_m = make_bed(rng, flat.min(0), flat.max(0), turn)
        bed = bed.moved(T_world_floor)
        if _fits(bed, room):
            return bed, raised_m
    return merge([]), 0.0


def _fits(piece: Primitives, room: Room) -> bool:
    """Is there space in the room for a piece: at corners and middles of its solids."""
    corners = np.array([[x, y, z] for x in (-1, 0, 1) for y in (-1, 0, 1) for z in (0, 1)])
    points = np.einsum("kij,cj->kci", piece.T_world_local[:, :3, :3], corners)
    points = (points + piece.T_world_local[:, None, :3, 3]).reshape(-1, 3)
    inside = (np.abs(points[:, :2]) < np.array(room.floor_size) / 2 + 0.1).all()
    return bool(inside) and not room.primitives.contains(points).any()
