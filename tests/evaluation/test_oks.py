"""2D AP by OKS: COCO's figures on people whose mistakes are known."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("faster_coco_eval", reason="needs the eval extra")

from residualpose import Camera
from residualpose.evaluation.oks import SIGMAS, OksScores, People2D, oks_scores, person_boxes

ALL = np.ones((1, 15), bool)


@pytest.fixture
def joints_px(standing_m: np.ndarray) -> np.ndarray:
    return Camera(300, 300, 160, 120).project(standing_m)


def people(*joints_px: np.ndarray, score: float = 0.9) -> People2D:
    return People2D(
        np.zeros(len(joints_px), int), np.array(joints_px), np.full(len(joints_px), score)
    )


def test_sigmas_belong_to_their_joints() -> None:
    assert SIGMAS[0] == 0.035 and SIGMAS[6] == SIGMAS[7] == 0.062 and SIGMAS[8] == 0.107


def test_found_people_are_perfect_and_absent_ones_are_not(joints_px: np.ndarray) -> None:
    far = joints_px + [200, 0]
    true = people(joints_px, far)
    both = np.ones((2, 15), bool)
    assert oks_scores(true, true, both) == OksScores(1, 1, 1, 1)
    half = oks_scores(people(joints_px), true, both)
    assert half.ar == pytest.approx(0.5) and half.ap == pytest.approx(51 / 101)
    assert oks_scores(true.select(np.zeros(2, bool)), true, both).ap == 0
    nobody = true.select(np.zeros(2, bool))
    assert np.isnan(oks_scores(true, nobody, both[:0]).ap)


def test_oks_is_as_its_definition_says(joints_px: np.ndarray) -> None:
    moved = joints_px + [4.0, 0]
    _, _, width, height = person_boxes(joints_px[None])[0]
    sigma2 = (2 * np.array(SIGMAS)) ** 2
    oks = np.exp(-(4.0**2) / (2 * sigma2 * 0.53 * width * height)).mean()
    levels = np.arange(0.5, 1, 0.05)
    assert 0.5 < oks < 0.95
    found = oks_scores(people(moved), people(joints_px), ALL)
    assert found.ap == pytest.approx((oks >= levels).mean(), abs=1e-3)


def test_joints_outside_the_image_do_not_count(joints_px: np.ndarray) -> None:
    wrong = joints_px.copy()
    wrong[13:] += 500
    inside = ALL.copy()
    inside[0, 13:] = False
    assert oks_scores(people(wrong), people(joints_px), ALL).ap < 1
    assert oks_scores(people(wrong), people(joints_px), inside).ap == 1


def test_a_person_where_there_is_none_costs_precision(joints_px: np.ndarray) -> None:
    nobody = People2D(np.array([1]), joints_px[None], np.array([0.95]))
    found = people(joints_px)
    both = People2D(
        np.append(found.frame, 1), np.concatenate([found.joints_px, nobody.joints_px]),
        np.append(found.score, 0.95),
    )  # fmt: skip
    assert oks_scores(both, people(joints_px), ALL).ap == pytest.approx(0.5)
    missing = joints_px.copy()
    missing[:8] = np.nan
    assert oks_scores(people(missing), people(joints_px), ALL).ap50 in (0.0, 1.0)
    assert oks_scores(people(missing), people(joints_px), ALL).ap < 0.5


def test_boxes_ignore_missing_joints(joints_px: np.ndarray) -> None:
    joints_px[0] = np.nan
    box = person_boxes(np.stack([joints_px, np.full((15, 2), np.nan)]))
    assert np.isnan(box[1]).all()
    np.testing.assert_allclose(box[0, :2], np.nanmin(joints_px, 0))
    np.testing.assert_allclose(box[0, :2] + box[0, 2:], np.nanmax(joints_px, 0))
