"""The plain format: what goes in comes out, and what is broken is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from residualpose import Camera, DepthFrame, ResidualPoseError, UsageError
from residualpose.datasets import open_dataset
from residualpose.datasets.plain_writer import PlainWriter
from residualpose.skeleton import ITOP15, PANOPTIC15

Command = Callable[..., tuple[int, str, str]]
CAMERA = Camera(70.0, 71.0, 39.0, 30.0, (0.05, -0.1, 0.001, 0.0, 0.02))


def depth_of(joints_m: np.ndarray) -> np.ndarray:
    """A wall at 4 m, and a body of blobs around some joints."""
    depth = np.full((60, 80), 4.0, np.float32)
    v, u = np.mgrid[:60, :80]
    for x, y in CAMERA.project(joints_m).reshape(-1, 2):
        depth[np.hypot(u - x, v - y) < 4] = joints_m[..., 2].mean() - 0.05
    return depth


@pytest.fixture
def recording(tmp_path: Path, standing_m: np.ndarray) -> Path:
    """Three labelled frames, of which one shows nobody, and one without labels."""
    folder = tmp_path / "recording"
    first = standing_m[None] * [0.9, 0.9, 1]
    whole = first + [0.2, 0, 0.3]
    second = np.where(np.arange(15)[:, None] == 3, np.nan, whole)
    with PlainWriter(folder) as writer:
        bodies = first, first[:0], whole, first[:0]
        for i, joints_m in enumerate((first, None, second, first[:0])):
            frame = DepthFrame(depth_of(bodies[i]), CAMERA, time_s=i / 30)
            visible = np.ones((1, 15), bool) if i == 0 else None
            writer.add(frame, joints_m, visible, sensor="time_of_flight" if i else "")
    return folder


def test_what_is_written_is_read(recording: Path, standing_m: np.ndarray) -> None:
    dataset = open_dataset(recording)
    assert (dataset.kind, len(dataset), dataset.skeleton) == ("plain", 3, ITOP15)
    first, second, nobody = dataset.frames()
    np.testing.assert_allclose(first.joints_m[0], standing_m * [0.9, 0.9, 1], atol=1e-4)
    np.testing.assert_allclose(first.depth_m, depth_of(first.joints_m), atol=6e-4)
    assert first.camera.to_dict() == {**CAMERA.to_dict(), "name": "camera.json"}
    assert first.visible.all() and not second.visible[0, 3] and second.visible[0, :3].all()
    assert np.isnan(second.joints_m[0, 3]).all() and second.sensor == "time_of_flight"
    assert nobody.joints_m.shape == (0, 15, 3) and nobody.visible.shape == (0, 15)
    assert second.frame.time_s == pytest.approx(2 / 30)
    assert [s.frame.time_s for s in dataset.frames([2, 0])] == pytest.approx([0.1, 0.0])


def test_joints_are_known_by_name(recording: Path, standing_m: np.ndarray) -> None:
    path = recording / "labels.jsonl"
    header, *lines = map(json.loads, path.read_text().splitlines())
    header["skeleton"]["joints"].reverse()
    for line in lines:
        for person in line["persons"] or ():
            person["joints_m"].reverse()
    path.write_text("\n".join(map(json.dumps, (header, *lines))))
    sample = next(open_dataset(recording).frames())
    np.testing.assert_allclose(sample.joints_m[0], standing_m * [0.9, 0.9, 1], atol=1e-4)


def test_panoptics_joints_stay_what_they_are(tmp_path: Path, standing_m: np.ndarray) -> None:
    with PlainWriter(tmp_path / "p", PANOPTIC15, one_person=True) as writer:
        writer.add(DepthFrame(depth_of(standing_m), CAMERA), standing_m[None])
    dataset = open_dataset(tmp_path / "p")
    assert dataset.skeleton == PANOPTIC15 and dataset.one_person


def test_a_killed_recording_keeps_its_frames(tmp_path: Path, standing_m: np.ndarray) -> None:
    writer = PlainWriter(tmp_path / "killed")
    writer.add(DepthFrame(depth_of(standing_m), CAMERA), standing_m[None])
    assert len(open_dataset(tmp_path / "killed")) == 1  # nobody closed it
    with pytest.raises(UsageError, match=r"labels\.jsonl: already there"):
        PlainWriter(tmp_path / "killed")
    with pytest.raises(UsageError, match="frame 1 has another camera or size than the first"):
        writer.add(DepthFrame(depth_of(standing_m), Camera(70, 70, 40, 30)))
    with pytest.raises(ValueError, match="expected"):
        writer.add(DepthFrame(depth_of(standing_m), CAMERA), standing_m)


def replace_line(folder: Path, number: int, change: Callable[[dict[str, Any]], None]) -> None:
    path = folder / "labels.jsonl"
    lines = path.read_text().splitlines()
    data = json.loads(lines[number])
    change(data)
    lines[number] = json.dumps(data)
    path.write_text("\n".join(lines))


def joint(value: object) -> Callable[[dict[str, Any]], None]:
    return lambda line: line["persons"][0]["joints_m"].__setitem__(4, value)


@pytest.mark.parametrize(
    ("number", "change", "message"),
    [(1, joint([float("nan"), 0, 2]), "line 2: expected a JSON object, found NaN, which is no num"),
     (1, joint([1.0, 2.0]), r"line 2: expected each joint as \[x, y, z\]"),
     (1, joint("left"), r"line 2: expected each joint as \[x, y, z\]"),
     (3, lambda line: line["persons"][0]["joints_m"].pop(), "line 4: expected joints_m of 15 joi"),
     (1, lambda line: line["persons"][0].update(visible=[True]), "line 2: expected visible with"),
     (1, lambda line: line.update(persons=3), "line 2: expected persons as a list"),
     (1, lambda line: line.pop("depth"), "line 2: expected depth, the name of an image"),
     (0, lambda line: line.update(schema="x"), "expected a first line with"),
     (0, lambda line: line.update(depth_unit_m="mm"), "line 1: expected depth_unit_m in metres"),
     (0, lambda line: line.update(skeleton="coco17"), "line 1: expected a skeleton described"),
     (0, lambda line: line["skeleton"]["joints"].pop(), "15 different joint names")],
)  # fmt: skip
def test_broken_lines_are_named(
    recording: Path, number: int, change: Callable[[Any], None], message: str
) -> None:
    replace_line(recording, number, change)
    with pytest.raises(ResidualPoseError, match=message):
        open_dataset(recording)


def test_a_visible_label_outside_the_frame_is_told(recording: Path, command: Command) -> None:
    replace_line(recording, 1, joint([-3.0, 0.0, 2.0]))
    status, out, _ = command("data", "check", recording)
    assert status == 1
    assert "1 labels lie outside the frame of 80x60, first right_elbow in 000000.png" in out
    replace_line(recording, 1, joint([0.0, 0.0, -2.0]))
    assert "right_elbow in 000000.png, behind the camera" in command("data", "check", recording)[1]


def test_images_are_checked(recording: Path, command: Command) -> None:
    Image.fromarray(np.ones((50, 80), np.uint16)).save(recording / "000000.png")
    (recording / "000002.png").unlink()
    status, out, _ = command("data", "check", recording)
    assert status == 1
    assert "1 images are not there, first 000002.png" in out
    assert "000000.png: expected 80x60, as in camera.json, found 80x50" in out


def test_a_wrong_unit_is_noticed(recording: Path, command: Command) -> None:
    replace_line(recording, 0, lambda line: line.update(depth_unit_m=0.01))
    status, out, _ = command("data", "check", recording)
    assert status == 1 and "the median depth is no room's in metres" in out


@pytest.mark.parametrize("text", [None, "{}", '{"fx": 1, "fy": 1, "cx": 1, "cy": 1}', "no"])
def test_a_missing_or_incomplete_camera_is_named(
    recording: Path, text: str | None, command: Command
) -> None:
    path = recording / "camera.json"
    path.unlink() if text is None else path.write_text(text)
    status, _, err = command("data", "check", recording)
    assert status in (1, 2) and "camera.json: expected" in err and err.count("\n") == 1


def test_no_labelled_frame_is_an_error(recording: Path, command: Command) -> None:
    for number in (1, 3, 4):
        replace_line(recording, number, lambda line: line.update(persons=None))
    status, _, err = command("data", "check", recording)
    assert status == 1 and "expected labelled frames, found none in 4 lines" in err


def test_by_command(recording: Path, command: Command, tmp_path: Path) -> None:
    status, out, err = command("data", "check", recording)
    assert (status, err) == (0, "")
    assert "4, 3 of them labelled" in out and "2, 0.7 a frame; 29 joints" in out
    json_file = tmp_path / "r.json"
    assert command("eval", recording, "--json", json_file)[0] == 0
    report = json.loads(json_file.read_text())
    assert (report["frames"], report["people"]) == (3, 2)
    assert "protocol" not in report
    status, out, _ = command("predict", recording, "--output", tmp_path / "out", "--save", "jsonl")
    assert status == 0 and "in 4 frames" in out
