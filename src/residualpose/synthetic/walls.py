"""Walls with doors, windows, recesses, shelves and pictures, and what stands outdoors instead.

A wall runs along x around the origin, its inner surface at y = 0, the room at y < 0; metres.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from residualpose.synthetic.clutter import bush, foliage
from residualpose.synthetic.primitives import (
    ELLIPSOID,
    Material,
    Primitives,
    cuboids,
    merge,
    pose_matrix,
    random_rotation,
    solids,
)

_THICK_M = 0.35


def wall(rng: np.random.Generator, length_m: float, height_m: float) -> Primitives:
    """A wall with zero to four features side by side; it overhangs both ends so corners close."""
    overhang = 0.4
    count = int(rng.integers(0, 1 + max(1, min(4, int(length_m / 1.3)))))
    edges = np.linspace(-length_m / 2, length_m / 2, count + 2)
    edges[1:-1] += rng.normal(0, 0.15, count)
    names = rng.choice(len(_FEATURES), count + 1, p=_SHARES)
    parts = []
    for left, right, name in zip(edges[:-1], edges[1:], names, strict=True):
        parts.append(_FEATURES[name][0](rng, left, right, height_m))
    ends = [[edges[0] - overhang, edges[0], 0, _THICK_M, 0, height_m]]
    ends.append([edges[-1], edges[-1] + overhang, 0, _THICK_M, 0, height_m])
    return merge([cuboids(ends), *parts])


def _plain(rng: np.random.Generator, left: float, right: float, high: float) -> Primitives:
    return cuboids([[left, right, 0, _THICK_M, 0, high]])


def _framed(
    left: float, right: float, high: float, hole: tuple[float, float, float, float]
) -> list[list[float]]:
    """Rows of the four boxes around a hole x0, x1, z0, z1."""
    x0, x1, z0, z1 = hole
    rows = [[left, x0, 0, _THICK_M, 0, high], [x1, right, 0, _THICK_M, 0, high]]
    rows.append([x0, x1, 0, _THICK_M, z1, high])
    if z0 > 0:
        rows.append([x0, x1, 0, _THICK_M, 0, z0])
    return rows


def _span(
    rng: np.random.Generator, left: float, right: float, wide: tuple[float, float]
) -> tuple[float, float]:
    """A random interval of a width within `wide` between left and right."""
    width = min(rng.uniform(*wide), (right - left) * 0.9)
    start = rng.uniform(left, right - width)
    return start, start + width


def _door(rng: np.random.Generator, left: float, right: float, high: float) -> Primitives:
    """A door in its niche: shut, ajar, or an opening to a corridor or to nothing."""
    x0, x1 = _span(rng, left, right, (0.7, 1.1))
    rows = _framed(left, right, high, (x0, x1, 0, rng.uniform(1.9, min(2.2, high - 0.1))))
    state = rng.random()
    if state < 0.6:
        inset = rng.uniform(0.03, 0.25)
        rows.append([x0, x1, inset, inset + 0.05, 0, high])
        rows.append([x0 + 0.06, x0 + 0.18, inset - 0.06, inset - 0.04, 0.98, 1.02])
    elif state < 0.85:
        far = rng.uniform(0.8, 3)
        rows.append([x0 - 2, x1 + 2, far, far + 0.1, 0, high])
    parts = [cuboids(rows)]
    if state >= 0.6 and rng.random() < 0.6:
        leaf = cuboids([[0, x1 - x0, -0.02, 0.02, 0, 2.0]])
        parts.append(leaf.moved(pose_matrix(x0, 0, rng.uniform(-2.2, -0.3))))
    return merge(parts)


def _window(rng: np.random.Generator, left: float, right: float, high: float) -> Primitives:
    """A window with frame bars and glass, and sometimes something outside."""
    x0, x1 = _span(rng, left, right, (0.6, 2.2))
    z0, z1 = rng.uniform(0.3, 1.1), rng.uniform(1.8, high - 0.1)
    rows = _framed(left, right, high, (x0, x1, z0, z1))
    inset, bars = rng.uniform(0.05, 0.3), np.linspace(x0, x1, int(rng.integers(2, 5)))
    rows += [[x - 0.03, x + 0.03, inset - 0.03, inset + 0.03, z0, z1] for x in bars]
    rows += [[x0, x1, inset - 0.03, inset + 0.03, z - 0.03, z + 0.03] for z in (z0, z1)]
    if rng.random() < 0.5:
        rows.append([x0 - 0.1, x1 + 0.1, -0.15, 0, z0 - 0.04, z0])
    glass = cuboids([[x0, x1, inset, inset + 0.01, z0, z1]], Material.GLASS)
    return merge([cuboids(rows), glass])


def _recess(rng: np.random.Generator, left: float, right: float, high: float) -> Primitives:
    """A niche or a panel set back by up to 0.3 m."""
    x0, x1 = _span(rng, left, right, (0.5, 3.0))
    z0 = rng.choice([0.0, rng.uniform(0.05, 0.9)])
    rows = _framed(left, right, high, (x0, x1, z0, rng.uniform(1.6, high - 0.05)))
    back = rng.uniform(0.04, 0.3)
    return cuboids([*rows, [x0, x1, back, _THICK_M, z0, high]])


def _pillar(rng: np.random.Generator, left: float, right: float, high: float) -> Primitives:
    x0, x1 = _span(rng, left, right, (0.2, 0.7))
    shaft = cuboids([[x0, x1, -rng.uniform(0.08, 0.4), 0, 0, high]])
    return merge([_plain(rng, left, right, high), shaft])


def _pictures(rng: np.random.Generator, left: float, right: float, high: float) -> Primitives:
    """Frames, switches, mirrors and a heater: thin boxes before the wall."""
    rows = []
    for _ in range(int(rng.integers(1, 5))):
        x0, x1 = _span(rng, left, right, (0.15, 1.2))
        z0 = rng.uniform(0.8, 1.7)
        deep, top = rng.uniform(0.01, 0.06), min(z0 + rng.uniform(0.15, 0.9), high)
        rows.append([x0, x1, -deep, 0, z0, top])
    mirror = Material.GLASS if rng.random() < 0.15 else Material.BACKGROUND
    parts = [_plain(rng, left, right, high), cuboids(rows, mirror)]
    if rng.random() < 0.4:
        x0, x1 = _span(rng, left, right, (0.5, 1.4))
        ribs = np.arange(x0, x1, 0.1)
        parts.append(cuboids([[x, x + 0.06, -0.12, -0.02, 0.12, 0.7] for x in ribs]))
    return merge(parts)


def _boards(rng: np.random.Generator, left: float, right: float, high: float) -> Primitives:
    """Shelf boards or hanging cupboards on the wall with things on them."""
    x0, x1 = _span(rng, left, right, (0.5, 1.6))
    rows = []
    for z in rng.uniform(1.0, 1.35) + np.arange(int(rng.integers(1, 4))) * 0.35:
        rows.append([x0, x1, -0.25, 0, z - 0.02, z])
        for at in rng.uniform(x0, x1 - 0.1, int(rng.integers(0, 7))):
            deep = -rng.uniform(0.05, 0.27)
            rows.append([at, at + rng.uniform(0.03, 0.25), deep, 0, z, z + rng.uniform(0.08, 0.3)])
    return merge([_plain(rng, left, right, high), cuboids(rows)])


def hedge(rng: np.random.Generator, length_m: float) -> Primitives:
    """The edge of an outdoor place: a row of bushes, loose leaves, sometimes a slope behind."""
    count = max(2, int(length_m / rng.uniform(0.7, 1.3)))
    at = np.linspace(-length_m / 2, length_m / 2, count)
    places = [pose_matrix(x, rng.uniform(0, 1.2), rng.uniform(0, 6)) for x in at]
    parts = [bush(rng).moved(place) for place in places]
    parts.append(foliage(rng, 30, np.array([0, 0.4, 0.8]), np.array([length_m * 0.6, 0.8, 1.5])))
    if rng.random() < 0.6:
        slope = cuboids([[-length_m, length_m, 0, 0.2, -1, 8]])
        tilt = np.eye(4)
        angle = rng.uniform(0.2, 1.1)
        tilt[1:3, 1:3] = [[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]
        tilt[1, 3] = rng.uniform(0.5, 2)
        parts.append(slope.moved(tilt))
    return merge(parts)


def rough_ground(rng: np.random.Generator, half_m: tuple[float, float]) -> Primitives:
    """Flat bumps and tufts on the floor of an outdoor place."""
    count = int(rng.integers(10, 40))
    centre = np.column_stack([rng.uniform(-1, 1, (count, 2)) * half_m, np.zeros(count)])
    half = np.column_stack([rng.uniform(0.1, 0.8, (count, 2)), rng.uniform(0.02, 0.15, count)])
    return solids(ELLIPSOID, centre, half, random_rotation(rng, count, 0.05), Material.FOLIAGE)


_FEATURES: tuple[tuple[Callable[..., Primitives], float], ...] = (
    (_plain, 0.22), (_door, 0.18), (_window, 0.14), (_recess, 0.14), (_pillar, 0.08),
    (_pictures, 0.12), (_boards, 0.12),
)  # fmt: skip
_SHARES = np.array([share for _, share in _FEATURES])
