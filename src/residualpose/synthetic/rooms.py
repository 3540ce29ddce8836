"""Random rooms: where people stand, and what is before, beside and behind them.

World frame: z up, metres, floor z = 0, the middle of the floor at x = y = 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from residualpose.synthetic.clutter import CLUTTER
from residualpose.synthetic.furniture import AGAINST_WALLS, FREE_STANDING
from residualpose.synthetic.primitives import Material, Primitives, cuboids, merge, pose_matrix
from residualpose.synthetic.walls import hedge, rough_ground, wall

__all__ = ["Material", "Primitives", "Room", "add_clutter", "sample_room"]

Makers = tuple[tuple[Callable[[np.random.Generator], Primitives], float], ...]

_KINDS = ("room", "backdrop", "void", "outdoor")
_KIND_SHARES = (0.74, 0.1, 0.06, 0.1)


@dataclass(frozen=True, slots=True)
class Room:
    """Solids, and the part of the floor where people and cameras may be."""

    primitives: Primitives
    floor_size: tuple[float, float]
    """Extent of the floor along x and y, metres."""
    ceiling_m: float
    """Height of the ceiling, infinite without one."""
    obstacles: np.ndarray
    """(N, 5) rectangles on the floor: centre x, y, half extents, yaw (radians)."""
    kind: str = "room"
    """room, backdrop (one wall), void (nothing around) or outdoor."""

    def clearance_m(self, xy_m: np.ndarray) -> np.ndarray:
        """(N,) distance of (N, 2) floor points to the next obstacle or floor edge; 0 inside one."""
        xy = np.asarray(xy_m, np.float64)
        edge = (np.array(self.floor_size) / 2 - np.abs(xy)).min(-1)
        if not len(self.obstacles):
            return np.maximum(edge, 0)
        return np.maximum(np.minimum(edge, _distance(xy, self.obstacles).min(-1)), 0)

    def free_spot(
        self, rng: np.random.Generator, radius_m: float, near_xy: np.ndarray | None = None
    ) -> np.ndarray | None:
        """A random (2,) floor point with `radius_m` free around it, None when there is none.

        With `near_xy` (2,) the spot is drawn around that point, about 0.9 m away.
        """
        if near_xy is None:
            half = np.maximum(np.array(self.floor_size) / 2 - radius_m, 0)
            points = rng.uniform(-half, half, (128, 2))
        else:
            points = np.asarray(near_xy) + rng.normal(0, 0.65, (128, 2))
        free = np.flatnonzero(self.clearance_m(points) >= radius_m)
        return points[free[0]] if len(free) else None


def sample_room(rng: np.random.Generator, clutter: bool = True) -> Room:
    """A random room; about a quarter are open: one backdrop, nothing at all, or outdoors.

    Without `clutter` there is furniture only.
    """
    kind = str(rng.choice(_KINDS, p=_KIND_SHARES))
    size = (rng.uniform(2.5, 6.5), rng.uniform(2.5, 6.5))
    if kind != "room" or rng.random() < 0.2:
        size = (rng.uniform(4, 9), rng.uniform(4, 9))
    elif rng.random() < 0.1:
        size = (rng.uniform(7, 10), rng.uniform(2.5, 6))
    ceiling = rng.uniform(2.4, 3.7) if kind == "room" else np.inf
    room = Room(_shell(rng, kind, size, ceiling), size, ceiling, np.zeros((0, 5)), kind)
    if kind == "void":
        return room
    area, density = size[0] * size[1], rng.uniform(0, 1) ** 0.8
    if kind == "room":
        room = _furnish(rng, room, AGAINST_WALLS, int(density * (3 + area / 5)), _at_wall)
        room = _furnish(rng, room, FREE_STANDING, int(rng.uniform(0, 1) * area / 9), _anywhere)
    if not clutter:
        return room
    room = _furnish(rng, room, CLUTTER, int(rng.uniform(0, 1) * (2 + area / 8)), _at_wall)
    return _furnish(rng, room, CLUTTER, int(rng.uniform(0, 1) * area / 9), _anywhere)


def add_clutter(
    rng: np.random.Generator, room: Room, T_world_camera: np.ndarray, people_xy: np.ndarray
) -> Room:
    """The room with more clutter: at the image's border near the camera, beside and behind people.

    Args:
        rng: Source of randomness.
        room: The room.
        T_world_camera: (4, 4) pose of the camera.
        people_xy: (P, 2) where people stand; clutter keeps 0.45 m from them.
    """
    people = np.atleast_2d(people_xy)
    eye, ahead = T_world_camera[:2, 3], T_world_camera[:2, 2]
    ahead = ahead / max(np.linalg.norm(ahead), 1e-6)
    aside = np.array([ahead[1], -ahead[0]])
    spots = []
    for _ in range(int(rng.integers(0, 4))):
        far = rng.uniform(0.6, 1.8)
        spots.append(eye + far * (ahead + rng.choice([-1, 1]) * rng.uniform(0.35, 0.7) * aside))
    for person in people[rng.integers(0, len(people), int(rng.integers(0, 5)))]:
        spots.append(person + rng.uniform(0.2, 1.5) * ahead + rng.normal(0, 0.9) * aside)
    parts, obstacles = [room.primitives], [room.obstacles]
    for spot in spots:
        piece, rectangle = _placed(_draw(rng, CLUTTER), spot[0], spot[1], rng.uniform(0, 2 * np.pi))
        too_near = _distance(np.vstack([people, eye]), rectangle).min() < 0.45
        if too_near or (rng.random() < 0.7 and _hides(piece, T_world_camera[:3, 3], people)):
            continue
        parts.append(piece)
        obstacles.append(rectangle)
    return replace(room, primitives=merge(parts), obstacles=np.concatenate(obstacles))


def _hides(piece: Primitives, eye: np.ndarray, people_xy: np.ndarray) -> bool:
    """Does a piece stand before the trunk of any person."""
    trunk = np.array([0.6, 1.1, 1.5])
    goals = np.column_stack([np.repeat(people_xy, 3, 0), np.tile(trunk, len(people_xy))])
    start = np.broadcast_to(eye, goals.shape)
    return bool(piece.blocked(start, start + 0.92 * (goals - start)).any())


def _shell(
    rng: np.random.Generator, kind: str, size: tuple[float, float], ceiling: float
) -> Primitives:
    """Floor, walls and ceiling, or what there is instead of them."""
    x, y = size[0] / 2 + 0.3, size[1] / 2 + 0.3
    if kind == "void":
        return (
            merge([]) if rng.random() < 0.5 else cuboids([[-x * 2, x * 2, -y * 2, y * 2, -0.2, 0]])
        )
    wide = 6 if kind == "outdoor" else 0
    parts = [cuboids([[-x - wide, x + wide, -y - wide, y + wide, -0.2, 0]])]
    sides = [side for side in range(4) if kind != "backdrop" or side == 0]
    for side in sides:
        out, length = (size[1] / 2, size[0]) if side % 2 == 0 else (size[0] / 2, size[1])
        if kind == "outdoor":
            piece = hedge(rng, length + 2)
        else:
            piece = wall(rng, length, ceiling if np.isfinite(ceiling) else rng.uniform(2.2, 4))
        parts.append(piece.moved(_wall_pose(side, out, 0) @ pose_matrix(0, 0, rng.normal(0, 0.02))))
    if kind == "outdoor":
        parts.append(rough_ground(rng, (x, y)))
    if np.isfinite(ceiling):
        parts.append(_ceiling(rng, x, y, ceiling))
    return merge(parts)


def _ceiling(rng: np.random.Generator, x: float, y: float, height_m: float) -> Primitives:
    """A ceiling, sometimes with beams, pipes or lamps."""
    rows = [[-x, x, -y, y, height_m, height_m + 0.2]]
    if rng.random() < 0.3:
        for at in np.arange(-y, y, rng.uniform(0.8, 1.6)):
            rows.append(
                [
                    -x,
                    x,
                    at,
                    at + rng.uniform(0.08, 0.25),
                    height_m - rng.uniform(0.05, 0.2),
                    height_m,
                ]
            )
    return cuboids(rows)


def _wall_pose(side: int, out_m: float, along_m: float) -> np.ndarray:
    """(4, 4) pose of something with its back (+y) at wall `side`, `along_m` from its middle."""
    return pose_matrix(0, 0, side * np.pi / 2) @ pose_matrix(along_m, out_m, 0)


def _draw(rng: np.random.Generator, makers: Makers) -> Primitives:
    share = np.array([weight for _, weight in makers])
    piece = makers[rng.choice(len(makers), p=share / share.sum())][0](rng)
    dark = rng.random() < 0.12 and Material.FOLIAGE not in piece.material
    return piece.of(Material.DARK_FURNITURE) if dark else piece


def _placed(piece: Primitives, x: float, y: float, yaw: float) -> tuple[Primitives, np.ndarray]:
    """The piece with the middle of its footprint at x, y, and its (1, 5) obstacle rectangle."""
    low, high = piece.bounds_m()
    # What hangs above 2 m leaves room to stand below.
    solid = low[:, 2] < 2
    low, high = low[solid, :2].min(0), high[solid, :2].max(0)
    middle, half = (low + high) / 2, (high - low) / 2
    pose = pose_matrix(x, y, yaw) @ pose_matrix(-middle[0], -middle[1], 0)
    return piece.moved(pose), np.array([[x, y, half[0], half[1], yaw]])


def _at_wall(rng: np.random.Generator, room: Room, half: np.ndarray) -> tuple[float, float, float]:
    side = int(rng.integers(4)) if room.kind != "backdrop" else 0
    out, length = room.floor_size[1 - side % 2] / 2, room.floor_size[side % 2]
    along = rng.uniform(-1, 1) * max(length / 2 - half[0], 0)
    gap = half[1] + rng.exponential(0.05)
    pose = _wall_pose(side, out - gap, along)
    return pose[0, 3], pose[1, 3], side * np.pi / 2 + rng.normal(0, 0.04)


def _anywhere(rng: np.random.Generator, room: Room, half: np.ndarray) -> tuple[float, float, float]:
    reach = np.maximum(np.array(room.floor_size) / 2 - half.max(), 0)
    x, y = rng.uniform(-reach, reach)
    return x, y, rng.uniform(0, 2 * np.pi)


def _furnish(
    rng: np.random.Generator, room: Room, makers: Makers, count: int, place: Callable[..., tuple]
) -> Room:
    """Adds up to `count` pieces that do not stand in each other; those without a place drop out."""
    parts, obstacles = [room.primitives], room.obstacles
    for _ in range(count):
        piece = _draw(rng, makers)
        half = _placed(piece, 0, 0, 0)[1][0, 2:4]
        for _ in range(4):
            x, y, yaw = place(rng, room, half)
            moved, rectangle = _placed(piece, x, y, yaw)
            if not _overlap(rectangle[0], obstacles):
                parts.append(moved)
                obstacles = np.concatenate([obstacles, rectangle])
                break
    return replace(room, primitives=merge(parts), obstacles=obstacles)


def _distance(xy: np.ndarray, rectangles: np.ndarray) -> np.ndarray:
    """(N, R) distance of points to rectangles, 0 inside."""
    away = xy[:, None] - rectangles[:, :2]
    cos, sin = np.cos(rectangles[:, 4]), np.sin(rectangles[:, 4])
    local = np.stack(
        [away[..., 0] * cos + away[..., 1] * sin, away[..., 1] * cos - away[..., 0] * sin], -1
    )
    return np.linalg.norm(np.maximum(np.abs(local) - rectangles[:, 2:4], 0), axis=-1)


def _overlap(one: np.ndarray, others: np.ndarray) -> bool:
    """Does a rectangle touch any of the others (separating axes)."""
    away = np.hypot(others[:, 0] - one[0], others[:, 1] - one[1])
    others = others[away < np.hypot(*one[2:4]) + np.hypot(others[:, 2], others[:, 3])]
    if not len(others):
        return False
    apart = np.zeros(len(others), bool)
    for frame in (np.broadcast_to(one, others.shape), others):
        for turn in (0, np.pi / 2):
            axis = np.stack([np.cos(frame[:, 4] + turn), np.sin(frame[:, 4] + turn)], -1)
            gap = np.abs(((others[:, :2] - one[:2]) * axis).sum(-1))
            apart |= gap > _reach(np.broadcast_to(one, others.shape), axis) + _reach(others, axis)
    return not apart.all()


def _reach(rectangles: np.ndarray, axis: np.ndarray) -> np.ndarray:
    """(R,) half length of each rectangle's shadow on its (R, 2) axis."""
    cos, sin = np.cos(rectangles[:, 4]), np.sin(rectangles[:, 4])
    along = np.abs(axis[:, 0] * cos + axis[:, 1] * sin)
    across = np.abs(axis[:, 1] * cos - axis[:, 0] * sin)
    return rectangles[:, 2] * along + rectangles[:, 3] * across
