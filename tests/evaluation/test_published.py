"""Predictions of other methods that a set holds are scored beside ours, as they were published."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from residualpose.evaluation.labelled import open_labelled
from residualpose.evaluation.observe import STAGES, Observed, observe
from residualpose.evaluation.report import summarise

ITOP_SIDE = Path(__file__).parents[2] / "../shared/real/itop_side_dev.npz"


class Nobody:
    """An estimator that finds nobody."""

    def explain(self, frame: object) -> object:
        from types import SimpleNamespace

        from residualpose import Camera, Poses

        none = np.zeros((0, 15, 3))
        poses = Poses.empty(Camera(300, 300, 160, 120))
        return SimpleNamespace(lifted_m=none, completed_m=none, refined_m=none, poses=poses)


def observed(path: Path) -> Observed:
    return observe(Nobody(), open_labelled(path), lambda: None)  # type: ignore[arg-type]


@pytest.mark.skipif(not ITOP_SIDE.is_file(), reason="needs ../shared/real/itop_side_dev.npz")
def test_published_scores_on_itop_side_come_out_exactly() -> None:
    report = summarise("itop", observed(ITOP_SIDE))
    scores = {n: (round(s.pck10, 3), round(s.mpjpe_mm, 1)) for n, s in report.others.items()}
    assert scores == {"a2j": (0.859, 60.4), "v2v": (0.850, 66.8)}
    assert report.others["a2j"].recall == 1
    assert report.stages["refined"].pck10 == 0 and report.matched == 0


@pytest.mark.skipif(not ITOP_SIDE.is_file(), reason="needs ../shared/real/itop_side_dev.npz")
def test_published_scores_of_joints_come_out_too() -> None:
    joint = summarise("itop", observed(ITOP_SIDE)).others["a2j"].pck10_joint
    assert np.mean([joint["right_hand"], joint["left_hand"]]) == pytest.approx(0.575, abs=5e-4)
    elbows = np.mean([joint["right_elbow"], joint["left_elbow"]])
    assert elbows == pytest.approx(0.742, abs=5e-4)


def test_made_up_predictions_are_scored_by_rows(tmp_path: Path, standing_m: np.ndarray) -> None:
    truth = standing_m + np.array([[[0, 0, 0.0]], [[0.5, 0, 0]], [[0, 0, 1.0]]])
    theirs = truth + np.array([0.06, 0, 0])
    theirs[1, :5] += [0.08, 0, 0]
    theirs[2, 6] = np.nan
    np.savez(
        tmp_path / "set.npz", depth_mm=np.full((3, 48, 64), 3000, np.uint16),
        K=np.array([[60.0, 0, 32], [0, 60, 24], [0, 0, 1]]), joints_m=truth, net_m=theirs,
        other_size_m=theirs[:2],
    )  # fmt: skip
    seen = observed(tmp_path / "set.npz")
    assert list(seen.stages_m) == [*STAGES, "net"]
    report = summarise("made up", seen)
    net = report.others["net"]
    assert net.pck10 == pytest.approx(39 / 45)
    assert net.recall == pytest.approx(44 / 45)
    assert net.mpjpe_mm == pytest.approx((39 * 60 + 5 * 140) / 44)
    assert net.pck10_joint["head"] == pytest.approx(2 / 3)
    rows = {f"{g.axis} {g.name}": g for g in report.groups}
    assert rows["distance over 4 m"].pck10["net"] == pytest.approx(14 / 15)
    assert rows["heading frontal"].people == 3
