"""Read BVH motion capture: iClone, Mixamo and plain skeletons, recognised by their joint names."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import numpy as np

from residualpose.errors import ResidualPoseError
from residualpose.synthetic.retarget import SIDES, Landmarks
from residualpose.synthetic.rotations import about_x, about_y, about_z, frame_from_up, unit

_TURN = {"Xrotation": about_x, "Yrotation": about_y, "Zrotation": about_z}
_SHIFT = {"Xposition": 0, "Yposition": 1, "Zposition": 2}
_PREFIX = re.compile(r"^(CC_Base_|mixamorig:|mixamorig_)")
_Y_UP_TO_Z_UP = np.array([[1.0, 0, 0], [0, 0, -1.0], [0, 1.0, 0]])

# Measured on upright frames of CMU's clips on the iClone skeleton; other skeletons are guessed.
_ICLONE_SPINE_LEAN_RAD = (math.radians(-5.0), 0.0, math.radians(9.0))
_FOOT_SLOPE_RAD = {True: math.radians(13.0), False: math.radians(25.0)}

_TRUNK_NAMES = {
    "spine": ("Waist", "Spine", "LowerBack", "ToSpine", "Chest"),
    "chest": ("Spine02", "Spine1", "Spine", "Chest2", "Chest"),
    "neck": ("NeckTwist01", "Neck", "Neck1"),
    "head": ("Head",),
}
_LIMB_NAMES = {
    "hip": ("{}_Thigh", "{}UpLeg", "{}Hip"),
    "knee": ("{}_Calf", "{}Leg", "{}Knee"),
    "ankle": ("{}_Foot", "{}Foot", "{}Ankle"),
    "toe": ("{}_ToeBase", "{}ToeBase", "{}Toe", "{}Foot.end", "{}Ankle.end"),
    "shoulder": ("{}_Upperarm", "{}Arm", "{}Shoulder"),
    "elbow": ("{}_Forearm", "{}ForeArm", "{}Elbow"),
    "wrist": ("{}_Hand", "{}Hand", "{}Wrist"),
    "knuckle": ("{}_Mid1", "{}HandMiddle1", "{}HandIndex1", "{}FingerBase", "{}Hand.end",
                "{}Wrist.end"),
    "thumb": ("{}_Thumb2", "{}HandThumb2", "{}HandThumb1", "{}Thumb", "{}_Hand", "{}Hand",
              "{}Wrist"),
}  # fmt: skip
_SIDE_WORDS = {"r": ("R", "Right"), "l": ("L", "Left")}


@dataclass(frozen=True, slots=True)
class _Joint:
    name: str
    parent: int
    offset: np.ndarray
    channels: tuple[str, ...]
    first_channel: int


def read_bvh(text: str, name: str, rate_hz: float, max_frames: int) -> Landmarks:
    """Landmarks of a clip, thinned to rate_hz and to at most max_frames.

    Raises:
        ResidualPoseError: The text is no complete BVH of a person.
    """
    hierarchy, marker, motion = text.partition("MOTION")
    if not marker or "HIERARCHY" not in hierarchy:
        raise ResidualPoseError(
            f"{name}: expected a BVH file with HIERARCHY and MOTION, found "
            f"{text[:20].strip()!r}...; re-export or remove it"
        )
    joints = _read_hierarchy(hierarchy, name)
    wanted = _find_landmarks({joint.name: i for i, joint in enumerate(joints)}, name)
    frames, values = _read_motion(motion, joints, name, rate_hz, max_frames)
    positions = _forward(joints, values)
    points = {mark: positions[index] @ _Y_UP_TO_Z_UP.T for mark, index in wanted.items()}
    head = _head({joint.name: p for joint, p in zip(joints, positions, strict=True)}, points)
    iclone = any(joint.name == "NeckTwist01" for joint in joints)
    lean = _ICLONE_SPINE_LEAN_RAD if iclone else (0.0, 0.0, 0.0)
    return Landmarks(name, frames, points, head, _FOOT_SLOPE_RAD[iclone], lean)


def _read_hierarchy(text: str, name: str) -> list[_Joint]:
    words = iter(text.split())
    joints: list[_Joint] = []
    open_joints: list[int] = []
    pending, offset, channels = "", np.zeros(3), 0
    try:
        for word in words:
            if word in ("ROOT", "JOINT"):
                pending = _PREFIX.sub("", next(words))
            elif word == "End":
                pending = f"{joints[open_joints[-1]].name}.end"
                next(words)
            elif word == "{":
                parent = open_joints[-1] if open_joints else -1
                open_joints.append(len(joints))
                joints.append(_Joint(pending, parent, np.zeros(3), (), channels))
            elif word == "OFFSET":
                offset = np.array([float(next(words)) for _ in range(3)])
                joints[-1] = _Joint(pending, joints[-1].parent, offset, (), channels)
            elif word == "CHANNELS":
                kinds = tuple(next(words) for _ in range(int(next(words))))
                joints[-1] = _Joint(pending, joints[-1].parent, offset, kinds, channels)
                channels += len(kinds)
            elif word == "}":
                open_joints.pop()
    except (StopIteration, ValueError, IndexError, RuntimeError) as error:
        raise ResidualPoseError(
            f"{name}: expected a BVH joint hierarchy, found it broken after "
            f"{len(joints)} joints; re-export or remove it"
        ) from error
    unknown = {kind for joint in joints for kind in joint.channels} - {*_TURN, *_SHIFT}
    if not joints or open_joints or unknown:
        found = f"the channels {sorted(unknown)}" if unknown else f"{len(open_joints)} left open"
        raise ResidualPoseError(
            f"{name}: expected a BVH joint hierarchy with rotation and position channels, "
            f"found {found}; re-export or remove it"
        )
    return joints


def _find_landmarks(index_of: dict[str, int], name: str) -> dict[str, int]:
    lowered = {key.lower(): index for key, index in index_of.items()}
    wanted: dict[str, int] = {}

    def find(mark: str, candidates: list[str]) -> None:
        for candidate in candidates:
            if candidate.lower() in lowered:
                wanted[mark] = lowered[candidate.lower()]
                return
        raise ResidualPoseError(
            f"{name}: expected a BVH skeleton with one of the joints {', '.join(candidates)}, "
            f"found {', '.join(list(index_of)[:6])}, ...; rename its joints"
        )

    for mark, candidates in _TRUNK_NAMES.items():
        find(mark, list(candidates))
    for mark, patterns in _LIMB_NAMES.items():
        for side in SIDES:
            words = _SIDE_WORDS[side]
            find(f"{mark}_{side}", [p.format(word) for p in patterns for word in words])
    return wanted


def thinned(count: int, rate_hz: float, wanted_hz: float, max_frames: int) -> np.ndarray:
    """Indices of the frames to keep of count at rate_hz."""
    step = max(rate_hz / wanted_hz, count / max_frames, 1.0)
    return np.unique(np.arange(0, count, step).astype(np.int64))


def _read_motion(
    text: str, joints: list[_Joint], name: str, wanted_hz: float, max_frames: int
) -> tuple[np.ndarray, np.ndarray]:
    """Kept frame indices (N,) and their channel values (N, C)."""
    header = re.match(r"\s*Frames:\s*(\d+)\s*Frame Time:\s*([\d.eE+-]+)\s*", text)
    channels = sum(len(joint.channels) for joint in joints)
    rows = text[header.end() :].splitlines() if header else []
    if not header or not rows or float(header[2]) <= 0:
        raise ResidualPoseError(
            f"{name}: expected 'Frames: n', 'Frame Time: seconds' and frames after MOTION, "
            f"found {text[:30].strip()!r}; re-export or remove it"
        )
    if len(rows) < int(header[1]):
        raise ResidualPoseError(
            f"{name}: expected {header[1]} frames, found {len(rows)}: the file is cut short; "
            "fetch it again or remove it"
        )
    keep = thinned(int(header[1]), 1.0 / float(header[2]), wanted_hz, max_frames)
    return keep, parse_rows([rows[i].split() for i in keep], keep, channels, name)


def parse_rows(rows: list[list[str]], frames: np.ndarray, width: int, name: str) -> np.ndarray:
    """Numbers (N, width) of rows of words; raises ResidualPoseError naming the bad frame."""
    for frame, row in zip(frames, rows, strict=True):
        if len(row) != width:
            raise ResidualPoseError(
                f"{name}: expected {width} numbers a frame, found {len(row)} in frame {frame}; "
                "fetch the file again or remove it"
            )
    try:
        values = np.array(rows, dtype=np.float64)
    except ValueError as error:
        raise ResidualPoseError(f"{name}: expected numbers, found others ({error})") from error
    if not np.isfinite(values).all():
        raise ResidualPoseError(f"{name}: expected finite numbers, found NaN or infinity")
    return values


def _forward(joints: list[_Joint], values: np.ndarray) -> list[np.ndarray]:
    """World positions (N, 3) of every joint, y up."""
    positions: list[np.ndarray] = []
    turns: list[np.ndarray] = []
    for joint in joints:
        place = np.broadcast_to(joint.offset, (len(values), 3)).copy()
        turn = np.broadcast_to(np.eye(3), (len(values), 3, 3))
        for column, kind in enumerate(joint.channels, start=joint.first_channel):
            if kind in _SHIFT and joint.parent < 0:
                place[:, _SHIFT[kind]] += values[:, column]
            elif kind in _TURN:
                turn = turn @ _TURN[kind](np.radians(values[:, column]))
        if joint.parent >= 0:
            above = turns[joint.parent]
            place = positions[joint.parent] + np.einsum("nij,nj->ni", above, place)
            turn = above @ turn
        positions.append(place)
        turns.append(turn)
    return positions


def _head(positions: dict[str, np.ndarray], points: dict[str, np.ndarray]) -> np.ndarray:
    """Rotations (N, 3, 3) of the head: by the eyes where there are any, else by the neck."""
    eyes = [positions.get(f"{side}_Eye") for side in ("R", "L")]
    if eyes[0] is None or eyes[1] is None:
        up = points["head"] - points["neck"]
        return frame_from_up(up, points["shoulder_r"] - points["shoulder_l"])
    right = unit((eyes[0] - eyes[1]) @ _Y_UP_TO_Z_UP.T)
    ahead = (eyes[0] + eyes[1]) / 2 @ _Y_UP_TO_Z_UP.T - points["head"]
    # iClone's eyes lie as far before the head's joint as above it.
    return frame_from_up(ahead - np.cross(ahead, right), right)
