"""A skeleton is data: a model folder brings its own, and every stage speaks of its joints."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from residualpose import Camera, PoseEstimator, ResidualPoseError, UsageError
from residualpose.cli.main import main
from residualpose.datasets.plain_writer import PlainWriter
from residualpose.frames import DepthFrame
from residualpose.model import WEIGHTS, ModelFolder
from residualpose.skeleton import ITOP15, PANOPTIC15, Skeleton, mirror_of

SAMPLE = WEIGHTS.parent / "samples" / "structured_light_one.npz"


@pytest.fixture
def model(tmp_path: Path) -> Callable[[object], Path]:
    """The bundled model with another skeleton on its card."""

    def make(skeleton: object) -> Path:
        folder = tmp_path / "panoptic"
        shutil.copytree(WEIGHTS / "base", folder)
        card = json.loads((folder / "card.json").read_text())
        (folder / "card.json").write_text(json.dumps({**card, "skeleton": skeleton}))
        return folder

    return make


def test_both_skeletons_are_on_one_tree() -> None:
    assert PANOPTIC15.limbs == ITOP15.limbs and PANOPTIC15.index("mid_hip") == 8
    for skeleton in (ITOP15, PANOPTIC15):
        assert mirror_of(skeleton.joints) == skeleton.mirror
        assert Skeleton.from_json(skeleton.to_dict()) == skeleton
        assert Skeleton.from_json(skeleton.name) is skeleton


@pytest.mark.parametrize("stored", ["panoptic15", PANOPTIC15.to_dict()])
def test_a_card_says_which_skeleton(model: Callable[[object], Path], stored: object) -> None:
    assert ModelFolder.open(model(stored)).skeleton == PANOPTIC15
    assert ModelFolder.open().skeleton == ITOP15


@pytest.mark.parametrize(
    "stored", ["coco17", 3, {"name": "x", "joints": ["a"]}, {**ITOP15.to_dict(), "limbs": [[0, 1]]}]
)
def test_a_skeleton_that_does_not_fit_is_named(
    model: Callable[[object], Path], stored: object
) -> None:
    with pytest.raises(ResidualPoseError, match=r"card\.json: .*expected"):
        ModelFolder.open(model(stored))


def test_joints_of_another_skeleton_are_not_moved(model: Callable[[object], Path]) -> None:
    with pytest.raises(UsageError, match="are those of panoptic15 already"):
        PoseEstimator(model("panoptic15"), convention="panoptic")


def test_predict_and_eval_follow_the_skeleton(
    model: Callable[[object], Path], tmp_path: Path, standing_m: np.ndarray
) -> None:
    folder, out = model("panoptic15"), tmp_path / "out"
    camera = "285.7,285.7,159.5,119.5"
    arguments = ["predict", SAMPLE, "--model", folder, "--output", out, "--camera", camera]
    assert main([str(argument) for argument in arguments]) == 0
    header = json.loads((out / "poses.jsonl").read_text().splitlines()[0])
    assert header["skeleton"] == PANOPTIC15.to_dict()
    assert len(list(out.glob("*.png"))) == 3
    page = next(out.glob("*.html")).read_text()
    assert "mid_hip" in page and "right_wrist" in page

    with np.load(SAMPLE) as stored:
        depth_m = stored["depth_mm"] / np.float32(1000)
    frame = DepthFrame(depth_m, Camera.parse(camera))
    poses = PoseEstimator(folder)(frame)
    assert poses.skeleton == PANOPTIC15 and poses.joint("nose").shape == (len(poses), 3)
    with PlainWriter(tmp_path / "data", PANOPTIC15) as writer:
        writer.add(frame, poses.joints_m)
    scores, page_file = tmp_path / "s.json", tmp_path / "s.html"
    arguments = [
        "eval",
        tmp_path / "data",
        "--model",
        folder,
        "--json",
        scores,
        "--html",
        page_file,
    ]
    assert main([str(argument) for argument in arguments]) == 0
    joints = json.loads(scores.read_text())["stages"]["refined"]["pck10_joint"]
    assert tuple(joints) == PANOPTIC15.joints and set(joints.values()) == {1.0}
    assert "right wrist" in page_file.read_text()
