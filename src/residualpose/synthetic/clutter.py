"""Irregular things: plants, piles, hanging clothes, curtains. Boxes alone taught limbs on plants.

A piece stands on z = 0 around the origin with its back towards +y; metres.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from residualpose.synthetic.primitives import (
    BOX,
    ELLIPSOID,
    Material,
    Primitives,
    cuboids,
    merge,
    pose_matrix,
    random_rotation,
    solids,
    yaw_rotation,
)


def rods(
    start_m: np.ndarray, end_m: np.ndarray, radius_m: np.ndarray | float, kind: int = ELLIPSOID
) -> Primitives:
    """Long thin solids between (N, 3) points."""
    start, end = np.atleast_2d(start_m), np.atleast_2d(end_m)
    along = end - start
    length = np.linalg.norm(along, axis=1)
    axis = along / np.maximum(length, 1e-6)[:, None]
    aside = np.cross(axis, np.where(np.abs(axis[:, :1]) < 0.7, [[1.0, 0, 0]], [[0, 1.0, 0]]))
    aside /= np.linalg.norm(aside, axis=1, keepdims=True)
    turn = np.stack([aside, np.cross(axis, aside), axis], -1)
    radius = np.broadcast_to(radius_m, length.shape)
    return solids(kind, (start + end) / 2, np.column_stack([radius, radius, length / 2]), turn)


def foliage(
    rng: np.random.Generator, count: int, centre_m: np.ndarray, spread_m: np.ndarray
) -> Primitives:
    """A cloud of leaves: thin ellipsoids, one size of leaf a plant."""
    size = rng.uniform(0.03, 0.14)
    length = size * rng.uniform(0.6, 1.5, count)
    half = np.column_stack(
        [length, length * rng.uniform(0.15, 0.7), length * rng.uniform(0.02, 0.15, count)]
    )
    centre = centre_m + rng.normal(0, 0.5, (count, 3)) * spread_m
    centre[:, 2] = np.maximum(centre[:, 2], 0.02)
    return solids(ELLIPSOID, centre, half, random_rotation(rng, count, 1.5), Material.FOLIAGE)


def plant(rng: np.random.Generator) -> Primitives:
    """A pot plant: round bush, palm with long arched leaves, or a stem with a crown."""
    pot_r, pot_h = rng.uniform(0.1, 0.22), rng.uniform(0.15, 0.4)
    kind = int(rng.choice([BOX, ELLIPSOID]))
    pot = solids(kind, (0, 0, pot_h / 2), (pot_r, pot_r, pot_h / 2))
    count, high = int(rng.integers(20, 60)), rng.uniform(0.5, 1.9)
    form = rng.integers(3)
    if form == 0:
        spread = np.array([*rng.uniform(0.2, 0.5, 2), high - pot_h])
        return merge([pot, foliage(rng, count, np.array([0, 0, (high + pot_h) / 2]), spread)])
    if form == 1:
        return merge([pot, _palm(rng, count // 2, pot_h, high)])
    stem = rods(
        np.array([0, 0, pot_h]), np.array([*rng.normal(0, 0.08, 2), high]), rng.uniform(0.01, 0.04)
    )
    crown = foliage(rng, count, np.array([0, 0, high]), rng.uniform(0.25, 0.6, 3))
    return merge([pot, stem, crown])


def _palm(rng: np.random.Generator, count: int, low_m: float, high_m: float) -> Primitives:
    """Leaves that rise from the pot and bend outwards, two rods each."""
    turn = rng.uniform(0, 2 * np.pi, count)
    out = np.column_stack([np.cos(turn), np.sin(turn), np.zeros(count)])
    reach, rise = (
        rng.uniform(0.1, 0.6, (count, 1)),
        rng.uniform(0.4, 1, (count, 1)) * (high_m - low_m),
    )
    up = np.array([0, 0, 1.0])
    foot = out * 0.03 + up * low_m
    knee = foot + out * reach * 0.5 + up * rise
    tip = (
        knee
        + out * reach * rng.uniform(0.5, 1.5, (count, 1))
        + up * rise * rng.uniform(-0.6, 0.2, (count, 1))
    )
    width = rng.uniform(0.008, 0.035)
    return merge([rods(foot, knee, width), rods(knee, tip, width)]).of(Material.FOLIAGE)


def pile(rng: np.random.Generator) -> Primitives:
    """A heap of boxes, bags and lumps."""
    count, wide, high = int(rng.integers(4, 16)), rng.uniform(0.15, 0.5), rng.uniform(0.2, 1.1)
    half = rng.uniform(0.04, 0.22, (count, 3))
    centre = rng.normal(0, 0.6, (count, 3)) * (wide, wide, 0)
    centre[:, 2] = np.maximum(rng.uniform(0, 1, count) ** 1.5 * high, half[:, 2])
    turn = random_rotation(rng, count, rng.uniform(0.1, 1))
    boxes = count // 2
    return merge(
        [
            solids(BOX, centre[:boxes], half[:boxes], turn[:boxes]),
            solids(ELLIPSOID, centre[boxes:], half[boxes:], turn[boxes:]),
        ]
    )


def box_stack(rng: np.random.Generator) -> Primitives:
    """Cartons on top of each other, each a little turned."""
    count = int(rng.integers(1, 5))
    half = rng.uniform(0.1, 0.3, (count, 3))
    z = np.cumsum(2 * half[:, 2]) - half[:, 2]
    centre = np.column_stack([rng.normal(0, 0.04, (count, 2)), z])
    return solids(BOX, centre, half, yaw_rotation(rng.normal(0, 0.3, count)))


def bin_or_bag(rng: np.random.Generator) -> Primitives:
    """A bin, a rucksack or a bag with a handle."""
    x, y, z = rng.uniform(0.1, 0.3), rng.uniform(0.1, 0.2), rng.uniform(0.15, 0.35)
    kind = int(rng.choice([BOX, ELLIPSOID]))
    body = solids(
        kind, (0, 0, z), (x, y, z), material=int(rng.choice([0, Material.DARK_FURNITURE]))
    )
    top = np.array([[-x / 2, 0, 2 * z], [0, 0, 2.4 * z], [x / 2, 0, 2 * z]])
    return merge([body, rods(top[:2], top[1:], 0.012)])


def ball(rng: np.random.Generator) -> Primitives:
    """A ball, up to the size for gymnastics."""
    r = rng.choice([rng.uniform(0.08, 0.15), rng.uniform(0.25, 0.4)])
    return solids(ELLIPSOID, (0, 0, r), (r, r, r))


def poles(rng: np.random.Generator) -> Primitives:
    """Leaning poles, brooms and boards: as thin and long as forearms and shins, and longer."""
    count = int(rng.integers(1, 5))
    foot = np.column_stack([rng.normal(0, 0.2, (count, 2)), np.zeros(count)])
    rise = np.column_stack([rng.normal(0, 0.3, (count, 2)), rng.uniform(0.6, 2.2, count)])
    kind = int(rng.choice([BOX, ELLIPSOID]))
    return rods(foot, foot + rise, rng.uniform(0.01, 0.06, count), kind)


def column(rng: np.random.Generator) -> Primitives:
    """A thick upright: a round or square column, a boiler, a rolled carpet."""
    r, high = rng.uniform(0.07, 0.3), rng.uniform(0.8, 3.0)
    if rng.random() < 0.4:
        return solids(BOX, (0, 0, high / 2), (r, r * rng.uniform(0.5, 1), high / 2))
    turns = yaw_rotation(
        np.arange(4) * np.pi / 8
    )  # four turned boxes are round enough for a sensor
    return solids(BOX, np.tile((0, 0, high / 2), (4, 1)), (r * 0.93, r * 0.39, high / 2), turns)


def garment(rng: np.random.Generator, top_m: float) -> Primitives:
    """A coat, shirt or dress hanging from `top_m`: shoulders, body and two sleeves, no person."""
    wide, long, thick = rng.uniform(0.15, 0.24), rng.uniform(0.45, 1.1), rng.uniform(0.03, 0.1)
    shoulder = top_m - 0.08
    body = solids(ELLIPSOID, (0, 0, shoulder - long / 2), (wide, thick, long / 2 + 0.05))
    yoke = solids(ELLIPSOID, (0, 0, shoulder - 0.03), (wide, thick * 0.8, 0.07))
    start = np.array([[-wide * 0.9, 0, shoulder - 0.05], [wide * 0.9, 0, shoulder - 0.05]])
    drop = np.column_stack([[-0.08, 0.08], rng.normal(0, 0.04, 2), -rng.uniform(0.3, 0.6, 2)])
    return merge([body, yoke, rods(start, start + drop, rng.uniform(0.035, 0.065))])


def coat_rack(rng: np.random.Generator) -> Primitives:
    """A pole with arms, or a rail, with garments on it."""
    high = rng.uniform(1.4, 1.9)
    count = int(rng.integers(1, 6))
    if rng.random() < 0.5:
        stand = [
            cuboids([[-0.02, 0.02, -0.02, 0.02, 0, high], [-0.25, 0.25, -0.25, 0.25, 0, 0.03]])
        ]
        turn = rng.uniform(0, 2 * np.pi, count)
        places = [pose_matrix(0.13 * np.cos(a), 0.13 * np.sin(a), a + np.pi / 2) for a in turn]
    else:
        x = rng.uniform(0.4, 0.8)
        uprights = [[s * x - 0.02, s * x + 0.02, -0.02, 0.02, 0, high] for s in (-1, 1)]
        stand = [cuboids([*uprights, [-x, x, -0.015, 0.015, high - 0.03, high]])]
        turned = np.pi / 2 + rng.normal(0, 0.5, count)
        places = [
            pose_matrix(at, 0, yaw)
            for at, yaw in zip(rng.uniform(-x, x, count), turned, strict=True)
        ]
    return merge(stand + [garment(rng, high).moved(place) for place in places])


def dummy(rng: np.random.Generator) -> Primitives:
    """Person-like but no person: a garment on a stand under a hat, a lamp or a ball."""
    high = rng.uniform(1.2, 1.7)
    stand = cuboids([[-0.02, 0.02, -0.02, 0.02, 0, high], [-0.2, 0.2, -0.2, 0.2, 0, 0.03]])
    hat = solids(ELLIPSOID, (0, 0, high + rng.uniform(0.1, 0.3)), rng.uniform(0.05, 0.2, 3))
    return merge([stand, garment(rng, high), hat])


def curtain(rng: np.random.Generator) -> Primitives:
    """A wavy row of thin upright boxes."""
    count, wide = int(rng.integers(8, 20)), rng.uniform(0.05, 0.1)
    high, wave = rng.uniform(1.2, 2.4), rng.uniform(0.02, 0.06)
    low = rng.choice([0.02, rng.uniform(0.3, 0.9)])
    x = (np.arange(count) - count / 2) * wide
    slope = wave / wide * 2 * (np.arange(count) % 2 * 2 - 1) + rng.normal(0, 0.2, count)
    centre = np.column_stack([x, rng.normal(0, 0.01, count), np.full(count, (low + high) / 2)])
    half = np.column_stack(
        [wide / 2 * np.hypot(1, slope), np.full(count, 0.008), np.full(count, (high - low) / 2)]
    )
    return solids(BOX, centre, half, yaw_rotation(np.arctan(slope)))


def bush(rng: np.random.Generator) -> Primitives:
    """An outdoor shrub or tree of large lumps with leaves."""
    count, wide, high = int(rng.integers(5, 14)), rng.uniform(0.3, 1.0), rng.uniform(0.5, 2.6)
    centre = rng.normal(0, 0.5, (count, 3)) * (wide, wide, 0)
    centre[:, 2] = rng.uniform(0.1, 1, count) * high
    lumps = solids(
        ELLIPSOID, centre, rng.uniform(0.1, 0.4, (count, 3)), random_rotation(rng, count, 1)
    )
    trunk = rods(np.zeros(3), np.array([*rng.normal(0, 0.1, 2), high]), rng.uniform(0.03, 0.12))
    leaves = foliage(
        rng,
        int(rng.integers(8, 30)),
        np.array([0, 0, high / 2]),
        np.array([wide, wide, high]) * 1.2,
    )
    return merge([lumps.of(Material.FOLIAGE), trunk, leaves])


CLUTTER: tuple[tuple[Callable[[np.random.Generator], Primitives], float], ...] = (
    (plant, 4.0), (pile, 2.5), (box_stack, 1.2), (bin_or_bag, 1.2), (ball, 0.5), (poles, 1.0),
    (column, 0.6), (coat_rack, 1.0), (dummy, 0.3),
)  # fmt: skip
"""Makers and how often each is drawn."""
