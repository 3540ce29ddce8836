"""Hand-made poses that cover what motion capture lacks: arms everywhere, sitting, lying, ...

A pose joins a lower body (pelvis and legs), a spine with head, and a pair of arms, each drawn from
a weighted family. Whatever puts a limb through the body of a stick figure is drawn again.
"""

from __future__ import annotations

import numpy as np

from residualpose.synthetic.pose_augment import unstretch
from residualpose.synthetic.pose_stack import PoseStack
from residualpose.synthetic.procedural_arms import ARM_PAIRS
from residualpose.synthetic.procedural_legs import LEG_FAMILIES, LowerBodies
from residualpose.synthetic.rotations import (
    about_x,
    about_y,
    about_z,
    from_rotation_vectors,
    mirror_people,
    mirrored,
)
from residualpose.synthetic.stick_figure import impossible, legs_below_torso

EVERYDAY_LEGS = ("stand", "stand_wide", "step", "leg_raised")
"""Families of people on their feet."""
_ALIKE = 0.6
"""Share of poses with both arms of one family in which one arm repeats the other."""
_UNLIKE_RAD = np.radians([5.0, 4.0, 6.0])
"""Standard deviation per axis by which upper arm, forearm and hand then still differ."""
_NARROW_ARMS = ("relaxed", "anywhere", "before_torso", "low", "at_head", "phone")
_LYING_ARMS = ("anywhere", "sideways", "raised", "relaxed")
_HANG_ARMS_AFTER, _STAND_UP_AFTER = 25, 40
"""Rounds of redrawing after which arms, then legs, give way to ones that always fit."""


def _shares(weights: dict[str, float]) -> tuple[list[str], np.ndarray]:
    values = np.array(list(weights.values()))
    return list(weights), values / values.sum()


def _spines(rng: np.random.Generator, pelvis: np.ndarray, upright: np.ndarray) -> np.ndarray:
    """Abdomen, chest, neck, head (n, 4, 3, 3) over pelvises (n, 3, 3).

    Args:
        rng: Source of chance.
        pelvis: World rotations of the pelvises.
        upright: (n,) bool, where the whole spine may bend and turn further.
    """
    n = len(pelvis)
    wide = upright & (rng.random(n) < 0.30)
    bend = np.where(wide, rng.uniform(-0.25, 0.75, n), rng.normal(0.04, 0.07, n))
    side = np.where(wide, rng.uniform(-0.45, 0.45, n), rng.normal(0, 0.05, n))
    turn = np.where(wide, rng.uniform(-0.75, 0.75, n), rng.normal(0, 0.10, n))
    half = about_z(turn / 2) @ about_y(side / 2) @ about_x(-bend / 2)
    abdomen = pelvis @ half
    chest = abdomen @ half
    looking = rng.random(n) < 0.35
    nod = np.where(looking, rng.uniform(-0.5, 0.9, n), rng.normal(0.08, 0.12, n))
    # A person who bends over mostly keeps looking ahead.
    nod = nod - rng.uniform(0, 0.7, n) * np.maximum(bend, 0)
    yaw = np.where(looking, rng.uniform(-1.1, 1.1, n), rng.normal(0, 0.15, n))
    roll = np.where(looking, rng.uniform(-0.35, 0.35, n), rng.normal(0, 0.06, n))
    half = about_z(yaw / 2) @ about_y(roll / 2) @ about_x(-nod / 2)
    return np.stack([abdomen, chest, chest @ half, chest @ half @ half], axis=1)


def _arms(rng: np.random.Generator, names: np.ndarray) -> np.ndarray:
    """Both arms (n, 6, 3, 3), right then left, in the chest's frame, for the families named."""
    arms = np.empty((len(names), 2, 3, 3, 3))
    for name in np.unique(names):
        rows = np.flatnonzero(names == name)
        _, first, second = ARM_PAIRS[name]
        arms[rows, 0], arms[rows, 1] = first(rng, len(rows)), second(rng, len(rows))
        if first is second:
            same = rows[rng.random(len(rows)) < _ALIKE]
            arms[same, 1] = _nearly(rng, arms[same, 0])
    swapped = rng.random(len(names)) < 0.5
    arms[swapped] = arms[swapped, ::-1]
    arms[:, 1] = mirrored(arms[:, 1])
    return arms.reshape(len(names), 6, 3, 3)


def _nearly(rng: np.random.Generator, arms: np.ndarray) -> np.ndarray:
    """Arms (n, 3, 3, 3) a little changed: people mostly move both arms alike, never the same."""
    turns = rng.normal(0.0, 1.0, (len(arms), 3, 3)) * _UNLIKE_RAD[:, None]
    # What moves the upper arm takes the forearm and the hand along.
    turns = np.cumsum(turns, axis=1)
    return from_rotation_vectors(turns) @ arms


def _arm_names(rng: np.random.Generator, leg_names: np.ndarray) -> np.ndarray:
    names, shares = _shares({name: entry[0] for name, entry in ARM_PAIRS.items()})
    chosen = rng.choice(names, size=len(leg_names), p=shares)
    lying = leg_names == "lie"
    chosen[lying] = rng.choice(_LYING_ARMS, size=int(lying.sum()))
    chosen[leg_names == "crawl"] = "planted"
    low = np.isin(leg_names, ("squat", "sit_floor", "kneel", "crouch"))
    low &= rng.random(len(low)) < 0.5
    chosen[low] = rng.choice(_NARROW_ARMS, size=int(low.sum()))
    return chosen


def _assemble(
    rng: np.random.Generator, leg_names: np.ndarray, arm_names: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Rotations (n, 17, 3, 3), some impossible, and lift_m (n,)."""
    n = len(leg_names)
    rotations, lift_m = np.empty((n, 17, 3, 3)), np.zeros(n)
    upright = np.zeros(n, dtype=bool)
    for name in np.unique(leg_names):
        rows = np.flatnonzero(leg_names == name)
        lower: LowerBodies = LEG_FAMILIES[name][1](rng, len(rows))
        rotations[rows, 0], rotations[rows, 11:] = lower.pelvis, lower.legs
        lift_m[rows], upright[rows] = lower.lift_m, lower.upright
    rotations[:, 1:5] = _spines(rng, rotations[:, 0], upright)
    rotations[:, 5:11] = rotations[:, 2, None] @ _arms(rng, arm_names)
    flipped = rng.random(n) < 0.5
    rotations[flipped] = mirror_people(rotations[flipped])
    return unstretch(rotations), lift_m


def _unfit(rotations: np.ndarray, lying: np.ndarray) -> np.ndarray:
    """Which poses (n, 17, 3, 3) have to be drawn again, (n,) bool."""
    unfit = np.ones(len(rotations), dtype=bool)
    whole = np.flatnonzero(np.isfinite(rotations.reshape(len(rotations), -1)).all(axis=1))
    unfit[whole] = impossible(rotations[whole])
    unfit[whole] |= lying[whole] & legs_below_torso(rotations[whole])
    return unfit


def procedural_stack(rng: np.random.Generator, count: int) -> PoseStack:
    """Draw count poses; deterministic by the generator's state."""
    names, shares = _shares({name: entry[0] for name, entry in LEG_FAMILIES.items()})
    leg_names = rng.choice(names, size=count, p=shares)
    arm_names = _arm_names(rng, leg_names)
    rotations, lift_m = np.empty((count, 17, 3, 3)), np.zeros(count)
    todo, attempt = np.arange(count), 0
    while len(todo):
        if attempt == _HANG_ARMS_AFTER:
            arm_names[todo] = "relaxed"
        elif attempt == _STAND_UP_AFTER:
            leg_names[todo] = "stand"
        rotations[todo], lift_m[todo] = _assemble(rng, leg_names[todo], arm_names[todo])
        todo, attempt = todo[_unfit(rotations[todo], leg_names[todo] == "lie")], attempt + 1
    sources = tuple(
        f"procedural/{legs}+{arms}" for legs, arms in zip(leg_names, arm_names, strict=True)
    )
    return PoseStack(rotations, lift_m, sources)
