"""What is found: whole people, pieces of them, doubles; and where hidden people can be."""

from __future__ import annotations

import numpy as np

from residualpose import Camera, Poses
from residualpose.poses import Origin
from residualpose.skeleton import NECK, R_ELBOW, R_HAND, R_SHOULDER, TORSO
from residualpose.tracking.evidence import apart, found_twice, has_room, trunk_centres
from residualpose.tracking.reentry import JUST_SEEN_M, LOST_M, behind, place_costs
from residualpose.tracking.tracker import Tracker

CAMERA = Camera(300, 300, 160, 120)
BODY = np.array([
    [0.0, -0.75, 0], [0, -0.5, 0], [-0.18, -0.5, 0], [0.18, -0.5, 0], [-0.25, -0.22, 0],
    [0.25, -0.22, 0], [-0.27, 0.03, 0], [0.27, 0.03, 0], [0, -0.2, 0], [-0.1, 0, 0], [0.1, 0, 0],
    [-0.12, 0.4, 0], [0.12, 0.4, 0], [-0.12, 0.8, 0], [0.12, 0.8, 0],
])  # fmt: skip


def people(*joints_m: np.ndarray, scores: list[float] | None = None) -> Poses:
    joints = np.array(joints_m).reshape(-1, 15, 3)
    n = len(joints)
    return Poses(
        CAMERA.project(joints), joints, np.ones((n, 15)), np.array(scores or [0.7] * n),
        np.full((n, 15), Origin.MEASURED), np.tile(0.03**2 * np.eye(3), (n, 15, 1, 1)), CAMERA,
    )  # fmt: skip


def at(x: float, z: float) -> np.ndarray:
    return BODY + [x, 0.0, z]


def piece(x: float, z: float) -> np.ndarray:
    joints = np.full((15, 3), np.nan)
    arm = [R_SHOULDER, R_ELBOW, R_HAND]
    joints[arm] = at(x, z)[arm] + [0.0, 0.0, 0.05]
    return joints


def test_an_arm_inside_a_body_is_that_body_found_twice_and_one_beside_it_is_not() -> None:
    found = people(piece(0, 2.5), at(0, 2.5), piece(0.8, 2.5), scores=[0.9, 0.5, 0.5])
    assert found_twice(found).tolist() == [True, False, False]


def test_only_whole_trunks_with_space_of_their_own_have_room() -> None:
    found = people(at(0, 2.5), at(0.2, 2.7), at(0.2, 3.2), piece(2, 3), scores=[0.8, 0.4, 0.3, 0.9])
    assert has_room(found).tolist() == [True, False, True, False]
    assert np.isnan(trunk_centres(found)[3]).all()
    assert has_room(people()).shape == (0,)


def test_apart_is_who_stands_in_none_of_the_others() -> None:
    found = people(at(0, 2.5), at(0.3, 2.5), at(1, 2.5), piece(0, 2.5))
    free = apart(found, np.array([True, False, False, False]))
    assert free.tolist() == [False, False, True, True]
    assert apart(found, np.zeros(4, bool)).all()


def test_nobody_is_born_where_somebody_followed_was_found_the_worse_of_two_times() -> None:
    tracker = Tracker()
    for frame in range(10):
        (walker,) = tracker.step(people(at(0, 2.5)), frame / 30)
    halves = people(at(0.01, 2.5), at(0.32, 2.5), at(1.5, 2.5), scores=[0.31, 0.5, 0.5])
    assert not found_twice(halves).any()
    found = tracker.step(halves, 10 / 30)
    assert found[0] is walker and found[1] is None
    assert found[2] is not None and found[2] is not walker


def test_sideways_is_likelier_than_away_and_nearer_than_farther() -> None:
    here = np.array([[0.0, 0.0, 3.0]])
    found = here + [[0.5, 0, 0], [0, 0, 0.5], [0, 0, -0.5], [0, 0, 4.0]]
    cost = place_costs(here, found, np.array([0.6]), np.array([0.04]), LOST_M)[0]
    assert cost[0] < cost[2] < cost[1] < cost[3] == np.inf
    at_once = place_costs(here, found, np.array([1 / 30]), np.array([0.04]), JUST_SEEN_M)
    assert np.isinf(at_once).all()
    unsure = place_costs(here, found, np.array([1 / 30]), np.array([0.5]), JUST_SEEN_M)[0]
    assert np.isfinite(unsure[1]) and np.isinf(unsure[2])


def test_whoever_vanished_is_led_back_behind_the_one_in_front() -> None:
    front = np.array([[0.0, 0.0, 2.0]])
    hidden = np.array([[0.1, 0.0, 4.0], [1.5, 0.0, 4.0], [0.0, 0.0, 1.0]])
    way, covered = behind(hidden, front)
    assert covered.tolist() == [True, False, False]
    np.testing.assert_allclose(way[0], 0)
    # At twice the distance a body covers 0.7 m to either side.
    assert way[1, 0] < 0 and abs(1.5 + way[1, 0] - 0.7) < 0.15
    assert np.isnan(way[2]).all()
    assert np.isnan(behind(hidden, np.zeros((0, 3)))[0]).all()


def test_a_piece_neither_starts_nor_drags_a_person() -> None:
    tracker = Tracker()
    for frame in range(10):
        tracker.step(people(at(0, 3.0)), frame / 30)
    (track,) = tracker.tracks
    found = tracker.step(people(piece(0.15, 2.8), piece(1.5, 2.5)), 10 / 30)
    assert found == [track, None]
    assert abs(track.centre.position_m[0]) < 0.01 and track.seen_s < 10 / 30
    assert tracker.tracks == [track]


def test_someone_who_walks_hidden_behind_another_for_six_seconds_keeps_the_number() -> None:
    tracker = Tracker()
    ids = []
    for frame in range(240):
        x = 0.3 * np.sin(frame / 30)
        scene = [at(x, 2.0)] if 30 <= frame < 210 else [at(x, 2.0), at(2 * x - 0.4, 4.0)]
        found = tracker.step(people(*scene), frame / 30)
        ids.append([track.id if track else -1 for track in found])
    assert ids[25] == ids[-1] == [0, 1]


def test_neck_and_torso_are_what_a_trunk_needs() -> None:
    for joint in (NECK, TORSO):
        joints = at(0, 3.0)
        joints[joint] = np.nan
        assert np.isnan(trunk_centres(people(joints))).all()
