"""Evaluation with an estimator whose mistakes are known; labelled frames from files."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from residualpose import Camera, DepthFrame, Origin, Poses, ResidualPoseError, UsageError
from residualpose.evaluation.headline import headline
from residualpose.evaluation.labelled import open_labelled
from residualpose.evaluation.observe import STAGES
from residualpose.evaluation.pck import CURVE_M
from residualpose.evaluation.report import Report, evaluate, surest

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


class Doubting(Told):
    """Says of each person how sure it is: the score is the standard deviation in metres."""

    def explain(self, frame: DepthFrame) -> SimpleNamespace:
        stages = super().explain(frame)
        sd_m = stages.poses.person_score[:, None, None, None]
        stages.poses.covariance_m2[:] = sd_m**2 * np.eye(3)
        return stages


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


def test_refined_joints_are_ranked_by_their_doubt(tmp_path: Path, standing_m: np.ndarray) -> None:
    near, far = standing_m, standing_m + np.array([1, 0, 0])
    data = open_labelled(save(tmp_path / "two.npz", np.stack([np.stack([near, far])])))
    off = far + np.array([0, 0.2, 0])

    def map10(sd_right_m: float, sd_wrong_m: float) -> dict[str, float]:
        answers = [[(near, sd_right_m), (off, sd_wrong_m)]]
        return evaluate(Doubting(answers), data, lambda: None).map10  # type: ignore[arg-type]

    honest, boasting = map10(0.02, 0.3), map10(0.3, 0.02)
    assert honest["refined"] == pytest.approx(0.5)  # the wrong joints come last
    assert boasting["refined"] == pytest.approx(0.25)  # and first
    assert honest["completed"] < boasting["completed"]  # ranked by scores, and those by person


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


@pytest.fixture
def crowd(tmp_path: Path, standing_m: np.ndarray) -> Report:
    """Frames of two, one and four people; of the four two are missed; one found is nobody."""
    nobody = np.full((15, 3), np.nan)
    at = [standing_m + np.array([x, 0, z]) for x, z in ((-0.9, 0), (0, -1.2), (0.9, 1), (0, 2))]
    truth = np.array([[at[0], at[2], nobody, nobody], [at[1], *[nobody] * 3], at])
    depth = np.full((3, 240, 320), 3000, np.uint16)
    visible = np.ones((3, 4, 15), bool)
    visible[2, 3, 5:] = False
    np.savez(
        tmp_path / "crowd.npz", depth_mm=depth, K=K, joints_m=truth, visible=visible,
        sensor=np.array("stereo"), view=np.array(["eye", "low", "eye"]),
    )  # fmt: skip
    answers = [
        [(at[2], 0.9), (at[0], 0.8)],
        [(at[1], 0.9), (at[1] + np.array([2, 0, 0]), 0.95)],
        [(at[0], 0.7), (at[1], 0.6)],
    ]
    data = open_labelled(tmp_path / "crowd.npz")
    return evaluate(Told(answers), data, lambda: None)  # type: ignore[arg-type]


def test_rows_tell_where_it_goes_wrong(crowd: Report) -> None:
    rows = {f"{g.axis} {g.name}": g for g in crowd.groups}
    assert (crowd.people, crowd.matched, crowd.extra) == (7, 5, 1)
    assert {axis for axis, _, _ in (name.partition(" ") for name in rows)} == {
        "view", "sensor", "people", "heading", "distance", "occlusion", "joint"
    }  # fmt: skip
    assert [rows[f"view {v}"].people for v in ("eye", "low")] == [6, 1]
    assert rows["people 2"].recall == 1 and rows["people 4"].recall == 0.5
    assert rows["people 4"].pck10["refined"] == 0.5
    assert rows["occlusion mostly hidden"].people == 1
    assert rows["occlusion mostly hidden"].recall == 0
    assert rows["joint hidden or cut"].joints == 10
    assert np.isnan(rows["heading frontal"].map10)
    assert rows["sensor stereo"].people == 7
    assert not rows["people 2"].improves  # completed and refined are as good as each other


def test_precision_pays_for_people_who_are_nobody(crowd: Report) -> None:
    rows = {f"{g.axis} {g.name}": g for g in crowd.groups}
    assert rows["people 2"].map10 == 1
    assert rows["view low"].map10 == pytest.approx(0.5)  # a surer false one comes first
    assert rows["people 4"].map10 == 0.5
    # of 3 people in frames of up to three, found behind one false one: precisions 3 of 4 at best
    assert crowd.map10_few == pytest.approx(3 / 4)
    assert crowd.map10["refined"] == pytest.approx(5 / 7 * 5 / 6)
    # The lifted right hand was never reported.
    assert crowd.map10["lifted"] == pytest.approx(14 / 15 * 5 / 7 * 5 / 6)


def test_the_lines_above_everything_name_what_is_missing(crowd: Report) -> None:
    lines = headline(crowd)
    assert len(lines) == 5
    precision, distance, stages, profiles, ellipsoids = lines
    assert precision.value == "75.0%" and precision.reached is False
    assert distance.value == "only 71.4% found" and distance.reached is False
    assert "0 mm at 71.4%" in distance.detail
    assert stages.reached is False and "people 2" in stages.detail
    assert profiles.reached is None  # all are frontal
    assert ellipsoids.value == "100.0% and 100.0%" and ellipsoids.reached is False


def test_the_surest_of_a_report_are_named_by_their_share(crowd: Report) -> None:
    shares = dict(surest(crowd))
    assert list(shares) == pytest.approx([0.5, 0.6, 0.7, 0.8, 0.9, 1.0])
    assert shares[0.7] == pytest.approx(0, abs=1e-3) and np.isnan(
        shares[0.8]
    )  # 5 of 7 people were found


def test_curves_and_image_scores(crowd: Report) -> None:
    refined = crowd.stages["refined"]
    assert len(refined.pck_curve) == len(CURVE_M) and refined.pck_curve[0] == 0
    assert refined.pck_curve[1] == pytest.approx(5 / 7)
    assert refined.auc == pytest.approx(5 / 7 * 30 / 31)
    completed = crowd.stages["completed"]
    assert completed.pck_curve[9] == 0 and completed.pck_curve[11] > 0.7
    assert crowd.image.pck10 == pytest.approx(5 / 7, abs=0.03)


def test_pixels_alone_give_image_scores_alone(tmp_path: Path, standing_m: np.ndarray) -> None:
    camera = Camera(300, 300, 160, 120)
    px = np.stack([camera.project(standing_m)] * 2)
    px[:, 4] = np.nan
    depth = np.full((2, 240, 320), 3000, np.uint16)
    np.savez(tmp_path / "px.npz", depth_mm=depth, K=K, joints_px=px)
    data = open_labelled(tmp_path / "px.npz")
    wrong = standing_m.copy()
    wrong[6:8] += [0.5, 0, 0]
    answers = [[(standing_m, 0.9)], [(wrong, 0.9)]]
    report = evaluate(Told(answers), data, lambda: None)  # type: ignore[arg-type]
    assert not report.stages and not report.groups and not headline(report)
    assert report.image.pck10 == pytest.approx(26 / 28)
    assert report.matched == report.people == 2


def test_openpose_labels_are_its_sure_joints_of_single_people(
    tmp_path: Path, standing_m: np.ndarray
) -> None:
    names = ["RShoulder", "RElbow", "RWrist", "LShoulder", "LElbow", "LWrist", "RHip", "RKnee",
             "RAnkle", "LHip", "LKnee", "LAnkle", "Nose"]  # fmt: skip
    px = np.tile(np.arange(13)[:, None] * [4.0, 8.0] + 20, (4, 1, 1))
    conf = np.full((4, 13), 0.9)
    conf[1, 0], conf[3, 1:9] = 0.2, 0.1
    np.savez(
        tmp_path / "walk.npz", depth_mm=np.full((4, 240, 320), 3000, np.uint16), K=K,
        body25_px=px, body25_conf=conf, body25_names=names, people=[1, 1, 2, 1],
    )  # fmt: skip
    frames = list(open_labelled(tmp_path / "walk.npz"))
    assert len(frames) == 2
    assert [one.height_px for one in frames] == [[96], [88]]  # the nose is part of a person
    np.testing.assert_array_equal(frames[0].truth_px[0, 2], px[0, 0])
    np.testing.assert_array_equal(frames[0].truth_px[0, 14], px[0, 11])
    assert np.isnan(frames[1].truth_px[0, 2]).all() and np.isnan(frames[0].truth_px[0, 0]).all()


def test_nobody_at_all_is_a_report_too(tmp_path: Path) -> None:
    data = open_labelled(save(tmp_path / "none.npz", np.full((2, 15, 3), np.nan)))
    report = evaluate(Told([[], []]), data, lambda: None)  # type: ignore[arg-type]
    assert (report.people, report.matched, report.right_count) == (0, 0, 1)
    assert set(report.stages) == set(STAGES) and np.isnan(report.map10["refined"])
    assert np.isnan(report.stages["refined"].pck10)


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"visible": np.ones((3, 15), bool)}, "visible"),
        ({"sensor": np.array(["a", "b", "c"])}, "sensor"),
        ({"view": np.array(3)}, "view"),
        ({"joints_m": np.zeros((1, 14, 3))}, "joints_m"),
    ],
)
def test_labels_of_other_shapes_are_named(
    entry: dict[str, np.ndarray], words: str, tmp_path: Path, standing_m: np.ndarray
) -> None:
    depth = np.full((2, 24, 32), 3000, np.uint16)
    data = {"joints_m": np.stack([standing_m] * 2)} | entry
    np.savez(tmp_path / "odd.npz", depth_mm=depth, K=K, **data)  # type: ignore[arg-type]
    with pytest.raises(ResidualPoseError, match=words):
        open_labelled(tmp_path / "odd.npz")
