"""Families of lower bodies: how the pelvis stands, sits, kneels or lies and where the legs go."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from residualpose.synthetic.rotations import about_x, about_y, about_z, frame_from_right, mirrored


@dataclass(frozen=True, slots=True)
class LowerBodies:
    """Pelvises and legs of n people."""

    pelvis: np.ndarray
    """(n, 3, 3) world rotation."""
    legs: np.ndarray
    """(n, 6, 3, 3) world rotations: thigh, shin, foot of the right leg, then of the left."""
    lift_m: np.ndarray
    """(n,) height of the lowest point above the floor."""
    upright: np.ndarray
    """(n,) bool: the spine above is free to bend and turn."""


LegFamily = Callable[[np.random.Generator, int], LowerBodies]


def _leg(
    flex: np.ndarray,
    out: np.ndarray,
    turn: np.ndarray,
    knee: np.ndarray,
    sole: np.ndarray | None = None,
) -> np.ndarray:
    """A right leg (n, 3, 3, 3) in the frame the angles are given in, all radians (n,).

    Args:
        flex: Thigh raised to the front.
        out: Thigh spread to the side.
        turn: Whole leg turned outwards about the thigh.
        knee: Bend of the knee, shin to the back.
        sole: Extension of the ankle, toes down; None keeps the sole level with the floor.
    """
    # A hanging thigh spreads about y, a level one about z.
    spread = about_z(-out * np.sin(flex)) @ about_y(-out * np.cos(flex))
    thigh = spread @ about_x(flex) @ about_z(-turn)
    shin = thigh @ about_x(-knee)
    if sole is not None:
        return np.stack([thigh, shin, shin @ about_x(-sole)], axis=1)
    level = np.zeros(shin.shape[:-1])
    level[..., 2] = 1.0
    front = shin[..., 1]
    # A shin that leans far over leaves its own up as the way the toes point.
    front = np.where((front[..., 2:] > 0.85), shin[..., 2] * -1, front)
    right = np.cross(front, level)
    return np.stack([thigh, shin, frame_from_right(right, level)], axis=1)


def _both(right: np.ndarray, left_as_right: np.ndarray) -> np.ndarray:
    return np.concatenate([right, mirrored(left_as_right)], axis=1)


def _pelvis(rng: np.random.Generator, n: int, bend: np.ndarray | float) -> np.ndarray:
    """Pelvises bent forward by bend radians, with a little tilt and turn."""
    tilt = about_y(rng.normal(0, 0.04, n))
    return about_z(rng.normal(0, 0.08, n)) @ tilt @ about_x(-np.broadcast_to(bend, (n,)))


def _free(pelvis: np.ndarray, legs: np.ndarray) -> LowerBodies:
    n = len(pelvis)
    return LowerBodies(pelvis, legs, np.zeros(n), np.ones(n, dtype=bool))


def stand(rng: np.random.Generator, n: int) -> LowerBodies:
    """Feet side by side, or a little apart, one knee sometimes slack."""

    def leg() -> np.ndarray:
        knee = np.abs(rng.normal(0.05, 0.07, n))
        out = np.abs(rng.normal(0.05, 0.06, n))
        return _leg(knee / 2 + rng.normal(0, 0.04, n), out, rng.normal(0.15, 0.12, n), knee)

    return _free(_pelvis(rng, n, rng.normal(0.02, 0.05, n)), _both(leg(), leg()))


def stand_wide(rng: np.random.Generator, n: int) -> LowerBodies:
    """Legs apart, to the side or one before the other."""
    spread, split = rng.uniform(0.1, 0.5, n), rng.normal(0, 0.22, n)

    def leg(sign: float) -> np.ndarray:
        knee = np.abs(rng.normal(0, 0.2, n))
        out = np.clip(spread + rng.normal(0, 0.05, n), 0.03, 0.6)
        return _leg(knee / 2 + sign * split, out, rng.uniform(0, 0.5, n), knee)

    return _free(_pelvis(rng, n, rng.normal(0.05, 0.1, n)), _both(leg(1), leg(-1)))


def step(rng: np.random.Generator, n: int) -> LowerBodies:
    """Walking and running steps: one leg ahead, the other behind with the heel up."""
    stride = rng.uniform(0.15, 0.65, n)
    front_knee = np.abs(rng.normal(0.1, 0.2, n)) * stride * 2
    back_knee = rng.uniform(0.05, 1.1, n) * stride * 2
    turn = [rng.normal(0.08, 0.08, n) for _ in range(2)]
    out = [np.abs(rng.normal(0.02, 0.03, n)) for _ in range(2)]
    front = _leg(stride + front_knee / 2, out[0], turn[0], front_knee, rng.normal(-0.1, 0.15, n))
    back = _leg(-0.7 * stride + back_knee * 0.3, out[1], turn[1], back_knee, rng.uniform(0, 0.5, n))
    return _free(_pelvis(rng, n, rng.normal(0.06, 0.06, n)), _both(front, back))


def leg_raised(rng: np.random.Generator, n: int) -> LowerBodies:
    """On one leg: kicks, a knee drawn up, a leg held to the side or the back."""
    stance = _leg(
        rng.normal(0.03, 0.04, n), rng.normal(0.0, 0.03, n), rng.normal(0.1, 0.1, n),
        np.abs(rng.normal(0.08, 0.08, n)),
    )  # fmt: skip
    flex, knee = rng.uniform(-0.5, 1.6, n), rng.uniform(0.0, 2.0, n)
    knee = np.where(flex < 0, np.minimum(knee, 1.4), knee)
    raised = _leg(
        flex, rng.uniform(0, 0.7, n), rng.uniform(-0.2, 0.5, n), knee, rng.uniform(-0.2, 0.6, n)
    )
    return _free(_pelvis(rng, n, rng.normal(-0.02, 0.08, n)), _both(stance, raised))


def bend(rng: np.random.Generator, n: int) -> LowerBodies:
    """Bent over at the hips, legs straight or a little bent."""

    def leg() -> np.ndarray:
        knee = np.abs(rng.normal(0.1, 0.2, n))
        return _leg(knee / 2 - 0.08, rng.uniform(0.02, 0.3, n), rng.normal(0.15, 0.12, n), knee)

    return _free(_pelvis(rng, n, rng.uniform(0.3, 1.3, n)), _both(leg(), leg()))


def crouch(rng: np.random.Generator, n: int) -> LowerBodies:
    """Knees half bent, back leaning forward."""
    return _squatting(rng, n, rng.uniform(0.6, 1.5, n))


def squat(rng: np.random.Generator, n: int) -> LowerBodies:
    """Deep squat."""
    return _squatting(rng, n, rng.uniform(1.5, 2.35, n))


def _squatting(rng: np.random.Generator, n: int, knee: np.ndarray) -> LowerBodies:
    def leg() -> np.ndarray:
        own = knee + rng.normal(0, 0.04, n)
        flex = own * rng.uniform(0.60, 0.68, n)
        return _leg(flex, rng.uniform(0.08, 0.5, n), rng.uniform(0.05, 0.5, n), own)

    return _free(_pelvis(rng, n, knee * rng.uniform(0.1, 0.4, n)), _both(leg(), leg()))


def sit_chair(rng: np.random.Generator, n: int) -> LowerBodies:
    """On a seat: thighs about level, shins hanging or stretched, sometimes a leg crossed."""

    def leg() -> np.ndarray:
        flex = rng.normal(1.5, 0.1, n)
        knee = flex + rng.normal(-0.05, 0.30, n)
        return _leg(flex, rng.uniform(0.0, 0.4, n), rng.uniform(-0.1, 0.25, n), knee)

    return _free(_pelvis(rng, n, rng.normal(-0.05, 0.2, n)), _both(leg(), leg()))


def sit_floor(rng: np.random.Generator, n: int) -> LowerBodies:
    """On the floor: legs stretched, drawn up or crossed."""
    kind = rng.integers(3, size=n)

    def leg() -> np.ndarray:
        drawn = rng.uniform(0.3, 1.1, n)
        flex = np.choose(kind, [np.full(n, 1.52), 1.55 + drawn * 0.8, np.full(n, 1.5)])
        knee = np.choose(kind, [np.full(n, 0.06), drawn * 1.9, rng.uniform(2.1, 2.5, n)])
        turn = np.choose(
            kind, [rng.normal(0.2, 0.15, n), rng.normal(0, 0.1, n), rng.normal(1.4, 0.06, n)]
        )
        out = np.choose(
            kind, [rng.uniform(0, 0.4, n), rng.uniform(0, 0.3, n), rng.normal(0.85, 0.1, n)]
        )
        return _leg(flex, out, turn, knee, rng.uniform(-0.1, 0.4, n))

    return _free(_pelvis(rng, n, rng.normal(-0.15, 0.2, n)), _both(leg(), leg()))


def kneel(rng: np.random.Generator, n: int) -> LowerBodies:
    """On one knee, on both, or sitting on the heels."""
    kind = rng.integers(3, size=n)
    down = np.choose(
        kind, [rng.normal(0.05, 0.08, n), rng.normal(0.1, 0.1, n), rng.normal(1.05, 0.1, n)]
    )

    def kneeling() -> np.ndarray:
        knee = down + np.pi / 2 + rng.normal(0, 0.05, n)
        return _leg(
            down,
            rng.uniform(0.05, 0.2, n),
            rng.normal(0.05, 0.1, n),
            knee,
            rng.uniform(0.9, 1.4, n),
        )

    first, second = kneeling(), kneeling()
    flex = rng.normal(1.45, 0.12, n)
    planted = _leg(
        flex, rng.uniform(0, 0.35, n), rng.normal(0.1, 0.1, n), flex + rng.normal(0.05, 0.1, n)
    )
    second = np.where((kind == 0)[:, None, None, None], planted, second)
    return _free(_pelvis(rng, n, rng.normal(0.05, 0.15, n)), _both(first, second))


def lie(rng: np.random.Generator, n: int) -> LowerBodies:
    """On the back, on the front or on a side."""
    # Positive tips the person over forwards, on the face.
    prone = rng.random(n) < 0.4
    down = np.where(prone, 1.0, -1.0) * (np.pi / 2 + rng.normal(0, 0.06, n))
    roll = np.where(rng.random(n) < 0.3, rng.choice([-1.3, 1.3], n), 0) + rng.normal(0, 0.15, n)
    pelvis = about_z(rng.normal(0, 0.3, n)) @ about_x(-down) @ about_z(roll)

    def leg() -> np.ndarray:
        knee = np.where(rng.random(n) < 0.5, rng.uniform(0, 0.15, n), rng.uniform(0.3, 2.0, n))
        # Half the bend of the knee puts the foot of somebody on the back on the floor.
        flex = np.where(prone, -0.02, knee * rng.normal(0.5, 0.02, n))
        return _leg(
            flex, rng.uniform(0, 0.35, n), rng.normal(0.2, 0.25, n), knee, rng.uniform(0, 0.7, n)
        )

    lower = _free(pelvis, pelvis[:, None] @ _both(leg(), leg()))
    return LowerBodies(lower.pelvis, lower.legs, lower.lift_m, np.zeros(n, dtype=bool))


def crawl(rng: np.random.Generator, n: int) -> LowerBodies:
    """On hands and knees."""
    bend = rng.uniform(1.05, 1.3, n)

    def leg() -> np.ndarray:
        flex = rng.normal(0.0, 0.2, n)
        return _leg(
            flex,
            rng.uniform(0.02, 0.25, n),
            rng.normal(0.0, 0.08, n),
            flex + np.pi / 2 + rng.normal(0, 0.04, n),
            rng.uniform(0.8, 1.4, n),
        )

    lower = _free(_pelvis(rng, n, bend), _both(leg(), leg()))
    return LowerBodies(lower.pelvis, lower.legs, lower.lift_m, np.zeros(n, dtype=bool))


def jump(rng: np.random.Generator, n: int) -> LowerBodies:
    """In the air."""

    def leg() -> np.ndarray:
        knee = rng.uniform(0.0, 1.8, n)
        flex = knee * rng.uniform(0.2, 0.8, n)
        return _leg(
            flex, rng.uniform(0.0, 0.5, n), rng.normal(0.1, 0.15, n), knee, rng.uniform(0.2, 0.8, n)
        )

    legs = _both(leg(), leg())
    return LowerBodies(
        _pelvis(rng, n, rng.normal(0, 0.1, n)),
        legs,
        rng.uniform(0.05, 0.4, n),
        np.ones(n, dtype=bool),
    )


LEG_FAMILIES: dict[str, tuple[float, LegFamily]] = {
    "stand": (0.395, stand),
    "stand_wide": (0.12, stand_wide),
    "step": (0.13, step),
    "leg_raised": (0.06, leg_raised),
    "bend": (0.05, bend),
    "crouch": (0.04, crouch),
    "squat": (0.03, squat),
    "sit_chair": (0.07, sit_chair),
    "sit_floor": (0.02, sit_floor),
    "kneel": (0.03, kneel),
    "lie": (0.025, lie),
    "crawl": (0.015, crawl),
    "jump": (0.015, jump),
}
"""Name: share, family."""
