"""Unit meshes, of which the page shows many scaled and turned copies: a rod, a ball, a cage."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_SIDES = 10
_RING_SEGMENTS, _RING_SIDES, _RING_THICKNESS = 20, 4, 0.2


@dataclass(frozen=True, slots=True)
class Mesh:
    """Triangles."""

    vertices: np.ndarray
    """(V, 3) float32."""
    faces: np.ndarray
    """(F, 3) uint32 indices, counter-clockwise from outside."""


def rod() -> Mesh:
    """A tube of radius 1 along z, from -0.5 to 0.5, without lids."""
    angle = np.arange(_SIDES) * 2 * np.pi / _SIDES
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    low, high = (np.insert(circle, 2, z, axis=1) for z in (-0.5, 0.5))
    this = np.arange(_SIDES)
    following = (this + 1) % _SIDES
    sides = [
        np.stack([this, following, following + _SIDES], axis=-1),
        np.stack([this, following + _SIDES, this + _SIDES], axis=-1),
    ]
    return _mesh(np.concatenate([low, high]), np.concatenate(sides))


def ball(rings: int = 8, segments: int = 14) -> Mesh:
    """A sphere of radius 1."""
    polar = np.linspace(0, np.pi, rings + 1)[:, None]
    around = np.arange(segments)[None] * 2 * np.pi / segments
    vertices = np.stack(
        np.broadcast_arrays(
            np.sin(polar) * np.cos(around), np.sin(polar) * np.sin(around), np.cos(polar)
        ),
        axis=-1,
    )
    return _mesh(vertices.reshape(-1, 3), _grid_faces(rings, segments, closed=False))


def cage() -> Mesh:
    """Three rings about the three axes: hollow from wherever it is seen."""
    around = np.arange(_RING_SEGMENTS)[:, None] * 2 * np.pi / _RING_SEGMENTS
    across = np.arange(_RING_SIDES)[None] * 2 * np.pi / _RING_SIDES
    reach = 1 + _RING_THICKNESS * np.cos(across)
    ring = np.stack(
        np.broadcast_arrays(
            reach * np.cos(around), reach * np.sin(around), _RING_THICKNESS * np.sin(across)
        ),
        axis=-1,
    ).reshape(-1, 3)
    faces = _grid_faces(_RING_SEGMENTS, _RING_SIDES, closed=True)
    rings = [np.roll(ring, shift, axis=1) for shift in range(3)]
    return _mesh(np.concatenate(rings), np.concatenate([faces + i * len(ring) for i in range(3)]))


def _grid_faces(rows: int, columns: int, closed: bool) -> np.ndarray:
    """(F, 3) triangles of a grid of vertices that is closed along its columns, or both ways."""
    i, j = (axis.ravel() for axis in np.indices((rows, columns)))
    below = (i + 1) % rows if closed else i + 1
    right = (j + 1) % columns
    corners = [(i, j), (below, j), (below, right), (i, right)]
    a, b, c, d = (row * columns + column for row, column in corners)
    return np.concatenate([np.stack([a, b, c], axis=-1), np.stack([a, c, d], axis=-1)])


def _mesh(vertices: np.ndarray, faces: np.ndarray) -> Mesh:
    return Mesh(vertices.astype(np.float32), faces.astype(np.uint32))
