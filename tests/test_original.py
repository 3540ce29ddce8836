"""The original command: its configuration keys, its four files, its axes, its bad input."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from residualpose import original
from residualpose.camera import Camera
from residualpose.errors import UsageError
from residualpose.estimator import Stages
from residualpose.frames import DepthFrame
from residualpose.original_config import FILES, OriginalConfig
from residualpose.pipeline.maps import Maps
from residualpose.poses import Origin, Poses

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = ROOT / "config"
SHARED = ROOT / ".." / "shared"
FOUR = ["canvas_2d.jpg", "canvas_3d_prior.jpg", "canvas_3d_regressed.jpg", "pose_results.json"]
ITOP_K = [[285.7143, 0, 160], [0, -285.7143, 120], [0, 0, 1]]


def write_config(folder: Path, **changes: object) -> Path:
    data: dict[str, object] = {"matrix_calibration": ITOP_K, **changes}
    path = folder / "config" / "my_config.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(data))
    return path


def write_frame(folder: Path) -> Path:
    path = folder / "frame_7.npy"
    np.save(path, np.full((240, 320), 3000, np.uint16))
    return path


def one_person(camera: Camera) -> Poses:
    """A person on a line through known points: three joints of every origin, the rest seen."""
    joints_m = np.stack([np.linspace(-0.5, 0.5, 15), np.linspace(-0.8, 0.8, 15), np.full(15, 3)], 1)
    joints_px = camera.project(joints_m)
    origin = np.full(15, Origin.MEASURED)
    origin[1], origin[2], origin[3] = Origin.NEIGHBOUR, Origin.PRIOR, Origin.ABSENT
    joints_m[3], joints_px[3] = np.nan, np.nan
    covariance = np.tile(np.eye(3) * 1e-4, (15, 1, 1))
    score = np.full(15, 0.75)
    return Poses(
        joints_px[None], joints_m[None], score[None], np.array([0.5]), origin[None],
        covariance[None], camera,
    )  # fmt: skip


def stages_of(poses: Poses) -> Stages:
    return Stages(
        poses=poses,
        joints_px=poses.joints_px,
        lifted_m=poses.joints_m,
        completed_m=poses.joints_m,
        refined_m=poses.joints_m,
        maps=Maps(np.zeros((15, 1, 1)), np.zeros((28, 1, 1)), None, 4),
    )


@pytest.fixture
def fake_chain(monkeypatch: pytest.MonkeyPatch) -> list[DepthFrame]:
    """Replaces the networks by one fixed person; the list holds the frames it was shown."""
    seen: list[DepthFrame] = []

    def explain(frame: DepthFrame) -> Stages:
        seen.append(frame)
        return stages_of(one_person(frame.camera))

    def choose(config: OriginalConfig) -> tuple[Callable[[DepthFrame], Stages], str]:
        return explain, ""

    monkeypatch.setattr(original, "choose_estimator", choose)
    return seen


def command(config: Path, sample: Path, output: Path) -> int:
    return original.main(
        ["--config_file", str(config), "--image_sample", str(sample), "--output_path", str(output)]
    )


@pytest.mark.parametrize(
    ("name", "fx", "cx", "cy", "axes"),
    [
        ("itop", 285.7143, 160.0, 120.0, [1, -1, 1]),
        ("panoptic", 364.8507649, 249.1845476, 202.5246031, [1, 1, 1]),
    ],
)
def test_the_two_configurations(
    name: str, fx: float, cx: float, cy: float, axes: list[int]
) -> None:
    config = OriginalConfig.load(CONFIGS / f"{name}_config_file.json")
    assert (config.camera.fx, config.camera.fy) == (fx, fx)
    assert (config.camera.cx, config.camera.cy) == (cx, cy)
    assert config.axes.tolist() == axes
    assert config.convention == name
    assert (config.landmark_conf, config.n_features, config.n_resblocks) == (0.3, 2048, 3)
    assert set(config.files) == set(FILES)


def test_files_start_at_the_working_directory_then_above_the_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_config(tmp_path, **{key: f"w/{key}" for key in FILES.values()})
    (tmp_path / "w").mkdir()
    for key in FILES.values():
        (tmp_path / "w" / key).touch()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    config = OriginalConfig.load(path)
    assert config.files["hourglass"] == tmp_path / "w" / "pretrained_hgpose"
    assert config.missing_files() == []
    (elsewhere / "w").mkdir()
    (elsewhere / "w" / "pretrained_hgpose").touch()
    assert OriginalConfig.load(path).files["hourglass"] == Path("w/pretrained_hgpose")


def test_keys_without_files_count_as_missing(tmp_path: Path) -> None:
    config = OriginalConfig.load(write_config(tmp_path))
    assert config.missing_files() == list(FILES.values())
    assert config.convention is None


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"matrix_calibration": None}, "matrix_calibration"),
        ({"matrix_calibration": [[1, 2], [3, 4]]}, "matrix_calibration"),
        ({"matrix_calibration": [[0, 0, 1], [0, 5, 1], [0, 0, 1]]}, "matrix_calibration"),
        ({"matrix_calibration": "none"}, "matrix_calibration"),
        ({"landmark_conf": "high"}, "landmark_conf"),
        ({"n_landmarks": 17}, "n_landmarks 15, found 17"),
        ({"n_features": -1}, "n_features"),
        ({"prior_mean": 3}, "prior_mean"),
    ],
)
def test_bad_configurations_name_the_key(
    tmp_path: Path, changes: dict[str, object], found: str
) -> None:
    with pytest.raises(UsageError, match=f"my_config.json: .*{found}"):
        OriginalConfig.load(write_config(tmp_path, **changes))


def test_four_files_in_the_original_format(tmp_path: Path, fake_chain: list[DepthFrame]) -> None:
    output = tmp_path / "new" / "out"
    assert command(write_config(tmp_path), write_frame(tmp_path), output) == 0
    assert sorted(p.name for p in output.iterdir()) == FOUR
    for name in FOUR[:3]:
        with Image.open(output / name) as picture:
            assert picture.format == "JPEG"
            assert np.asarray(picture).std() > 1
    (person,) = json.loads((output / "pose_results.json").read_text())
    assert set(person) == {"image_id", "keypoints", "score", "keypoints_3d"}
    assert person["image_id"] == "frame_7"
    assert person["score"] == 0.5
    assert [k[2] for k in person["keypoints"][:5]] == [2, 1, 1, 0, 2]
    assert person["keypoints"][3] == [None, None, 0, 0.75]
    assert person["keypoints_3d"][3] == [None, None, None]
    assert {k[3] for k in person["keypoints"]} == {0.75}
    np.testing.assert_allclose(fake_chain[0].depth_m, 3.0)


def test_axes_are_those_of_the_matrix(tmp_path: Path, fake_chain: list[DepthFrame]) -> None:
    K_down = [[285.7143, 0, 160], [0, 285.7143, 120], [0, 0, 1]]
    sample = write_frame(tmp_path)
    found = {}
    for name, matrix in (("up", ITOP_K), ("down", K_down)):
        config = write_config(tmp_path, matrix_calibration=matrix)
        assert command(config, sample, tmp_path / name) == 0
        (person,) = json.loads((tmp_path / name / "pose_results.json").read_text())
        K, xyz = np.array(matrix), np.array(person["keypoints_3d"][14])
        uv = (K @ xyz / xyz[2])[:2]
        np.testing.assert_allclose(uv, person["keypoints"][14][:2], atol=0.01)
        found[name] = xyz
    np.testing.assert_allclose(found["up"], found["down"] * [1, -1, 1])
    assert found["down"][1] == pytest.approx(0.8)


def test_mat_frames_are_metres(tmp_path: Path, fake_chain: list[DepthFrame]) -> None:
    savemat(tmp_path / "frame.mat", {"depth": np.full((424, 512), 2.5)})
    assert command(write_config(tmp_path), tmp_path / "frame.mat", tmp_path / "out") == 0
    np.testing.assert_allclose(fake_chain[0].depth_m, 2.5)


def test_nobody_is_an_empty_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def explain(frame: DepthFrame) -> Stages:
        return stages_of(Poses.empty(frame.camera))

    monkeypatch.setattr(original, "choose_estimator", lambda config: (explain, ""))
    assert command(write_config(tmp_path), write_frame(tmp_path), tmp_path / "out") == 0
    assert json.loads((tmp_path / "out" / "pose_results.json").read_text()) == []


@pytest.mark.parametrize(
    ("which", "status"), [("no config", 2), ("no sample", 1), ("text sample", 1), ("no folder", 2)]
)
def test_bad_input_is_one_line_and_earlier_results_stay(
    tmp_path: Path,
    fake_chain: list[DepthFrame],
    capsys: pytest.CaptureFixture[str],
    which: str,
    status: int,
) -> None:
    config, sample, output = write_config(tmp_path), write_frame(tmp_path), tmp_path / "out"
    assert command(config, sample, output) == 0
    before = {p.name: p.read_bytes() for p in output.iterdir()}
    capsys.readouterr()
    if which == "no config":
        config = tmp_path / "none.json"
    elif which == "no sample":
        sample = tmp_path / "none.npy"
    elif which == "text sample":
        sample = tmp_path / "text.npy"
        sample.write_text("not an array")
    else:
        output = sample
    assert command(config, sample, output) == status
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "Traceback" not in error
    assert {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir()} == before


def test_unknown_and_absent_options_exit_2(capsys: pytest.CaptureFixture[str]) -> None:
    for argv in (["--nonsense"], [], ["--config_file"]):
        assert original.main(argv) == 2
        assert capsys.readouterr().err.count("\n") == 1


def test_unwritable_output_is_named(
    tmp_path: Path, fake_chain: list[DepthFrame], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    sample = write_frame(tmp_path)
    assert command(write_config(tmp_path), sample, tmp_path / "file" / "out") == 2
    assert "expected a folder to write to" in capsys.readouterr().err


def test_without_weights_the_bundled_model_is_announced(tmp_path: Path) -> None:
    config = OriginalConfig.load(CONFIGS / "itop_config_file.json")
    if not config.missing_files():
        pytest.skip("the released weights are here")
    explain, note = original.choose_estimator(config)
    assert "bundled model" in note
    assert "itop" in note
    assert "\n" not in note
    assert len(explain(DepthFrame(np.full((240, 320), 3.0), config.camera)).poses) == 0


@pytest.mark.skipif(not SHARED.is_dir(), reason="../shared is absent")
@pytest.mark.parametrize(
    ("name", "sample", "people"),
    [
        ("itop", "itop/ITOP_train_000000000053.npy", 1),
        ("panoptic", "panoptic/depth_02_000000005014.mat", 3),
    ],
)
def test_the_original_commands_on_the_two_samples(
    tmp_path: Path, name: str, sample: str, people: int
) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "main.py"), "--config_file", f"config/{name}_config_file.json",
         "--image_sample", str(SHARED / "samples" / sample), "--output_path", str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("\n") <= 1
    assert sorted(p.name for p in tmp_path.iterdir()) == FOUR
    results = json.loads((tmp_path / "pose_results.json").read_text())
    assert len(results) == people
    if name == "itop":
        truth = np.load(SHARED / "real" / "itop_full_dev.npz")["joints_m"].reshape(15, 3)
        found = np.array(results[0]["keypoints_3d"], dtype=float) * [1, -1, 1]
        assert (np.linalg.norm(found - truth, axis=1) < 0.10).sum() >= 12
