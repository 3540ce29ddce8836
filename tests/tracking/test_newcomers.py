"""Who comes into sight: told by the way there, by limb lengths, and by who else comes."""

from __future__ import annotations

import numpy as np

from residualpose import Camera, Poses
from residualpose.poses import Origin
from residualpose.skeleton import ITOP15
from residualpose.tracking import follow
from residualpose.tracking.bones import Bones
from residualpose.tracking.newcomers import who_is_who
from residualpose.tracking.tracker import Tracker

CAMERA = Camera(300, 300, 160, 120)
BODY = np.array([
    [0.0, -0.75, 0], [0, -0.5, 0], [-0.18, -0.5, 0], [0.18, -0.5, 0], [-0.25, -0.22, 0],
    [0.25, -0.22, 0], [-0.27, 0.03, 0], [0.27, 0.03, 0], [0, -0.2, 0], [-0.1, 0, 0], [0.1, 0, 0],
    [-0.12, 0.4, 0], [0.12, 0.4, 0], [-0.12, 0.8, 0], [0.12, 0.8, 0],
])  # fmt: skip
TALL, SHORT = 1.1, 0.95


def people(*placed: tuple[float, float, float], seed: int = 0) -> Poses:
    """People at (x, z), their size, as found with two centimetres of error."""
    joints = np.array([size * BODY + [x, 0, z] for x, z, size in placed]).reshape(-1, 15, 3)
    joints = joints + np.random.default_rng(seed).normal(0, 0.02, joints.shape)
    n = len(joints)
    return Poses(
        CAMERA.project(joints), joints, np.ones((n, 15)), np.full(n, 0.7),
        np.full((n, 15), Origin.MEASURED), np.tile(0.1**2 * np.eye(3), (n, 15, 1, 1)), CAMERA,
    )  # fmt: skip


def numbers(frames: list[Poses], live: bool = False, rate_hz: float = 30) -> list[list[int]]:
    timed = ((None, poses, i / rate_hz) for i, poses in enumerate(frames))
    return [one.poses.person_id.tolist() for one in follow(timed, live=live)]


def known(size: float, frames: int, seed: int) -> Bones:
    bones = Bones.unknown(ITOP15)
    for frame in range(frames):
        one = people((0, 3, size), seed=1000 * seed + frame)
        bones.observe(one.joints_m[0], one.covariance_m2[0], one.origin[0], 1 / 30)
    return bones


def test_limbs_tell_people_apart_the_better_the_longer_they_are_seen() -> None:
    tall, again, short = known(TALL, 300, 1), known(TALL, 30, 2), known(SHORT, 30, 3)
    assert again.unlike(tall) < -2 < 2 < short.unlike(tall)
    assert short.unlike(tall) > known(SHORT, 3, 4).unlike(tall)
    assert Bones.unknown(ITOP15).unlike(tall) == 0


def test_what_is_known_of_one_person_adds_up() -> None:
    first, second = known(TALL, 30, 1), known(TALL, 90, 2)
    mean = (first.total + second.total) / (first.precision + second.precision)
    first.absorb(second)
    np.testing.assert_allclose(first.length_m, mean)


def test_two_who_come_out_side_by_side_are_told_by_their_size() -> None:
    def scene(frame: int) -> list[tuple[float, float, float]]:
        front = (0.0, 1.8, 1.0)
        if 40 <= frame < 60:
            return [front]
        x = 0.9 if frame < 40 else 0.5
        # Behind the one in front they change sides.
        side = 1 if frame < 40 else -1
        return [front, (-side * x, 3.3, TALL), (side * x, 3.4, SHORT)]

    ids = numbers([people(*scene(frame), seed=frame) for frame in range(120)])
    assert ids[39] == ids[-1] == [0, 1, 2]
    assert ids[60] == [0, 1, 2]


def test_one_wrong_frame_brings_nobody_back() -> None:
    def scene(frame: int) -> list[tuple[float, float, float]]:
        hidden = 20 <= frame < 50
        # For a moment the one in sight is seen half way to the one who is hidden.
        near = (0.3, 3.0, 1.0) if frame != 40 else (0.3, 3.45, 1.0)
        return [near] if hidden else [near, (0.4, 3.8, 1.0)]

    ids = numbers([people(*scene(frame), seed=frame) for frame in range(80)])
    assert [one[:1] for one in ids if one] == [[0]] * len([one for one in ids if one])
    assert ids[-1] == [0, 1]


def test_who_comes_later_may_be_the_one_who_was_lost() -> None:
    def scene(frame: int) -> list[tuple[float, float, float]]:
        front, lost, stranger = (0.0, 1.8, 1.0), (0.5, 4.2, TALL), (-0.5, 3.3, SHORT)
        if frame < 30:
            return [front, lost]
        return [front] + [stranger] * (frame >= 50) + [lost] * (frame >= 65)

    frames = [people(*scene(frame), seed=frame) for frame in range(120)]
    assert numbers(frames)[-1] == [0, 2, 1]
    assert numbers(frames)[50] == [0, 2]


def test_recordings_of_few_frames_a_second_lose_nobody_who_waits_for_a_number() -> None:
    there = (0.0, 3.0, 1.0)
    frames = [people(*([there] * (frame < 8)), seed=frame) for frame in range(60)]
    assert numbers(frames, rate_hz=3)[:9] == [[0]] * 8 + [[]]


def test_at_the_end_of_a_recording_a_last_glance_is_enough() -> None:
    there, front = (0.2, 3.0, 1.0), (0.0, 1.8, 1.0)
    frames = [people(there, front, seed=frame) for frame in range(20)]
    frames += [people(front, seed=frame) for frame in range(20, 40)]
    frames += [people(there, front, seed=frame) for frame in range(40, 42)]
    assert numbers(frames)[-1] == [0, 1]


def test_live_a_returner_waits_for_three_frames_and_keeps_the_number() -> None:
    there, front = (0.2, 3.0, 1.0), (0.0, 1.8, 1.0)
    hidden = range(20, 40)
    frames = [people(*([front] if f in hidden else [there, front]), seed=f) for f in range(60)]
    assert numbers(frames, live=True)[39:44] == [[1], [1], [1], [0, 1], [0, 1]]


def test_a_newcomer_without_a_past_is_new() -> None:
    tracker = Tracker()
    tracker.step(people((0, 3, 1.0)), 0.0)
    assert who_is_who(tracker.tracks) == [None]
