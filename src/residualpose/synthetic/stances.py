"""Bodies in poses at places, not yet dressed, moved until nothing passes through anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from residualpose.synthetic.bodies import PARTS, BodyBank, part_transforms, posed_joints
from residualpose.synthetic.body_pose import BodyPose
from residualpose.synthetic.companions import Place
from residualpose.synthetic.contact import Spheres, body_spheres, step_apart
from residualpose.synthetic.poses import PoseLibrary
from residualpose.synthetic.rooms import Room
from residualpose.synthetic.rotations import about_y, about_z

_CHILD_LEG_TO_HEAD_M = 1.2
"""Ankle to head of whom adults hold before them."""
_ATTEMPTS = 5
_TRUNK = tuple(PARTS.index(name) for name in ("pelvis", "abdomen", "chest"))
_EVERY_VERTEX = 9
_ARMS = ((slice(5, 8), (2, 4, 6), -1.0), (slice(8, 11), (3, 5, 7), 1.0))
"""Segments and joints (shoulder, elbow, hand) of an arm, and which way it swings outwards."""
_OUTWARDS_RAD = np.radians([0.0, 6.0, 12.0, 18.0, 25.0, 33.0])
_CLEAR_M, _GRAZED_M = 0.02, -0.005
"""Distance of an arm's axis from the skin of the trunk: wanted, and the least that is kept."""
_ANKLE_M = 0.12
"""Below, the floor's own bumps are no obstacles."""


@dataclass(frozen=True, slots=True)
class Stance:
    """A bare body in a pose at a place."""

    body: int
    """Number in the bank."""
    pose: BodyPose
    R: torch.Tensor
    """(19, 3, 3) rotations of the parts; the person faces +y."""
    t: torch.Tensor
    """(19, 3) translations of the parts."""
    place: Place
    spheres: Spheres
    """World frame."""


def sample_stances(
    bank: BodyBank,
    poses: PoseLibrary,
    places: Sequence[Place],
    room: Room,
    everyday: float,
    rng: np.random.Generator,
) -> list[Stance]:
    """Random bodies at the places, a share in everyday poses; whoever finds no room is left out."""
    stances: list[Stance] = []
    for place in places:
        stance = _settled(bank, poses, place, stances, room, everyday, rng)
        if stance is not None:
            stances.append(stance)
    return stances


def _settled(
    bank: BodyBank,
    poses: PoseLibrary,
    place: Place,
    others: list[Stance],
    room: Room,
    everyday: float,
    rng: np.random.Generator,
) -> Stance | None:
    """Somebody who touches nothing by much, the first of several tries; None if none fits."""
    body = _sample_body(bank, place.relation, rng)
    for _ in range(_ATTEMPTS):
        pose = poses.everyday(rng) if rng.random() < everyday else poses.sample(rng)
        stance = _arms_freed(bank, _stance(bank, body, pose, place))
        if stance is not None and others:
            stance = _beside(stance, others)
        if stance is not None and not _in_the_way(stance, room):
            return stance
        near = place.xy_m + rng.normal(0, 0.12, 2)
        if room.clearance_m(near[None])[0] > 0.2:
            place = replace(place, xy_m=near)
    return None


def _sample_body(bank: BodyBank, relation: str, rng: np.random.Generator) -> int:
    if relation == "child":
        tall = (bank.joints_m[:, 0, 2] - bank.joints_m[:, 13, 2]).numpy()
        small = np.flatnonzero(tall < _CHILD_LEG_TO_HEAD_M)
        if len(small):
            return int(rng.choice(small))
    return int(rng.integers(len(bank)))


def _stance(bank: BodyBank, body: int, pose: BodyPose, place: Place) -> Stance:
    R, t = part_transforms(bank, body, pose)
    joints = posed_joints(bank, body, R, t).numpy().astype(np.float64)
    spheres = body_spheres(joints @ about_z(place.heading_rad).T)
    lowest = (spheres.centre_m[:, 2] - spheres.radius_m).min()
    spheres = spheres.moved(np.array([*place.xy_m, pose.lift_m - lowest]))
    return Stance(body, pose, R, t, place, spheres)


def _arms_freed(bank: BodyBank, stance: Stance) -> Stance | None:
    """The stance with arms swung outwards as far as the width of the body asks; None if in vain."""
    trunk = torch.isin(bank.part[::_EVERY_VERTEX], torch.tensor(_TRUNK))
    rows = trunk.nonzero()[:, 0] * _EVERY_VERTEX
    part = bank.part[rows]
    R, t = stance.R[part], stance.t[part]
    skin = (R @ bank.vertices_m[stance.body, rows, :, None])[..., 0] + t
    outside = (R @ bank.normals[stance.body, rows, :, None])[..., 0]
    joints = posed_joints(bank, stance.body, stance.R, stance.t).numpy()
    chest = stance.pose.rotations[2]
    rotations = stance.pose.rotations.copy()
    for segments, (shoulder, elbow, hand), side in _ARMS:
        swings = chest @ about_y(side * _OUTWARDS_RAD) @ chest.T
        along = np.linspace(0.15, 1.1, 7)[:, None]
        points = joints[elbow] + along * (joints[hand] - joints[elbow]) - joints[shoulder]
        points = points @ swings.swapaxes(1, 2) + joints[shoulder]
        clear = _clearance_m(points, skin.numpy(), outside.numpy())
        best = int(np.argmax(clear >= _CLEAR_M)) if clear.max() >= _CLEAR_M else clear.argmax()
        if clear[best] < _GRAZED_M:
            return None
        if best:
            rotations[segments] = swings[best] @ rotations[segments]
    if np.array_equal(rotations, stance.pose.rotations):
        return stance
    return _stance(bank, stance.body, replace(stance.pose, rotations=rotations), stance.place)


def _clearance_m(points: np.ndarray, skin: np.ndarray, outside: np.ndarray) -> np.ndarray:
    """(A,) least distance of points (A, N, 3) from a skin (V, 3), negative inside it."""
    flat = points.reshape(-1, 3)
    square = (skin**2).sum(1) - 2 * flat @ skin.T
    nearest = square.argmin(1)
    height = ((flat - skin[nearest]) * outside[nearest]).sum(1)
    return height.reshape(points.shape[:2]).min(1)


def _beside(stance: Stance, others: list[Stance]) -> Stance | None:
    """The stance moved out of the others, straight away from the one it is deepest in."""
    spheres = Spheres(
        np.concatenate([other.spheres.centre_m for other in others]),
        np.concatenate([other.spheres.radius_m for other in others]),
    )
    away = stance.place.xy_m - np.array([other.place.xy_m for other in others])
    distance = np.linalg.norm(away, axis=1)
    nearest = int(distance.argmin())
    direction = away[nearest] / max(float(distance[nearest]), 1e-6)
    step = step_apart(stance.spheres, spheres, direction)
    if step is None:
        return None
    place = replace(stance.place, xy_m=stance.place.xy_m + step[:2])
    return replace(stance, place=place, spheres=stance.spheres.moved(step))


def _in_the_way(stance: Stance, room: Room) -> bool:
    """Does the body pass through a wall or a piece of furniture."""
    centre = stance.spheres.centre_m[::2]
    half = np.array(room.floor_size) / 2 + 0.1
    if (np.abs(stance.place.xy_m) > half).any():
        return True
    return bool(room.primitives.contains(centre[centre[:, 2] > _ANKLE_M], 0.02).any())
