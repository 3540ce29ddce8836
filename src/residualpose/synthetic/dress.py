"""Who wears what: clothes from the wardrobe, where there is one, mixed with procedural ones.

Procedural garments are the body's own surface pushed outwards by a thickness that varies smoothly
and folds; skirts are tubes around the thighs; pieces of the wardrobe are meshes of their own, under
which the body is taken away.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from residualpose.synthetic.bodies import PARTS, BodyBank
from residualpose.synthetic.carried import Attachment, attachments
from residualpose.synthetic.materials import Material
from residualpose.synthetic.skirts import skirt
from residualpose.synthetic.wardrobe import Piece, Wardrobe, Wear


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
_UNDER_M = 0.008
"""Skin under a piece of the wardrobe lies so much deeper, where it is drawn at all."""
_UNDER_HAT_M = 0.006


def dress(bank: BodyBank, body: int, rng: np.random.Generator) -> Outfit:
    """Put random clothes, hair and carried things on body number `body` of the bank."""
    clothed = rng.random() < 0.95
    worn = _choose(bank.wardrobe, clothed, rng)
    wears = {piece.wear for piece in worn}
    thickness = torch.zeros(len(PARTS))
    material = torch.full((len(PARTS),), int(Material.SKIN))
    if clothed:
        _wear_procedural(thickness, material, wears, rng)
    push = thickness[bank.part] * _folds(bank.vertices_m[body], rng)
    vertex_material = material[bank.part]
    if Wear.HAIR not in wears:
        hair = _hair_region(bank, body, rng)
        hair = hair.clamp_max(_UNDER_HAT_M) if Wear.HAT in wears else hair
        push = torch.where(hair > 0, hair, push)
        vertex_material = torch.where(hair > 0, int(Material.HAIR), vertex_material)
    for piece in worn:
        push[piece.hides] = -_UNDER_M
    outfit = Outfit(
        bank.vertices_m[body] + push[:, None] * bank.normals[body],
        bank.weights, bank.triangles, vertex_material[bank.triangles[:, 0]],
        attachments(bank, body, Wear.HAIR in wears, Wear.HAT in wears, rng),
    )  # fmt: skip
    outfit = _with_pieces(outfit, bank, body, worn, rng)
    if rng.random() < 0.15 and not wears & {Wear.BOTTOM, Wear.SUIT}:
        outfit = _with_mesh(outfit, *skirt(bank.joints_m[body], rng))
    return outfit


def _choose(wardrobe: Wardrobe, clothed: bool, rng: np.random.Generator) -> list[Piece]:
    """Pieces of the wardrobe, about half of all clothes; the others will be procedural."""
    if not wardrobe:
        return []

    def one(chance: float, *wears: Wear) -> list[Piece]:
        stock = wardrobe.of(*wears)
        return [stock[rng.integers(len(stock))]] if stock and rng.random() < chance else []

    worn = one(0.08, Wear.HAT)
    worn += [] if worn else one(0.6, Wear.HAIR)
    if clothed:
        worn += one(0.5, Wear.SHOES) + one(0.5, Wear.TOP, Wear.SUIT)
        worn += [] if any(piece.wear == Wear.SUIT for piece in worn) else one(0.5, Wear.BOTTOM)
    return worn


def _wear_procedural(
    thickness: torch.Tensor, material: torch.Tensor, wears: set[Wear], rng: np.random.Generator
) -> None:
    """What the wardrobe left open."""
    if not wears & {Wear.TOP, Wear.SUIT}:
        _wear_top(thickness, material, rng)
    if not wears & {Wear.BOTTOM, Wear.SUIT}:
        _wear_trousers(thickness, material, rng)
    if Wear.SHOES not in wears:
        _set(thickness, material, _FOOT, rng.uniform(0.004, 0.014), Material.SHOES)


def _with_pieces(
    outfit: Outfit, bank: BodyBank, body: int, worn: list[Piece], rng: np.random.Generator
) -> Outfit:
    """Put pieces of the wardrobe on and take away the body deep under them."""
    if not worn:
        return outfit
    sites_m = bank.sites_m(body)
    kept = torch.ones(len(outfit.triangles), dtype=torch.bool)
    vertices = outfit.vertices_m.clone()
    for piece in worn:
        kept[piece.removes] = False
    dressed = Outfit(
        vertices, outfit.weights, outfit.triangles[kept], outfit.material[kept], outfit.attachments
    )
    for piece in worn:
        fitted_m = piece.fitted_m(sites_m)
        if piece.wear == Wear.SHOES:  # what stands on the floor is the body: give it the soles
            gone = bank.triangles[piece.removes].unique()
            low = vertices[gone, 2].min() - fitted_m[:, 2].min()
            vertices[gone, 2] -= low
        both = torch.cat([piece.triangles, piece.triangles.flip(1)])
        material = torch.full((len(both),), int(_material(piece.wear, rng)))
        dressed = _with_mesh(dressed, fitted_m, piece.weights, both, material)
    return dressed


def _material(wear: Wear, rng: np.random.Generator) -> Material:
    if wear in (Wear.HAIR, Wear.SHOES):
        return Material.HAIR if wear == Wear.HAIR else Material.SHOES
    return Material.DARK_CLOTH if rng.random() < 0.3 else Material.CLOTH


def _with_mesh(
    outfit: Outfit,
    vertices_m: torch.Tensor,
    weights: torch.Tensor,
    triangles: torch.Tensor,
    material: torch.Tensor,
) -> Outfit:
    """The outfit with one more mesh, whose triangles count from its own vertex 0."""
    return Outfit(
        torch.cat([outfit.vertices_m, vertices_m]),
        torch.cat([outfit.weights, weights]),
        torch.cat([outfit.triangles, triangles + len(outfit.vertices_m)]),
        torch.cat([outfit.material, material]),
        outfit.attachments,
    )


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
