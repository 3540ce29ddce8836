"""Things that people wear or carry: hats, long hair, bags, and what hands hold.

All are ellipsoids and boxes fixed to a part of the body, each with its own small chance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from residualpose.synthetic.bodies import PARTS, BodyBank
from residualpose.synthetic.materials import Material
from residualpose.synthetic.primitives import BOX, ELLIPSOID


@dataclass(frozen=True, slots=True)
class Attachment:
    """An ellipsoid or box fixed to a part of the body."""

    part: int
    """Index into bodies.PARTS."""
    kind: int
    """primitives.BOX or ELLIPSOID."""
    T_rest_local: np.ndarray
    """(4, 4) affine map of the unit primitive into the body's rest pose."""
    material: Material


def attachments(
    bank: BodyBank, body: int, hair: bool, hat: bool, rng: np.random.Generator
) -> tuple[Attachment, ...]:
    """Things for one body; no hair or hat on top of what it has already."""
    joints = bank.joints_m[body].numpy().astype(np.float64)
    found: list[Attachment] = []
    if not hair and rng.random() < 0.18:
        found += _long_hair(joints, rng)
    if not hat and rng.random() < 0.1:
        found += _hat(joints, rng)
    if rng.random() < 0.03:
        found += _scarf(joints, rng)
    if rng.random() < 0.09:
        found += _rucksack(joints, rng)
    if rng.random() < 0.07:
        found += _hip_bag(joints, rng)
    if rng.random() < 0.02:
        found += _carton(joints, rng)
    for side in (0, 1):
        if rng.random() < 0.13:
            found += _in_hand(joints, side, rng)
    return tuple(found)


def _long_hair(joints: np.ndarray, rng: np.random.Generator) -> list[Attachment]:
    """Down the back, or a bun."""
    drop = rng.uniform(0.02, 0.22)
    half = [rng.uniform(0.06, 0.1), 0.05, 0.06 + drop]
    return [
        _thing("head", ELLIPSOID, joints[0] + (0, -0.08, 0.02 - drop), half, rng, Material.HAIR)
    ]


def _hat(joints: np.ndarray, rng: np.random.Generator) -> list[Attachment]:
    """Cap, hat or helmet: a crown and a brim."""
    brim, crown = rng.uniform(0.0, 0.09), [0.1, 0.12, rng.uniform(0.05, 0.09)]
    wide = [0.09 + brim / 2, 0.1 + brim / 2, 0.012]
    return [
        _thing("head", ELLIPSOID, joints[0] + (0, 0, 0.09), crown, rng, Material.CLOTH),
        _thing("head", ELLIPSOID, joints[0] + (0, brim, 0.07), wide, rng, Material.CLOTH),
    ]


def _scarf(joints: np.ndarray, rng: np.random.Generator) -> list[Attachment]:
    half = [rng.uniform(0.09, 0.13), rng.uniform(0.09, 0.13), rng.uniform(0.03, 0.06)]
    at = joints[1] + (0, 0.01, 0.08)
    found = [_thing("neck", ELLIPSOID, at, half, rng, Material.CLOTH)]
    if rng.random() < 0.5:  # its end hangs down the chest
        end = joints[1] + (rng.uniform(-0.08, 0.08), 0.12, -0.1)
        found.append(_thing("chest", BOX, end, [0.05, 0.02, 0.17], rng, Material.CLOTH))
    return found


def _rucksack(joints: np.ndarray, rng: np.random.Generator) -> list[Attachment]:
    """Mostly on the back, now and then worn in front."""
    u, side = rng.uniform, -1.0 if rng.random() < 0.85 else 1.0
    middle = (joints[1] + joints[8]) / 2
    half = [u(0.12, 0.18), u(0.05, 0.12), u(0.15, 0.25)]
    at = middle + (0, side * (0.1 + half[1]), -0.05)
    kind = int(rng.choice([BOX, ELLIPSOID]))
    reach = 0.6 * (joints[2] - joints[3])[0] / 2
    straps = [
        _thing("chest", BOX, middle + (x, -side * 0.1, 0.05), [0.02, 0.025, 0.12], rng)
        for x in (-reach, reach)
    ]
    return [_thing("chest", kind, at, half, rng), *straps]


def _hip_bag(joints: np.ndarray, rng: np.random.Generator) -> list[Attachment]:
    """Belly bag, satchel or tool belt."""
    at = joints[8] + (rng.choice([-1, 1]) * rng.uniform(0, 0.2), rng.uniform(-0.1, 0.14), -0.2)
    half = [rng.uniform(0.07, 0.17), rng.uniform(0.03, 0.06), rng.uniform(0.05, 0.14)]
    return [_thing("pelvis", BOX, at, half, rng)]


def _carton(joints: np.ndarray, rng: np.random.Generator) -> list[Attachment]:
    """A box, tray or bundle held before the trunk."""
    half = np.array([rng.uniform(0.12, 0.28), rng.uniform(0.08, 0.2), rng.uniform(0.05, 0.22)])
    at = joints[8] + (0, 0.16 + half[1], rng.uniform(-0.1, 0.15))
    kind = BOX if rng.random() < 0.8 else ELLIPSOID
    return [_thing("chest", kind, at, half, rng)]


def _in_hand(joints: np.ndarray, side: int, rng: np.random.Generator) -> list[Attachment]:
    """What one hand holds: a phone, a tool, a book, a bag that hangs from it, or a lump.

    Axes of the hand: `along` the fingers, `across` them through the grip, `out` of the palm's side.
    """
    elbow, hand = joints[4 + side], joints[6 + side]
    along = (hand - elbow) / np.linalg.norm(hand - elbow)
    across = np.array([0, 1.0, 0]) - along[1] * along  # a fist's grip points forward at rest
    across /= np.linalg.norm(across)
    frame = np.stack([np.cross(across, along), across, along], 1)
    u = rng.uniform
    part = ("hand_r", "hand_l")[side]
    kind, centre = BOX, np.zeros(3)
    match int(rng.choice(5, p=[0.2, 0.22, 0.18, 0.2, 0.2])):
        case 0:  # phone, remote control, wallet
            half = [u(0.005, 0.01), u(0.03, 0.045), u(0.06, 0.09)]
            centre = np.array([0, 0, 0.05])
        case 1:  # tool, stick, racket, umbrella
            half = [u(0.008, 0.03), u(0.1, 0.5), u(0.008, 0.03)]
            centre = np.array([0, half[1] * u(-0.2, 0.9), 0.03])
        case 2:  # book, tablet, plate, tray
            half = [u(0.005, 0.025), u(0.08, 0.16), u(0.09, 0.2)]
            centre = np.array([0, 0, 0.6 * half[2]])
        case 3:  # shopping bag, case, bucket: below the fist while the arm hangs
            half = [u(0.03, 0.1), u(0.1, 0.24), u(0.1, 0.22)]
            centre = np.array([0, 0, 0.08 + half[2]])
        case _:  # cup, bottle, ball, anything
            half, kind = [u(0.02, 0.1), u(0.02, 0.1), u(0.03, 0.16)], int(rng.integers(2))
            centre = rng.normal(0, 0.03, 3)
    thing = _thing(part, kind, hand + frame @ centre, half, rng, frame=frame)
    return [thing]


def _thing(
    part: str,
    kind: int,
    centre_m: np.ndarray,
    half_m: np.ndarray | list[float],
    rng: np.random.Generator,
    material: Material = Material.HELD,
    frame: np.ndarray | None = None,
) -> Attachment:
    """A primitive of given half sizes along the axes of `frame`, a little tilted."""
    T = np.eye(4, dtype=np.float32)
    q, r = np.linalg.qr(rng.normal(0, 0.12, (3, 3)) + np.eye(3))
    tilt = q * np.sign(np.diag(r))
    T[:3, :3] = (tilt if frame is None else tilt @ frame) * np.asarray(half_m)
    T[:3, 3] = centre_m
    return Attachment(PARTS.index(part), kind, T, material)
