"""Who stands where and heads which way: alone, beside, behind, before and facing one another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from residualpose.synthetic.rooms import Room
from residualpose.synthetic.viewpoints import Viewpoint

_RELATIONS = ("apart", "beside", "behind", "before", "facing", "child")
_RELATION_SHARES = (0.38, 0.17, 0.14, 0.10, 0.13, 0.08)
_FREE_M = 0.25
_TRIES = 12


@dataclass(frozen=True, slots=True)
class Place:
    """Where one person is."""

    xy_m: np.ndarray
    """(2,) on the floor."""
    heading_rad: float
    """Turn about the vertical from facing +y."""
    relation: str = "first"
    """To one placed before: first, apart, beside, behind, before, facing or child."""


def facing(direction: np.ndarray) -> float:
    """Heading of somebody who faces along a (2,) direction."""
    return float(np.arctan2(-direction[0], direction[1]))


def sample_heading(
    rng: np.random.Generator, xy_m: np.ndarray, viewpoint: Viewpoint, facing_share: float
) -> float:
    """A heading as people have before such a camera.

    Args:
        rng: Source of randomness.
        xy_m: (2,) where the person is.
        viewpoint: The camera.
        facing_share: Share of people who roughly face it; of the others half show a profile.
    """
    pose = viewpoint.T_world_camera
    if viewpoint.kind == "overhead":
        if rng.random() < 0.5:
            return rng.uniform(-np.pi, np.pi)
        # Sensors are mounted square to where people come from: down the image, or up.
        down = pose[:2, 1] * (1 if rng.random() < 0.7 else -1)
        return facing(down) + rng.normal(0, 0.5)
    straight = facing(pose[:2, 3] - xy_m)
    if rng.random() < facing_share:
        spread = rng.normal(0, 0.6)
        if viewpoint.kind == "fixed" and rng.random() < 0.5:
            spread = rng.uniform(-1.05, 1.05)
        return straight + spread
    if rng.random() < 0.5:
        return straight + np.radians(rng.choice([-1, 1]) * rng.uniform(50, 130))
    return rng.uniform(-np.pi, np.pi)


def sample_places(
    rng: np.random.Generator,
    room: Room,
    first_xy: np.ndarray,
    viewpoint: Viewpoint,
    count: int,
    facing_share: float,
) -> list[Place]:
    """Places of up to `count` people, the first of them at `first_xy` (2,), the others near by."""
    places = [Place(first_xy, sample_heading(rng, first_xy, viewpoint, facing_share))]
    for _ in range(_TRIES * count):
        if len(places) >= count:
            break
        relation = str(rng.choice(_RELATIONS, p=_RELATION_SHARES))
        partner = places[0] if rng.random() < 0.7 else places[rng.integers(len(places))]
        place = _place(rng, relation, partner, viewpoint, facing_share)
        others = np.array([p.xy_m for p in places if p is not partner])
        crowded = len(others) and np.linalg.norm(others - place.xy_m, axis=1).min() < 0.45
        # Nobody's head in the lens; under a camera overhead people may stand.
        eye = viewpoint.T_world_camera[:2, 3]
        near = viewpoint.kind != "overhead" and np.linalg.norm(place.xy_m - eye) < 0.5
        if not crowded and not near and room.clearance_m(place.xy_m[None])[0] >= _FREE_M:
            places.append(place)
    return places


def _place(
    rng: np.random.Generator,
    relation: str,
    partner: Place,
    viewpoint: Viewpoint,
    facing_share: float,
) -> Place:
    """Somebody in a relation to a partner; bodies that would touch are moved apart later."""
    heading = partner.heading_rad
    ahead = np.array([-np.sin(heading), np.cos(heading)])
    aside = np.array([ahead[1], -ahead[0]]) * rng.choice([-1, 1])
    away = partner.xy_m - viewpoint.T_world_camera[:2, 3]
    away = away / max(float(np.linalg.norm(away)), 1e-6)
    across = np.array([away[1], -away[0]])
    if relation == "beside":
        step = aside * rng.uniform(0.35, 0.7) + ahead * rng.normal(0, 0.12)
        turned = heading + rng.normal(0, 0.4)
    elif relation in ("behind", "before"):
        sign = 1 if relation == "behind" else -1
        step = sign * away * rng.uniform(0.35, 1.3) + across * rng.normal(0, 0.3)
        turned = sample_heading(rng, partner.xy_m, viewpoint, facing_share)
    elif relation == "facing":
        step = ahead * rng.uniform(0.3, 0.9) + aside * abs(rng.normal(0, 0.1))
        turned = heading + np.pi + rng.normal(0, 0.25)
    elif relation == "child":
        step = ahead * rng.uniform(0.3, 0.7) + aside * rng.normal(0, 0.15)
        turned = heading + rng.normal(0, 0.6)
    else:
        step = rng.normal(0, rng.choice([0.6, 1.2, 2.2]), 2)
        step = step * max(1.0, 0.45 / max(float(np.linalg.norm(step)), 1e-6))
        turned = sample_heading(rng, partner.xy_m + step, viewpoint, facing_share)
    return Place(partner.xy_m + step, float(turned), relation)
