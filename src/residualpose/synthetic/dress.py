"""Clothes, hair and things carried, made procedurally from the body alone.

Garments are the body's own surface pushed outwards by a thickness that varies smoothly and folds;
skirts and coats are tubes that hang from the hips and follow the thighs; hats, pony tails, bags
and held things are ellipsoids and boxes fixed to a part.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from residualpose.synthetic.bodies import PARTS, BodyBank
from residualpose.synthetic.materials import Material


@dataclass(frozen=True, slots=True)
class Attachment:
    """An ellipsoid or box fixed to a part of the body."""

    part: int
    """Index into bodies.PARTS."""
    kind: int
    """0 box, 1 ellipsoid."""
    T_rest_local: np.ndarray
    """(4, 4) affine map of the unit primitive into the body's rest pose."""
    material: Material


@dataclass(frozen=True, slots=True)
class Outfit:
    """One dressed body in its rest pose."""

    vertices_m: torch.Tensor
    """(V', 3) rest vertices with the clothes on; the first V are the body's."""
    weights: torch.Tensor
    """(V', 19) skinning weights."""
    triangles: torch.Tensor
    """(T', 3)."""
    material: torch.Tensor
    """(T',) int64 of Material."""
    attachments: tuple[Attachment, ...]


_TORSO = ("chest", "abdomen", "clavicle_r", "clavicle_l")
_UPPER = ("upper_arm_r", "upper_arm_l")
_FORE = ("forearm_r", "forearm_l")
_THIGH = ("thigh_r", "thigh_l")
_SHIN = ("shin_r", "shin_l")
_FOOT = ("foot_r", "foot_l")
_SKIRT_ROWS, _SKIRT_AROUND = 8, 28
"""Vertices of a skirt from the waist down, and around."""


def dress(bank: BodyBank, body: int, rng: np.random.Generator) -> Outfit:
    """Put random clothes, hair and carried things on body number `body` of the bank."""
    part = bank.part
    thickness = torch.zeros(len(PARTS))
    material = torch.full((len(PARTS),), int(Material.SKIN))
    if rng.random() < 0.95:
        _wear_top(thickness, material, rng)
        _wear_trousers(thickness, material, rng)
        _set(thickness, material, _FOOT, rng.uniform(0.004, 0.014), Material.SHOES)
    vertex_material = material[part]
    push = thickness[part] * _folds(bank.vertices_m[body], rng)
    hair = _hair_region(bank, body, rng)
    push = torch.where(hair > 0, hair, push)
    vertex_material = torch.where(hair > 0, int(Material.HAIR), vertex_material)
    vertices = bank.vertices_m[body] + push[:, None] * bank.normals[body]
    triangle_material = vertex_material[bank.triangles[:, 0]]
    outfit = Outfit(
        vertices, bank.weights, bank.triangles, triangle_material, _attachments(bank, body, rng)
    )
    return _with_skirt(outfit, bank, body, rng) if rng.random() < 0.15 else outfit


def _set(
    thickness: torch.Tensor,
    material: torch.Tensor,
    parts: tuple[str, ...],
    t: float,
    kind: Material,
) -> None:
    index = [PARTS.index(p) for p in parts]
    thickness[index], material[index] = t, int(kind)


def _wear_top(thickness: torch.Tensor, material: torch.Tensor, rng: np.random.Generator) -> None:
    kind = Material.DARK_CLOTH if rng.random() < 0.2 else Material.CLOTH
    jacket = rng.random() < 0.25
    loose = rng.uniform(0.02, 0.045) if jacket else rng.uniform(0.002, 0.022)
    _set(thickness, material, (*_TORSO, "pelvis"), loose, kind)
    if jacket or rng.random() < 0.85:
        _set(thickness, material, _UPPER, 0.8 * loose, kind)
    if jacket or rng.random() < 0.5:
        _set(thickness, material, _FORE, 0.7 * loose, kind)
    if jacket and rng.random() < 0.4:
        _set(thickness, material, ("neck",), rng.uniform(0.005, 0.03), kind)


def _wear_trousers(
    thickness: torch.Tensor, material: torch.Tensor, rng: np.random.Generator
) -> None:
    kind = Material.DARK_CLOTH if rng.random() < 0.35 else Material.CLOTH
    loose = rng.uniform(0.002, 0.025)
    _set(thickness, material, (*_THIGH, "pelvis"), loose, kind)
    if rng.random() < 0.8:
        _set(thickness, material, _SHIN, loose * rng.uniform(0.6, 1.5), kind)


def _folds(vertices_m: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """(V,) smooth positive factor around 1: a few waves of 8 to 50 cm across the body."""
    waves = torch.as_tensor(rng.normal(size=(6, 3)), dtype=torch.float32)
    lengths = torch.as_tensor(rng.uniform(0.08, 0.5, 6), dtype=torch.float32)
    waves = torch.nn.functional.normalize(waves, dim=1) * (2 * math.pi / lengths)[:, None]
    phase = torch.as_tensor(rng.uniform(0, 2 * math.pi, 6), dtype=torch.float32)
    return (1 + 0.35 * torch.sin(vertices_m @ waves.T + phase).sum(1)).clamp(0.1, 3.0)


def _hair_region(bank: BodyBank, body: int, rng: np.random.Generator) -> torch.Tensor:
    """(V,) thickness of the hair in metres, 0 where there is none."""
    if rng.random() < 0.08:
        return torch.zeros(len(bank.part))
    centre = bank.joints_m[body, 0]
    offset = bank.vertices_m[body] - centre
    size = 0.12
    up, back = offset[:, 2] / size, -offset[:, 1] / size
    on_scalp = (bank.part == PARTS.index("head")) & (up + 0.9 * back > rng.uniform(0.25, 0.6))
    on_scalp &= up > rng.uniform(-0.6, 0.1)
    depth = rng.uniform(0.004, 0.045) * _folds(bank.vertices_m[body], rng)
    return torch.where(on_scalp, depth, 0.0)


def _attachments(bank: BodyBank, body: int, rng: np.random.Generator) -> tuple[Attachment, ...]:
    """Hats, long hair, bags and held things, each with its own small chance."""
    joints = bank.joints_m[body].numpy()
    head, neck, torso = joints[0], joints[1], joints[8]
    found: list[Attachment] = []
    u = rng.uniform

    def add(
        part: str, kind: int, centre_m: np.ndarray, half_m: list[float], material: Material
    ) -> None:
        found.append(_attachment(part, kind, centre_m, half_m, material, rng))

    if rng.random() < 0.18:  # long hair down the back, or a bun
        drop = u(0.02, 0.22)
        centre = _from(head, 0, -0.08, 0.02 - drop)
        add("head", 1, centre, [u(0.06, 0.1), 0.05, 0.06 + drop], Material.HAIR)
    if rng.random() < 0.1:  # cap or hat
        brim = u(0.0, 0.09)
        add("head", 1, _from(head, 0, 0, 0.09), [0.1, 0.12, u(0.05, 0.09)], Material.CLOTH)
        wide = [0.09 + brim / 2, 0.1 + brim / 2, 0.012]
        add("head", 1, _from(head, 0, brim, 0.07), wide, Material.CLOTH)
    if rng.random() < 0.08:  # rucksack
        centre = _from((neck + torso) / 2, 0, -0.16 - u(0, 0.05), -0.05)
        kind = int(rng.integers(2))
        half = [u(0.12, 0.18), u(0.05, 0.12), u(0.15, 0.25)]
        add("chest", kind, centre, half, Material.HELD)
    if rng.random() < 0.06:  # belly bag or satchel at the hip
        side = rng.choice([-1, 1])
        centre = _from(torso, side * u(0, 0.2), u(-0.1, 0.14), -0.2)
        add("pelvis", 0, centre, [0.12, 0.05, 0.1], Material.HELD)
    for hand, name in ((joints[6], "hand_r"), (joints[7], "hand_l")):
        if rng.random() < 0.1:
            half = [u(0.01, 0.1), u(0.01, 0.1), u(0.02, 0.16)]
            add(name, int(rng.integers(2)), hand + rng.normal(0, 0.03, 3), half, Material.HELD)
    return tuple(found)


def _from(point_m: np.ndarray, right: float, forward: float, up: float) -> np.ndarray:
    """A point moved in the rest pose's axes, metres."""
    return point_m + np.array([right, forward, up])


def _attachment(
    part: str,
    kind: int,
    centre_m: np.ndarray,
    half_m: list[float],
    material: Material,
    rng: np.random.Generator,
) -> Attachment:
    """A primitive of given half sizes, a little tilted."""
    T = np.eye(4, dtype=np.float32)
    tilt = np.linalg.qr(rng.normal(0, 0.25, (3, 3)) + np.eye(3))[0]
    T[:3, :3] = tilt * np.asarray(half_m)
    T[:3, 3] = centre_m
    return Attachment(PARTS.index(part), kind, T, material)


def _with_skirt(outfit: Outfit, bank: BodyBank, body: int, rng: np.random.Generator) -> Outfit:
    """Add a skirt or the lower half of a coat: a tube from the waist to around the knees."""
    length = rng.uniform(0.5, 1.5)
    down = torch.linspace(-0.15, length, _SKIRT_ROWS)[:, None]
    angle = torch.arange(_SKIRT_AROUND)[None] * (2 * math.pi / _SKIRT_AROUND)
    ring = _skirt_vertices(bank.joints_m[body], down, angle, rng)
    weights = _skirt_weights(down, angle)
    triangles = _tube_triangles(len(outfit.vertices_m))
    kind = Material.DARK_CLOTH if rng.random() < 0.3 else Material.CLOTH
    return Outfit(
        torch.cat([outfit.vertices_m, ring]),
        torch.cat([outfit.weights, weights]),
        torch.cat([outfit.triangles, triangles]),
        torch.cat([outfit.material, torch.full((len(triangles),), int(kind))]),
        outfit.attachments,
    )


def _skirt_vertices(
    joints_m: torch.Tensor, down: torch.Tensor, angle: torch.Tensor, rng: np.random.Generator
) -> torch.Tensor:
    """Rings of vertices, row by row; `down` is in units of hips to knees."""
    hips, knees = joints_m[9:11].mean(0), joints_m[11:13].mean(0)
    flare = 1 + down.clamp_min(0) * rng.uniform(0.05, 0.4)
    folds = 1 + 0.04 * torch.sin(angle * int(rng.integers(4, 9))) * down.clamp_min(0)
    wide = (joints_m[9, 0] - joints_m[10, 0]).abs() * 0.5
    x = (wide + 0.085) * flare * folds * torch.cos(angle)
    y = (0.6 * wide + 0.085) * flare * folds * torch.sin(angle)
    z = (knees - hips)[2] * down.expand(_SKIRT_ROWS, _SKIRT_AROUND)
    return torch.stack([x + hips[0], y + hips[1], z + hips[2]], -1).reshape(-1, 3)


def _skirt_weights(down: torch.Tensor, angle: torch.Tensor) -> torch.Tensor:
    """Skinning weights of the rings: the lower, the more they follow the thigh of their side."""
    weights = torch.zeros(_SKIRT_ROWS, _SKIRT_AROUND, len(PARTS))
    follow = (down * 1.2).clamp(0, 0.85).expand(_SKIRT_ROWS, _SKIRT_AROUND)
    right = (0.5 + 0.6 * torch.cos(angle)).clamp(0, 1).expand(_SKIRT_ROWS, _SKIRT_AROUND)
    weights[..., PARTS.index("pelvis")] = 1 - follow
    weights[..., PARTS.index("thigh_r")] = follow * right
    weights[..., PARTS.index("thigh_l")] = follow * (1 - right)
    return weights.reshape(-1, len(PARTS))


def _tube_triangles(first: int) -> torch.Tensor:
    """Triangles between neighbouring rings of vertices from number `first` on, both sides."""
    rows, around = torch.arange(_SKIRT_ROWS - 1), torch.arange(_SKIRT_AROUND)
    r, c = torch.meshgrid(rows, around, indexing="ij")
    a, b = first + r * _SKIRT_AROUND + c, first + r * _SKIRT_AROUND + (c + 1) % _SKIRT_AROUND
    below = a + _SKIRT_AROUND, b + _SKIRT_AROUND
    quads = torch.cat([torch.stack([a, below[0], b], -1), torch.stack([b, *below], -1)])
    quads = quads.reshape(-1, 3)
    return torch.cat([quads, quads.flip(1)])  # seen from inside as well
