"""What is made of a journal says the same as the journal, read by other people's libraries."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from residualpose import Camera, DepthFrame, Origin, Poses, ResidualPoseError, open_source
from residualpose.sinks.c3d import WORLD_CAMERA as C3D_WORLD_CAMERA
from residualpose.sinks.c3d import write_c3d
from residualpose.sinks.coco import write_coco
from residualpose.sinks.csv_table import write_csv
from residualpose.sinks.gif import write_gif
from residualpose.sinks.journal import JsonlWriter
from residualpose.sinks.openpose import write_openpose
from residualpose.sinks.run import Run
from residualpose.sinks.trc import WORLD_CAMERA as TRC_WORLD_CAMERA
from residualpose.sinks.trc import write_trc
from residualpose.sinks.video import write_mp4
from residualpose.skeleton import ITOP15

CAMERA = Camera(60, 60, 31.5, 23.5)
STEPS = (0, 1, 2, 4, 5)
"""Steps of 20 Hz at which there is a frame; the fourth was lost."""


def people(step: int) -> Poses:
    """Two people, one of them without a head, and nobody in the third frame."""
    rng = np.random.default_rng(step)
    joints_m = rng.normal([0, 0, 2], [0.2, 0.4, 0.05], (2, 15, 3))
    origin = np.full((2, 15), Origin.MEASURED)
    joints_m[0, 0], origin[0, 0] = np.nan, Origin.ABSENT
    poses = Poses(
        CAMERA.project(joints_m), joints_m, np.full((2, 15), 0.8), np.full(2, 0.9), origin,
        np.full((2, 15, 3, 3), 1e-4), CAMERA,
    )  # fmt: skip
    return poses[:0] if step == 2 else poses


@pytest.fixture
def run(tmp_path: Path) -> Run:
    source = tmp_path / "walk.npz"
    np.savez(source, depth_mm=np.full((5, 49, 64), 2000, np.uint16), K=CAMERA.K,
             time_s=7 + np.array(STEPS) / 20)  # fmt: skip
    with JsonlWriter(tmp_path / "poses.jsonl", {"name": "fake", "sha256": "0"}) as journal:
        for frame, step in zip(open_source(source), STEPS, strict=True):
            journal.write(frame, people(step))
    return Run(tmp_path / "poses.jsonl", tuple(open_source(source).split()))


def test_the_journal_comes_back(run: Run) -> None:
    records = list(run.frames())
    assert [record.index for record in records] == [0, 1, 2, 3, 4]
    assert [record.time_s for record in records] == pytest.approx([7 + s / 20 for s in STEPS])
    assert records[2].ids == ()
    for record, step in zip(records, STEPS, strict=True):
        np.testing.assert_allclose(record.poses.joints_m, people(step).joints_m, atol=6e-5)
        np.testing.assert_allclose(record.poses.joints_px, people(step).joints_px, atol=6e-3)
    np.testing.assert_array_equal(records[0].poses.camera.K, CAMERA.K)


def test_csv_has_a_row_a_joint(run: Run, tmp_path: Path) -> None:
    write_csv(run, tmp_path / "poses")
    with (tmp_path / "poses.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 4 * 2 * 15
    assert rows[0]["joint"] == "head"
    assert (rows[0]["x_m"], rows[0]["x_px"], rows[0]["origin"]) == ("", "", "absent")
    neck = rows[1]
    assert (neck["person"], neck["frame"], neck["origin"]) == ("0", "0", "measured")
    found = [float(neck[key]) for key in ("x_m", "y_m", "z_m")]
    np.testing.assert_allclose(found, people(0).joints_m[0, 1], atol=6e-5)


def test_coco_opens_in_a_coco_library(run: Run, tmp_path: Path) -> None:
    coco = pytest.importorskip("faster_coco_eval", reason="needs the eval extra")
    write_coco(run, tmp_path / "poses")
    data = coco.COCO(str(tmp_path / "poses.coco.json"))
    assert len(data.getImgIds()) == 5
    assert data.loadCats([1])[0]["keypoints"] == list(ITOP15.joints)
    first, second = data.loadAnns(data.getAnnIds(imgIds=[1]))
    assert first["num_keypoints"] == 14
    assert (first["track_id"], second["track_id"]) == (0, 1)
    keypoints = np.array(second["keypoints"]).reshape(15, 3)
    np.testing.assert_allclose(keypoints[:, :2], people(0).joints_px[1], atol=6e-3)
    low = people(0).joints_px[1].min(0)
    np.testing.assert_allclose(second["bbox"][:2], low, atol=0.02)
    assert data.getAnnIds(imgIds=[3]) == []


def test_openpose_has_a_file_a_frame_in_its_order(run: Run, tmp_path: Path) -> None:
    write_openpose(run, tmp_path / "poses")
    files = sorted((tmp_path / "poses_openpose").iterdir())
    assert [file.name for file in files][:2] == [
        "walk_000000000000_keypoints.json", "walk_000000000001_keypoints.json",
    ]  # fmt: skip
    assert len(files) == 5
    first, second = json.loads(files[0].read_text())["people"]
    flat = np.array(second["pose_keypoints_2d"]).reshape(25, 3)
    truth = people(0).joints_px[1]
    np.testing.assert_allclose(flat[4, :2], truth[ITOP15.index("right_hand")], atol=6e-3)
    middle = (truth[ITOP15.index("right_hip")] + truth[ITOP15.index("left_hip")]) / 2
    np.testing.assert_allclose(flat[8, :2], middle, atol=2e-2)
    assert (flat[0] == 0).all(), "the head's centre is no nose"
    assert (flat[15:] == 0).all()
    assert np.array(first["pose_keypoints_3d"]).shape == (100,)
    assert json.loads(files[2].read_text())["people"] == []
    write_openpose(run, tmp_path / "poses")
    assert len(list((tmp_path / "poses_openpose").iterdir())) == 5


def test_c3d_keeps_units_rate_and_gaps(run: Run, tmp_path: Path) -> None:
    ezc3d = pytest.importorskip("ezc3d", reason="needs the mocap extra")
    write_c3d(run, tmp_path / "poses")
    file = ezc3d.c3d(str(tmp_path / "poses_walk.c3d"))
    parameters = file["parameters"]["POINT"]
    assert parameters["RATE"]["value"][0] == pytest.approx(20)
    assert parameters["UNITS"]["value"] == ["mm"]
    assert parameters["LABELS"]["value"][:2] == ["p0:head", "p0:neck"]
    points = file["data"]["points"][:3].transpose(2, 1, 0).reshape(6, 2, 15, 3)
    for step in range(6):
        if step in (2, 3):
            assert np.isnan(points[step]).all()
        else:
            joints_m = points[step] / 1000 @ C3D_WORLD_CAMERA
            np.testing.assert_allclose(joints_m, people(step).joints_m, atol=6e-5)


def test_worlds_are_turned_not_mirrored() -> None:
    for rotation in (C3D_WORLD_CAMERA, TRC_WORLD_CAMERA):
        np.testing.assert_array_equal(rotation @ rotation.T, np.eye(3))
        assert np.linalg.det(rotation) == pytest.approx(1)
    up_camera, to_camera, persons_right = [0, -1, 0], [0, 0, -1], [-1, 0, 0]
    np.testing.assert_array_equal(C3D_WORLD_CAMERA @ up_camera, [0, 0, 1])
    np.testing.assert_array_equal(TRC_WORLD_CAMERA @ up_camera, [0, 1, 0])
    np.testing.assert_array_equal(TRC_WORLD_CAMERA @ to_camera, [1, 0, 0])
    np.testing.assert_array_equal(TRC_WORLD_CAMERA @ persons_right, [0, 0, 1])


def test_trc_opens_in_opensim(run: Run, tmp_path: Path) -> None:
    opensim = pytest.importorskip("opensim", reason="needs the opensim wheel", exc_type=ImportError)
    write_trc(run, tmp_path / "poses")
    assert sorted(p.name for p in tmp_path.glob("*.trc")) == [
        "poses_walk_p0.trc", "poses_walk_p1.trc",
    ]  # fmt: skip
    table = opensim.TimeSeriesTableVec3(str(tmp_path / "poses_walk_p0.trc"))
    assert list(table.getColumnLabels()) == list(ITOP15.joints)
    assert table.getTableMetaDataString("Units") == "m"
    assert float(table.getTableMetaDataString("DataRate")) == pytest.approx(20)
    np.testing.assert_allclose(table.getIndependentColumn(), np.arange(6) / 20, atol=1e-6)
    flat = table.flatten()  # kept: the matrix is a view of it
    matrix = flat.getMatrix()
    values = matrix.to_numpy().copy()
    for step in range(6):
        row = values[step].reshape(15, 3) @ TRC_WORLD_CAMERA
        if step in (2, 3):
            assert np.isnan(row).all()
        else:
            np.testing.assert_allclose(row, people(step).joints_m[0], atol=6e-5)


def test_trc_has_a_column_for_every_value(run: Run, tmp_path: Path) -> None:
    write_trc(run, tmp_path / "poses")
    lines = (tmp_path / "poses_walk_p0.trc").read_text().splitlines()
    assert lines[2].split("\t") == ["20", "20", "6", "15", "m", "20", "1", "6"]
    for line in lines[6:]:
        assert len(line.removesuffix("\t").split("\t")) == 2 + 3 * 15
    neck = np.array(lines[6].split("\t")[5:8], float) @ TRC_WORLD_CAMERA
    np.testing.assert_allclose(neck, people(0).joints_m[0, 1], atol=6e-5)
    assert lines[6].split("\t")[2:5] == ["", "", ""]


def test_mp4_has_the_frames_at_their_times(run: Run, tmp_path: Path) -> None:
    av = pytest.importorskip("av", reason="needs the video extra")
    write_mp4(run, tmp_path / "poses")
    with av.open(str(tmp_path / "poses_walk.mp4")) as video:
        frames = list(video.decode(video=0))
    assert [frame.time for frame in frames] == pytest.approx([s / 20 for s in STEPS], abs=1e-3)
    assert (frames[0].width, frames[0].height) == (64, 48)
    from residualpose.drawing.overlay import draw_overlay

    drawn = draw_overlay(np.full((49, 64), 2, np.float32), people(0))[:48]
    found = frames[0].to_ndarray(format="rgb24")
    assert np.abs(drawn.astype(float) - found).mean() < 12


def test_gif_has_the_frames_and_how_long_they_last(run: Run, tmp_path: Path) -> None:
    from PIL import Image

    write_gif(run, tmp_path / "poses")
    with Image.open(tmp_path / "poses_walk.gif") as picture:
        shown_ms = []
        for number in range(picture.n_frames):
            picture.seek(number)
            shown_ms.append(picture.info["duration"])
    assert shown_ms == [50, 50, 100, 50, 30]
    assert picture.size == (320, 245)


def test_a_gif_keeps_the_colours_of_its_people(run: Run, tmp_path: Path) -> None:
    from PIL import Image

    from residualpose.drawing.overlay import draw_film_frame

    write_gif(run, tmp_path / "poses")
    drawn = draw_film_frame(np.full((49, 64), 2, np.float32), people(0), 320 / 64).astype(float)
    with Image.open(tmp_path / "poses_walk.gif") as picture:
        found = np.asarray(picture.convert("RGB")).astype(float)
    difference = np.abs(drawn - found).max(-1)
    assert np.median(difference) < 12
    assert (difference > 60).mean() < 0.02


def test_pictures_need_the_recording(run: Run, tmp_path: Path) -> None:
    (tmp_path / "walk.npz").unlink()
    with pytest.raises(ResidualPoseError, match=r"walk\.npz"):
        write_gif(run, tmp_path / "poses")
    assert list(tmp_path.glob("*.gif")) == []


def test_images_of_a_folder_are_one_sequence(tmp_path: Path) -> None:
    depth_m = np.ones((24, 32), np.float32)
    with JsonlWriter(tmp_path / "poses.jsonl", {"name": "fake", "sha256": "0"}) as journal:
        for name in ("walk/0.png", "walk/1.png", "sit/0.png", "run.npz", "run.npz"):
            index = journal.frames - 3 if name == "run.npz" else 0
            journal.write(DepthFrame(depth_m, CAMERA, name, index), people(0))
    names = Run(tmp_path / "poses.jsonl").sequence_names()
    assert names == {"walk/0.png": "walk", "walk/1.png": "walk", "sit/0.png": "sit",
                     "run.npz": "run"}  # fmt: skip
    write_trc(Run(tmp_path / "poses.jsonl"), tmp_path / "poses")
    assert (tmp_path / "poses_walk_p0.trc").read_text().splitlines()[2].startswith("30\t30\t2\t15")
