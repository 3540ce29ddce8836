"""Headings, distances and occlusion of people, from their joints."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from residualpose.evaluation.attributes import (
    distance_names,
    heading_names,
    headings_rad,
    occlusion_names,
    ordered_values,
)


def turned(joints_m: np.ndarray, axis: str, degrees: float) -> np.ndarray:
    """About a line through the torso."""
    middle = joints_m[8]
    turn = Rotation.from_euler(axis, degrees, degrees=True).as_matrix()
    return (joints_m - middle) @ turn.T + middle


@pytest.mark.parametrize(
    ("degrees", "name"),
    [(0, "frontal"), (40, "frontal"), (-40, "frontal"), (90, "profile"), (-100, "profile"),
     (180, "back"), (150, "back")],
)  # fmt: skip
def test_heading_is_the_turn_about_the_trunk(
    standing_m: np.ndarray, degrees: float, name: str
) -> None:
    person = turned(standing_m, "y", degrees)[None]
    assert np.degrees(headings_rad(person))[0] == pytest.approx(abs(degrees), abs=8)
    assert heading_names(person)[0] == name


def test_lying_on_the_side_facing_the_camera_is_frontal(standing_m: np.ndarray) -> None:
    assert heading_names(turned(standing_m, "z", 90)[None])[0] == "frontal"


def test_from_straight_above_there_is_no_heading(standing_m: np.ndarray) -> None:
    above = turned(standing_m, "x", 90)[None]
    assert heading_names(above)[0] == "end-on"


def test_unknown_joints_give_no_names(standing_m: np.ndarray) -> None:
    nobody = np.full((1, 15, 3), np.nan)
    assert heading_names(nobody)[0] == distance_names(nobody)[0] == ""
    people = np.concatenate([standing_m[None], nobody])
    np.testing.assert_array_equal(distance_names(people), ["3 to 4 m", ""])


def test_distances_and_occlusion_in_order() -> None:
    people = np.zeros((4, 15, 3))
    people[:, 8, 2] = 1.5, 2.5, 3.5, 4.5
    names = distance_names(people)
    np.testing.assert_array_equal(names, ["under 2 m", "2 to 3 m", "3 to 4 m", "over 4 m"])
    assert ordered_values("distance", names[::-1]) == names.tolist()
    visible = np.arange(15) < np.array([15, 12, 11, 6, 5, 0])[:, None]
    np.testing.assert_array_equal(
        occlusion_names(visible),
        ["in sight", "in sight", "part hidden", "part hidden", "mostly hidden", "mostly hidden"],
    )
    assert ordered_values("view", np.array(["own", "low", "", "eye"])) == ["eye", "low", "own"]
