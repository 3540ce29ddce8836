"""Read Acclaim motion capture: an .asf skeleton and .amc clips, as CMU's library has them."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import numpy as np

from residualpose.errors import ResidualPoseError
from residualpose.synthetic.mocap_bvh import parse_rows, thinned
from residualpose.synthetic.retarget import SIDES, Landmarks
from residualpose.synthetic.rotations import about_x, about_y, about_z

_RATE_HZ = 120.0
"""AMC files do not tell their rate; CMU captured at 120 Hz."""
_TURN = {"rx": about_x, "ry": about_y, "rz": about_z}
_TO_Z_UP = np.array([[-1.0, 0, 0], [0, 0, 1.0], [0, 1.0, 0]])
"""Acclaim people face +z with y up and their left at +x."""

_TRUNK = {"spine": "lowerback", "chest": "upperback", "neck": "thorax", "head": "upperneck"}
_LIMBS = {
    "hip": "hipjoint", "knee": "femur", "ankle": "tibia", "toe": "foot", "shoulder": "clavicle",
    "elbow": "humerus", "wrist": "wrist", "knuckle": "hand", "thumb": "thumb",
}  # fmt: skip
"""Landmark: bone whose far end it is."""
# Measured on upright frames of CMU's clips.
_FOOT_SLOPE_RAD = math.radians(16.0)
_SPINE_LEAN_RAD = (math.radians(12.0), math.radians(-3.0), math.radians(-3.0))


@dataclass(frozen=True, slots=True)
class Bone:
    """A bone of an .asf skeleton."""

    offset: np.ndarray
    """(3,) from its near to its far end, at rest."""
    axis: np.ndarray
    """(3, 3) rotation of its own axes, at rest."""
    channels: tuple[str, ...]
    """Its degrees of freedom, in the order of the .amc file."""


@dataclass(frozen=True, slots=True)
class AcclaimSkeleton:
    """An .asf file."""

    bones: dict[str, Bone]
    """By name, without the root."""
    root_channels: tuple[str, ...]
    """Order of the root's numbers, such as tx ty tz rx ry rz."""
    parents: dict[str, str]
    """Name of each bone's parent, parents before children."""
    to_radians: float
    """Factor from the file's unit of angles."""


def read_asf(text: str, name: str) -> AcclaimSkeleton:
    """Parse a skeleton; raises ResidualPoseError where it is none of a person."""
    try:
        sections = {
            part.split(None, 1)[0].lower(): part for part in re.split(r"(?m)^\s*:", text)[1:]
        }
        degrees = re.search(r"angle\s+(\w+)", sections["units"])
        to_radians = 1.0 if degrees and degrees[1].lower().startswith("rad") else np.pi / 180
        blocks = re.findall(r"begin(.*?)\bend\b", sections["bonedata"], re.S)
        bones = dict(_read_bone(block, to_radians) for block in blocks)
        order = re.search(r"order((?:\s+[TtRr][XxYyZz])+)", sections["root"])
        root = tuple(order[1].lower().split()) if order else ()
        parents = _read_parents(sections["hierarchy"])
    except (KeyError, ValueError, IndexError, TypeError) as error:
        raise ResidualPoseError(
            f"{name}: expected an Acclaim .asf skeleton (units, root, bonedata, hierarchy), "
            f"found a part missing or broken ({error}); fetch it again or remove it"
        ) from error
    needed = {*_TRUNK.values(), "head", *(s + bone for bone in _LIMBS.values() for s in SIDES)}
    missing = sorted(needed - (set(bones) & set(parents)))
    if missing or not root:
        raise ResidualPoseError(
            f"{name}: expected the bones of a CMU .asf skeleton, found none named "
            f"{', '.join(missing[:5]) or 'root'}; use a skeleton from the same library"
        )
    return AcclaimSkeleton(bones, root, parents, float(to_radians))


def _read_bone(block: str, to_radians: float) -> tuple[str, Bone]:
    words = block.split()
    direction = np.array([float(w) for w in words[words.index("direction") + 1 :][:3]])
    length = float(words[words.index("length") + 1])
    start = words.index("axis") + 1
    angles = np.array([float(w) for w in words[start : start + 3]]) * to_radians
    axis = about_z(angles[2]) @ about_y(angles[1]) @ about_x(angles[0])
    found = re.search(r"\bdof((?:\s+(?:r[xyz]|t[xyz]|l)\b)+)", block, re.I)
    channels = tuple(found[1].lower().split()) if found else ()
    return words[words.index("name") + 1], Bone(direction * length, axis, channels)


def _read_parents(text: str) -> dict[str, str]:
    parents: dict[str, str] = {}
    for line in text.splitlines()[1:]:
        names = line.split()
        if len(names) > 1:
            parents.update(dict.fromkeys(names[1:], names[0]))
    return parents


def read_amc(
    text: str, skeleton: AcclaimSkeleton, name: str, rate_hz: float, max_frames: int
) -> Landmarks:
    """Landmarks of a clip, thinned to rate_hz and to at most max_frames.

    Raises:
        ResidualPoseError: The text is no complete AMC of that skeleton.
    """
    frames, values = _read_frames(text, skeleton, name, rate_hz, max_frames)
    ends, turns = _forward(skeleton, values)
    points = {mark: ends[bone] @ _TO_Z_UP.T for mark, bone in _TRUNK.items()}
    for mark, bone in _LIMBS.items():
        points.update({f"{mark}_{side}": ends[side + bone] @ _TO_Z_UP.T for side in SIDES})
    head = _TO_Z_UP @ turns["head"] @ _TO_Z_UP.T
    return Landmarks(name, frames, points, head, _FOOT_SLOPE_RAD, _SPINE_LEAN_RAD)


def _read_frames(
    text: str, skeleton: AcclaimSkeleton, name: str, wanted_hz: float, max_frames: int
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Frame indices (N,) and per bone the numbers (N, channels)."""
    lines = [line for line in text.splitlines() if line and line[0] not in "#:"]
    size = next((i for i, line in enumerate(lines[1:], 1) if line.strip().isdigit()), len(lines))
    count = len(lines) // size if size else 0
    layout = [line.split()[0] for line in lines[1:size]]
    known = set(skeleton.bones) | {"root"}
    if count == 0 or not lines[0].strip().isdigit() or "root" not in layout or set(layout) - known:
        raise ResidualPoseError(
            f"{name}: expected AMC frames of the bones of its .asf skeleton, found "
            f"{text[:30].strip()!r}...; check that clip and skeleton belong together"
        )
    if len(lines) % size:
        raise ResidualPoseError(
            f"{name}: expected {size} lines a frame, found {len(lines) % size} in the last: "
            "the file is cut short; fetch it again or remove it"
        )
    widths = [len(_channels(skeleton, bone)) for bone in layout]
    keep = thinned(count, _RATE_HZ, wanted_hz, max_frames)
    rows: list[list[str]] = []
    for frame in keep:
        parts = [line.split() for line in lines[frame * size + 1 : (frame + 1) * size]]
        if [part[0] for part in parts] != layout:
            raise ResidualPoseError(
                f"{name}: expected the same bones in every frame, found others in frame {frame}; "
                "fetch the file again or remove it"
            )
        rows.append([word for part in parts for word in part[1:]])
    values = parse_rows(rows, keep, sum(widths), name)
    columns = np.split(values, np.cumsum(widths)[:-1], axis=1)
    return keep, dict(zip(layout, columns, strict=True))


def _channels(skeleton: AcclaimSkeleton, bone: str) -> tuple[str, ...]:
    return skeleton.root_channels if bone == "root" else skeleton.bones[bone].channels


def _turns(channels: tuple[str, ...], values: np.ndarray, to_radians: float) -> np.ndarray:
    turn = np.broadcast_to(np.eye(3), (len(values), 3, 3))
    for column, kind in enumerate(channels):
        if kind in _TURN:
            turn = _TURN[kind](values[:, column] * to_radians) @ turn
    return turn


def _forward(
    skeleton: AcclaimSkeleton, values: dict[str, np.ndarray]
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """World positions (N, 3) of the bones' far ends and rotations (N, 3, 3) of the bones, y up."""
    root, channels = values["root"], skeleton.root_channels
    shifts = [channels.index(kind) for kind in ("tx", "ty", "tz") if kind in channels]
    ends = {"root": root[:, shifts] if len(shifts) == 3 else np.zeros((len(root), 3))}
    turns = {"root": _turns(channels, root, skeleton.to_radians)}
    for name, parent in skeleton.parents.items():
        bone = skeleton.bones[name]
        local = _turns(
            bone.channels, values.get(name, np.zeros((len(root), 3))), skeleton.to_radians
        )
        if name not in values:
            local = np.broadcast_to(np.eye(3), (len(root), 3, 3))
        turns[name] = turns[parent] @ bone.axis @ local @ bone.axis.T
        ends[name] = ends[parent] + np.einsum("nij,j->ni", turns[name], bone.offset)
    return ends, turns
