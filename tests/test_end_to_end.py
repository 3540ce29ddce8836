"""Rendered people through the command line and back: the file's 3D is where they stood."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from residualpose.model import WEIGHTS

if TYPE_CHECKING:
    from residualpose.synthetic.people import RenderedFrame
    from residualpose.synthetic.shards import Cast

pytestmark = pytest.mark.skipif(
    not (WEIGHTS / "base" / "card.json").is_file(), reason="no model is bundled yet"
)

FRAMES = 5
MEDIAN_ERROR_M = 0.12


@pytest.fixture(scope="module")
def frames(tiny_cast: Cast) -> list[RenderedFrame]:
    """One person each who faces the camera, 1.5 to 4 m away, nearly all joints in sight."""
    from residualpose.synthetic.people import SceneConfig, render_frame

    scene = SceneConfig(320, 240, 285.0, 0.0, people=(0, 1, 0, 0, 0), facing=1.0)
    found, seed = [], 100
    while len(found) < FRAMES:
        frame = render_frame(tiny_cast.bank, tiny_cast.poses, scene, np.random.default_rng(seed))
        seed += 1
        distance_m = np.linalg.norm(frame.joints_m[0, 8])
        if frame.visible.sum() >= 13 and 1.5 < distance_m < 4:
            found.append(frame)
    return found


def sensed(frame: RenderedFrame, sensor: str, seed: int) -> np.ndarray:
    """The depth as a sensor would give it, metres."""
    import torch

    from residualpose.synthetic.sensors import Sensor, simulate

    material, person = (torch.from_numpy(a)[None] for a in (frame.material, frame.person > 0))
    return simulate(
        torch.from_numpy(frame.depth_m)[None],
        material,
        torch.tensor([frame.camera.fx]),
        torch.tensor([int(Sensor[sensor])]),
        torch.Generator().manual_seed(seed),
        person=person,
    )[0].numpy()


def predict(folder: Path, output: Path) -> list[dict]:
    """Run the command on a folder; the lines of its result file."""
    command = Path(sys.executable).with_name("residualpose")
    done = subprocess.run(
        [command, "predict", folder, "--output", output, "--save", "jsonl"],
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in (output / "poses.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("sensor", ["CLEAN", "STRUCTURED_LIGHT"])
def test_the_people_in_the_file_are_where_they_were_rendered(
    frames: list[RenderedFrame], tmp_path: Path, sensor: str
) -> None:
    recording = tmp_path / "recording"
    recording.mkdir()
    for number, frame in enumerate(frames):
        depth_mm = (sensed(frame, sensor, number) * 1000).round().clip(0, 65535).astype(np.uint16)
        Image.fromarray(depth_mm).save(recording / f"frame_{number}.png")
    (recording / "camera.json").write_text(json.dumps(frames[0].camera.to_dict()))

    header, *lines = predict(recording, tmp_path / "results")

    assert header["schema"] == "residualpose/1" and header["units"] == "m"
    assert [Path(line["source"]).name for line in lines] == [
        f"frame_{n}.png" for n in range(FRAMES)
    ]
    errors_m, errors_px = [], []
    for line, frame in zip(lines, frames, strict=True):
        assert line["persons"], f"nobody found in {line['source']}"
        joints_m = np.array([p["joints_m"] for p in line["persons"]], dtype=float)
        joints_px = np.array([p["joints_px"] for p in line["persons"]], dtype=float)
        away_m = np.linalg.norm(joints_m - frame.joints_m, axis=-1)
        best = int(np.argmin(np.nanmedian(away_m, axis=1)))
        errors_m.append(away_m[best])
        errors_px.append(
            np.linalg.norm(joints_px[best] - frame.camera.project(frame.joints_m[0]), axis=-1)
        )
    assert np.nanmedian(errors_m) < MEDIAN_ERROR_M
    assert max(np.nanmedian(e) for e in errors_m) < 2 * MEDIAN_ERROR_M
    assert np.nanmedian(errors_px) < 8


def test_the_floor_is_where_the_scene_has_it(tiny_cast: Cast) -> None:
    """The way down and the camera's height, of twelve scenes from anywhere, against the truth."""
    from residualpose import PoseEstimator
    from residualpose.synthetic.people import SceneConfig, draw_scene, sample_scene

    config = SceneConfig(320, 240, 285.0, 0.0, people=(0, 1, 0, 0, 0))
    estimate, tilt_rad, height_m = PoseEstimator(), [], []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        scene = sample_scene(tiny_cast.bank, tiny_cast.poses, config, rng)
        frame = draw_scene(scene, config)
        floor = estimate.explain(sensed(frame, "STRUCTURED_LIGHT", seed), frame.camera).floor
        T_world_camera = scene.viewpoint.T_world_camera
        down = T_world_camera[:3, :3].T @ [0.0, 0.0, -1.0]
        tilt_rad.append(np.arccos(np.clip(floor[:3] @ down, -1, 1)))
        height_m.append(floor[3] - T_world_camera[2, 3])
    assert np.isfinite(tilt_rad).sum() >= 6
    assert np.degrees(np.nanmedian(tilt_rad)) < 2
    assert np.nanmedian(np.abs(height_m)) < 0.05
