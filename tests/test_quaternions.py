"""Quaternions against scipy's."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from residualpose.quaternions import quaternions


def test_any_rotation() -> None:
    rotations = Rotation.random(200, random_state=1)
    expected = rotations.as_quat(canonical=True)
    np.testing.assert_allclose(quaternions(rotations.as_matrix()), expected, atol=1e-12)
    np.testing.assert_allclose(quaternions(rotations.as_matrix()[0]), expected[0], atol=1e-12)


def test_none_no_turn_and_half_turns() -> None:
    assert quaternions(np.zeros((0, 3, 3))).shape == (0, 4)
    np.testing.assert_allclose(quaternions(np.eye(3)), [0, 0, 0, 1], atol=1e-12)
    for axis in np.eye(3):
        half = quaternions(2 * np.outer(axis, axis) - np.eye(3))
        np.testing.assert_allclose(np.abs(half), [*axis, 0], atol=1e-12)
