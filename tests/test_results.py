"""Result files: what is written can be read back, follows the schema, and survives failures."""

from __future__ import annotations

import errno
import io
import json
from pathlib import Path

import numpy as np
import pytest

import residualpose
from residualpose import Camera, DepthFrame, Origin, Poses, ResidualPoseError, UsageError
from residualpose.results import replacing
from residualpose.sinks.journal import JsonlWriter

MODEL = {"name": "base", "sha256": "0" * 64}


def frame(index: int = 0) -> DepthFrame:
    depth_m = np.ones((240, 320), dtype=np.float32)
    return DepthFrame(depth_m, Camera(300, 300, 160, 120), "a.npy", index, time_s=0.5)


def lines_of(path: Path) -> list[dict]:
    def forbid(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    return [json.loads(line, parse_constant=forbid) for line in path.read_text().splitlines()]


def check(value: object, schema: dict, definitions: dict) -> None:
    """Validate the part of JSON Schema that our schema uses."""
    if "$ref" in schema:
        return check(value, definitions[schema["$ref"].removeprefix("#/$defs/")], definitions)
    kinds = {
        "object": dict, "array": list, "string": str, "integer": int, "number": (int, float),
        "null": type(None),
    }  # fmt: skip
    types = schema.get("type", [])
    types = [types] if isinstance(types, str) else types
    assert not types or any(isinstance(value, kinds[kind]) for kind in types), (value, schema)
    assert "const" not in schema or value == schema["const"]
    assert "enum" not in schema or value in schema["enum"]
    if isinstance(value, int | float):
        assert schema.get("minimum", value) <= value <= schema.get("maximum", value)
    if isinstance(value, list):
        assert schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value))
        for item in value:
            check(item, schema.get("items", {}), definitions)
    if isinstance(value, dict):
        assert set(schema.get("required", [])) <= value.keys()
        for key, item in value.items():
            known = schema.get("properties", {}).get(key, schema.get("additionalProperties", {}))
            check(item, known, definitions)


def test_lines_follow_the_shipped_schema(tmp_path: Path, poses: Poses) -> None:
    path = tmp_path / "poses.jsonl"
    with JsonlWriter(path, MODEL) as writer:
        writer.write(frame(), poses)
        writer.write(frame(1), poses[:0])
    schema = json.loads(
        (Path(residualpose.__file__).parent / "results.schema.json").read_text(encoding="utf-8")
    )
    header, *frames = lines_of(path)
    check(header, schema["$defs"]["header"], schema["$defs"])
    for line in frames:
        check(line, schema["$defs"]["frame"], schema["$defs"])
    assert header["schema"] == "residualpose/1"
    assert header["skeleton"]["joints"][0] == "head"
    assert header["model"] == MODEL
    assert header["frame"] == "camera_optical"
    assert [line["frame"] for line in frames] == [0, 1]
    assert frames[1]["persons"] == []
    assert (frames[0]["source"], frames[0]["time_s"]) == ("a.npy", 0.5)
    assert (frames[0]["camera"]["width"], frames[0]["camera"]["height"]) == (320, 240)


def test_people_come_back_to_a_tenth_of_a_millimetre(tmp_path: Path, poses: Poses) -> None:
    path = tmp_path / "poses.jsonl"
    with JsonlWriter(path, MODEL) as writer:
        writer.write(frame(), poses)
    people = lines_of(path)[1]["persons"]
    assert [person["id"] for person in people] == [0, 1]
    joints_m = np.array([person["joints_m"] for person in people], dtype=float)
    joints_px = np.array([person["joints_px"] for person in people], dtype=float)
    np.testing.assert_allclose(joints_m, poses.joints_m, atol=6e-5)
    np.testing.assert_allclose(joints_px, poses.joints_px, atol=6e-3)
    assert people[0]["joints_m"][0] == [None, None, None]
    np.testing.assert_array_equal([person["origin"] for person in people], poses.origin)


def test_nothing_is_on_disk_before_the_run_ends(tmp_path: Path, poses: Poses) -> None:
    path = tmp_path / "poses.jsonl"
    with JsonlWriter(path, MODEL) as writer:
        writer.write(frame(), poses)
        assert not path.exists()
    assert [p.name for p in tmp_path.iterdir()] == ["poses.jsonl"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ResidualPoseError, ZeroDivisionError])
def test_a_broken_run_keeps_its_complete_lines(
    tmp_path: Path, poses: Poses, error: type[BaseException]
) -> None:
    path = tmp_path / "poses.jsonl"
    with pytest.raises(error), JsonlWriter(path, MODEL) as writer:
        writer.write(frame(), poses)
        raise error
    assert len(lines_of(path)) == 2


def test_a_broken_run_leaves_earlier_results_alone(tmp_path: Path, poses: Poses) -> None:
    path = tmp_path / "poses.jsonl"
    path.write_text("earlier")
    with pytest.raises(KeyboardInterrupt), JsonlWriter(path, MODEL, overwrite=True) as writer:
        writer.write(frame(), poses)
        raise KeyboardInterrupt
    assert path.read_text() == "earlier"
    assert len(lines_of(tmp_path / "poses.partial.jsonl")) == 2
    assert len(list(tmp_path.iterdir())) == 2


class FullDisk(io.FileIO):
    """A file on a disk that takes `room` bytes."""

    room = 6000

    def write(self, data: bytes) -> int:  # type: ignore[override]
        taken = super().write(bytes(data)[: max(self.room - self.tell(), 0)])
        if taken < len(data):
            raise OSError(errno.ENOSPC, "No space left on device")
        return taken


@pytest.mark.parametrize("room", [0, 100, 1000, 4000, 6000])
def test_a_full_disk_leaves_whole_lines_or_nothing(
    tmp_path: Path, poses: Poses, room: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def open_full(path: Path, mode: str) -> io.BufferedWriter:
        disk = FullDisk(path, mode)
        disk.room = room
        return io.BufferedWriter(disk, 16)

    monkeypatch.setattr("residualpose.sinks.journal._open_file", open_full)
    writer = JsonlWriter(tmp_path / "poses.jsonl", MODEL)
    with (
        pytest.raises(ResidualPoseError, match=r"poses\.jsonl: cannot be written \(No space"),
        writer,
    ):
        for index in range(9):
            writer.write(frame(index), poses)
    left = [p.name for p in tmp_path.iterdir()]
    assert left == (["poses.jsonl"] if writer.frames else [])
    if writer.frames:
        assert len(lines_of(tmp_path / "poses.jsonl")) == 1 + writer.frames
    assert (writer.frames > 0) == (room >= 4000)


def test_a_run_without_frames_leaves_no_trace(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), JsonlWriter(tmp_path / "poses.jsonl", MODEL):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_earlier_results_are_replaced_only_on_request(tmp_path: Path, poses: Poses) -> None:
    path = tmp_path / "poses.jsonl"
    path.write_text("earlier")
    with pytest.raises(UsageError, match=r"poses\.jsonl.*--overwrite"):
        JsonlWriter(path, MODEL)
    with JsonlWriter(path, MODEL, overwrite=True) as writer:
        writer.write(frame(), poses)
        assert path.read_text() == "earlier"
    assert len(lines_of(path)) == 2


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    path.write_text("earlier")
    with pytest.raises(ZeroDivisionError), replacing(path) as stream:
        stream.write(b"half")
        raise ZeroDivisionError
    assert path.read_text() == "earlier"
    assert [p.name for p in tmp_path.iterdir()] == ["picture.png"]
    with pytest.raises(ResidualPoseError, match="cannot be written"), replacing(path / "x"):
        pass


def test_save_writes_one_json(tmp_path: Path, poses: Poses) -> None:
    data = json.loads(poses.save(tmp_path / "out.json").read_text())
    assert data["schema"] == "residualpose/1"
    assert data["skeleton"]["name"] == "itop15"
    assert data["camera"]["fx"] == 300
    assert len(data["persons"]) == 2
    with pytest.raises(UsageError, match=r"\.json"):
        poses.save(tmp_path / "out.csv")
    with pytest.raises(ResidualPoseError, match="cannot be written"):
        poses.save(tmp_path / "nowhere" / "out.json")


def test_coco_says_what_was_seen(poses: Poses) -> None:
    first, second = poses.to_coco(image_id=7)
    keypoints = np.array(first["keypoints"]).reshape(15, 3)
    assert first["image_id"] == 7
    assert first["category_id"] == 1
    assert keypoints[0].tolist() == [0, 0, 0]
    assert keypoints[1, 2] == 1
    assert keypoints[2].tolist() == [0, 0, 0], "a guess without a pixel has no place in an image"
    assert (keypoints[3:, 2] == 2).all()
    np.testing.assert_allclose(keypoints[3:, :2], poses.joints_px[0, 3:], atol=6e-3)
    assert first["num_keypoints"] == 13
    assert second["num_keypoints"] == 15
    assert second["score"] == pytest.approx(0.4)
    assert poses.origin[0, 2] == Origin.PRIOR
    assert poses[:0].to_coco() == []
