"""Metrics: what counts as right, what a missing joint costs, what alignment may take away."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from residualpose.evaluation.match import match_people
from residualpose.evaluation.mpjpe import (
    RECALLS,
    aligned_errors_m,
    joint_errors_m,
    similarity_aligned,
    surest_errors_m,
)
from residualpose.evaluation.pck import correct_joints
from residualpose.evaluation.report import StageScores


def test_pck_is_strict_and_a_missing_joint_is_wrong() -> None:
    truth = np.zeros((1, 4, 3))
    joints = np.array([[[0.099, 0, 0], [0, 0.1, 0], [np.nan] * 3, [0, 0, 0.0]]])
    truth[0, 3] = np.nan
    np.testing.assert_array_equal(correct_joints(joints, truth), [[1, 0, 0, np.nan]])
    np.testing.assert_array_equal(correct_joints(joints, truth, 0.2), [[1, 1, 0, np.nan]])


def test_joint_errors_are_nan_where_either_is_missing() -> None:
    joints = np.array([[3.0, 4.0, 0.0], [np.nan] * 3, [1, 1, 1]])
    truth = np.array([[0.0, 0, 0], [0, 0, 0], [np.nan] * 3])
    np.testing.assert_array_equal(joint_errors_m(joints, truth), [5, np.nan, np.nan])


@pytest.mark.parametrize("seed", range(5))
def test_alignment_takes_away_turn_shift_and_scale(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = rng.normal(0, 0.4, (15, 3))
    turn = Rotation.random(random_state=seed).as_matrix()
    moved = 1.3 * truth @ turn.T + rng.normal(0, 2, 3)
    np.testing.assert_allclose(similarity_aligned(moved, truth), truth, atol=1e-9)
    moved[3] = np.nan
    errors = aligned_errors_m(moved[None], truth[None])
    assert np.isnan(errors[0, 3]) and np.nanmax(errors) < 1e-9


def test_alignment_does_not_take_away_a_mirror_image_nor_noise(standing_m: np.ndarray) -> None:
    mirrored = standing_m * [-1, 1, 1]
    assert np.nanmean(aligned_errors_m(mirrored[None], standing_m[None])) > 0.02
    noisy = standing_m + np.random.default_rng(0).normal(0, 0.05, standing_m.shape)
    aligned = np.nanmean(aligned_errors_m(noisy[None], standing_m[None]))
    assert 0.03 < aligned < np.mean(joint_errors_m(noisy, standing_m))


def test_three_joints_are_too_few_to_align(standing_m: np.ndarray) -> None:
    few = standing_m.copy()
    few[3:] = np.nan
    assert np.isnan(aligned_errors_m(few[None], standing_m[None])).all()


def test_people_are_matched_one_each_and_the_sum_is_smallest(standing_m: np.ndarray) -> None:
    truth = np.stack([standing_m, standing_m + np.array([0.3, 0, 0])])
    found = np.stack(
        [
            standing_m + np.array([0.29, 0, 0]),
            standing_m + np.array([0.2, 0, 0]),
            standing_m + np.array([5, 0, 0]),
        ]
    )
    assert sorted(match_people(found, truth, 0.5)) == [(0, 1), (1, 0)]
    assert match_people(found, truth, 0.1) == [(0, 1)]
    order = [2, 0, 1]
    assert sorted(match_people(found[order], truth, 0.5)) == [(1, 1), (2, 0)]


def test_matching_ignores_missing_joints_and_empty_sets(standing_m: np.ndarray) -> None:
    half = standing_m.copy()
    half[7:] = np.nan
    nobody = np.full((15, 3), np.nan)
    assert match_people(np.stack([nobody, half]), standing_m[None], 0.5) == [(1, 0)]
    assert match_people(np.empty((0, 15, 3)), standing_m[None], 0.5) == []
    assert match_people(standing_m[None], np.empty((0, 15, 3)), 0.5) == []


def test_an_outlier_joint_does_not_break_a_match(standing_m: np.ndarray) -> None:
    found = standing_m.copy()
    found[[4, 6]] += [0, 0, 4]
    assert match_people(found[None], standing_m[None], 0.2) == [(0, 0)]


def test_stage_scores_put_recall_beside_the_distance(standing_m: np.ndarray) -> None:
    truth = np.stack([standing_m] * 2)
    joints = truth + np.array([0.02, 0, 0])
    joints[1] = np.nan
    joints[0, 6] += [0.2, 0, 0]
    scores = StageScores.of(joints, truth)
    assert scores.pck10 == pytest.approx(14 / 30)
    assert scores.recall == pytest.approx(0.5)
    assert scores.mpjpe_mm == pytest.approx((14 * 20 + 220) / 15)
    assert scores.pck10_joint["right_hand"] == 0
    assert scores.pck10_joint["head"] == 0.5
    empty = StageScores.of(np.empty((0, 15, 3)), np.empty((0, 15, 3)))
    assert np.isnan(empty.pck10) and empty.recall == 0


def test_what_is_left_of_the_error_where_only_the_surest_joints_count() -> None:
    errors_m = np.array([[0.01, 0.4, np.nan, 0.03], [0.2, 0.1, 0.05, 0.02]])
    sure = np.array([[0.9, 0.1, 0.99, 0.8], [0.3, 0.8, 0.95, 0.7]])
    surest = dict(zip(RECALLS.tolist(), surest_errors_m(errors_m, sure, 8), strict=True))
    assert surest[0.25] == pytest.approx(0.03)  # 5 and 1 cm
    assert surest[0.3] == surest[0.35] == pytest.approx(0.16 / 3)  # of what ties, the worse first
    assert surest[0.5] == pytest.approx(0.19 / 4)
    assert surest[0.85] == pytest.approx(0.81 / 7)  # all that were found
    assert np.isnan(surest[0.9])  # eight were not
