"""The labels' body: flat, rigid, as long for everyone, and as near to the person as it gets."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from residualpose.label_body import LabelBody
from residualpose.skeleton import (
    HEAD,
    ITOP15,
    L_ELBOW,
    L_FOOT,
    L_HIP,
    L_KNEE,
    L_SHOULDER,
    NECK,
    R_FOOT,
    R_HIP,
    R_KNEE,
    R_SHOULDER,
    TORSO,
)

BODY = LabelBody(half_trunk=0.25, shoulders=0.36, hips=0.22, head=0.24, thigh=0.5, shin=0.48)
TRUNK = [NECK, TORSO, R_SHOULDER, L_SHOULDER, R_HIP, L_HIP]
FLIP = np.array([-1.0, 1, 1])


def length_m(joints_m: np.ndarray, a: int, b: int) -> np.ndarray:
    return np.linalg.norm(joints_m[:, a] - joints_m[:, b], axis=-1)


@pytest.fixture
def crowd_m(standing_m: np.ndarray) -> np.ndarray:
    """Twenty people of all sizes and headings, none of them like another."""
    rng = np.random.default_rng(3)
    turns = Rotation.random(20, rng=np.random.default_rng(3)).as_matrix()
    about = (standing_m - standing_m.mean(0)) * rng.uniform(0.7, 1.3, (20, 1, 1))
    return about @ turns + rng.normal(0, 0.04, (20, 15, 3)) + [0, 0, 4.0]


def test_every_trunk_has_the_measures_and_lies_in_one_plane(crowd_m: np.ndarray) -> None:
    joints_m = BODY(crowd_m)
    middle = (joints_m[:, R_HIP] + joints_m[:, L_HIP]) / 2
    np.testing.assert_allclose(length_m(joints_m, R_SHOULDER, L_SHOULDER), BODY.shoulders)
    np.testing.assert_allclose(length_m(joints_m, R_HIP, L_HIP), BODY.hips)
    np.testing.assert_allclose(length_m(joints_m, NECK, TORSO), BODY.half_trunk)
    np.testing.assert_allclose(joints_m[:, TORSO], (joints_m[:, NECK] + middle) / 2)
    between = (joints_m[:, R_SHOULDER] + joints_m[:, L_SHOULDER]) / 2
    np.testing.assert_allclose(joints_m[:, NECK], between)
    across = joints_m[:, L_SHOULDER] - joints_m[:, R_SHOULDER]
    np.testing.assert_allclose(
        np.cross(across, joints_m[:, L_HIP] - joints_m[:, R_HIP]), 0, atol=1e-9
    )
    np.testing.assert_allclose((across * (middle - joints_m[:, NECK])).sum(-1), 0, atol=1e-9)
    assert ((joints_m[:, L_HIP] - joints_m[:, R_HIP]) * across).sum(-1).min() > 0


def test_legs_keep_their_directions_and_the_rest_stays(crowd_m: np.ndarray) -> None:
    joints_m = BODY(crowd_m)
    for hip, knee, foot in ((R_HIP, R_KNEE, R_FOOT), (L_HIP, L_KNEE, L_FOOT)):
        np.testing.assert_allclose(length_m(joints_m, hip, knee), BODY.thigh)
        np.testing.assert_allclose(length_m(joints_m, knee, foot), BODY.shin)
        thigh, before = joints_m[:, knee] - joints_m[:, hip], crowd_m[:, knee] - joints_m[:, hip]
        np.testing.assert_allclose(np.cross(thigh, before), 0, atol=1e-9)
        assert (thigh * before).sum(-1).min() > 0
    np.testing.assert_array_equal(joints_m[:, [HEAD, L_ELBOW]], crowd_m[:, [HEAD, L_ELBOW]])


def test_no_other_pose_of_the_trunk_is_nearer(crowd_m: np.ndarray) -> None:
    """Head in line with it counted in, as it helps to find the trunk."""

    def misfit(trunk_m: np.ndarray) -> np.ndarray:
        up = trunk_m[:, 0] - trunk_m[:, 1]
        head = trunk_m[:, 0] + up * (BODY.head / BODY.half_trunk)
        errors = np.concatenate(
            [trunk_m - crowd_m[:, TRUNK], (head - crowd_m[:, HEAD])[:, None]], 1
        )
        return (errors**2).sum((1, 2))

    best = BODY(crowd_m)[:, TRUNK]
    middle, turns = (
        best.mean(1, keepdims=True),
        Rotation.random(200, rng=np.random.default_rng(0)).as_rotvec(),
    )
    for turn in turns * 0.01:
        moved = (best - middle) @ Rotation.from_rotvec(turn).as_matrix().T + middle + turn * 0.1
        assert (misfit(best) <= misfit(moved) + 1e-12).all()


def test_a_pose_of_this_body_is_left_alone_and_mirrors(crowd_m: np.ndarray) -> None:
    once = BODY(crowd_m)
    once[:, HEAD] = once[:, NECK] + (once[:, NECK] - once[:, TORSO]) * BODY.head / BODY.half_trunk
    np.testing.assert_allclose(BODY(once), once, atol=1e-9)
    partner = list(ITOP15.mirror)
    np.testing.assert_allclose(BODY(crowd_m[:, partner] * FLIP), BODY(crowd_m)[:, partner] * FLIP)


@pytest.mark.parametrize(
    "missing", [[HEAD, NECK], [R_HIP, L_HIP], [R_SHOULDER, R_HIP], [R_KNEE], [R_HIP]]
)
def test_what_is_missing_stays_missing(crowd_m: np.ndarray, missing: list[int]) -> None:
    crowd_m[:, missing] = np.nan
    joints_m = BODY(crowd_m)
    np.testing.assert_array_equal(np.isnan(joints_m), np.isnan(crowd_m))
    left = [joint for joint in (NECK, TORSO, L_SHOULDER) if joint not in missing]
    if len(left) == 3:
        np.testing.assert_allclose(length_m(joints_m, NECK, TORSO), BODY.half_trunk)


def test_a_trunk_that_does_not_tell_its_heading_stays(crowd_m: np.ndarray) -> None:
    crowd_m[:, [R_SHOULDER, L_SHOULDER, R_HIP, L_HIP, HEAD]] = np.nan
    np.testing.assert_array_equal(BODY(crowd_m)[:, TRUNK], crowd_m[:, TRUNK])
    nobody = np.full((2, 15, 3), np.nan)
    np.testing.assert_array_equal(BODY(nobody), nobody)
    assert BODY(np.zeros((0, 15, 3))).shape == (0, 15, 3)
