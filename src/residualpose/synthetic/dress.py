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
_SOLE_M = 0.01
_BALD = 0.08

Mesh = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]
"""Vertices (K, 3) in metres, skinning weights (K, 19), triangles (T, 3) and material (T,)."""


def dress(bank: BodyBank, body: int, rng: np.random.Generator) -> Outfit:
    """Put random clothes, hair and carried things on body number `body` of the bank."""
    clothed = rng.random() < 0.95
    worn = _choose(bank.wardrobe, clothed, rng)
    wears = {piece.wear for piece in worn}
    push, material = _procedural(bank, body, clothed, wears, rng)
    for piece in worn:
        push[piece.hides] = -_UNDER_M
    vertices_m = bank.vertices_m[body] + push[:, None] * bank.normals[body]
    kept = torch.ones(len(bank.triangles), dtype=torch.bool)
    for piece in worn:
        kept[piece.removes] = False
    skin = vertices_m, bank.weights, bank.triangles[kept], material[bank.triangles[kept, 0]]
    meshes = [skin, *_fitted(bank.sites_m(body), worn, vertices_m, rng)]
    if rng.random() < 0.15 and not wears & {Wear.BOTTOM, Wear.SUIT}:
        pelvis_m = vertices_m[bank.part == PARTS.index("pelvis")]
        meshes.append(skirt(bank.joints_m[body], pelvis_m, rng))
    held = attachments(bank, body, Wear.HAIR in wears, Wear.HAT in wears, rng)
    return Outfit(*_joined(meshes), held)


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


def _procedural(
    bank: BodyBank, body: int, clothed: bool, wears: set[Wear], rng: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """(V,) how far clothes and hair push the body's vertices outwards, and (V,) of Material."""
    thickness = torch.zeros(len(PARTS))
    material = torch.full((len(PARTS),), int(Material.SKIN))
    if clothed:
        _wear_procedural(thickness, material, wears, rng)
    folds = _folds(bank.vertices_m[body], rng)
    push, material = thickness[bank.part] * folds, material[bank.part]
    if Wear.HAIR in wears or rng.random() < _BALD:
        return push, material
    most_m = _UNDER_HAT_M if Wear.HAT in wears else 0.045
    scalp = _scalp(bank, body, rng)
    push = torch.where(scalp, rng.uniform(0.004, most_m) * folds, push)
    return push, torch.where(scalp, int(Material.HAIR), material)


def _fitted(
    sites_m: torch.Tensor, worn: list[Piece], body_m: torch.Tensor, rng: np.random.Generator
) -> list[Mesh]:
    """Pieces of the wardrobe on one body, seen from both sides; shoes move its soles (V, 3)."""
    meshes: list[Mesh] = []
    for piece in worn:
        fitted_m = piece.fitted_m(sites_m)
        if piece.wear == Wear.SHOES:  # it is the body that is put on the floor
            feet_m = body_m[piece.hides, 2]
            soles = piece.hides[feet_m < feet_m.min() + _SOLE_M]
            body_m[soles, 2] = fitted_m[:, 2].min()
        both = torch.cat([piece.triangles, piece.triangles.flip(1)])
        material = torch.full((len(both),), int(_material(piece.wear, rng)))
        meshes.append((fitted_m, piece.weights, both, material))
    return meshes


def _joined(meshes: list[Mesh]) -> Mesh:
    """One mesh of several, whose triangles count from their own vertex 0."""
    vertices_m, weights, triangles, material = zip(*meshes, strict=True)
    starts = np.cumsum([0, *map(len, vertices_m[:-1])]).tolist()
    moved = [part + start for part, start in zip(triangles, starts, strict=True)]
    return torch.cat(vertices_m), torch.cat(weights), torch.cat(moved), torch.cat(material)


def _material(wear: Wear, rng: np.random.Generator) -> Material:
    if wear in (Wear.HAIR, Wear.SHOES):
        return Material.HAIR if wear == Wear.HAIR else Material.SHOES
    return Material.DARK_CLOTH if rng.random() < 0.3 else Material.CLOTH


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


def _scalp(bank: BodyBank, body: int, rng: np.random.Generator) -> torch.Tensor:
    """(V,) bool: where hair grows."""
    offset = bank.vertices_m[body] - bank.joints_m[body, 0]
    size = 0.12
    up, back = offset[:, 2] / size, -offset[:, 1] / size
    covered = (bank.part == PARTS.index("head")) & (up + 0.9 * back > rng.uniform(0.25, 0.6))
    return covered & (up > rng.uniform(-0.6, 0.1))
