"""Things between the camera and the people: table edges, counters, chairs, door frames, posts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from residualpose.synthetic.clutter import plant, poles
from residualpose.synthetic.furniture import chair, desk, sofa, table
from residualpose.synthetic.primitives import Primitives, cuboids, merge, pose_matrix
from residualpose.synthetic.rooms import Room
from residualpose.synthetic.viewpoints import Viewpoint

_SHARE = 0.3
"""Of the frames with clutter."""
_CLEAR_M = 0.4
"""From people and camera, to the middle of the thing."""


def counter(rng: np.random.Generator) -> Primitives:
    """A bar, a reception desk or a low wall: it hides legs and hips."""
    x, y, high = rng.uniform(0.4, 1.5), rng.uniform(0.06, 0.35), rng.uniform(0.6, 1.15)
    rows = [[-x, x, -y, y, 0, high], [-x, x, -y - 0.05, y + 0.05, high, high + 0.04]]
    for at in rng.uniform(-x, x - 0.1, int(rng.integers(0, 4))):
        rows.append([at, at + rng.uniform(0.05, 0.3), -y, y, high, high + rng.uniform(0.05, 0.3)])
    return cuboids(rows)


def door_frame(rng: np.random.Generator) -> Primitives:
    """An opening that the camera looks through: two posts or wall ends, and a lintel."""
    half, post, high = rng.uniform(0.35, 0.6), rng.uniform(0.05, 1.2), rng.uniform(1.95, 2.15)
    deep = rng.uniform(0.04, 0.12)
    rows = [[half, half + post, -deep, deep, 0, high], [-half - post, -half, -deep, deep, 0, high]]
    rows.append([-half - post, half + post, -deep, deep, high, high + rng.uniform(0.1, 0.6)])
    return cuboids(rows)


def half_wall(rng: np.random.Generator) -> Primitives:
    """The end of a wall, an open door, a pillar or a rail: it hides one side of people."""
    wide, high = rng.uniform(0.06, 0.9), rng.uniform(1.3, 2.6)
    return cuboids([[0, wide, -0.06, 0.06, 0, high]])


def rail(rng: np.random.Generator) -> Primitives:
    """A railing or a barrier: bars across, with posts."""
    x, high = rng.uniform(0.5, 1.4), rng.uniform(0.8, 1.1)
    bars = np.linspace(high, rng.uniform(0.1, 0.6), int(rng.integers(1, 5)))
    thick = rng.uniform(0.012, 0.03)
    rows = [[-x, x, -thick, thick, z - 2 * thick, z] for z in bars]
    rows += [[at - thick, at + thick, -thick, thick, 0, high] for at in (-x, 0, x)]
    return cuboids(rows)


def hanging_lamp(rng: np.random.Generator) -> Primitives:
    """A long lamp or a duct under the ceiling, for cameras that look down; its top at z = 0."""
    x, y, deep = rng.uniform(0.1, 0.7), rng.uniform(0.02, 0.1), rng.uniform(0.03, 0.12)
    return cuboids([[-x, x, -y, y, -deep, 0]])


_MAKERS: tuple[tuple[Callable[[np.random.Generator], Primitives], float], ...] = (
    (table, 2.5), (counter, 2.0), (chair, 2.0), (door_frame, 1.2), (half_wall, 1.8), (rail, 0.8),
    (desk, 0.7), (sofa, 0.8), (plant, 1.0), (poles, 0.6),
)  # fmt: skip


def add_occluders(
    rng: np.random.Generator, room: Room, viewpoint: Viewpoint, people_xy: np.ndarray
) -> Room:
    """The room, in a share of cases with one thing before one of the people (P, 2)."""
    if rng.random() >= _SHARE:
        return room
    person = people_xy[rng.integers(len(people_xy))]
    eye = viewpoint.T_world_camera[:3, 3]
    if viewpoint.kind == "overhead":
        if eye[2] < 2.6:
            return room
        at = eye[:2] + rng.uniform(0.15, 0.5) * _direction(rng)
        pose = pose_matrix(at[0], at[1], rng.uniform(0, np.pi), eye[2] - rng.uniform(0.15, 0.5))
        return replace(room, primitives=merge([room.primitives, hanging_lamp(rng).moved(pose)]))
    path = person - eye[:2]
    away = float(np.linalg.norm(path))
    ahead = path / max(away, 1e-6)
    share = np.array([weight for _, weight in _MAKERS])
    piece = _MAKERS[rng.choice(len(_MAKERS), p=share / share.sum())][0](rng)
    low, high = piece.bounds_m()
    deep = max(-low[:, 1].min(), high[:, 1].max())
    nearest, farthest = _CLEAR_M + deep, away - _CLEAR_M - deep
    if farthest <= nearest:
        return room
    aside = np.array([ahead[1], -ahead[0]]) * rng.normal(0, 0.25)
    at = eye[:2] + ahead * rng.uniform(nearest, farthest) + aside
    facing = np.arctan2(-ahead[0], ahead[1]) + rng.normal(0, 0.25) + np.pi * rng.integers(2)
    moved = piece.moved(pose_matrix(at[0], at[1], facing))
    standing = np.array([[*xy, z] for xy in people_xy for z in (0.1, 0.5, 1.0, 1.5)])
    if moved.contains(np.vstack([standing, eye]), 0.25).any():
        return room
    goals = np.array([[*person, z] for z in (0.7, 1.1, 1.5)])
    if moved.blocked(np.tile(eye, (len(goals), 1)), goals).all():
        return room  # nobody would be left to see
    return replace(room, primitives=merge([room.primitives, moved]))


def _direction(rng: np.random.Generator) -> np.ndarray:
    angle = rng.uniform(0, 2 * np.pi)
    return np.array([np.cos(angle), np.sin(angle)])
