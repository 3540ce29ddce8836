"""People in a room pass through nothing, stand on the floor and sit on seats."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the synthetic extra")

from residualpose.synthetic.body_pose import BodyPose
from residualpose.synthetic.companions import Place
from residualpose.synthetic.contact import Spheres, body_spheres, overlap_m, step_apart
from residualpose.synthetic.figures import make_figure
from residualpose.synthetic.people import Scene, SceneConfig, sample_scene
from residualpose.synthetic.primitives import cuboids, merge
from residualpose.synthetic.procedural_poses import procedural_stack
from residualpose.synthetic.rooms import Room
from residualpose.synthetic.rotations import about_y
from residualpose.synthetic.stances import sample_stances
from residualpose.synthetic.supports import lies, sits

if TYPE_CHECKING:
    from residualpose.synthetic.shards import Cast

EMPTY = Room(merge([]), (9.0, 9.0), np.inf, np.zeros((0, 5)), "void")
COMPANY = SceneConfig(people=(0, 0, 0.5, 0.3, 0.2))


@pytest.fixture(scope="module")
def scenes(tiny_cast: Cast) -> list[Scene]:
    return [
        sample_scene(tiny_cast.bank, tiny_cast.poses, COMPANY, np.random.default_rng(seed))
        for seed in range(20)
    ]


def test_two_balls_are_moved_just_apart() -> None:
    one = Spheres(np.array([[0.1, 0.0, 1.0]]), np.array([0.3]))
    other = Spheres(np.array([[0.0, 0.0, 1.0], [0.45, 0, 1]]), np.array([0.2, 0.2]))
    step = step_apart(one, other, np.array([1.0, 0.0]))
    assert step is not None
    np.testing.assert_allclose(step, [0.85, 0, 0], atol=1e-9)
    np.testing.assert_allclose(overlap_m(one.moved(step), other), 0, atol=1e-9)


def test_what_is_free_stays_and_what_is_too_deep_is_given_up() -> None:
    one = Spheres(np.array([[0.0, 0.0, 1.0]]), np.array([0.3]))
    far = Spheres(np.array([[0.0, 0.7, 1.0]]), np.array([0.3]))
    wide = Spheres(np.array([[0.0, 0.0, 1.0]]), np.array([1.0]))
    np.testing.assert_array_equal(step_apart(one, far, np.array([0.0, -1.0])), np.zeros(3))
    assert step_apart(one, wide, np.array([1.0, 0.0])) is None


def test_people_do_not_stand_in_each_other(scenes: list[Scene]) -> None:
    pairs = 0
    for scene in scenes:
        bodies = [body_spheres(f.joints_m.numpy().astype(np.float64)) for f in scene.figures]
        for k, one in enumerate(bodies):
            for other in bodies[:k]:
                pairs += 1
                assert overlap_m(one, other) < 0.05
    assert pairs > 20


def test_people_do_not_stand_in_furniture(scenes: list[Scene], tiny_cast: Cast) -> None:
    hits = people = 0
    for scene in scenes:
        own = sum(len(figure.support) for figure in scene.figures)
        count = len(scene.room.primitives) - own
        room = merge([scene.room.primitives])
        fixed = type(room)(room.kind[:count], room.T_world_local[:count], room.material[:count])
        for figure in scene.figures:
            people += 1
            trunk = figure.joints_m[[0, 1, 8, 9, 10]].numpy()
            hits += bool(fixed.contains(trunk).any())
    assert people > 30 and hits <= 1


def test_somebody_in_a_wall_is_left_out(tiny_cast: Cast) -> None:
    solid = Room(cuboids([[-3, 3, -3, 3, 0, 3]]), (6.0, 6.0), 3.0, np.zeros((0, 5)))
    place = Place(np.zeros(2), 0.0)
    arguments = tiny_cast.bank, tiny_cast.poses, [place]
    assert not sample_stances(*arguments, solid, 0.0, np.random.default_rng(0))
    assert len(sample_stances(*arguments, EMPTY, 0.0, np.random.default_rng(0))) == 1


def test_arms_through_the_trunk_are_swung_out(tiny_cast: Cast) -> None:
    rotations = np.tile(np.eye(3), (17, 1, 1))
    rotations[5:8] = about_y(0.45)  # the right arm points down and into the trunk
    rotations[8:11] = about_y(-0.45)
    tiny = type(tiny_cast.poses)
    stack = type(tiny_cast.poses.made)(rotations[None], np.zeros(1), ("made/arms",))
    library = tiny(stack, tiny_cast.poses.captured)
    place = Place(np.zeros(2), 0.0)
    for seed in range(6):
        rng = np.random.default_rng(seed)
        for stance in sample_stances(tiny_cast.bank, library, [place], EMPTY, 0.0, rng):
            joints = stance.spheres
            assert np.isfinite(joints.centre_m).all()
            down = -stance.pose.rotations[5, :, 2]
            assert down[0] > -0.35


def test_the_lowest_point_is_on_the_floor_and_seats_are_under_those_who_sit(
    scenes: list[Scene], tiny_cast: Cast
) -> None:
    count = len(tiny_cast.bank.part)
    for scene in scenes:
        for figure in scene.figures:
            low_m = float(figure.points_m[:count, 2].min())
            assert -1e-4 < low_m < 1.0
            if len(figure.support) and low_m < 1e-3:  # a seat, not a bed
                top = figure.support.bounds_m()[1][0, 2]
                hips = figure.joints_m[9:11, 2].mean().item()
                assert 0.0 < hips - top < 0.25


def test_sitting_and_lying_poses_are_recognised(tiny_cast: Cast) -> None:
    stack = procedural_stack(np.random.default_rng(3), 1500)
    families = np.array([source.split("/")[1].split("+")[0] for source in stack.sources])
    sitting = np.array([sits(r) for r in stack.rotations])
    lying = np.array([lies(r) for r in stack.rotations])
    assert sitting[families == "sit_chair"].mean() > 0.8
    assert lying[families == "lie"].mean() > 0.7
    upright = np.isin(families, ("stand", "stand_wide", "step"))
    assert not sitting[upright].any() and not lying[upright].any()


def test_who_sits_gets_a_seat_below(tiny_cast: Cast) -> None:
    stack = procedural_stack(np.random.default_rng(4), 600)
    rows = [i for i in range(600) if sits(stack.rotations[i])][:12]
    found = 0
    for row in rows:
        library = type(tiny_cast.poses)(stack.take(np.array([row])), tiny_cast.poses.captured)
        rng = np.random.default_rng(row)
        place = Place(np.array([1.0, -0.5]), 0.8)
        for stance in sample_stances(tiny_cast.bank, library, [place], EMPTY, 0.0, rng):
            assert isinstance(stance.pose, BodyPose)
            figure = make_figure(tiny_cast.bank, stance, EMPTY, 0.0, rng)
            found += len(figure.support) > 0
    assert found >= 6
