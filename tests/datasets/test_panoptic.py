"""Panoptic: the chain of calibrations, the meaning of M_color, the sync tables, what is broken."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from residualpose import ResidualPoseError, UsageError, open_source
from residualpose.datasets import open_dataset
from residualpose.datasets.cloud import cloud_distance_m, inside_image

Command = Callable[..., tuple[int, str, str]]


def test_the_chain_ends_at_the_truth_under_either_meaning_of_m_color(sequence: Any) -> None:
    dataset = open_dataset(sequence.folder)
    assert (dataset.kind, len(dataset), dataset.one_person) == ("panoptic", 6, False)
    assert dataset.skeleton.joints[8] == "mid_hip"
    forwards = sequence.kinects.colour_to_kinect
    meaning = "colour to Kinect" if forwards else "Kinect to colour"
    assert dataset.about()["M_color"].startswith(f"is {meaning}: the skeletons are 0.")
    right, wrong = dataset.distances_m[:: 1 if forwards else -1]
    assert right < 0.06 < 0.1 < wrong
    assert not dataset.faults()
    agree = []
    for sample, (hd, node, number) in zip(dataset.frames(), dataset.index.tolist(), strict=True):
        shot = sequence.shots[hd, node]
        np.testing.assert_allclose(sample.joints_m, shot.joints_m, atol=1e-4)
        np.testing.assert_allclose(sample.depth_m, shot.depth_m, atol=6e-4)
        assert sample.camera == replace(sequence.kinects.camera, name=f"KINECTNODE{node}")
        assert number == 1 + (hd - 100) // 7
        inside = inside_image(sample.camera.project(shot.joints_m), 512, 424)
        assert not (sample.visible & ~inside).any()
        agree.append((sample.visible == shot.visible)[inside])
    # What the generator calls visible, a look at the depth image mostly finds too.
    assert np.concatenate(agree).mean() > 0.85


@pytest.mark.parametrize("forwards", [True, False])
def test_joints_of_the_surface_land_within_3_cm_of_the_cloud(
    forwards: bool, panoptic_scenes: list[Any], write_sequence: Callable[..., Any], tmp_path: Path
) -> None:
    made = write_sequence(tmp_path / "made", panoptic_scenes, forwards, on_surface=True)
    dataset = open_dataset(made.folder)
    of_first = np.flatnonzero(dataset.index[:, 1] == 1)
    away = []
    for sample in dataset.frames(of_first):
        px = sample.camera.project(sample.joints_m)
        inside = inside_image(px, 512, 424)
        away.append(cloud_distance_m(sample.frame, sample.joints_m)[inside])
    assert len(away) == 3
    assert len(np.concatenate(away)) > 40 and np.concatenate(away).max() < 0.03


def test_frames_come_in_any_order_and_from_another_process(sequence: Any) -> None:
    dataset = pickle.loads(pickle.dumps(open_dataset(sequence.folder)))
    times = [sample.frame.time_s for sample in dataset.frames([4, 0])]
    assert times == pytest.approx([0.1 + 0.033 * 3, 0.1 + 0.033])


@pytest.fixture
def copy(sequence: Any, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sequence.folder, tmp_path / "copy"))


def edit(folder: Path, pattern: str, change: Callable[[Any], None]) -> None:
    path = next(folder.glob(pattern))
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


@pytest.mark.parametrize("missing", ["kcalibration_*", "calibration_*", "ksynctables_*"])
def test_missing_files_are_named(copy: Path, missing: str) -> None:
    next(copy.glob(missing)).unlink()
    with pytest.raises(ResidualPoseError, match=rf"copy: expected {missing.rstrip('*')}\*\.json"):
        open_dataset(copy, "panoptic")


def test_a_kinect_that_nobody_calibrated_is_named(copy: Path) -> None:
    edit(copy, "calibration_*", lambda data: data["cameras"].pop())
    with pytest.raises(ResidualPoseError, match=r"calibration_.*\.json: expected camera 50_02"):
        open_dataset(copy)
    edit(copy, "kcalibration_*", lambda data: data["sensors"].pop())
    with pytest.raises(ResidualPoseError, match="expected the calibration of KINECTNODE2, found 1"):
        open_dataset(copy)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [("M_color", [[1, 0], [0, 1]], r"expected M_color \(2, 4\), found \(2, 2\)"),
     ("M_color", (np.eye(4) * 100).tolist(), "expected M_color to turn and move only"),
     ("K_depth", None, "expected numbers in K_depth"),
     ("distCoeffs_depth", [0, 0], "expected 5 distCoeffs_depth, found 2")],
)  # fmt: skip
def test_a_matrix_that_is_none_is_named(copy: Path, key: str, value: Any, message: str) -> None:
    edit(copy, "kcalibration_*", lambda data: data["sensors"][0].update({key: value}))
    with pytest.raises(ResidualPoseError, match=message):
        open_dataset(copy)


def test_lengths_that_do_not_match_are_told(copy: Path, command: Command) -> None:
    path = copy / "kinect_shared_depth" / "KINECTNODE2" / "depthdata.dat"
    data, frame = path.read_bytes(), 512 * 424 * 2
    path.write_bytes(data[: 3 * frame])  # the last image with skeletons is gone
    status, out, _ = command("data", "check", copy)
    assert status == 1
    assert "KINECTNODE2: 3 depth images, but 5 times in ksynctables" in out
    assert "5 images of them, 1 more without an image within 17 ms" in out
    path.write_bytes(data[:-7])
    status, _, err = command("data", "check", copy)
    assert status == 1 and err.count("\n") == 1
    assert "depthdata.dat: expected whole frames of 434176 bytes" in err


def test_images_of_another_moment_are_left_out(copy: Path) -> None:
    def later(data: Any) -> None:
        data["hd"]["univ_time"][101] += 16.0  # 19 ms from one image, 14 from the next

    edit(copy, "synctables_*", later)
    assert open_dataset(copy).index[:2, 2].tolist() == [2, 2]

    def much_later(data: Any) -> None:
        data["hd"]["univ_time"] = [time + 5000 for time in data["hd"]["univ_time"]]

    edit(copy, "synctables_*", much_later)
    with pytest.raises(ResidualPoseError, match="expected depth images within 17 ms of the skel"):
        open_dataset(copy)


def test_skeletons_of_another_sequence_are_noticed(copy: Path, command: Command) -> None:
    def elsewhere(data: Any) -> None:
        for body in data["bodies"]:
            joints = np.array(body["joints19"]).reshape(19, 4)
            joints[:, :3] += [0, -60, 0]
            body["joints19"] = joints.ravel().tolist()

    for path in copy.glob("hdPose3d*/*.json"):
        edit(copy, f"hdPose3d*/{path.name}", elsewhere)
    status, out, _ = command("data", "check", copy)
    assert status == 1
    assert "the skeletons lie off the cloud whatever M_color means" in out


@pytest.mark.parametrize(
    ("joints", "message"),
    [([0.0] * 75, "expected joints19 with 19 x 4 numbers"),
     ([float("nan")] * 76, "expected numbers in joints19, found NaN")],
)  # fmt: skip
def test_broken_skeletons_are_named(copy: Path, joints: list[float], message: str) -> None:
    edit(copy, "hdPose3d*/*100.json", lambda data: data["bodies"][0].update(joints19=joints))
    with pytest.raises(ResidualPoseError, match=rf"body3DScene_00000100\.json: {message}"):
        open_dataset(copy)


def test_unsure_joints_are_unknown(copy: Path) -> None:
    def doubt(data: Any) -> None:
        data["bodies"][0]["joints19"][4 * 5 + 3] = 0.05  # left wrist

    edit(copy, "hdPose3d*/*100.json", doubt)
    sample = next(open_dataset(copy).frames([0]))
    assert np.flatnonzero(np.isnan(sample.joints_m[0, :, 0])).tolist() == [7]
    assert not sample.visible[0, 7]


def test_a_folder_without_depth_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"expected kinect_shared_depth/KINECTNODE1/depthdata\.d"):
        open_dataset(tmp_path, "panoptic")


def test_depth_files_are_sources_with_their_camera(sequence: Any) -> None:
    path = sequence.folder / "kinect_shared_depth" / "KINECTNODE2" / "depthdata.dat"
    frames = list(open_source(f"{path}:1:3"))
    assert [frame.index for frame in frames] == [1, 2]
    assert frames[0].camera.name == "KINECTNODE2" and frames[0].camera.distortion
    np.testing.assert_allclose(frames[0].depth_m, sequence.shots[100, 2].depth_m, atol=6e-4)


def test_a_depth_file_alone_asks_for_its_camera(sequence: Any, tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "depthdata.dat"
    path.parent.mkdir(parents=True)
    shutil.copy(sequence.folder / "kinect_shared_depth" / "KINECTNODE1" / "depthdata.dat", path)
    with pytest.raises(UsageError, match="the file holds no camera"):
        list(open_source(path))


def test_by_command(sequence: Any, command: Command, tmp_path: Path) -> None:
    status, out, err = command("data", "check", sequence.folder)
    assert (status, err) == (0, "")
    assert "nothing is wrong with it" in out and "fx 365.5" in out and "distorted" in out
    json_file, page = tmp_path / "r.json", tmp_path / "r.html"
    status, out, _ = command(
        "eval", "--data", "panoptic", sequence.folder, "--convention", "panoptic",
        "--json", json_file, "--html", page,
    )  # fmt: skip
    assert status == 0
    assert "panoptic, 6 frames: 3D mAP" in out and "PCKh" in page.read_text()
    report = json.loads(json_file.read_text())
    people = sum((shot.visible.sum(-1) >= 3).sum() for shot in sequence.shots.values())
    assert abs(report["people"] - people) <= 1
    assert report["protocol"]["columns"] == ["method", "mAP", "MPJPE mm", "recall", "PCKh"]
    depth = sequence.folder / "kinect_shared_depth" / "KINECTNODE1" / "depthdata.dat"
    status, out, _ = command("predict", f"{depth}:1:2", "--output", tmp_path / "out", "--save",
                             "jsonl")  # fmt: skip
    assert status == 0 and "in 1 frame" in out
