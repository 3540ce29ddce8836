"""Scenes that bench tracking keeps, and several of them scored as one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from residualpose import Camera, Poses
from residualpose.errors import ResidualPoseError
from residualpose.evaluation.followed_scene import FollowedScene, stacked_scene
from residualpose.evaluation.tracking import pooled, score_tracking

CAMERA = Camera(100, 100, 50, 40)


def poses(people: int, number: int) -> Poses:
    joints = np.random.default_rng(number).normal(0, 0.3, (people, 15, 3)) + [0, 0, 3]
    return Poses(
        CAMERA.project(joints), joints, np.ones((people, 15)), np.full(people, 0.5),
        np.ones((people, 15)), np.tile(np.eye(3), (people, 15, 1, 1)), CAMERA,
    )  # fmt: skip


def scene() -> FollowedScene:
    truth = np.zeros((2, 15, 3), np.float32)
    seen = np.ones((2, 15), bool)
    return stacked_scene((truth, seen, i / 30, poses(n, i)) for i, n in enumerate((2, 0, 1)))


def test_a_scene_comes_back_as_it_was_kept(tmp_path: Path) -> None:
    before = scene()
    before.save(tmp_path / "one.npz")
    after = FollowedScene.load(tmp_path / "one.npz")
    assert [len(frame) for frame in after.found] == [2, 0, 1]
    np.testing.assert_array_equal(after.time_s, before.time_s)
    for one, other in zip(before.found, after.found, strict=True):
        np.testing.assert_array_equal(one.joints_m, other.joints_m)
        np.testing.assert_array_equal(one.origin, other.origin)
        assert one.camera == other.camera


def test_a_damaged_scene_is_named(tmp_path: Path) -> None:
    (tmp_path / "bad.npz").write_bytes(b"PK no archive")
    with pytest.raises(ResidualPoseError, match=r"bad\.npz: expected a scene"):
        FollowedScene.load(tmp_path / "bad.npz")


def test_scores_of_several_scenes_add_up_by_their_people() -> None:
    found = [poses(1, 5)] * 12
    truth = np.stack([one.joints_m for one in found])
    one = score_tracking(found, truth, np.ones(truth.shape[:3], bool), 30.0)
    assert one.mota == 1 and one.switches == 0
    worse = replace(one, missed=6, switches=2, people=24, mpjpe_mm=30.0, jitter_m_s2=3.0)
    both = pooled([replace(one, mpjpe_mm=0.0, jitter_m_s2=0.0), worse])
    assert (both.missed, both.switches, both.people) == (6, 2, 36)
    assert both.mota == pytest.approx(1 - 8 / 36)
    assert both.mpjpe_mm == pytest.approx(20.0)
    assert both.jitter_m_s2 == pytest.approx(6**0.5)
