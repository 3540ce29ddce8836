"""Frames with one body made of two people are left out, and only those, and not for long."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import numpy as np
import pytest

from residualpose import Camera, Poses
from residualpose.poses import Origin
from residualpose.tracking import follow
from residualpose.tracking.kalman import first_belief
from residualpose.tracking.strays import Glance, Way

CAMERA = Camera(300, 300, 160, 120)
BODY = np.random.default_rng(3).normal(0, 0.25, (15, 3))
ASIDE_M = 0.4


def walk(aside_m: Callable[[int], float]) -> list[Poses]:
    """Somebody walks for 2 s at 1 m/s, and is found aside in some frames."""
    rng = np.random.default_rng(0)
    frames = []
    for i in range(60):
        joints = BODY + [-1 + i / 30, 0, 3 + aside_m(i)] + rng.normal(0, 0.01, (15, 3))
        frames.append(Poses(
            CAMERA.project(joints)[None], joints[None], np.ones((1, 15)), np.full(1, 0.7),
            np.full((1, 15), Origin.MEASURED), np.tile(1e-3 * np.eye(3), (1, 15, 1, 1)), CAMERA,
        ))  # fmt: skip
    return frames


def absent(frames: list[Poses], smooth: float = 0.0, live: bool = False) -> list[int]:
    timed = ((None, poses, i / 30) for i, poses in enumerate(frames))
    followed = [one.poses for one in follow(timed, smooth, live)]
    assert {n for poses in followed for n in poses.person_id.tolist()} == {0}
    return [i for i, poses in enumerate(followed) if not len(poses)]


@pytest.mark.parametrize("wrong", [[30], [30, 31]])
def test_a_body_found_off_its_way_for_a_moment_is_left_out(wrong: list[int]) -> None:
    assert absent(walk(lambda i: ASIDE_M * (i in wrong))) == wrong


def test_whoever_turns_on_the_spot_or_sways_is_never_left_out() -> None:
    assert absent(walk(lambda i: 1.5 * abs(i - 30) / 30)) == []
    assert absent(walk(lambda i: 0.15 * np.sin(i))) == []


def test_steady_joints_and_live_ones_stay() -> None:
    frames = walk(lambda i: ASIDE_M * (i == 30))
    assert absent(frames, smooth=1.0) == []
    assert absent(frames, live=True) == [0, 1]


def test_nobody_is_left_out_for_long_nor_where_nothing_is_known() -> None:
    there = first_belief(np.array([0.0, 0.0, 3.0]), 1e-4 * np.eye(3))
    beside, unseen = np.array([0.5, 0, 3.0]), np.full(3, np.nan)
    found = [beside] * 10 + [there.position_m, beside, unseen]
    way = Way(deque(Glance(i / 30, at, there, there) for i, at in enumerate(found)))
    answers = [way.strays(i / 30) for i in range(len(found))]
    assert answers == [True] * 6 + [False] * 4 + [False, True, False]
    assert not way.strays(99.0)
