"""What carries people who sit or lie: a seat of the right height under them, a bed or a mat."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from residualpose.synthetic.primitives import (
    ELLIPSOID,
    Material,
    Primitives,
    cuboids,
    merge,
    pose_matrix,
    solids,
)

_LEVEL, _UPRIGHT = 0.75, 0.6
"""Sines: thighs level enough to sit on, pelvis upright enough."""
_SEAT_HEIGHT_M = (0.2, 0.75)


@dataclass(frozen=True, slots=True)
class Seat:
    """Where a seat has to be, in the frame of a person who faces +y."""

    top_m: float
    """Height of the seat's top above the floor."""
    back_m: float
    """y of the seat's rear edge, behind the buttocks."""
    front_m: float
    """y of its front edge, under the thighs."""
    half_width_m: float
    shins_behind: bool
    """The shins reach back under the seat, so that it needs room below."""


def sits(rotations: np.ndarray) -> bool:
    """Whether somebody with these world rotations (17, 3, 3) sits as on a chair."""
    thighs = -rotations[[11, 14], :, 2]
    shins = -rotations[[12, 15], :, 2]
    level = np.abs(thighs[:, 2]) < 1 - _LEVEL + 0.2
    ahead = thighs[:, 1] > 0.5
    down = shins[:, 2] < -0.35
    return bool(level.all() and ahead.all() and down.all() and rotations[0, 2, 2] > _UPRIGHT)


def lies(rotations: np.ndarray) -> bool:
    """Whether somebody with these world rotations (17, 3, 3) lies: trunk and thighs level."""
    trunk = np.abs(rotations[[0, 2], 2, 2]).max() < 0.35
    return bool(trunk and np.abs(rotations[[11, 14], 2, 2]).min() < 0.6)


def seat_of(hips_m: np.ndarray, knees_m: np.ndarray, feet_m: np.ndarray, low_m: float) -> Seat:
    """The seat for somebody facing +y.

    Args:
        hips_m: (2, 3) joints, right and left, as are the next two.
        knees_m: (2, 3).
        feet_m: (2, 3).
        low_m: Height of the lowest flesh of the pelvis and the upper thighs.
    """
    hip = hips_m.mean(0)
    thigh = float((knees_m[:, 1] - hips_m[:, 1]).min())
    front = hip[1] + 0.6 * thigh
    half = max(0.2, float(np.abs(hips_m[:, 0] - hip[0]).max()) + 0.1)
    behind = bool((feet_m[:, 1] < front + 0.1).any())
    return Seat(low_m, hip[1] - 0.2, front, half, behind)


def make_seat(rng: np.random.Generator, seat: Seat) -> Primitives | None:
    """A chair, stool, bench, box or sofa as a seat, person facing +y; None if no seat fits."""
    z = seat.top_m
    if not _SEAT_HEIGHT_M[0] <= z <= _SEAT_HEIGHT_M[1]:
        return None
    kind = rng.choice(["chair", "office", "stool", "block", "sofa"], p=(0.35, 0.2, 0.15, 0.1, 0.2))
    if seat.shins_behind and kind in ("block", "sofa"):
        kind = "chair"
    half = seat.half_width_m + (rng.uniform(0, 0.05) if kind != "sofa" else rng.uniform(0.1, 0.7))
    thick = min(rng.uniform(0.03, 0.09), z / 2)
    rows = [[-half, half, seat.back_m, seat.front_m, z - thick, z]]
    dark = kind == "office" or rng.random() < 0.15
    if kind in ("block", "sofa"):
        rows[0][4] = 0.03
    elif kind == "office":
        middle = (seat.back_m + seat.front_m) / 2
        rows.append([-0.03, 0.03, middle - 0.03, middle + 0.03, 0.05, z])
        rows += [[-0.25, 0.25, middle - 0.02, middle + 0.02, 0.02, 0.07]]
        rows += [[-0.02, 0.02, middle - 0.25, middle + 0.25, 0.02, 0.07]]
    else:
        t = rng.uniform(0.012, 0.025)
        rows += [
            [x - t, x + t, y - t, y + t, 0, z - thick]
            for x in (-half + t, half - t)
            for y in (seat.back_m + t, seat.front_m - t)
        ]
    if kind in ("chair", "office", "sofa"):
        deep = rng.uniform(0.03, 0.06) if kind != "sofa" else rng.uniform(0.1, 0.2)
        low = z if kind == "sofa" else z + rng.uniform(0, 0.2)
        rows.append([-half, half, seat.back_m - deep, seat.back_m, low, z + rng.uniform(0.35, 0.6)])
    return cuboids(rows, Material.DARK_FURNITURE if dark else Material.BACKGROUND)


def make_bed(
    rng: np.random.Generator, low_m: np.ndarray, high_m: np.ndarray, turn_rad: float
) -> tuple[Primitives, float]:
    """A bed, sofa or mat for somebody lying, and how high it lifts them.

    Args:
        rng: Source of randomness.
        low_m: (2,) lower corner of what the body covers on the floor, in axes turned by turn_rad.
        high_m: (2,) upper corner.
        turn_rad: Turn of these axes about the vertical.
    """
    middle, half = (low_m + high_m) / 2, (high_m - low_m) / 2 + rng.uniform(0.02, 0.25, 2)
    top = rng.choice([rng.uniform(0.02, 0.08), rng.uniform(0.25, 0.6)], p=(0.35, 0.65))
    x, y = half
    rows = [[-x, x, -y, y, 0.0 if top < 0.1 else rng.choice([0.0, 0.12]), top]]
    if top > 0.2 and rng.random() < 0.6:  # a head board or the back of a sofa
        side = rng.choice([-1, 1])
        if rng.random() < 0.5:
            rows.append([*sorted([side * x, side * (x + 0.08)]), -y, y, 0, top + 0.35])
        else:
            rows.append([-x, x, *sorted([side * y, side * (y + 0.15)]), 0, top + 0.35])
    parts = [cuboids(rows)]
    if rng.random() < 0.4:
        spot = rng.uniform(-0.6, 0.6, 2) * half
        parts.append(solids(ELLIPSOID, (*spot, top), (0.25, 0.18, 0.05)))
    cos, sin = np.cos(turn_rad), np.sin(turn_rad)
    at = np.array([[cos, -sin], [sin, cos]]) @ middle
    return merge(parts).moved(pose_matrix(at[0], at[1], turn_rad)), float(top)
