"""The body's upright frame is found whichever way the camera looks."""

from __future__ import annotations

import numpy as np

from residualpose.pipeline.body_frame import (
    LEVEL_DOWN,
    OVERHEAD_DOWN,
    frame_hypotheses,
    upright_frame,
)
from residualpose.skeleton import L_SHOULDER, R_SHOULDER

LEVEL_TO_OVERHEAD = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
"""Rows: a level camera's x, y down and z forward, as a camera that looks straight down has them."""


def test_a_camera_that_looks_straight_down_has_the_same_body_frame(standing_m: np.ndarray) -> None:
    level = upright_frame(standing_m[None], LEVEL_DOWN)[0]
    overhead = upright_frame(standing_m[None] @ LEVEL_TO_OVERHEAD, OVERHEAD_DOWN)[0]
    np.testing.assert_allclose(LEVEL_TO_OVERHEAD.T @ level, overhead, atol=1e-9)


def test_straight_down_is_one_of_the_hypotheses(standing_m: np.ndarray) -> None:
    overhead_m = standing_m @ LEVEL_TO_OVERHEAD
    downs = frame_hypotheses(overhead_m[None])[0][0, :, :, 1]
    assert np.abs(downs - OVERHEAD_DOWN).max(axis=1).min() < 1e-9


def test_without_shoulders_and_hips_there_is_no_frame(standing_m: np.ndarray) -> None:
    trunkless = standing_m.copy()
    trunkless[[R_SHOULDER, L_SHOULDER, 9, 10]] = np.nan
    _, log_odds = frame_hypotheses(np.stack([trunkless, standing_m]))
    assert (log_odds[0] == -np.inf).all() and np.isfinite(log_odds[1]).all()
