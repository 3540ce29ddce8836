"""Wardrobe: ready-made pieces of clothing that fit every body of a bank, and their arrays on disk.

A piece hangs on the body's vertices, so putting it on any shape is one weighted sum.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import IntEnum

import numpy as np
import torch


class Wear(IntEnum):
    """Where a piece is worn."""

    HAT = 0
    HAIR = 1
    SHOES = 2
    TOP = 3
    BOTTOM = 4
    SUIT = 5
    """Top and bottom in one."""


@dataclass(frozen=True, slots=True)
class Piece:
    """G vertices and T triangles; sites number a body's vertices and, after them, its helpers."""

    wear: Wear
    sites: torch.Tensor
    """(G, 3) int64 what each vertex hangs on."""
    shares: torch.Tensor
    """(G, 3) float32 how much on each."""
    offsets: torch.Tensor
    """(G, 3) float32 offset in units of the reference lengths."""
    span: torch.Tensor
    """(3, 2) int64 sites whose distance along x, y, z is the reference length."""
    weights: torch.Tensor
    """(G, 19) float32 skinning weights over bodies.PARTS."""
    triangles: torch.Tensor
    """(T, 3) int64, seen from outside; the inside is drawn by the one who wears it."""
    hides: torch.Tensor
    """(K,) int64 body vertices that lie under it."""
    removes: torch.Tensor
    """(L,) int64 body triangles so deep under it that nothing shows them."""

    def fitted_m(self, sites_m: torch.Tensor) -> torch.Tensor:
        """(G, 3) rest vertices on one body, whose sites (S, 3) are given in metres."""
        ends = sites_m[self.span, torch.arange(3)[:, None]]
        size = (ends[:, 0] - ends[:, 1]).abs()
        return torch.einsum("gk,gkc->gc", self.shares, sites_m[self.sites]) + self.offsets * size


@dataclass(frozen=True, slots=True)
class Wardrobe:
    """All pieces there are; none where no archive of clothes was given."""

    pieces: tuple[Piece, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.pieces)

    def of(self, *wears: Wear) -> list[Piece]:
        """The pieces that are worn in one of these ways."""
        return [piece for piece in self.pieces if piece.wear in wears]

    def arrays(self) -> dict[str, np.ndarray]:
        """Everything as plain arrays, pieces end to end."""
        stored: dict[str, np.ndarray] = {
            "wardrobe_wear": np.array([int(piece.wear) for piece in self.pieces], np.int64)
        }
        for name in _TENSORS if self else ():
            values = [getattr(piece, name).cpu().numpy() for piece in self.pieces]
            stored[f"wardrobe_{name}"] = np.concatenate(values)
            stored[f"wardrobe_{name}_rows"] = np.array([len(value) for value in values], np.int64)
        return stored

    @classmethod
    def from_arrays(cls, stored: Mapping[str, np.ndarray]) -> Wardrobe:
        """The wardrobe that `arrays` wrote; raises KeyError or ValueError on anything else."""
        wears = stored["wardrobe_wear"]
        columns = []
        for name in _TENSORS if len(wears) else ():
            rows = stored[f"wardrobe_{name}_rows"]
            cut = np.split(stored[f"wardrobe_{name}"], np.cumsum(rows)[:-1])
            columns.append([torch.from_numpy(part.copy()) for part in cut])
        rows = zip(*columns, strict=True)
        return cls(tuple(Piece(Wear(w), *r) for w, r in zip(wears.tolist(), rows, strict=True)))

    def to(self, device: torch.device | str) -> Wardrobe:
        """The wardrobe with every tensor on a device."""
        return Wardrobe(
            tuple(
                Piece(piece.wear, *(getattr(piece, name).to(device) for name in _TENSORS))
                for piece in self.pieces
            )
        )


_TENSORS = tuple(field.name for field in fields(Piece) if field.name != "wear")
