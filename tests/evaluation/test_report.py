"""Evaluation with an estimator whose mistakes are known; labelled frames from files."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from residualpose import Camera, DepthFrame, Origin, Poses, ResidualPoseError, UsageError
from residualpose.evaluation.labelled import open_labelled
from residualpose.evaluation.report import evaluate

K = np.array([[300.0, 0, 160], [0, 300, 120], [0, 0, 1]])


class Told:
    """Says what it was told to: a list of people with scores for each frame."""

    def __init__(self, answers: list[list[tuple[np.ndarray, float]]]) -> None:
        self._answers = iter(answers)

    def explain(self, frame: DepthFrame) -> SimpleNamespace:
        answer = next(self._answers)
        joints = np.array([person for person, _ in answer], np.float32).reshape(-1, 15, 3)
        count = len(joints)
        poses = Poses(
            frame.camera.project(joints), joints, np.ones((count, 15)),
            np.array([score for _, score in answer]), np.full((count, 15), Origin.MEASURED),
            np.full((count, 15, 3, 3), 1e-4), Camera(300, 300, 160, 120),
        )  # fmt: skip
        lifted = joints.copy()
        lifted[:, 6] = np.nan
        return SimpleNamespace(
            lifted_m=lifted,
            completed_m=joints + np.array([0.05, 0, 0]),
            refined_m=joints,
            poses=poses,
        )


def save(path: Path, joints_m: np.ndarray) -> Path:
    depth = np.full((len(joints_m), 24, 32), 3000, np.uint16)
    np.savez(path, depth_mm=depth, K=K, joints_m=joints_m)
    return path


def test_one_labelled_person_is_scored_by_the_surest_one_found(
    tmp_path: Path, standing_m: np.ndarray
) -> None:
    far = standing_m + np.array([1, 0, 0])
    data = open_labelled(save(tmp_path / "one.npz", np.stack([standing_m] * 3)))
    answers = [[(standing_m, 0.9)], [(standing_m, 0.3), (far, 0.8)], []]
    done = []
    report = evaluate(Told(answers), data, lambda: done.append(1))  # type: ignore[arg-type]
    assert len(done) == report.frames == report.people == 3
    assert (report.matched, report.extra) == (2, 1)
    assert report.right_count == pytest.approx(1 / 3)
    assert report.stages["refined"].pck10 == pytest.approx(1 / 3)
    assert report.stages["lifted"].pck10 == pytest.approx(14 / 45)
    assert report.stages["refined"].recall == pytest.approx(2 / 3)
    assert report.stages["completed"].mpjpe_mm == pytest.approx((50 + 1050) / 2, rel=1e-2)


def test_several_labelled_people_are_paired(tmp_path: Path, standing_m: np.ndarray) -> None:
    near, far = standing_m, standing_m + np.array([1, 0, 0])
    truth = np.stack([np.stack([near, far]), np.stack([near, np.full((15, 3), np.nan)])])
    data = open_labelled(save(tmp_path / "two.npz", truth))
    answers = [[(far, 0.5), (near, 0.9)], [(near + np.array([0, 0, 3]), 0.9), (near, 0.1)]]
    report = evaluate(Told(answers), data, lambda: None)  # type: ignore[arg-type]
    assert (report.people, report.matched, report.extra) == (3, 3, 1)
    assert report.right_count == 0.5
    assert report.stages["refined"].pck10 == 1
    assert report.stages["refined"].pa_mpjpe_mm < 1e-3


def test_limit_takes_the_first_frames(tmp_path: Path, standing_m: np.ndarray) -> None:
    path = save(tmp_path / "many.npz", standing_m + np.arange(4)[:, None, None])
    data = open_labelled(path, limit=2)
    assert len(data) == 2
    assert [one.frame.index for one in data] == [0, 1]
    np.testing.assert_allclose([one.truth_m[0] for one in data][1], standing_m + 1)
    assert len(open_labelled(path, limit=9)) == 4


def test_rendered_people_out_of_sight_are_not_asked_for(tiny_shards: Path) -> None:
    from residualpose.synthetic.shards import load_shard, shard_path

    frames = list(open_labelled(tiny_shards, seed=2))
    assert len(frames) == 8
    shard = load_shard(shard_path(tiny_shards, 1))
    visible = shard.visible[0].sum(-1)
    there = np.isfinite(shard.joints_m[0]).all((1, 2))
    np.testing.assert_array_equal(frames[4].asked, visible[there] >= 3)
    np.testing.assert_array_equal(frames[4].truth_m, shard.joints_m[0][there])
    again = list(open_labelled(tiny_shards, seed=2))
    np.testing.assert_array_equal(frames[4].frame.depth_m, again[4].frame.depth_m)
    other = list(open_labelled(tiny_shards, seed=3, limit=1))
    assert (frames[0].frame.depth_m != other[0].frame.depth_m).any()


def test_wrong_data_is_named(tmp_path: Path, standing_m: np.ndarray) -> None:
    with pytest.raises(UsageError, match="absent"):
        open_labelled(tmp_path / "absent.npz")
    with pytest.raises(UsageError, match="found none"):
        open_labelled(tmp_path)
    with pytest.raises(UsageError, match=r"frames\.h5"):
        open_labelled(tmp_path / "frames.h5")
    np.savez(tmp_path / "bare.npz", depth_mm=np.zeros((1, 24, 32), np.uint16), K=K)
    with pytest.raises(ResidualPoseError, match="joints_m"):
        open_labelled(tmp_path / "bare.npz")
    np.savez(tmp_path / "flat.npz", depth_mm=np.zeros((24, 32)), K=K, joints_m=standing_m)
    with pytest.raises(ResidualPoseError, match=r"\(24, 32\)"):
        open_labelled(tmp_path / "flat.npz")
    (tmp_path / "text.npz").write_text("no archive")
    with pytest.raises(ResidualPoseError, match="text"):
        open_labelled(tmp_path / "text.npz")
