"""Skirts and the lower halves of coats: tubes that hang from the hips and follow the thighs."""

from __future__ import annotations

import math

import numpy as np
import torch

from residualpose.synthetic.bodies import PARTS
from residualpose.synthetic.materials import Material

_ROWS, _AROUND = 8, 28
"""Vertices from the waist down, and around."""
_EASE_M = 0.04


def skirt(
    joints_m: torch.Tensor, pelvis_m: torch.Tensor, rng: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """A tube from the waist to around the knees.

    Args:
        joints_m: (15, 3) the body's rest joints.
        pelvis_m: (K, 3) the body's rest vertices around the hips, which it must go around.
        rng: for its length, flare, folds and cloth.

    Returns:
        vertices (K, 3) in metres, skinning weights (K, 19), triangles (T, 3) and material (T,).
    """
    length = rng.uniform(0.5, 1.5)
    down = torch.linspace(-0.15, length, _ROWS)[:, None]
    angle = torch.arange(_AROUND)[None] * (2 * math.pi / _AROUND)
    ring = _vertices(joints_m, pelvis_m, down, angle, rng)
    triangles = _tube()
    kind = Material.DARK_CLOTH if rng.random() < 0.3 else Material.CLOTH
    return ring, _weights(down, angle), triangles, torch.full((len(triangles),), int(kind))


def _vertices(
    joints_m: torch.Tensor,
    pelvis_m: torch.Tensor,
    down: torch.Tensor,
    angle: torch.Tensor,
    rng: np.random.Generator,
) -> torch.Tensor:
    """Rings of vertices, row by row; `down` is in units of hips to knees."""
    hips, knees = joints_m[9:11].mean(0), joints_m[11:13].mean(0)
    flare = 1 + down.clamp_min(0) * rng.uniform(0.05, 0.4)
    flare[0] = 0.7  # the waistband closes the tube against the trunk
    folds = 1 + 0.04 * torch.sin(angle * int(rng.integers(4, 9))) * down.clamp_min(0)
    low, high = pelvis_m.amin(0), pelvis_m.amax(0)
    half, middle = (high - low) / 2 + _EASE_M, (high + low) / 2
    x = half[0] * flare * folds * torch.cos(angle)
    y = half[1] * flare * folds * torch.sin(angle)
    z = (knees - hips)[2] * down.expand(_ROWS, _AROUND)
    return torch.stack([x + middle[0], y + middle[1], z + hips[2]], -1).reshape(-1, 3)


def _weights(down: torch.Tensor, angle: torch.Tensor) -> torch.Tensor:
    """Skinning weights of the rings: the lower, the more they follow the thigh of their side."""
    weights = torch.zeros(_ROWS, _AROUND, len(PARTS))
    follow = (down * 2).clamp(0, 0.95).expand(_ROWS, _AROUND)
    right = (0.5 + 1.2 * torch.cos(angle)).clamp(0, 1).expand(_ROWS, _AROUND)
    weights[..., PARTS.index("pelvis")] = 1 - follow
    weights[..., PARTS.index("thigh_r")] = follow * right
    weights[..., PARTS.index("thigh_l")] = follow * (1 - right)
    return weights.reshape(-1, len(PARTS))


def _tube() -> torch.Tensor:
    """Triangles between neighbouring rings of vertices, both sides."""
    rows, around = torch.arange(_ROWS - 1), torch.arange(_AROUND)
    r, c = torch.meshgrid(rows, around, indexing="ij")
    a, b = r * _AROUND + c, r * _AROUND + (c + 1) % _AROUND
    below = a + _AROUND, b + _AROUND
    quads = torch.cat([torch.stack([a, below[0], b], -1), torch.stack([b, *below], -1)])
    quads = quads.reshape(-1, 3)
    return torch.cat([quads, quads.flip(1)])  # seen from inside as well
