"""Where the camera hangs: in somebody's hand, fixed at eye height, low, high or overhead."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from residualpose.synthetic.rooms import Room

KINDS = ("eye", "fixed", "low", "high", "overhead")
_SHARES = (0.26, 0.25, 0.08, 0.12, 0.29)
_HEIGHT_M = {
    "eye": (1.0, 1.8), "fixed": (1.0, 1.6), "low": (0.3, 0.8), "high": (2.2, 3.2),
    "overhead": (2.55, 3.6),
}  # fmt: skip
_PITCH_DOWN_RAD = {"eye": (-10, 20), "fixed": (-10, 16), "low": (-20, 8), "high": (20, 50)}
_CEILING_OVER_M = {"high": 2.3, "overhead": 2.85}
"""Height of ceiling below which a kind is not drawn."""
_NEAREST_M = 0.5
_MAX_TILT_RAD = np.radians(15.0)
_MARGIN_M = 0.12
_TRIES, _FINALISTS, _ROUNDS = 96, 6, 3


@dataclass(frozen=True, slots=True)
class Viewpoint:
    """One camera pose."""

    T_world_camera: np.ndarray
    """(4, 4) float64 rigid map from the camera (x right, y down, z forward) to the world (z up)."""
    kind: str
    """One of KINDS."""


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
    seen, eye = -1.0, target
    for _ in range(_ROUNDS):
        around = _overhead if name == "overhead" else _around
        eyes = around(rng, name, target, room)
        # Only the few best by geometry are tested against every solid, which costs most.
        order = np.argsort(-_fitness(eyes, name, target, subjects, room), kind="stable")
        best = eyes[order[:_FINALISTS]]
        free = ~room.primitives.contains(best, _MARGIN_M)
        score = 3.0 * free + _share_seen(best, target, room)
        if score.max() > seen:
            seen, eye = float(score.max()), best[np.argmax(score)]
        if seen > 3:
            break
    return Viewpoint(_look(rng, name, eye, target), name)


def _draw_kind(rng: np.random.Generator, room: Room) -> str:
    share = np.array(_SHARES)
    share *= [room.ceiling_m > _CEILING_OVER_M.get(kind, 0) for kind in KINDS]
    return str(rng.choice(KINDS, p=share / share.sum()))


def _heights(rng: np.random.Generator, kind: str, room: Room) -> np.ndarray:
    """(_TRIES,) camera heights below the ceiling."""
    low, high = _HEIGHT_M[kind]
    if kind == "overhead" and rng.random() < 0.6:
        low, high = 2.75, 3.1  # what most rooms allow and most makers recommend
    top = max(min(high, room.ceiling_m - 0.15), 0.3)
    return rng.uniform(min(low, top - 0.1), top, _TRIES)


def _around(rng: np.random.Generator, kind: str, target: np.ndarray, room: Room) -> np.ndarray:
    """(_TRIES, 3) candidate positions on rings around the target."""
    far = rng.uniform(1.8, 3.8, _TRIES)
    if kind != "fixed":
        wide = rng.choice([0, 1, 2], _TRIES, p=(0.7, 0.15, 0.15))
        far = np.choose(wide, [far - 0.2, rng.uniform(0.5, 1.5, _TRIES), rng.uniform(4, 8, _TRIES)])
    turn = rng.uniform(0, 2 * np.pi, _TRIES)
    if rng.random() < 0.4:
        # Sensors are often set up square to a wall, more often than chance would.
        turn = np.round(turn / (np.pi / 2)) * (np.pi / 2) + rng.normal(0, 0.12, _TRIES)
    xy = target[:2] + far[:, None] * np.stack([np.cos(turn), np.sin(turn)], -1)
    return np.column_stack([_indoors(xy, room), _heights(rng, kind, room)])


def _overhead(rng: np.random.Generator, kind: str, target: np.ndarray, room: Room) -> np.ndarray:
    """(_TRIES, 3) candidate positions about above the target, up to 15 degrees off."""
    height = _heights(rng, kind, room)
    tilt = _MAX_TILT_RAD * rng.uniform(0, 1) ** 1.5
    far = (height - target[2]) * np.tan(tilt)
    turn = rng.uniform(0, 2 * np.pi, _TRIES)
    aside = far[:, None] * np.stack([np.cos(turn), np.sin(turn)], -1)
    # The person may stand anywhere under it: in the middle, or cut by the frame.
    error = rng.choice([0.05, 0.12, 0.25], p=(0.5, 0.3, 0.2))
    aside = aside + rng.normal(0, error, aside.shape)
    return np.column_stack([_indoors(target[:2] + aside, room), height])


def _indoors(xy: np.ndarray, room: Room) -> np.ndarray:
    """Points (N, 2), those beyond a wall moved to it: that is where sensors are mounted."""
    half = np.array(room.floor_size) / 2 - _MARGIN_M
    return np.clip(xy, -half, half)


def _fitness(
    eyes: np.ndarray, kind: str, target: np.ndarray, subjects: np.ndarray, room: Room
) -> np.ndarray:
    """(N,) 0 where a candidate keeps all rules of its kind, else minus how far it is off."""
    edge = (np.array(room.floor_size) / 2 - np.abs(eyes[:, :2])).min(-1)
    score = 10 * np.minimum(edge - _MARGIN_M, 0)
    if kind != "overhead":
        near = np.linalg.norm(eyes[:, None, :2] - subjects[:, :2], axis=-1).min(-1)
        score += 5 * np.minimum(near - _NEAREST_M, 0)
        level = np.linalg.norm(eyes[:, :2] - target[:2], axis=-1)
        down = np.arctan2(eyes[:, 2] - target[2], level)
        low, high = np.radians(_PITCH_DOWN_RAD[kind])
        score -= np.maximum(np.maximum(low - down, down - high), 0)
    # Rounded, valid candidates tie: the stable sort then keeps the distribution they came from.
    return np.round(score, 3)


def _share_seen(eyes: np.ndarray, target: np.ndarray, room: Room) -> np.ndarray:
    """(N,) share of three heights of the target that no solid hides."""
    goals = target + np.array([[0, 0, -0.3], [0, 0, 0.15], [0, 0, 0.5]])
    start = np.repeat(eyes, 3, axis=0)
    end = start + 0.92 * (np.tile(goals, (len(eyes), 1)) - start)
    return (~room.primitives.blocked(start, end)).reshape(-1, 3).mean(-1)


def _look(rng: np.random.Generator, kind: str, eye: np.ndarray, target: np.ndarray) -> np.ndarray:
    """(4, 4) pose at `eye` looking about at the target, with errors of aim and roll."""
    up, roll = np.array([0, 0, 1.0]), 0.0
    if kind == "overhead":
        heading = rng.uniform(0, 2 * np.pi)
        forward = (target - eye) / (eye[2] - target[2])
        # Screwed flat to the ceiling, or tilted towards the person by up to 15 degrees.
        most = 0.0 if rng.random() < 0.4 else np.tan(_MAX_TILT_RAD)
        forward[:2] *= min(1.0, most / max(float(np.linalg.norm(forward[:2])), 1e-9))
        up = np.array([np.cos(heading), np.sin(heading), 0])
    elif kind == "fixed":
        # On a shelf or a tripod: level or a little down, whatever the height of the person.
        down = np.radians(abs(rng.normal(0, 2)) if rng.random() < 0.5 else rng.uniform(0, 10))
        turn = np.arctan2(*(target - eye)[1::-1]) + rng.uniform(-0.2, 0.2)
        forward = np.array([np.cos(turn), np.sin(turn), -np.tan(down)])
        roll = np.radians(rng.normal(0, 1))
    else:
        # Now and then so far off that the frame cuts the person.
        error = 0.06 if rng.random() < 0.85 else 0.2
        forward = target - eye
        forward = forward / np.linalg.norm(forward) + rng.normal(0, error, 3)
        roll = np.radians(rng.normal(0, 2.5) if rng.random() < 0.9 else rng.uniform(-30, 30))
    return _camera_pose(eye, forward, up, roll)


def _camera_pose(
    eye: np.ndarray, forward: np.ndarray, up: np.ndarray, roll_rad: float
) -> np.ndarray:
    """(4, 4) pose of a camera at `eye`, its image's up closest to `up`, then rolled."""
    forward = forward / np.linalg.norm(forward)
    right = np.cross(forward, up)
    right /= np.linalg.norm(right)
    down = np.cross(forward, right)
    pose = np.eye(4)
    pose[:3, 0] = np.cos(roll_rad) * right + np.sin(roll_rad) * down
    pose[:3, 1] = np.cos(roll_rad) * down - np.sin(roll_rad) * right
    pose[:3, 2], pose[:3, 3] = forward, eye
    return pose
