"""Following made-up people: numbers last, joints move steadily, a plain call stays as it was."""

from __future__ import annotations

import numpy as np
import pytest

from residualpose import Camera, Poses
from residualpose.errors import UsageError
from residualpose.poses import Origin
from residualpose.tracking import follow

CAMERA = Camera(300, 300, 160, 120)
BODY = np.random.default_rng(3).normal(0, 0.25, (15, 3))


def found(places_m: list[list[float]], rng: np.random.Generator, sd_m: float = 0.01) -> Poses:
    """People of the same shape at places, with noise."""
    joints = np.array([BODY + place for place in places_m]).reshape(-1, 15, 3)
    joints = joints + rng.normal(0, sd_m, joints.shape)
    n = len(joints)
    return Poses(
        CAMERA.project(joints), joints, np.ones((n, 15)), np.full(n, 0.8),
        np.full((n, 15), Origin.MEASURED), np.tile(0.03**2 * np.eye(3), (n, 15, 1, 1)), CAMERA,
    )  # fmt: skip


def followed(frames: list[Poses], smooth: float = 0.0, live: bool = False) -> list[Poses]:
    timed = ((None, poses, i / 30) for i, poses in enumerate(frames))
    return [one.poses for one in follow(timed, smooth, live)]


def crossing(hidden: range = range(0)) -> list[Poses]:
    """Two people who pass one behind the other; the far one is hidden for some frames."""
    rng = np.random.default_rng(0)
    frames = []
    for i in range(90):
        x = -1.5 + i / 30
        near, far = [x, 0.0, 2.5], [-x, 0.0, 3.3]
        places = [near] if i in hidden else [near, far][:: 1 if i % 2 else -1]
        frames.append(found(places, rng))
    return frames


def test_people_who_cross_keep_their_numbers() -> None:
    numbers: dict[bool, set[int]] = {True: set(), False: set()}
    for poses in followed(crossing(range(38, 55))):
        depth_m = poses.joints_m[..., 2].mean(1) - BODY[:, 2].mean()
        for z, number in zip(depth_m, poses.person_id.tolist(), strict=True):
            numbers[bool(z > 2.9)].add(number)
    assert sorted(map(len, numbers.values())) == [1, 1]
    assert numbers[True] != numbers[False]
    ids = {tuple(sorted(poses.person_id.tolist())) for poses in followed(crossing(range(38, 55)))}
    assert ids <= {(0, 1), (0,), (1,)}
    assert len(ids) == 2


def test_who_comes_back_within_a_second_keeps_the_number() -> None:
    rng = np.random.default_rng(1)
    away = [found([], rng)] * 29
    there = [found([[0.0, 0, 2.5]], rng) for _ in range(20)]
    assert {n for p in followed(there + away + there) for n in p.person_id.tolist()} == {0}
    gone = [found([], rng)] * 90
    assert {n for p in followed(there + gone + there) for n in p.person_id.tolist()} == {0, 1}


def test_a_ghost_of_one_frame_is_left_out_and_a_newcomer_is_not() -> None:
    rng = np.random.default_rng(2)
    frames = [found([[0.0, 0, 2.5]], rng) for _ in range(20)]
    frames[10] = found([[0.0, 0, 2.5], [2.0, 0, 4.0]], rng)
    assert [len(poses) for poses in followed(frames)] == [1] * 20
    assert [len(poses) for poses in followed(frames, live=True)] == [0, 0] + [1] * 18


def test_without_smoothing_joints_are_untouched() -> None:
    frames = crossing()
    for before, after in zip(frames, followed(frames), strict=True):
        np.testing.assert_array_equal(np.sort(before.joints_m, 0), np.sort(after.joints_m, 0))


@pytest.mark.parametrize(("live", "times"), [(True, 1.5), (False, 4.0)])
def test_smoothing_takes_the_jitter_and_leaves_the_way(live: bool, times: float) -> None:
    rng = np.random.default_rng(4)
    truth = [BODY + [0.02 * i, 0.1 * np.sin(i / 8), 2.5] for i in range(120)]
    frames = [found([[0.02 * i, 0.1 * np.sin(i / 8), 2.5]], rng, 0.02) for i in range(120)]
    steady = followed(frames, smooth=1.0, live=live)

    def errors(poses: list[Poses]) -> np.ndarray:
        pairs = zip(poses[20:], truth[20:], strict=True)
        return np.array([p.joints_m[0] - t for p, t in pairs])

    def jitter(poses: list[Poses]) -> float:
        return float(np.sqrt((np.diff(errors(poses), 2, axis=0) ** 2).mean()))

    assert jitter(frames) > times * jitter(steady)
    assert np.abs(errors(steady)).mean() < np.abs(errors(frames)).mean()


def test_an_impossible_strength_is_refused() -> None:
    with pytest.raises(UsageError, match=r"smooth: expected 0 \(off\) to 4, got 9"):
        list(follow([], smooth=9))
