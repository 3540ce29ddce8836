"""The filter against a batch least-squares answer, bones that settle, people who walk."""

from __future__ import annotations

import numpy as np
import pytest

from residualpose.poses import Origin
from residualpose.skeleton import ITOP15
from residualpose.tracking.assignment import assign
from residualpose.tracking.bones import Bones
from residualpose.tracking.kalman import Belief, first_belief, predict, smooth_back, update


def test_an_unmoved_point_becomes_known_as_the_mean_of_its_measurements() -> None:
    measured = np.random.default_rng(0).normal(1.0, 0.1, (200, 1, 3))
    noise = np.tile(0.01 * np.eye(3), (1, 1, 1))
    belief = first_belief(measured[0], noise)
    for one in measured[1:]:
        belief = update(predict(belief, 1 / 30, np.zeros(1)), one, noise)
    # At constant velocity the end of a fitted line: within its standard error, twice the mean's.
    np.testing.assert_allclose(belief.position_m[0], measured[:, 0].mean(0), atol=0.03)
    assert belief.position_covariance_m2[0, 0, 0] == pytest.approx(4 * 0.01 / 200, rel=0.2)


def test_backwards_smoothing_meets_the_line_that_the_filter_found_late() -> None:
    noise = np.tile(1e-4 * np.eye(3), (1, 1, 1))
    at = [np.array([[0.05 * i, 0.0, 2.0]]) for i in range(10)]
    beliefs, foretold = [first_belief(at[0], noise)], list[Belief]()
    for point in at[1:]:
        foretold.append(predict(beliefs[-1], 1 / 30, np.ones(1)))
        beliefs.append(update(foretold[-1], point, noise))
    later = beliefs[-1]
    for i in range(8, -1, -1):
        later = smooth_back(beliefs[i], foretold[i], later, 1 / 30)
    np.testing.assert_allclose(later.position_m, at[0], atol=2e-3)
    np.testing.assert_allclose(later.velocity_m_s[0, 0], 1.5, atol=0.1)
    assert beliefs[0].velocity_m_s[0, 0] == 0


def test_a_wild_measurement_is_believed_less() -> None:
    noise = np.tile(1e-4 * np.eye(3), (1, 1, 1))
    belief = first_belief(np.zeros((1, 3)), noise)
    for _ in range(20):
        belief = update(predict(belief, 1 / 30, np.ones(1)), np.zeros((1, 3)), noise)
    near = update(belief, np.full((1, 3), 0.01), noise).position_m[0, 0] / 0.01
    far = update(belief, np.full((1, 3), 1.0), noise).position_m[0, 0] / 1.0
    assert far < 0.05 < near


def test_lengths_settle_and_hold_the_unsure_joint() -> None:
    bones = Bones.unknown(ITOP15)
    rng = np.random.default_rng(1)
    body = rng.normal(0, 0.3, (15, 3))
    noise, measured = np.tile(1e-4 * np.eye(3), (15, 1, 1)), np.full(15, Origin.MEASURED)
    for _ in range(300):
        bones.observe(body + rng.normal(0, 0.01, (15, 3)), noise, measured, 1 / 30)
    start, end = ITOP15.limb_array.T
    true = np.linalg.norm(body[end] - body[start], axis=-1)
    np.testing.assert_allclose(bones.length_m, true, atol=0.005)
    stretched, variance = body.copy(), np.full(15, 1e-6)
    hand = ITOP15.index("left_hand")
    stretched[hand] += 0.2 * (body[hand] - body[ITOP15.index("left_elbow")])
    variance[hand] = 1e-2
    held = bones.hold(stretched, variance)
    np.testing.assert_allclose(np.delete(held, hand, 0), np.delete(body, hand, 0), atol=0.01)
    assert np.linalg.norm(held[hand] - body[hand]) < 0.3 * np.linalg.norm(stretched - body)


def test_as_many_as_can_be_are_assigned_at_the_least_cost() -> None:
    cost = np.array([[0.1, 0.2], [0.2, np.inf], [np.inf, np.inf]])
    assert assign(cost).tolist() == [1, 0]
    assert assign(np.zeros((0, 2))).tolist() == [-1, -1]
    assert assign(np.full((1, 1), np.inf)).tolist() == [-1]
