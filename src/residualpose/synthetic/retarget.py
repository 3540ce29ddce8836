"""From landmarks of a captured skeleton to the body's segment rotations, by limb directions.

Only directions are used, so skeletons of any proportions fit. The turn of a limb about itself comes
from the plane in which the elbow or knee bends; where it is straight, from the neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from residualpose.synthetic.pose_augment import unstretch
from residualpose.synthetic.rotations import (
    about_x,
    about_z,
    frame_from_front,
    frame_from_right,
    frame_from_up,
    from_rotation_vectors,
    swing,
    unit,
)

SIDES = ("r", "l")
_MAX_HAND_TWIST_RAD = np.radians(85.0)
_MAX_WRIST_BEND_RAD = np.radians(75.0)
_BENT_SINE = (0.10, 0.40)
"""Sines of the bend below which the plane of a limb is noise and above which it is trusted."""


@dataclass(frozen=True, slots=True)
class Landmarks:
    """Points of a skeleton over frames, z up, any unit of length and any heading."""

    name: str
    """The clip."""
    frames: np.ndarray
    """(N,) index of each frame in the clip."""
    points: dict[str, np.ndarray]
    """(N, 3) each: spine, chest (mid spine), neck (its base), head (its joint) and, ending in _r
    and _l, hip, knee, ankle, toe, shoulder, elbow, wrist, knuckle, thumb."""
    head: np.ndarray
    """(N, 3, 3) world rotation of the head; columns right, front, up."""
    foot_slope_rad: float
    """How far the line from ankle to toe falls while the sole is level."""
    spine_lean_rad: tuple[float, float, float]
    """How far lines hips-spine, spine-chest, chest-neck lean back while the body is upright."""


def retarget(marks: Landmarks) -> np.ndarray:
    """World rotations (N, 17, 3, 3) facing +y: the heading of the pelvis is taken out."""
    torso = _torso(marks)
    arms = [_arm(marks, side, torso[2]) for side in SIDES]
    legs = [_leg(marks, side) for side in SIDES]
    rotations = np.stack([*torso, *arms[0], *arms[1], *legs[0], *legs[1]], axis=1)
    return unstretch(without_heading(rotations))


def without_heading(rotations: np.ndarray) -> np.ndarray:
    """The poses (N, 17, 3, 3) turned about the vertical so that the pelvis faces +y."""
    right, front = rotations[:, 0, :, 0], rotations[:, 0, :, 1]
    # The hip line tells the heading of somebody bent over; of somebody lying on a side, the front.
    level = np.hypot(right[:, 0], right[:, 1]) > 0.5
    heading = np.where(
        level, np.arctan2(right[:, 1], right[:, 0]), np.arctan2(-front[:, 0], front[:, 1])
    )
    return about_z(-heading)[:, None] @ rotations


def _torso(marks: Landmarks) -> list[np.ndarray]:
    at = marks.points
    hips, shoulders = at["hip_r"] - at["hip_l"], at["shoulder_r"] - at["shoulder_l"]
    low, middle, high = (about_x(-lean) for lean in marks.spine_lean_rad)
    pelvis_up = at["spine"] - (at["hip_r"] + at["hip_l"]) / 2
    pelvis = frame_from_right(hips, pelvis_up) @ low
    between = unit(hips) + unit(shoulders)
    abdomen = frame_from_up(at["chest"] - at["spine"], between) @ middle
    chest = frame_from_up(at["neck"] - at["chest"], shoulders) @ high
    half_turned = unit(chest[..., 0]) + unit(marks.head[..., 0])
    neck = frame_from_up(at["head"] - at["neck"], half_turned)
    # Neck bones are short and lean differently in every skeleton: the neighbours say more.
    neck_up = unit(neck[..., 2]) + unit(chest[..., 2]) + unit(marks.head[..., 2])
    return [pelvis, abdomen, chest, frame_from_up(neck_up, half_turned), marks.head]


def _trusted(hinge: np.ndarray) -> np.ndarray:
    """Trust (N, 1) in a bend plane whose normal (N, 3) has the sine of the bend as length."""
    low, high = _BENT_SINE
    share = (np.linalg.norm(hinge, axis=-1, keepdims=True) - low) / (high - low)
    return np.clip(share, 0.0, 1.0)


def _arm(marks: Landmarks, side: str, chest: np.ndarray) -> list[np.ndarray]:
    at = marks.points
    upper = unit(at[f"elbow_{side}"] - at[f"shoulder_{side}"])
    lower = unit(at[f"wrist_{side}"] - at[f"elbow_{side}"])
    hand = unit(at[f"knuckle_{side}"] - at[f"wrist_{side}"])
    thumb = unit(at[f"thumb_{side}"] - at[f"wrist_{side}"])
    hinge = np.cross(upper, lower)
    trust = _trusted(hinge)
    swung = (swing(-chest[..., 2], upper) @ chest)[..., 0]
    right = trust * unit(hinge) + (1 - trust) * swung
    forearm = frame_from_up(-lower, right)
    return [frame_from_up(-upper, right), forearm, _hand(forearm, hand, thumb)]


def _hand(forearm: np.ndarray, along: np.ndarray, thumb: np.ndarray) -> np.ndarray:
    """Hand rotations: palm by the thumb, turned no further against the forearm than a wrist can."""
    straight = -forearm[..., 2]
    bend = np.cross(straight, along)
    angle = np.arctan2(np.linalg.norm(bend, axis=-1), np.sum(straight * along, axis=-1))
    angle = np.minimum(angle, _MAX_WRIST_BEND_RAD)[:, None]
    level = from_rotation_vectors(unit(bend) * angle) @ forearm
    right = np.cross(thumb, level[..., 2])
    local = np.einsum("nji,nj->ni", level, right)
    twist = np.where(np.linalg.norm(local, axis=-1) > 0.2, np.arctan2(local[:, 1], local[:, 0]), 0)
    return level @ about_z(np.clip(twist, -_MAX_HAND_TWIST_RAD, _MAX_HAND_TWIST_RAD))


def _leg(marks: Landmarks, side: str) -> list[np.ndarray]:
    at = marks.points
    upper = unit(at[f"knee_{side}"] - at[f"hip_{side}"])
    lower = unit(at[f"ankle_{side}"] - at[f"knee_{side}"])
    toes = unit(at[f"toe_{side}"] - at[f"ankle_{side}"])
    hinge = np.cross(lower, upper)
    by_foot = unit(np.cross(toes, -lower))
    trust = _trusted(hinge)
    right = trust * unit(hinge) + (1 - trust) * by_foot
    foot = frame_from_front(toes, by_foot) @ about_x(marks.foot_slope_rad)
    return [frame_from_up(-upper, right), frame_from_up(-lower, right), foot]
