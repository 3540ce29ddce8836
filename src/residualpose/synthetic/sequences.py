"""Rendered recordings with their truth: people who walk, cross, leave, sit and hide one another.

Figures keep body and clothes; the room, the camera and the faults of the sensor stay the same from
frame to frame. The camera stands at the origin, 1.5 m up, and looks along +y.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from residualpose.camera import Camera
from residualpose.errors import UsageError
from residualpose.frames import DepthFrame
from residualpose.synthetic.bodies import BodyBank, part_transforms, posed_joints, skin
from residualpose.synthetic.body_pose import BodyPose
from residualpose.synthetic.draw import draw_frame
from residualpose.synthetic.dress import Outfit, dress
from residualpose.synthetic.figures import Figure, placed_figure
from residualpose.synthetic.noise_fields import uniform
from residualpose.synthetic.primitives import Primitives, cuboids, merge, pose_matrix
from residualpose.synthetic.sensors.strengths import draw_strengths
from residualpose.synthetic.sensors.time_of_flight import time_of_flight
from residualpose.synthetic.viewpoints import Viewpoint
from residualpose.synthetic.views import seen_from
from residualpose.synthetic.walking import RATE_HZ, Walk, walk_along

WIDTH, HEIGHT = 256, 212
CAMERA = Camera(182.5, 182.5, 127.5, 105.5)
"""A Kinect v2 at half its resolution."""
_CAMERA_HEIGHT_M, _PITCH_DOWN_RAD = 1.5, np.radians(6.0)
_SEAT_XY_M = np.array([0.3, 3.0])
_SHELL = ([-4, 4, -1, 6.5, -0.2, 0.0], [-4, 4, 6.0, 6.2, 0, 3], [1.9, 2.9, 5.2, 5.9, 0, 1.1])
_PILLAR = [-0.75, -0.45, 2.3, 2.5, 0, 1.5]
_SEATED_S = (6.0, 13.0)


@dataclass(frozen=True, slots=True)
class SequenceFrame:
    """One frame of a sequence with the truth."""

    frame: DepthFrame
    joints_m: np.ndarray
    """(P, 15, 3) float32, camera frame: the same people in the same order in every frame."""
    visible: np.ndarray
    """(P, 15) bool, as in RenderedFrame."""


@dataclass(frozen=True, slots=True)
class Script:
    """Who walks where, in what room."""

    walks: tuple[Walk, ...]
    room: Primitives
    seated: int | None = None
    """The person who sits down."""


SCENES = ("crossing", "leaving", "sitting", "occluded")


def make_script(scene: str, seconds: float, seed: int = 0) -> Script:
    """The plot of a scene: four people crossing, two leaving, one sitting, three behind a pillar.

    Raises:
        UsageError: there is no such scene.
    """
    rng = np.random.default_rng([seed, 7])
    shell = cuboids(list(_SHELL))
    if scene == "crossing":
        return Script(tuple(_lane(rng, y, seconds) for y in (2.0, 2.75, 3.5, 4.25)), shell)
    if scene == "occluded":
        room = merge([shell, cuboids([_PILLAR])])
        return Script(tuple(_lane(rng, y, seconds) for y in (1.8, 3.0, 3.9)), room)
    if scene == "leaving":
        return Script((_leaver(rng, 2.4, seconds), _leaver(rng, 3.4, seconds)), shell)
    if scene == "sitting":
        x, y = _SEAT_XY_M
        before = [[0, -1.6, 4.0], [3, -0.5, 4.2], [4.6, x, y + 0.9], [5.8, x, y]]
        after = [[13.5, x, y], [16, -1.0, 2.4], [20, 1.2, 2.6]]
        way = np.array(before + after)
        walk = walk_along(way, seconds, _SEATED_S, rng.uniform())
        return Script((walk,), shell, seated=0)
    raise UsageError(f"scene: expected one of {', '.join(SCENES)}, found {scene!r}")


def _lane(rng: np.random.Generator, y_m: float, seconds: float) -> Walk:
    """To and fro at about one distance from the camera, now and then standing for a moment."""
    half, side, now = 0.55 * y_m, rng.choice([-1.0, 1.0]), 0.0
    points = [[0.0, side * half * rng.uniform(0.5, 1), y_m]]
    while now < seconds:
        side = -side
        x = side * half * rng.uniform(0.7, 1.0)
        now += abs(x - points[-1][1]) / rng.uniform(0.8, 1.3)
        points.append([now, x, y_m + rng.uniform(-0.12, 0.12)])
        now += rng.choice([0.05, 0.8])
        points.append([now, x, points[-1][2]])
    return walk_along(np.array(points), seconds, None, rng.uniform())


def _leaver(rng: np.random.Generator, y_m: float, seconds: float) -> Walk:
    """To and fro, out of the picture on one side for a moment and in again."""
    outside, now = 0.70 * y_m + 0.35, 0.0
    points = [[0.0, rng.uniform(-0.5, 0.5), y_m]]
    side = rng.choice([-1.0, 1.0])
    while now < seconds:
        for x in (side * outside, -side * rng.uniform(0.2, 0.7)):
            now += abs(x - points[-1][1]) / rng.uniform(1.0, 1.3)
            points.append([now, x, y_m])
        side = -side
    return walk_along(np.array(points), seconds, None, rng.uniform())


def render_sequence(
    bank: BodyBank, scene: str, seconds: float = 20.0, seed: int = 0, every: int = 1
) -> Iterator[SequenceFrame]:
    """The frames of a scene at RATE_HZ, as a time-of-flight camera gives them.

    Args:
        bank: Bodies; the first ones are taken that the seed draws.
        scene: One of SCENES.
        seconds: Length.
        seed: Who, in what clothes, and where they go.
        every: Render each frame (1), every second one (2), ...
    """
    script = make_script(scene, seconds, seed)
    rng = np.random.default_rng([seed, 11])
    adults = np.flatnonzero((bank.joints_m[:, 0, 2] - bank.joints_m[:, 13, 2]).numpy() > 1.3)
    bodies = rng.permutation(adults if len(adults) else len(bank))
    people = [int(bodies[i % len(bodies)]) for i in range(len(script.walks))]
    outfits = [dress(bank, body, rng) for body in people]
    room = script.room
    if script.seated is not None:
        seated = _figure(bank, people[script.seated], outfits[script.seated],
                         script.walks[script.seated], _middle(_SEATED_S))  # fmt: skip
        room = merge([room, _stool(seated.joints_m.numpy())])
    generator = torch.Generator().manual_seed(seed)
    strengths = draw_strengths(1, generator, "cpu")
    lens = uniform((4, 1), generator, torch.device("cpu"))
    focal_px = torch.tensor([CAMERA.fx], dtype=torch.float32)
    viewpoint = Viewpoint(_camera_pose(), "fixed")
    for index in range(0, len(script.walks[0].xy_m), every):
        figures = [
            _figure(bank, body, outfit, walk, index)
            for body, outfit, walk in zip(people, outfits, script.walks, strict=True)
        ]
        drawn = draw_frame(seen_from(room, figures, viewpoint, CAMERA), WIDTH, HEIGHT)
        clean_m, material = torch.from_numpy(drawn.depth_m), torch.from_numpy(drawn.material)
        # Of the sensor only what it does itself: cuts by a driver would change with every frame.
        depth_m = time_of_flight(
            clean_m[None], material[None], focal_px, strengths, generator, lens
        )
        frame = DepthFrame(depth_m[0].numpy(), CAMERA, scene, index // every, index / RATE_HZ)
        yield SequenceFrame(frame, drawn.joints_m, drawn.visible)


def _figure(bank: BodyBank, body: int, outfit: Outfit, walk: Walk, index: int) -> Figure:
    """One person in one frame, world frame."""
    R, t = part_transforms(bank, body, BodyPose(walk.rotations[index]))
    posed = skin(outfit.weights, outfit.vertices_m, R, t)
    joints = posed_joints(bank, body, R, t)
    T_world_person = _placed(walk, index)
    T_world_person[2, 3] -= float(posed[: len(bank.part), 2].min())
    return placed_figure(outfit, posed, joints, (R, t), T_world_person, merge([]), "walk")


def _placed(walk: Walk, index: int) -> np.ndarray:
    x, y = walk.xy_m[index].tolist()
    return pose_matrix(x, y, float(walk.heading_rad[index]))


def _stool(joints_m: np.ndarray) -> Primitives:
    """A stool under somebody who sits (15, 3), world frame."""
    (x, y, _), top = joints_m[9:11].mean(0), float(joints_m[9:11, 2].min()) - 0.10
    return cuboids([[x - 0.2, x + 0.2, y - 0.2, y + 0.2, 0, max(top, 0.2)]])


def _middle(span_s: tuple[float, float]) -> int:
    return round((span_s[0] + span_s[1]) / 2 * RATE_HZ)


def _camera_pose() -> np.ndarray:
    """(4, 4) T_world_camera."""
    cos, sin = np.cos(_PITCH_DOWN_RAD), np.sin(_PITCH_DOWN_RAD)
    pose = np.eye(4)
    pose[:3, :3] = np.array([[1, 0, 0], [0, -sin, cos], [0, -cos, -sin]])
    pose[2, 3] = _CAMERA_HEIGHT_M
    return pose
