"""Poses: shapes that never change, selections that stay Poses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from residualpose import ITOP15, Camera, Poses

CAMERA = Camera(300, 300, 160, 120)


def test_nobody_keeps_every_shape() -> None:
    empty = Poses.empty(CAMERA)
    assert len(empty) == 0
    assert empty.joints_px.shape == (0, 15, 2)
    assert empty.joints_m.shape == (0, 15, 3)
    assert empty.joint_score.shape == empty.origin.shape == (0, 15)
    assert empty.person_score.shape == (0,)
    assert empty.covariance_m2.shape == (0, 15, 3, 3)
    assert list(empty) == []
    assert empty.joint("neck").shape == (0, 3)


def test_a_selection_is_poses_again(poses: Poses) -> None:
    assert len(poses[0]) == 1
    assert len(poses[:]) == 2
    sure = poses[poses.person_score > 0.5]
    assert isinstance(sure, Poses)
    np.testing.assert_array_equal(sure.joints_m, poses.joints_m[:1])
    assert [float(one.person_score[0]) for one in poses] == pytest.approx([0.9, 0.4])
    np.testing.assert_array_equal(poses[-1].origin, poses.origin[1:])


def test_joints_go_by_name(poses: Poses) -> None:
    np.testing.assert_array_equal(poses.joint("left_foot"), poses.joints_m[:, 14])
    with pytest.raises(KeyError, match=r"no joint 'tail'.*head, neck"):
        poses.joint("tail")


def test_a_wrong_shape_is_named(poses: Poses) -> None:
    with pytest.raises(
        ValueError, match=r"joints_m: expected shape \(2, 15, 3\), got \(2, 14, 3\)"
    ):
        Poses(
            poses.joints_px, poses.joints_m[:, :14], poses.joint_score, poses.person_score,
            poses.origin, poses.covariance_m2, CAMERA,
        )  # fmt: skip


def test_the_skeleton_is_a_tree_whose_mirror_swaps_sides() -> None:
    assert len(ITOP15.joints) == 15
    assert len(ITOP15.limbs) == 14
    children = [child for _, child in ITOP15.limbs]
    assert len(set(children)) == 14, "every joint but the neck hangs from exactly one limb"
    for joint, partner in enumerate(ITOP15.mirror):
        assert ITOP15.mirror[partner] == joint
        swapped = ITOP15.joints[joint].replace("left", "?").replace("right", "left")
        assert ITOP15.joints[partner] == swapped.replace("?", "right")
    limbs = {(ITOP15.mirror[a], ITOP15.mirror[b]) for a, b in ITOP15.limbs}
    assert limbs == set(ITOP15.limbs)


def test_people_keep_their_numbers_in_a_selection(poses: Poses) -> None:
    assert poses.person_id.tolist() == [0, 1]
    assert poses[-1].person_id.tolist() == [1]
    assert Poses.empty(CAMERA).person_id.shape == (0,)
    with pytest.raises(ValueError, match=r"person_id: expected shape \(2,\), got \(1,\)"):
        replace(poses, person_id=[7])
