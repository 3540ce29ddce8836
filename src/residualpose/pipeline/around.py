"""Around each joint: what the 2D network saw there, for a refiner that looks at it.

Grouping and lifting leave one point of each joint's map and one depth. What they left may have
been right: a second peak, an opinion of the cell beside, the surface of the arm that was meant. A
refiner may be shown, for every joint, a small patch of its map and of the surface about where it
was found, and all that the network says of the very place: other joints, and limbs that pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from residualpose.camera import Camera
from residualpose.pipeline.maps import Maps, surface_of
from residualpose.pipeline.normalise import NetworkInput
from residualpose.skeleton import ITOP15

SIDE = 7
_SPACING_M = 0.05
"""A patch has `SIDE` times `SIDE` points so far apart, square to the optical axis."""
PATCH = SIDE * SIDE
OPINION_SCALE_M, SURFACE_SCALE_M = 0.3, 0.5
"""What is farther off than that seems as far off as that."""
N_PATCHES = 4 * PATCH
"""Numbers of a joint's patches: of its own map, of its partner's, of how far behind the joint its
depth would be by the cell's surface and offset, and of how far behind it that surface is."""
N_AROUND = N_PATCHES + 2 * len(ITOP15.joints) + 2 * len(ITOP15.limbs)
"""Numbers of each joint: its patches; then, where it is, all part maps, all limb fields and how far
behind it each joint's depth would be."""
_JOINTS = len(ITOP15.joints)
_OWN_AND_PARTNER = np.array([range(_JOINTS), ITOP15.mirror]).T
_STEPS_M = (np.arange(SIDE) - SIDE // 2) * _SPACING_M


@dataclass(frozen=True, slots=True)
class Look:
    """What the 2D network saw in a frame, or in a window of one."""

    maps: Maps
    surface_m: np.ndarray
    """(h, w) depth of the seen surface in each cell, 0 = none; not moved as in closer looks."""
    camera: Camera
    """Its pixels are the cells."""

    @classmethod
    def of(cls, view: NetworkInput, maps: Maps) -> Look:
        """What was seen of what the network looked at, surfaces where they are."""
        return cls(maps, surface_of(view, maps.stride), _of_cells(view.camera, maps.stride))


@lru_cache(maxsize=16)
def _of_cells(camera: Camera, stride: int) -> Camera:
    """Camera whose pixels are the cells of the maps; the same every frame."""
    return camera.resized(1 / stride, 1 / stride)


def around(looks: Sequence[Look], joints_m: np.ndarray) -> np.ndarray:
    """(P, 15, N_AROUND) float32, -1 to 1; zeros of joints that are unknown.

    Args:
        looks: where each of P people was seen, at least one; several may be in the same.
        joints_m: (P, 15, 3) camera frame, NaN where unknown.
    """
    shown = np.empty((len(looks), _JOINTS, N_AROUND), np.float32)
    rows: dict[int, list[int]] = {}
    for person, look in enumerate(looks):
        rows.setdefault(id(look), []).append(person)
    for people in rows.values():
        shown[people] = _in_one(looks[people[0]], joints_m[people])
    return shown


def _in_one(look: Look, joints_m: np.ndarray) -> np.ndarray:
    """(P, 15, N_AROUND) of people (P, 15, 3) who were all seen in one look."""
    joints_m = joints_m.reshape(-1, 3)
    known = np.isfinite(joints_m[:, :1])
    x, y, z = np.where(known, joints_m, np.array([0, 0, 1], np.float32)).T[..., None]
    z = np.maximum(z, np.float32(0.1))
    height, width = look.surface_m.shape
    col, across = _cells((x + _STEPS_M) / z * look.camera.fx + look.camera.cx, width)
    row, down = _cells((y + _STEPS_M) / z * look.camera.fy + look.camera.cy, height)
    cell = ((row * width)[:, :, None] + col[:, None]).reshape(-1, PATCH)
    inside = (down[:, :, None] & across[:, None]).reshape(-1, PATCH)
    surface_m = look.surface_m.reshape(-1)[cell]
    places = _Places(cell, inside, inside & (surface_m > 0), surface_m - z)
    shown = np.empty((len(joints_m), N_AROUND), np.float32)
    _fill_patches(shown[:, :N_PATCHES].reshape(-1, 4, PATCH), look.maps, places)
    shown[:, N_PATCHES:] = _all_maps(look.maps, places)
    shown *= known
    return shown.reshape(-1, _JOINTS, N_AROUND)


def _cells(at: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The nearest of `count` cells in a line to each place, and whether the place is within one."""
    cell = np.rint(at).astype(np.int64)
    within = np.minimum(np.maximum(cell, 0), count - 1)
    return within, within == cell


@dataclass(frozen=True, slots=True)
class _Places:
    """Places about N joints of P people, one person after the other; (N, PATCH) each."""

    cell: np.ndarray
    """Number of its cell, within the maps."""
    inside: np.ndarray
    """Whether it lies within the maps."""
    seen: np.ndarray
    """And whether a surface is seen there."""
    behind_m: np.ndarray
    """How far behind the joint that is."""


def _fill_patches(patches: np.ndarray, maps: Maps, at: _Places) -> None:
    """Fill (N, 4, PATCH), kinds as `N_PATCHES` tells them."""
    size = maps.part_maps[0].size
    of_map = np.tile(_OWN_AND_PARTNER * size, (len(patches) // _JOINTS, 1))
    places = at.cell[:, None] + of_map[:, :, None]
    patches[:, :2] = maps.part_maps.reshape(-1)[places] * at.inside[:, None]
    opinion_m = at.behind_m
    if maps.offset_m is not None:
        opinion_m = opinion_m + maps.offset_m.reshape(-1)[places[:, 0]]
    patches[:, 2] = _clipped(opinion_m / OPINION_SCALE_M) * at.seen
    # Without a reading it is as good as far away, and outside of the image nothing is in front.
    nothing = np.where(at.inside, np.float32(1), np.float32(-1))
    patches[:, 3] = np.where(at.seen, _clipped(at.behind_m / SURFACE_SCALE_M), nothing)


def _all_maps(maps: Maps, at: _Places) -> np.ndarray:
    """(N, N_AROUND - N_PATCHES) at the joints' own places."""
    cell, inside, seen, behind_m = (
        of[:, PATCH // 2] for of in (at.cell, at.inside, at.seen, at.behind_m)
    )
    parts, fields = (of.reshape(len(of), -1)[:, cell] for of in (maps.part_maps, maps.limb_fields))
    opinion_m = np.broadcast_to(behind_m, (_JOINTS, len(behind_m)))
    if maps.offset_m is not None:
        opinion_m = opinion_m + maps.offset_m.reshape(_JOINTS, -1)[:, cell]
    told = [parts * inside, fields * inside, opinion_m / OPINION_SCALE_M * seen]
    return _clipped(np.concatenate(told)).T


def _clipped(values: np.ndarray) -> np.ndarray:
    return np.minimum(np.maximum(values, np.float32(-1)), np.float32(1))
