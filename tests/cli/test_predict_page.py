"""The page that `predict --track` writes: people have the numbers that the lines give them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import residualpose.estimator
from residualpose import ITOP15, DepthFrame, Origin, Poses, Stages
from residualpose.cli.main import main
from residualpose.drawing.html import MAX_FRAMES

K = np.array([[60.0, 0, 31.5], [0, 60, 23.5], [0, 0, 1]])


@pytest.fixture(autouse=True)
def two_in_changing_order(monkeypatch: pytest.MonkeyPatch, standing_m: np.ndarray) -> None:
    """A model that finds two people who stand still, now one first, now the other."""
    places_m = standing_m + np.array([[[-0.7, 0, 0]], [[0.7, 0, 0]]])

    class Estimator:
        model = SimpleNamespace(name="fake", sha256="f" * 64, skeleton=ITOP15)

        def __init__(self, *_: object, **__: object) -> None:
            pass

        def explain(self, frame: DepthFrame) -> Stages:
            joints_m = places_m[:: 1 if frame.index % 2 else -1].astype(np.float32)
            poses = Poses(
                frame.camera.project(joints_m), joints_m, np.full((2, 15), 0.9), np.full(2, 0.9),
                np.full((2, 15), Origin.MEASURED), np.full((2, 15, 3, 3), np.eye(3) * 1e-4),
                frame.camera,
            )  # fmt: skip
            return Stages(poses.joints_px, *[joints_m] * 3, poses, None)  # type: ignore[arg-type]

    monkeypatch.setattr(residualpose.estimator, "PoseEstimator", Estimator)


def test_a_page_shows_the_numbers_of_the_lines_and_so_many_frames(tmp_path: Path) -> None:
    count = MAX_FRAMES + 5
    np.savez(tmp_path / "walk.npz", depth_mm=np.full((count, 48, 64), 3500, np.uint16), K=K)
    out = tmp_path / "out"
    command = ["predict", str(tmp_path / "walk.npz"), "--track", "--output", str(out)]
    assert main([*command, "--save", "html", "jsonl"]) == 0
    lines = [json.loads(line) for line in (out / "poses.jsonl").read_text().splitlines()[1:]]
    assert len(lines) == count
    found = re.search(r'json">(.*?)</script>', (out / "walk.html").read_text(), re.DOTALL)
    assert found
    page = json.loads(found[1])
    assert len(page["frames"]) == MAX_FRAMES
    assert page["recorded"] == count
    for frame in page["frames"]:
        persons = lines[frame["number"]]["persons"]
        assert [who["id"] for who in frame["people"]] == [who["id"] for who in persons]
        for joints_m, person in zip(frame["stages"][-1]["joints_m"], persons, strict=True):
            assert joints_m[0] == pytest.approx(person["joints_m"][0], abs=1e-3)
    left = {frame["people"][i]["id"] for frame in page["frames"] for i in range(2)
            if frame["stages"][-1]["joints_m"][i][0][0] < 0}  # fmt: skip
    assert len(left) == 1
