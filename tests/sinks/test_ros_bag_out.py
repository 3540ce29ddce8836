"""Bags of people, read back by rosbags: REP 155's topics, with the numbers of the journal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from residualpose import Camera, DepthFrame, Origin, Poses
from residualpose.drawing.palette import person_rgb
from residualpose.sinks.journal import JsonlWriter
from residualpose.sinks.rep155 import SKELETON_2D
from residualpose.sinks.ros_bag import write_db3, write_mcap
from residualpose.sinks.run import Run
from residualpose.skeleton import ITOP15

pytest.importorskip("rosbags", reason="needs the ros extra")

from rosbags.highlevel import AnyReader

CAMERA = Camera(60, 60, 31.5, 23.5)
SIZE = np.array([64, 48])
TIMES_S = (1700000000.25, 1700000000.5, 1700000000.75)
STANDING = np.array([
    [0, -0.75, 3], [0, -0.5, 3], [-0.2, -0.48, 3], [0.2, -0.48, 3], [-0.45, -0.3, 3],
    [0.45, -0.3, 3], [-0.6, -0.1, 2.9], [0.6, -0.1, 2.9], [0, -0.1, 3], [-0.12, 0.1, 3],
    [0.12, 0.1, 3],
    [-0.13, 0.5, 3], [0.13, 0.5, 3], [-0.13, 0.88, 3], [0.13, 0.88, 3],
])  # fmt: skip


def people(step: int) -> Poses:
    """Persons 3 and 8, who face the camera; 8 has no left hand, 3 a guessed right foot."""
    joints_m = np.stack([STANDING, STANDING + [0.4, 0, 0.5]]) + [0.01 * step, 0, 0]
    origin = np.full((2, 15), Origin.MEASURED)
    origin[0, ITOP15.index("right_foot")] = Origin.PRIOR
    hand = ITOP15.index("left_hand")
    joints_m[1, hand], origin[1, hand] = np.nan, Origin.ABSENT
    poses = Poses(
        CAMERA.project(joints_m), joints_m, np.full((2, 15), 0.75), np.full(2, 0.9), origin,
        np.full((2, 15, 3, 3), 1e-4), CAMERA, person_id=np.array([3, 8]),
    )  # fmt: skip
    return poses[:0] if step == 1 else poses


@pytest.fixture
def run(tmp_path: Path) -> Run:
    with JsonlWriter(tmp_path / "poses.jsonl", {"name": "fake", "sha256": "0"}) as journal:
        for step, time_s in enumerate(TIMES_S):
            frame = DepthFrame(np.ones((48, 64), np.float32), CAMERA, "walk.npz", step, time_s)
            journal.write(frame, people(step))
    return Run(tmp_path / "poses.jsonl")


def read(path: Path) -> dict[str, list[tuple[int, Any]]]:
    """(time in ns, message) of every topic, by definitions that are in the bag."""
    found: dict[str, list[tuple[int, Any]]] = {}
    with AnyReader([path]) as bag:
        for connection, time_ns, raw in bag.messages():
            message = bag.deserialize(raw, connection.msgtype)
            found.setdefault(connection.topic, []).append((time_ns, message))
    return found


@pytest.fixture(params=["db3", "mcap"])
def bag(run: Run, tmp_path: Path, request: pytest.FixtureRequest) -> dict[str, list]:
    {"db3": write_db3, "mcap": write_mcap}[request.param](run, tmp_path / "poses")
    folder = tmp_path / f"poses_walk_{request.param}"
    assert {path.name for path in folder.iterdir()} == {
        "metadata.yaml", f"poses_walk_{request.param}.{request.param}",
    }  # fmt: skip
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
    return read(folder)


def test_every_frame_says_who_is_there(bag: dict[str, list]) -> None:
    tracked = bag["/humans/bodies/tracked"]
    assert [time_ns for time_ns, _ in tracked] == [
        1_700_000_000_000_000_000 + ms * 10**6 for ms in (250, 500, 750)
    ]
    assert [message.ids for _, message in tracked] == [["p3", "p8"], [], ["p3", "p8"]]
    stamp = tracked[0][1].header.stamp
    assert (stamp.sec, stamp.nanosec) == (1700000000, 250_000_000)
    assert set(bag) == {"/tf", "/humans/bodies/tracked", "/humans/bodies/markers"} | {
        f"/humans/bodies/{body}/{what}" for body in ("p3", "p8") for what in ("roi", "skeleton2d")
    }


def test_skeletons_are_normalised_and_in_their_order(bag: dict[str, list]) -> None:
    for body, row in (("p3", 0), ("p8", 1)):
        messages = bag[f"/humans/bodies/{body}/skeleton2d"]
        assert len(messages) == 2
        points = np.array([[point.x, point.y, point.c] for point in messages[1][1].skeleton])
        truth = people(2)
        for name, own in (("neck", "neck"), ("right_wrist", "right_hand"), ("left_hip",) * 2):
            expected = (truth.joints_px[row, ITOP15.index(own)] + 0.5) / SIZE
            found = points[SKELETON_2D.index(name)]
            np.testing.assert_allclose(found, [*expected, 0.75], atol=2e-4)
        unknown = ["nose", "left_eye", "right_eye", "left_ear", "right_ear"]
        unknown += ["left_wrist"] if body == "p8" else []
        for number, name in enumerate(SKELETON_2D):
            assert (points[number, 2] == 0) == (name in unknown)


def test_the_region_holds_the_joints_and_no_more(bag: dict[str, list]) -> None:
    _, box = bag["/humans/bodies/p3/roi"][0]
    joints_px = people(0).joints_px[0]
    low, high = np.floor(joints_px.min(0) + 0.5), np.floor(joints_px.max(0) + 1.5)
    assert [box.x_offset, box.y_offset] == low.tolist()
    assert [box.x_offset + box.width, box.y_offset + box.height] == high.tolist()


def test_frames_of_a_body_stand_as_rep_155_says(bag: dict[str, list]) -> None:
    _, message = bag["/tf"][0]
    frames = {one.child_frame_id: one for one in message.transforms}
    body = frames["body_p3"]
    assert body.header.frame_id == "camera_optical_frame"
    turn = body.transform.rotation
    rotation = Rotation.from_quat([turn.x, turn.y, turn.z, turn.w]).as_matrix()
    # Someone who faces the camera: ahead is -z, to their left is the picture's right, up is -y.
    np.testing.assert_allclose(rotation, [[0, 1, 0], [0, 0, -1], [-1, 0, 0]], atol=1e-6)
    origin = np.array([getattr(body.transform.translation, axis) for axis in "xyz"])
    np.testing.assert_allclose(origin, [0, 0.1, 3], atol=1e-4)
    for link, joint in (("head", "head"), ("r_wrist", "right_hand"), ("l_ankle", "left_foot")):
        one = frames[f"{link}_p3"]
        assert one.header.frame_id == "body_p3"
        at = np.array([getattr(one.transform.translation, axis) for axis in "xyz"])
        np.testing.assert_allclose(rotation @ at + origin, STANDING[ITOP15.index(joint)], atol=1e-4)
    assert "l_wrist_p8" not in frames
    assert len(frames) == 2 * 15 - 1


def test_markers_show_who_is_there_now(bag: dict[str, list]) -> None:
    (_, first), (_, nobody), _ = bag["/humans/bodies/markers"]
    assert [marker.action for marker in nobody.markers] == [3], "delete all"
    assert first.markers[0].action == 3
    marks = {(marker.ns, marker.id): marker for marker in first.markers[1:]}
    assert set(marks) == {(ns, i) for ns in ("joints", "limbs", "name") for i in (3, 8)}
    joints = marks["joints", 3]
    points = np.array([[point.x, point.y, point.z] for point in joints.points])
    np.testing.assert_allclose(points, STANDING, atol=1e-4)
    foot = joints.colors[ITOP15.index("right_foot")]
    assert foot.a < 0.5 < joints.colors[0].a == 1
    np.testing.assert_allclose([foot.r, foot.g, foot.b], np.array(person_rgb(3)) / 255, atol=1e-6)
    assert len(marks["limbs", 8].points) == 2 * (14 - 1)
    assert marks["name", 8].text == "p8"


def test_a_second_bag_takes_the_place_of_the_first(run: Run, tmp_path: Path) -> None:
    write_mcap(run, tmp_path / "poses")
    write_mcap(run, tmp_path / "poses")
    assert len(read(tmp_path / "poses_walk_mcap")["/humans/bodies/tracked"]) == 3
