"""Model folders: complete and unharmed, or one sentence that says what is wrong."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from residualpose.errors import ResidualPoseError, UsageError
from residualpose.model import WEIGHTS, ModelFolder, sha256_of

FILES = ("closer.onnx", "maps.onnx", "prior.npz", "refiner.onnx")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model folder in form; its files are no networks."""
    model = tmp_path / "mine"
    model.mkdir()
    for file in FILES:
        (model / file).write_bytes(file.encode())
    card = {
        "name": "mine", "focal_px": 144.0, "stride": 2, "summary": "a test",
        "sha256": {file: sha256_of(model / file) for file in FILES},
    }  # fmt: skip
    (model / "card.json").write_text(json.dumps(card))
    return model


@pytest.mark.parametrize("kind", [str, Path])
def test_a_folder_by_path(folder: Path, kind: type) -> None:
    model = ModelFolder.open(kind(folder))
    assert (model.name, model.focal_px, model.stride) == ("mine", 144.0, 2)
    assert model.path == folder and model.card["summary"] == "a test"


def test_another_file_makes_another_model(folder: Path) -> None:
    sums = "".join(f"{sha256_of(folder / file)}  {file}\n" for file in FILES)
    before = ModelFolder.open(folder).sha256
    assert before == hashlib.sha256(sums.encode()).hexdigest()
    card = json.loads((folder / "card.json").read_text())
    (folder / "refiner.onnx").write_bytes(b"residuals")
    card["sha256"]["refiner.onnx"] = sha256_of(folder / "refiner.onnx")
    (folder / "card.json").write_text(json.dumps(card))
    assert ModelFolder.open(folder).sha256 != before


def test_an_unknown_name_lists_what_there_is() -> None:
    with pytest.raises(UsageError, match="no model 'huge'") as caught:
        ModelFolder.open("huge")
    for card in WEIGHTS.glob("*/card.json"):
        assert card.parent.name in str(caught.value)


@pytest.mark.parametrize("file", FILES)
def test_a_changed_file_is_found_by_its_checksum(folder: Path, file: str) -> None:
    (folder / file).write_bytes(b"other")
    with pytest.raises(ResidualPoseError, match=rf"{file}.*sha256"):
        ModelFolder.open(folder)


@pytest.mark.parametrize("file", FILES)
def test_a_missing_file_is_named(folder: Path, file: str) -> None:
    (folder / file).unlink()
    with pytest.raises(ResidualPoseError, match=file):
        ModelFolder.open(folder)


def test_a_folder_without_a_card(folder: Path) -> None:
    (folder / "card.json").unlink()
    with pytest.raises(ResidualPoseError, match=r"card\.json"):
        ModelFolder.open(folder)


@pytest.mark.parametrize(
    "card",
    [
        "no json", "[]", "3", "null", "{}", '{"name": "x", "focal_px": 1, "stride": 2}',
        '{"name": "x", "focal_px": 1, "stride": 2, "sha256": null}',
        '{"name": "x", "focal_px": 1, "stride": 2, "sha256": {}}',
        '{"name": "x", "focal_px": "far", "stride": 2, "sha256": {SUMS}}',
    ],
)  # fmt: skip
def test_a_bad_card_is_an_error_in_one_line(folder: Path, card: str) -> None:
    sums = json.dumps({file: sha256_of(folder / file) for file in FILES})
    (folder / "card.json").write_text(card.replace("{SUMS}", sums))
    with pytest.raises(ResidualPoseError, match=r"card\.json") as caught:
        ModelFolder.open(folder)
    assert "\n" not in str(caught.value)


def test_a_card_may_not_point_out_of_its_folder(folder: Path) -> None:
    card = json.loads((folder / "card.json").read_text())
    card["sha256"]["../other.onnx"] = "0" * 64
    (folder / "card.json").write_text(json.dumps(card))
    with pytest.raises(ResidualPoseError):
        ModelFolder.open(folder)


def test_closer_looks_are_of_a_network_of_their_own(folder: Path) -> None:
    assert ModelFolder.open(folder).closer_path == folder / "closer.onnx"
    card = json.loads((folder / "card.json").read_text())
    del card["sha256"]["closer.onnx"]
    (folder / "card.json").write_text(json.dumps(card))
    assert ModelFolder.open(folder).closer_path is None
