"""ITOP: what its files mean, by rendered people in its layout; what is broken in them."""

from __future__ import annotations

import gzip
import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from residualpose import ResidualPoseError, UsageError
from residualpose.camera import preset
from residualpose.datasets import open_dataset
from residualpose.evaluation.protocols import protocol_table
from residualpose.evaluation.report import evaluate
from residualpose.poses import Poses

h5py = pytest.importorskip("h5py", reason="needs the h5 extra")
Command = Callable[..., tuple[int, str, str]]
LABELS, DEPTH = "ITOP_side_test_labels.h5", "ITOP_side_test_depth_map.h5"


@pytest.fixture
def gzipped(itop: Path) -> Path:
    for path in list(itop.glob("*.h5")):
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    return itop


def change(folder: Path, key: str, rows: Any, value: Any, name: str = LABELS) -> None:
    with h5py.File(folder / name, "r+") as file:
        stored = file[key][...]
        stored[rows] = value
        file[key][...] = stored


@pytest.mark.parametrize("packed", [False, True])
def test_valid_frames_come_back_as_they_were_rendered(
    packed: bool, request: pytest.FixtureRequest, itop_shots: list[Any]
) -> None:
    dataset = open_dataset(request.getfixturevalue("gzipped" if packed else "itop"))
    dataset = pickle.loads(pickle.dumps(dataset)) if not packed else dataset
    assert (dataset.kind, len(dataset), dataset.one_person) == ("itop-side", 3, True)
    assert not dataset.faults()
    for sample, row in zip(dataset.frames([2, 0]), (3, 0), strict=True):
        shot = itop_shots[row]
        np.testing.assert_allclose(sample.joints_m, shot.joints_m, atol=1e-5)
        np.testing.assert_allclose(sample.depth_m, shot.depth_m, rtol=1e-3)
        assert sample.frame.index == row and sample.camera == preset("itop")
        assert (sample.visible == shot.visible).all()


def test_labels_lie_on_the_cloud(itop: Path, command: Command) -> None:
    status, out, err = command("data", "check", itop)
    assert (status, err) == (0, "")
    assert "5, 3 of them valid" in out and "2 (00, 01)" in out
    assert "fx 285.7" in out and "320x240" in out and "nothing is wrong" in out


def test_label_file_or_depth_file_will_do(itop: Path) -> None:
    assert len(open_dataset(itop / LABELS)) == len(open_dataset(itop / DEPTH)) == 3


def test_views_and_splits_are_told_apart(
    itop: Path, itop_shots: list[Any], save_itop: Callable[..., Path]
) -> None:
    save_itop(itop, itop_shots[:3], "side", "train")
    assert len(open_dataset(itop)) == 3 and len(open_dataset(itop, split="train")) == 2
    save_itop(itop, itop_shots[:1], "top", "train")
    with pytest.raises(UsageError, match="both views of ITOP are here"):
        open_dataset(itop)
    assert len(open_dataset(itop, "itop-top")) == 1
    with pytest.raises(UsageError, match=r"ITOP_top_test_depth_map\.h5 and ITOP_top_test_l"):
        open_dataset(itop, "itop-top", "test")


def test_nan_in_a_valid_label_is_named(itop: Path, command: Command) -> None:
    change(itop, "real_world_coordinates", (3, 7), np.nan)
    change(itop, "real_world_coordinates", (1, 2), np.nan)  # not valid: nobody's business
    status, out, _ = command("data", "check", itop)
    assert status == 1
    assert "1 joints of 1 people are no numbers (NaN), first left_hand in frame 01_00004" in out
    status, _, err = command("eval", "--data", "itop-side", itop)
    assert status == 1 and err.count("\n") == 1
    assert "left_hand in frame 01_00004 (row 3), though the frame is valid" in err


def test_a_label_outside_the_frame_is_told(itop: Path, command: Command) -> None:
    change(itop, "real_world_coordinates", (0, 14), [4.0, -1.0, 3.0])
    status, out, _ = command("data", "check", itop)
    assert status == 1
    assert "1 labels lie outside the frame of 320x240 by more than 64 px, first left_foot" in out
    assert "(541, 215)" in out
    assert "image_coordinates and real_world_coordinates more than 5 px apart" in out
    assert "a limb has no human length" in out


def test_labels_of_other_frames_are_noticed(itop: Path, command: Command) -> None:
    with h5py.File(itop / DEPTH, "r+") as file:
        file["data"][0] = np.full((240, 320), 6.0, np.float16)
    status, out, _ = command("data", "check", itop)
    assert status == 1 and "a skeleton lies off the cloud, first ITOP_side_test_depth" in out


def test_no_depth_at_all_is_noticed(itop: Path, command: Command) -> None:
    with h5py.File(itop / DEPTH, "r+") as file:
        file["data"][0] = 0
    status, out, _ = command("data", "check", itop)
    assert status == 1 and "1 of 3 images looked at: no depth reading at all" in out


def test_no_valid_frame_is_an_error(itop: Path, command: Command) -> None:
    change(itop, "is_valid", slice(None), 0)
    status, _, err = command("data", "check", itop)
    assert status == 1 and "found is_valid 0 in all 5 frames" in err and err.count("\n") == 1


def test_lengths_and_ids_have_to_match(
    itop: Path, itop_shots: list[Any], save_itop: Callable[..., Path], tmp_path: Path
) -> None:
    other = save_itop(tmp_path / "other", itop_shots[:3])
    shutil.copy(other / LABELS, itop)
    with pytest.raises(ResidualPoseError, match=r"expected id \(5,\) for the 5 depth .* \(3,\)"):
        open_dataset(itop)
    shutil.copy(other / DEPTH, itop)
    change(itop, "id", 1, b"07_00001")
    with pytest.raises(ResidualPoseError, match="found 07_00001 instead of 00_00011 in row 1"):
        open_dataset(itop)


def test_missing_parts_are_named(itop: Path) -> None:
    with h5py.File(itop / LABELS, "r+") as file:
        del file["visible_joints"]
    with pytest.raises(ResidualPoseError, match="found no visible_joints"):
        open_dataset(itop)
    (itop / LABELS).unlink()
    with pytest.raises(ResidualPoseError, match=r"ITOP_side_test_labels\.h5 or \.h5\.gz beside"):
        open_dataset(itop)


@pytest.mark.parametrize("name", [LABELS, DEPTH])
@pytest.mark.parametrize("keep", [0, 100, 3000])
def test_truncated_files_are_named(itop: Path, name: str, keep: int, command: Command) -> None:
    (itop / name).write_bytes((itop / name).read_bytes()[:keep])
    status, _, err = command("data", "check", itop)
    assert status == 1 and f"{name}: expected" in err and err.count("\n") == 1


def test_a_truncated_gzip_is_named(gzipped: Path, command: Command) -> None:
    path = gzipped / f"{DEPTH}.gz"
    path.write_bytes(path.read_bytes()[:1000])
    status, _, err = command("data", "check", gzipped)
    assert status == 1 and f"{path.name}: expected a gzipped .h5 file" in err


class TruthBut:
    """Finds every labelled person, but some joints 12 cm away, and one not at all."""

    def __init__(self, dataset: Any) -> None:
        self._samples = dataset.frames()

    def explain(self, frame: Any) -> Any:
        from types import SimpleNamespace

        sample = next(self._samples)
        joints_m = sample.joints_m.astype(np.float32)
        joints_m[:, 6] += [0.12, 0, 0]
        joints_m[:, 7] += [0.0999, 0, 0]
        joints_m[:, 13] = np.nan
        ones = np.ones((1, 15))
        poses = Poses(
            frame.camera.project(joints_m), joints_m, ones, np.ones(1), ones,
            np.full((1, 15, 3, 3), 1e-4), frame.camera,
        )  # fmt: skip
        return SimpleNamespace(
            lifted_m=joints_m, completed_m=joints_m, refined_m=joints_m, poses=poses
        )


def test_the_protocol_counts_every_joint_strictly_within_10_cm(itop: Path) -> None:
    from residualpose.evaluation.labelled import of_dataset

    dataset = open_dataset(itop)
    labelled = of_dataset(dataset)
    assert (labelled.kind, len(labelled)) == ("itop-side", 3)
    report = evaluate(TruthBut(dataset), labelled, lambda: None)  # type: ignore[arg-type]
    assert report.stages["refined"].pck10 == pytest.approx(13 / 15)
    table = protocol_table("itop-side", report, "base", "itop")
    ours = dict(zip(table.columns, table.rows[0], strict=True))
    assert ours["method"] == "ours: base, itop convention"
    assert (ours["all"], ours["hands"], ours["feet"], ours["head"]) == (
        "86.7",
        "50.0",
        "50.0",
        "100.0",
    )
    published = {row[0]: row[1] for row in table.rows[1:]}
    assert published["A2J"] == "88.0" and published["V2V-PoseNet"] == "88.7"


def test_by_command(gzipped: Path, command: Command, tmp_path: Path) -> None:
    json_file, page = tmp_path / "r.json", tmp_path / "r.html"
    status, out, _ = command(
        "eval", "--data", "itop-side", gzipped, "--json", json_file, "--html", page
    )
    assert status == 0
    assert "itop-side, 3 valid frames" in out and "V2V-PoseNet" in out and "ours: base" in out
    report = json.loads(json_file.read_text())
    assert report["people"] == report["frames"] == 3
    assert report["protocol"]["rows"][1][:2] == ["random forest", "65.8"]
    assert "V2V-PoseNet" in page.read_text()
    source = f"{gzipped / DEPTH}.gz:0:2"
    assert command("predict", source, "--output", tmp_path / "out", "--save", "jsonl")[0] == 0
    lines = (tmp_path / "out" / "poses.jsonl").read_text().splitlines()
    assert [json.loads(line)["frame"] for line in lines[1:]] == [0, 1]


def test_kinds_are_not_for_the_benchmark(command: Command) -> None:
    status, _, err = command("eval", "benchmark", "--data", "itop-side")
    assert status == 2 and "--data and --split belong to data sets" in err
