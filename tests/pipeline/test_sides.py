"""Legs are on the side of their hips."""

from __future__ import annotations

import numpy as np

from residualpose.pipeline.group import People2D
from residualpose.pipeline.sides import settle_sides


def person(standing_m: np.ndarray, order: list[int]) -> tuple[People2D, np.ndarray]:
    """One person whose joint j is peak order[j]; peak k is where joint k truly is."""
    points = np.asarray(standing_m, np.float32)
    index = np.array([order])
    px = np.where(index[..., None] < 0, np.nan, points[index, :2] * 40)
    score = np.where(index < 0, 0, 0.5 + index / 100).astype(np.float32)
    return People2D(px.astype(np.float32), score, np.array([0.8], np.float32), index), points


def test_crossed_legs_go_to_their_hips(standing_m: np.ndarray) -> None:
    order = list(range(15))
    order[11], order[12], order[13], order[14] = 12, 11, 14, 13
    people, points = person(standing_m, order)
    settled = settle_sides(people, points)
    assert settled.peak_index.tolist() == [list(range(15))]
    np.testing.assert_allclose(settled.joints_px[0], points[:, :2] * 40, rtol=1e-6)
    np.testing.assert_allclose(settled.joint_score[0], 0.5 + np.arange(15) / 100, rtol=1e-6)


def test_feet_that_were_right_already_stay(standing_m: np.ndarray) -> None:
    order = list(range(15))
    order[11], order[12] = 12, 11
    people, points = person(standing_m, order)
    assert settle_sides(people, points).peak_index.tolist() == [list(range(15))]


def test_a_good_pose_and_one_that_cannot_tell_stay_as_they_are(standing_m: np.ndarray) -> None:
    people, points = person(standing_m, list(range(15)))
    assert settle_sides(people, points) is people
    order = list(range(15))
    order[11], order[12], order[9] = 12, 11, -1  # no right hip: nothing to judge by
    people, points = person(standing_m, order)
    assert settle_sides(people, points) is people
    points = points.copy()
    points[12] = points[11] + [0.02, 0, 0]  # knees that touch
    people, _ = person(standing_m, [*range(11), 12, 11, 13, 14])
    assert settle_sides(people, points) is people


def test_nobody(standing_m: np.ndarray) -> None:
    nobody = People2D(
        np.zeros((0, 15, 2), np.float32), np.zeros((0, 15), np.float32),
        np.zeros(0, np.float32), np.zeros((0, 15), np.int64),
    )  # fmt: skip
    assert len(settle_sides(nobody, np.zeros((0, 3), np.float32)).person_score) == 0
