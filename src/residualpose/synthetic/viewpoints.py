"""Where the camera hangs: eye height, near the floor, near the ceiling or straight overhead."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from residualpose.synthetic.rooms import Room

KINDS = ("eye", "low", "high", "overhead")
_SHARES = (0.55, 0.12, 0.17, 0.16)
_HEIGHT_M = {"eye": (1.0, 1.8), "low": (0.3, 0.8), "high": (2.2, 3.2), "overhead": (2.5, 3.3)}
_PITCH_DOWN_RAD = {"eye": (-10, 20), "low": (-20, 8), "high": (20, 50)}
_MARGIN_M = 0.12
_TRIES, _FINALISTS = 96, 6


@dataclass(frozen=True, slots=True)
class Viewpoint:
    """One camera pose."""

    T_world_camera: np.ndarray
    """(4, 4) float64 rigid map from the camera (x right, y down, z forward) to the world (z up)."""
    kind: str
    """eye, low, high or overhead."""


def sample_viewpoint(
    rng: np.random.Generator, subject_xyz: np.ndarray, room: Room, kind: str | None = None
) -> Viewpoint:
    """A camera inside the room, outside the furniture, that sees the subjects about in its centre.

    Args:
        rng: Source of randomness.
        subject_xyz: (3,) or (P, 3) points to look at, such as pelvises, metres, world frame.
        room: The room; the camera keeps below its ceiling and inside its walls.
        kind: One of KINDS, or None to draw one that the ceiling allows.
    """
    subjects = np.atleast_2d(np.asarray(subject_xyz, np.float64))
    name = kind or _draw_kind(rng, room)
    one = subjects[rng.integers(len(subjects))]
    middle = subjects.mean(0)
    # From above one person fits under the camera, and between people far apart nobody is seen.
    single = name == "overhead" or np.linalg.norm(subjects - middle, axis=1).max() > 1.5
    target = one if single or rng.random() < 0.4 else middle
    eyes = _overhead(rng, target, room) if name == "overhead" else _around(rng, name, target, room)
    # Only the few best by geometry are tested against every solid, which costs most.
    order = np.argsort(-_fitness(eyes, name, target, subjects, room), kind="stable")
    best = eyes[order[:_FINALISTS]]
    free = ~room.primitives.contains(best, _MARGIN_M)
    eye = best[np.argmax(3.0 * free + _share_seen(best, target, room))]
    return Viewpoint(_look(rng, name, eye, target), name)


def _draw_kind(rng: np.random.Generator, room: Room) -> str:
    share = np.array(_SHARES) * (1, 1, room.ceiling_m > 2.3, room.ceiling_m > 2.6)
    return str(rng.choice(KINDS, p=share / share.sum()))


def _heights(rng: np.random.Generator, kind: str, room: Room) -> np.ndarray:
    """(_TRIES,) camera heights below the ceiling."""
    low, high = _HEIGHT_M[kind]
    top = max(min(high, room.ceiling_m - 0.15), 0.3)
    return rng.uniform(min(low, top - 0.1), top, _TRIES)


def _around(rng: np.random.Generator, kind: str, target: np.ndarray, room: Room) -> np.ndarray:
    """(_TRIES, 3) candidate positions on rings around the target."""
    far = np.where(
        rng.random(_TRIES) < 0.8, rng.uniform(1.5, 4, _TRIES), rng.uniform(0.7, 6, _TRIES)
    )
    turn = rng.uniform(0, 2 * np.pi, _TRIES)
    if rng.random() < 0.4:
        # Sensors are often set up square to a wall, more often than chance would.
        turn = np.round(turn / (np.pi / 2)) * (np.pi / 2) + rng.normal(0, 0.12, _TRIES)
    xy = target[:2] + far[:, None] * np.stack([np.cos(turn), np.sin(turn)], -1)
    return np.column_stack([xy, _heights(rng, kind, room)])


def _overhead(rng: np.random.Generator, target: np.ndarray, room: Room) -> np.ndarray:
    """(_TRIES, 3) candidate positions about above the target."""
    xy = target[:2] + rng.normal(0, 0.2, (_TRIES, 2)).clip(-0.4, 0.4)
    return np.column_stack([xy, _heights(rng, "overhead", room)])


def _fitness(
    eyes: np.ndarray, kind: str, target: np.ndarray, subjects: np.ndarray, room: Room
) -> np.ndarray:
    """(N,) 0 where a candidate keeps all rules of its kind, else minus how far it is off."""
    edge = (np.array(room.floor_size) / 2 - np.abs(eyes[:, :2])).min(-1)
    score = 10 * np.minimum(edge - _MARGIN_M, 0)
    if kind != "overhead":
        near = np.linalg.norm(eyes[:, None, :2] - subjects[:, :2], axis=-1).min(-1)
        score += 5 * np.minimum(near - 0.65, 0)
        level = np.linalg.norm(eyes[:, :2] - target[:2], axis=-1)
        down = np.arctan2(eyes[:, 2] - target[2], level)
        low, high = np.radians(_PITCH_DOWN_RAD[kind])
        score -= np.maximum(np.maximum(low - down, down - high), 0)
    # Rounded, valid candidates tie: the stable sort then keeps the distribution they came from.
    return np.round(score, 3)


def _share_seen(eyes: np.ndarray, target: np.ndarray, room: Room) -> np.ndarray:
    """(N,) share of three heights of the target that no solid hides."""
    shares = np.linspace(0.05, 0.9, 12)[:, None]
    goals = target + np.array([[0, 0, -0.3], [0, 0, 0.15], [0, 0, 0.5]])
    path = eyes[:, None, None] + shares * (goals[:, None] - eyes[:, None, None])
    blocked = room.primitives.contains(path.reshape(-1, 3)).reshape(len(eyes), 3, -1)
    return (~blocked.any(-1)).mean(-1)


def _look(rng: np.random.Generator, kind: str, eye: np.ndarray, target: np.ndarray) -> np.ndarray:
    """(4, 4) pose at `eye` looking about at the target, with small errors of aim and roll."""
    if kind == "overhead":
        tilt = np.radians(rng.uniform(0, 10))
        turn, heading = rng.uniform(0, 2 * np.pi, 2)
        aside = np.sin(tilt)
        forward = np.array([aside * np.cos(turn), aside * np.sin(turn), -np.cos(tilt)])
        up = np.array([np.cos(heading), np.sin(heading), 0])
        roll = 0.0
    else:
        forward = target - eye
        forward = forward / np.linalg.norm(forward) + rng.normal(0, 0.06, 3)
        up = np.array([0, 0, 1.0])
        roll = np.radians(rng.normal(0, 2.5) if rng.random() < 0.95 else rng.uniform(-20, 20))
    forward = forward / np.linalg.norm(forward)
    right = np.cross(forward, up)
    right /= np.linalg.norm(right)
    down = np.cross(forward, right)
    pose = np.eye(4)
    pose[:3, 0] = np.cos(roll) * right + np.sin(roll) * down
    pose[:3, 1] = np.cos(roll) * down - np.sin(roll) * right
    pose[:3, 2], pose[:3, 3] = forward, eye
    return pose
