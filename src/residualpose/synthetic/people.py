"""One rendered frame: dressed people in a room, seen by a camera, with the truth about them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from residualpose.camera import Camera
from residualpose.errors import UsageError
from residualpose.synthetic.bodies import BodyBank
from residualpose.synthetic.companions import sample_places
from residualpose.synthetic.draw import VISIBLE_WITHIN_M, RenderedFrame, draw_frame
from residualpose.synthetic.figures import Figure, make_figure
from residualpose.synthetic.occluders import add_occluders
from residualpose.synthetic.poses import PoseLibrary
from residualpose.synthetic.primitives import merge
from residualpose.synthetic.rooms import Room, add_clutter, sample_room
from residualpose.synthetic.stances import sample_stances
from residualpose.synthetic.viewpoints import Viewpoint, sample_viewpoint
from residualpose.synthetic.views import seen_from

__all__ = [
    "MAX_PEOPLE", "VISIBLE_WITHIN_M", "RenderedFrame", "Scene", "SceneConfig", "draw_scene",
    "render_frame", "sample_scene",
]  # fmt: skip

MAX_PEOPLE = 5


_EVERYDAY = {"fixed": 0.8, "overhead": 0.8}
"""Least share of everyday poses before cameras that are mounted for such."""


@dataclass(frozen=True, slots=True)
class SceneConfig:
    """What the frames show."""

    width: int = 160
    """Image width, pixels."""
    height: int = 128
    """Image height, pixels."""
    focal_px: float = 144.0
    """Focal length, pixels."""
    centre_jitter_px: float = 14.0
    """The principal point moves by up to this much, as images are crops of wider ones."""
    people: tuple[float, ...] = (0.03, 0.45, 0.27, 0.13, 0.07, 0.05)
    """Chance of 0, 1, 2, ... people, at most MAX_PEOPLE."""
    facing: float = 0.55
    """Share of people who roughly face the camera; half of the others show it a profile."""
    everyday: float = 0.0
    """Share of people on their feet who stand, walk or gesture, at least, whatever the camera."""
    occluders: float = 0.9
    """Share of frames with clutter around the people, some of it in front of them; 0 is none."""
    dressed: float = 1.0
    """Share of people with clothes, hair and things; the others are the bare body."""

    def __post_init__(self) -> None:
        if not 1 <= len(self.people) <= MAX_PEOPLE + 1 or abs(sum(self.people) - 1) > 1e-6:
            raise UsageError(
                f"people: expected up to {MAX_PEOPLE + 1} chances (of 0, 1, ... people) that sum "
                f"to 1, got {self.people}"
            )
        for name in ("facing", "everyday", "occluders", "dressed"):
            if not 0 <= getattr(self, name) <= 1:
                raise UsageError(f"{name}: expected a share, 0 to 1, got {getattr(self, name)}")


@dataclass(frozen=True, slots=True)
class Scene:
    """What there is to see in one frame, world frame (z up), and the camera that sees it."""

    room: Room
    figures: tuple[Figure, ...]
    viewpoint: Viewpoint
    camera: Camera


def render_frame(
    bank: BodyBank, poses: PoseLibrary, config: SceneConfig, rng: np.random.Generator
) -> RenderedFrame:
    """Sample and render one frame; the same generator state gives the same frame."""
    return draw_scene(sample_scene(bank, poses, config, rng), config)


def sample_scene(
    bank: BodyBank, poses: PoseLibrary, config: SceneConfig, rng: np.random.Generator
) -> Scene:
    """Sample what one frame shows; the same generator state gives the same scene."""
    cluttered = rng.random() < config.occluders
    room = sample_room(rng, cluttered)
    count = int(rng.choice(len(config.people), p=config.people))
    spot = room.free_spot(rng, 0.3)
    first = np.zeros(2) if spot is None else spot
    viewpoint = sample_viewpoint(rng, np.array([*first, rng.uniform(0.8, 1.2)]), room)
    places = sample_places(rng, room, first, viewpoint, max(count, 1), config.facing)
    if cluttered:
        spots = np.stack([place.xy_m for place in places])
        room = add_clutter(rng, room, viewpoint.T_world_camera, spots)
        room = add_occluders(rng, room, viewpoint, spots)
    everyday = max(config.everyday, _EVERYDAY.get(viewpoint.kind, 0.0))
    stances = sample_stances(bank, poses, places[:count], room, everyday, rng)
    figures = [make_figure(bank, stance, room, config.dressed, rng) for stance in stances]
    solids = merge([room.primitives, *(figure.support for figure in figures)])
    room = replace(room, primitives=solids)
    jitter = rng.uniform(-1, 1, 2) * config.centre_jitter_px
    middle = (config.width - 1) / 2 + jitter[0], (config.height - 1) / 2 + jitter[1]
    camera = Camera(config.focal_px, config.focal_px, *middle)
    return Scene(room, tuple(figures), viewpoint, camera)


def draw_scene(scene: Scene, config: SceneConfig) -> RenderedFrame:
    """The clean depth image of a scene, with its truth."""
    view = seen_from(scene.room.primitives, scene.figures, scene.viewpoint, scene.camera)
    return draw_frame(view, config.width, config.height)
