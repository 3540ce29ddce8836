"""Average precision: ranking, false positives, people who were not found."""

from __future__ import annotations

import numpy as np
import pytest

from residualpose.evaluation.average_precision import (
    RankedJoints,
    average_precision,
    mean_average_precision,
)


def ranked(joint_score: np.ndarray, present: np.ndarray | None = None) -> RankedJoints:
    there = np.ones(joint_score.shape, bool) if present is None else present
    return RankedJoints(there, joint_score, np.linspace(0.9, 0.1, len(joint_score)))


def test_average_precision_is_the_area_under_the_envelope() -> None:
    assert average_precision(np.array([True, True]), 2) == 1
    assert average_precision(np.array([True, True]), 4) == 0.5
    # precisions 1, 1/2, 2/3: the second hit counts 2/3
    assert average_precision(np.array([True, False, True]), 2) == pytest.approx((1 + 2 / 3) / 2)
    assert average_precision(np.array([False, True]), 1) == 0.5
    assert average_precision(np.zeros(0, bool), 3) == 0


def test_a_false_person_costs_more_the_surer_it_is() -> None:
    right, labelled = np.ones((4, 15), bool), np.ones((4, 15), bool)
    found = ranked(np.full((4, 15), 0.5))
    none = ranked(np.zeros((0, 15)))
    assert mean_average_precision(right, labelled, found, none) == 1
    sure = mean_average_precision(right, labelled, found, ranked(np.full((1, 15), 0.9)))
    unsure = mean_average_precision(right, labelled, found, ranked(np.full((1, 15), 0.1)))
    assert sure == pytest.approx(4 / 5)
    assert unsure == 1


def test_people_not_found_and_joints_without_truth() -> None:
    right, labelled = np.ones((2, 15), bool), np.ones((2, 15), bool)
    present = np.array([[True] * 15, [False] * 15])
    right[1] = False
    labelled[:, 3] = False
    found = ranked(np.full((2, 15), 0.5), present)
    none = ranked(np.zeros((0, 15)))
    assert mean_average_precision(right, labelled, found, none) == 0.5
    assert np.isnan(mean_average_precision(right, np.zeros((2, 15), bool), found, none))


def test_guessed_joints_are_ranked_by_their_person() -> None:
    right = np.array([[True] * 15, [False] * 15])
    labelled = np.ones((2, 15), bool)
    none = ranked(np.zeros((0, 15)))
    guessed = ranked(np.zeros((2, 15)))
    assert mean_average_precision(right, labelled, guessed, none) == 0.5
    assert mean_average_precision(right[::-1], labelled, guessed, none) == 0.25
