"""Procedural furniture: each function makes one piece of random shape and size.

A piece stands on z = 0 around the origin with its back towards +y; metres.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np

from residualpose.synthetic.clutter import curtain
from residualpose.synthetic.primitives import (
    BOX,
    ELLIPSOID,
    Material,
    Primitives,
    cuboids,
    merge,
    pose_matrix,
    solids,
    yaw_rotation,
)


def _legs(half_x: float, half_y: float, top_m: float, thickness_m: float) -> list[list[float]]:
    """Four rows for cuboids: legs at the corners of a rectangle."""
    t = thickness_m
    return [
        [x - t, x + t, y - t, y + t, 0, top_m]
        for x in (-half_x + t, half_x - t)
        for y in (-half_y + t, half_y - t)
    ]


def _on_top(rng: np.random.Generator, half_x: float, half_y: float, z_m: float) -> Primitives:
    """A few small things lying or standing on a surface."""
    count = int(rng.integers(0, 7))
    half = rng.uniform(0.02, 0.14, (count, 3)) * rng.uniform(0.4, 1.2, (count, 1))
    spread = np.maximum(np.array([half_x, half_y]) - 0.1, 0.01)
    centre = np.column_stack([rng.uniform(-spread, spread, (count, 2)), z_m + half[:, 2]])
    turn = yaw_rotation(rng.uniform(0, np.pi, count))
    boxes = count // 2
    parts = [
        solids(BOX, centre[:boxes], half[:boxes], turn[:boxes]),
        solids(ELLIPSOID, centre[boxes:], half[boxes:], turn[boxes:]),
    ]
    if rng.random() < 0.3:
        x, y = rng.uniform(-spread, spread)
        parts.append(screen(rng, z_m).moved(pose_matrix(x, y, rng.normal(0, 0.4))))
    return merge(parts)


def screen(rng: np.random.Generator, z_m: float) -> Primitives:
    """A monitor on its foot."""
    w, h = rng.uniform(0.2, 0.4), rng.uniform(0.13, 0.22)
    rise = z_m + rng.uniform(0.08, 0.2)
    rows = [[-w, w, -0.02, 0.02, rise, rise + 2 * h], [-0.03, 0.03, 0.02, 0.05, z_m, rise + h]]
    return cuboids([*rows, [-0.12, 0.12, -0.1, 0.1, z_m, z_m + 0.015]], Material.DARK_FURNITURE)


def table(rng: np.random.Generator) -> Primitives:
    """A dining, coffee or side table, often with things on it."""
    x, y = rng.uniform(0.25, 0.95), rng.uniform(0.25, 0.5)
    z = rng.uniform(0.7, 0.78) if rng.random() < 0.7 else rng.uniform(0.35, 0.55)
    top = [[-x, x, -y, y, z - rng.uniform(0.02, 0.05), z]]
    if rng.random() < 0.25:
        top.append([-0.05, 0.05, -0.05, 0.05, 0, z])
        legs = [[-x * 0.6, x * 0.6, -y * 0.6, y * 0.6, 0, 0.03]]
    else:
        legs = _legs(x, y, z, rng.uniform(0.015, 0.04))
    return merge([cuboids(top + legs), _on_top(rng, x, y, z)])


def desk(rng: np.random.Generator) -> Primitives:
    """A desk with drawers, one or two screens and a chair before it."""
    x, y, z = rng.uniform(0.5, 0.9), rng.uniform(0.3, 0.4), rng.uniform(0.7, 0.77)
    side = rng.choice([-1, 1])
    rows = [[-x, x, -y, y, z - 0.03, z], [-x, -x + 0.03, -y, y, 0, z], [x - 0.03, x, -y, y, 0, z]]
    rows.append([*sorted([side * x, side * (x - 0.4)]), -y, y, 0.05, z])
    parts = [cuboids(rows), _on_top(rng, x, y, z)]
    for offset in rng.uniform(-0.3, 0.3) + np.arange(rng.integers(0, 3)) * 0.6 - 0.3:
        parts.append(screen(rng, z).moved(pose_matrix(offset, y / 3, rng.normal(0, 0.2))))
    if rng.random() < 0.6:
        place = pose_matrix(
            rng.normal(0, 0.2), -y - rng.uniform(0.2, 0.5), np.pi + rng.normal(0, 0.6)
        )
        parts.append(chair(rng).moved(place))
    return merge(parts)


def chair(rng: np.random.Generator) -> Primitives:
    """A kitchen or an office chair."""
    x, y, z = rng.uniform(0.2, 0.25), rng.uniform(0.2, 0.25), rng.uniform(0.42, 0.5)
    high = z + rng.uniform(0.35, 0.65)
    rows = [[-x, x, -y, y, z - rng.uniform(0.03, 0.09), z]]
    rows.append([-x * 0.95, x * 0.95, y - 0.04, y, z + rng.uniform(0, 0.2), high])
    if rng.random() < 0.4:
        rows += [[s * x - 0.03, s * x + 0.03, -y * 0.6, y, z + 0.18, z + 0.22] for s in (-1, 1)]
    if rng.random() < 0.5:
        return cuboids(rows + _legs(x, y, z, rng.uniform(0.012, 0.025)))
    rows.append([-0.03, 0.03, -0.03, 0.03, 0.08, z])
    star = yaw_rotation(np.arange(5) * (2 * np.pi / 5) + rng.uniform(0, 1))
    centre = star @ np.array([0.15, 0, 0.07])
    return merge([cuboids(rows), solids(BOX, centre, (0.15, 0.025, 0.025), star)]).of(
        Material.DARK_FURNITURE
    )


def sofa(rng: np.random.Generator) -> Primitives:
    """An armchair or a sofa with cushions."""
    x, y, z = rng.uniform(0.4, 1.1), rng.uniform(0.38, 0.5), rng.uniform(0.38, 0.48)
    back, arm = z + rng.uniform(0.3, 0.5), z + rng.uniform(0.1, 0.25)
    rows = [[-x, x, -y, y, 0.04, z], [-x, x, y - rng.uniform(0.15, 0.25), y, 0, back]]
    rows += [[s * x - 0.1, s * x + 0.1, -y, y, 0, arm] for s in (-1, 1)]
    count = int(rng.integers(0, 4))
    centre = np.column_stack(
        [rng.uniform(-x, x, count), np.full(count, y - 0.3), np.full(count, z + 0.2)]
    )
    cushions = solids(ELLIPSOID, centre, (0.22, 0.1, 0.2), yaw_rotation(rng.normal(0, 0.4, count)))
    return merge([cuboids(rows), cushions])


def bed(rng: np.random.Generator) -> Primitives:
    """A bed with its head to the wall, a blanket and pillows."""
    x, y, z = rng.uniform(0.45, 0.95), rng.uniform(0.95, 1.08), rng.uniform(0.4, 0.6)
    rows = [[-x, x, -y, y, 0.1, z], [-x, x, y, y + 0.06, 0, z + rng.uniform(0, 0.6)]]
    pillows = solids(
        ELLIPSOID, [[-x / 2, y - 0.25, z + 0.05], [x / 2, y - 0.25, z + 0.05]], (0.3, 0.2, 0.09)
    )
    blanket = solids(ELLIPSOID, (0, -0.3, z), (x * 1.05, y * 0.7, rng.uniform(0.04, 0.14)))
    return merge([cuboids(rows), pillows, blanket])


def shelf(rng: np.random.Generator) -> Primitives:
    """An open shelf with rows of books and things of random depth."""
    x, y, high = rng.uniform(0.3, 0.8), rng.uniform(0.12, 0.22), rng.uniform(0.8, 2.2)
    boards = np.linspace(0.05, high, max(2, round(high / rng.uniform(0.28, 0.45))))
    rows = [[-x, x, -y, y, z - 0.012, z + 0.012] for z in boards]
    rows += [[-x - 0.02, -x, -y, y, 0, high], [x, x + 0.02, -y, y, 0, high]]
    if rng.random() < 0.7:
        rows.append([-x, x, y - 0.01, y, 0, high])
    for low, up in pairwise(boards):
        rows += _books(rng, x, y, low, up - low)
    return cuboids(rows)


def _books(rng: np.random.Generator, x: float, y: float, z: float, gap: float) -> list[list[float]]:
    """Rows for cuboids: blocks of books of differing height and depth on one board."""
    edges = np.cumsum(rng.uniform(0.03, 0.2, 24)) - x
    edges = edges[edges < x]
    blocks = []
    for start, end in pairwise(edges):
        if rng.random() < 0.7:
            front = -y + rng.uniform(-0.02, 1.2) * y
            blocks.append([start, end, front, y, z, z + gap * rng.uniform(0.4, 0.95)])
    return blocks


def cupboard(rng: np.random.Generator) -> Primitives:
    """A chest, cupboard, wardrobe or fridge; one door may stand open."""
    x, y = rng.uniform(0.25, 0.9), rng.uniform(0.2, 0.32)
    high = rng.choice([rng.uniform(0.5, 1.0), rng.uniform(1.6, 2.2)])
    rows = [[-x, x, -y, y, 0, high]]
    doors = np.linspace(-x, x, max(2, round(2 * x / 0.45) + 1))
    for left, right in pairwise(doors):
        rows.append([left + 0.01, right - 0.01, -y - 0.02, -y, 0.08, high - 0.02])
        rows.append([right - 0.06, right - 0.04, -y - 0.05, -y, high * 0.45, high * 0.6])
    parts = [cuboids(rows)]
    if rng.random() < 0.25:
        swing = cuboids([[0, 0.42, -0.01, 0.01, 0.08, high - 0.02]])
        parts.append(swing.moved(pose_matrix(-x, -y, rng.uniform(-2.2, -0.6))))
    if high < 1.2:
        parts.append(_on_top(rng, x, y, high))
    return merge(parts)


def lamp(rng: np.random.Generator) -> Primitives:
    """A floor lamp."""
    high, r = rng.uniform(1.2, 1.9), rng.uniform(0.12, 0.28)
    pole = cuboids([[-0.015, 0.015, -0.015, 0.015, 0, high]])
    base = solids(ELLIPSOID, (0, 0, 0.01), (0.16, 0.16, 0.03))
    kind = int(rng.choice([BOX, ELLIPSOID]))
    shade = solids(
        kind, (0, 0, high), (r, r, r * rng.uniform(0.5, 1)), yaw_rotation(rng.uniform(0, 1))
    )
    return merge([pole, base, shade])


def television(rng: np.random.Generator) -> Primitives:
    """A large screen on a low board."""
    x, z, w = rng.uniform(0.5, 1.0), rng.uniform(0.35, 0.55), rng.uniform(0.4, 0.75)
    rows = [[-w, w, -0.03, 0.03, z + 0.08, z + 0.08 + 1.1 * w], [-0.2, 0.2, -0.1, 0.1, z, z + 0.08]]
    return merge([cuboids([[-x, x, -0.2, 0.2, 0, z]]), cuboids(rows, Material.DARK_FURNITURE)])


def whiteboard(rng: np.random.Generator) -> Primitives:
    """A board or a folding screen on two feet."""
    x, low, high = rng.uniform(0.4, 1.0), rng.uniform(0.1, 0.8), rng.uniform(1.4, 2.0)
    rows = [[-x, x, -0.02, 0.02, low, high]]
    rows += [[s * x - 0.02, s * x + 0.02, -0.02, 0.02, 0, high] for s in (-1, 1)]
    rows += [[s * x - 0.02, s * x + 0.02, -0.3, 0.3, 0, 0.05] for s in (-1, 1)]
    return cuboids(rows)


AGAINST_WALLS: tuple[tuple[Callable[[np.random.Generator], Primitives], float], ...] = (
    (table, 1.0), (desk, 1.5), (sofa, 1.5), (bed, 0.7), (shelf, 2.0), (cupboard, 2.0), (lamp, 0.8),
    (television, 0.8), (chair, 0.8), (whiteboard, 0.4), (curtain, 0.8),
)  # fmt: skip
"""Makers and how often each is drawn for a place at a wall."""

FREE_STANDING: tuple[tuple[Callable[[np.random.Generator], Primitives], float], ...] = (
    (table, 1.5), (chair, 2.5), (sofa, 0.5), (desk, 0.5), (lamp, 0.7), (whiteboard, 0.5),
    (cupboard, 0.3),
)  # fmt: skip
"""Makers and how often each is drawn for a place in the open."""
