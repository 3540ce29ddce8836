"""Around each joint: what the 2D network saw there, for a refiner that looks at it.

Grouping and lifting leave one point of each joint's map and one depth. What they left may have
been right: a second peak, an opinion of the cell beside, the surface of the arm that was meant. A
refiner may be shown, for every joint, a small patch of its map and of the surface about where it
was found, and all that the network says of the very place: other joints, and limbs that pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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
_PARTNER = np.array(ITOP15.mirror)
_STEPS_M = (np.arange(SIDE) - SIDE // 2) * _SPACING_M
_ACROSS_M, _DOWN_M = (steps.ravel() for steps in np.meshgrid(_STEPS_M, _STEPS_M))


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
        camera = view.camera.resized(1 / maps.stride, 1 / maps.stride)
        return cls(maps, surface_of(view, maps.stride), camera)


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
    col = np.rint((x + _ACROSS_M) / z * look.camera.fx + look.camera.cx).astype(np.int64)
    row = np.rint((y + _DOWN_M) / z * look.camera.fy + look.camera.cy).astype(np.int64)
    inside = (col >= 0) & (col < width) & (row >= 0) & (row < height)
    cell = np.minimum(np.maximum(row, 0), height - 1) * width
    cell += np.minimum(np.maximum(col, 0), width - 1)
    surface_m = look.surface_m.reshape(-1)[cell]
    places = _Places(cell, inside, inside & (surface_m > 0), surface_m - z)
    shown = np.empty((len(joints_m), N_AROUND), np.float32)
    _fill_patches(shown[:, :N_PATCHES].reshape(-1, 4, PATCH), look.maps, places)
    shown[:, N_PATCHES:] = _all_maps(look.maps, places)
    shown *= known
    return shown.reshape(-1, _JOINTS, N_AROUND)


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
    people = len(patches) // _JOINTS
    own, partners = (
        at.cell + np.tile(joints * size, people)[:, None]
        for joints in (np.arange(_JOINTS), _PARTNER)
    )
    patches[:, 0] = maps.part_maps.reshape(-1)[own] * at.inside
    patches[:, 1] = maps.part_maps.reshape(-1)[partners] * at.inside
    opinion_m = at.behind_m
    if maps.offset_m is not None:
        opinion_m = opinion_m + maps.offset_m.reshape(-1)[own]
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
