"""The released chain from frame to poses, with a stand-in network whose maps show known people."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="the released networks need the train extra")

import torch

from residualpose.camera import Camera
from residualpose.frames import DepthFrame
from residualpose.original import choose_estimator
from residualpose.original_config import OriginalConfig
from residualpose.pipeline.complete import LimbPrior
from residualpose.poses import Origin
from residualpose.released import ReleasedMaps, ReleasedRefiner, surface_of_cells
from residualpose.released_estimator import ReleasedEstimator, is_refinable
from residualpose.skeleton import ITOP15, NECK, R_HAND, TORSO

CAMERA = Camera(285.7143, 285.7143, 160.0, 120.0)
UP = np.array([1.0, -1.0, 1.0])
BODY_M = np.array(
    [[0, -0.65, 3.0], [0, -0.42, 3.0], [-0.17, -0.40, 3.0], [0.17, -0.40, 3.0],
     [-0.33, -0.16, 3.0], [0.33, -0.16, 3.0], [-0.45, 0.06, 3.0], [0.45, 0.06, 3.0],
     [0, -0.18, 3.0], [-0.10, 0.06, 3.0], [0.10, 0.06, 3.0], [-0.13, 0.46, 3.0],
     [0.13, 0.46, 3.0], [-0.15, 0.85, 3.0], [0.15, 0.85, 3.0]],
)  # fmt: skip


def distance_to_segment(grid: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    along = np.clip(((grid - a) @ (b - a)) / ((b - a) @ (b - a)), 0, 1)
    return np.linalg.norm(grid - a - along[..., None] * (b - a), axis=-1)


def grid_of(height: int, width: int) -> np.ndarray:
    return np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1).astype(float)


def depth_of(joints_m: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """The body as a flat cut-out before a wall at 5 m."""
    depth, grid, px = np.full(shape, 5.0), grid_of(*shape), CAMERA.project(joints_m)
    for a, b in ITOP15.limbs:
        depth[distance_to_segment(grid, px[a], px[b]) < 8] = joints_m[:, 2].mean()
    return depth.astype(np.float32)


class StandIn(torch.nn.Module):
    """Answers as a perfect 2D network: part maps and fields of given joints, some missing."""

    def __init__(self, joints_m: np.ndarray, missing: list[int], shape: tuple[int, int]) -> None:
        super().__init__()
        cells = (CAMERA.project(joints_m) + 0.5) * [80 / shape[1], 64 / shape[0]] - 0.5
        grid = grid_of(64, 80)
        self.parts, self.fields = np.zeros((16, 64, 80)), np.zeros((28, 64, 80))
        for joint in set(range(15)) - set(missing):
            self.parts[joint] = np.exp(-((grid - cells[joint]) ** 2).sum(-1) / (2 * 1.5**2))
        for limb, (a, b) in enumerate(ITOP15.limbs):
            if a not in missing and b not in missing:
                near = distance_to_segment(grid, cells[a], cells[b]) < 1.2
                unit = (cells[b] - cells[a]) / np.linalg.norm(cells[b] - cells[a])
                self.fields[2 * limb : 2 * limb + 2, near] = unit[:, None]

    def forward(self, x: torch.Tensor) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        assert x.shape == (1, 1, 256, 320)
        parts = torch.from_numpy(self.parts.astype(np.float32))[None]
        fields = torch.from_numpy(self.fields.astype(np.float32))[None]
        return [parts * 0, parts], [fields * 0, fields]


class Zeros(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.zeros_like(x)


def prior_of(joints_m: np.ndarray, folder: Path) -> LimbPrior:
    """A prior around one pose, in that pose's axes, through the released file format."""
    limbs = ITOP15.limb_array
    way = joints_m[limbs[:, 1]] - joints_m[limbs[:, 0]]
    length = np.linalg.norm(way, axis=1, keepdims=True)
    np.save(folder / "mean.npy", np.concatenate([way / length, length], 1).ravel())
    np.save(folder / "var.npy", np.diag(np.tile([0.1**2] * 3 + [0.03**2], 14)))
    return LimbPrior.load(folder / "mean.npy", folder / "var.npy")


def estimator(
    folder: Path, missing: list[int], shape: tuple[int, int], moved_m: tuple[float, ...]
) -> ReleasedEstimator:
    """The chain in y-up axes whose regressor adds `moved_m` (in those axes) to every joint."""
    for name, mean in (("in", (0.0, 0.0, 3.0)), ("out", moved_m)):
        stats = {"train_mean": [list(mean)] * 15, "train_sd": [[1.0] * 3] * 15}
        (folder / f"{name}.json").write_text(json.dumps(stats))
    return ReleasedEstimator(
        ReleasedMaps(StandIn(BODY_M, missing, shape)),
        prior_of(BODY_M * UP, folder),
        ReleasedRefiner.load(Zeros(), folder / "in.json", folder / "out.json"),
        UP,
    )


@pytest.mark.parametrize("shape", [(240, 320), (240, 400)])
def test_a_seen_person_is_lifted_and_refined(tmp_path: Path, shape: tuple[int, int]) -> None:
    estimate = estimator(tmp_path, [], shape, (0.0, 0.02, 0.1))
    stages = estimate.explain(DepthFrame(depth_of(BODY_M, shape), CAMERA))
    assert len(stages.poses) == 1
    np.testing.assert_allclose(stages.lifted_m[0], BODY_M, atol=0.03)
    np.testing.assert_allclose(stages.completed_m[0], stages.lifted_m[0])
    moved_m = stages.refined_m[0] - stages.completed_m[0]
    np.testing.assert_allclose(moved_m, [[0, -0.02, 0.1]] * 15, atol=1e-5)  # 2 cm up is -y here
    np.testing.assert_allclose(stages.joints_px[0], CAMERA.project(BODY_M), atol=1.5)
    assert (stages.poses.origin == Origin.MEASURED).all()


def test_missing_joints_come_from_the_prior(tmp_path: Path) -> None:
    estimate = estimator(tmp_path, [0, R_HAND], (240, 320), (0.0, 0.0, 0.0))
    stages = estimate.explain(DepthFrame(depth_of(BODY_M, (240, 320)), CAMERA))
    poses = stages.poses
    assert np.isnan(stages.lifted_m[0, [0, R_HAND]]).all()
    np.testing.assert_allclose(stages.completed_m[0, [0, R_HAND]], BODY_M[[0, R_HAND]], atol=0.06)
    assert poses.origin[0, 0] == poses.origin[0, R_HAND] == Origin.PRIOR
    assert (np.delete(poses.origin[0], [0, R_HAND]) == Origin.MEASURED).all()
    np.testing.assert_allclose(poses.joints_px, CAMERA.project(poses.joints_m), atol=2)
    variance = np.trace(poses.covariance_m2[0], axis1=1, axis2=2)
    assert variance[R_HAND] > 1.5 * np.delete(variance, [0, R_HAND]).max()


@pytest.mark.parametrize("missing", [[NECK, 0], [TORSO], [2, 3, 9]])
def test_people_without_their_trunk_stay_as_lifted(tmp_path: Path, missing: list[int]) -> None:
    estimate = estimator(tmp_path, missing, (240, 320), (0.0, 0.0, 0.1))
    stages = estimate.explain(DepthFrame(depth_of(BODY_M, (240, 320)), CAMERA))
    np.testing.assert_array_equal(stages.refined_m, stages.lifted_m)
    poses = stages.poses
    assert len(poses) >= 1
    assert not (poses.origin == Origin.PRIOR).any()
    assert np.isnan(poses.joints_m[:, missing]).all()
    assert (poses.origin[:, missing] == Origin.ABSENT).all()


def test_nobody_keeps_the_shapes(tmp_path: Path) -> None:
    estimate = estimator(tmp_path, list(range(15)), (240, 320), (0.0, 0.0, 0.0))
    poses = estimate(DepthFrame(np.full((240, 320), 5.0), CAMERA))
    assert poses.joints_m.shape == (0, 15, 3)
    assert len(estimate(DepthFrame(np.zeros((240, 320)), CAMERA))) == 0


def test_refinable_needs_neck_torso_and_two_corners() -> None:
    people = np.tile(BODY_M, (5, 1, 1))
    people[1, NECK] = people[2, TORSO] = np.nan
    people[3, [2, 3]] = np.nan
    people[4, [2, 3, 10]] = np.nan
    assert is_refinable(people).tolist() == [True, False, False, True, False]
    assert is_refinable(np.zeros((0, 15, 3))).shape == (0,)


def test_surface_is_the_nearest_reading_of_a_cell() -> None:
    depth_m = np.full((128, 160), 4.0, np.float32)  # a cell is 2x2 pixels
    depth_m[10, 21], depth_m[10, 22], depth_m[20:22, 40:42] = 2.0, 0.0, 0.0
    surface_m = surface_of_cells(depth_m)
    assert surface_m.shape == (64, 80)
    assert surface_m[5, 10] == 2.0
    assert surface_m[5, 11] == 4.0
    assert surface_m[10, 20] == 0.0


def test_configured_files_make_the_released_chain(tmp_path: Path) -> None:
    from residualpose.learning.released_network import ReleasedHourglass, ReleasedRegressor

    torch.save(ReleasedHourglass().state_dict(), tmp_path / "hg.pm")
    torch.save(ReleasedRegressor(8, 1).state_dict(), tmp_path / "reg.pm")
    estimator(tmp_path, [], (240, 320), (0.0, 0.0, 0.0))  # writes the prior and the statistics
    files = {
        "pretrained_hgpose": "hg.pm",
        "pretrained_respose": "reg.pm",
        "prior_mean": "mean.npy",
        "prior_var": "var.npy",
        "reg3d_input_stats": "in.json",
        "reg3d_output_stats": "out.json",
    }
    path = tmp_path / "config.json"
    K = [[285.7143, 0, 160], [0, -285.7143, 120], [0, 0, 1]]
    settings = {"n_features": 8, "n_resblocks": 1, "landmark_conf": 0.4, "matrix_calibration": K}
    path.write_text(
        json.dumps(settings | {key: str(tmp_path / name) for key, name in files.items()})
    )
    config = OriginalConfig.load(path)
    explain, note = choose_estimator(config)
    assert note == ""
    built = getattr(explain, "__self__", None)
    assert isinstance(built, ReleasedEstimator)
    assert built.landmark_conf == 0.4
    assert built.axes.tolist() == UP.tolist()
    maps, _ = built.maps(DepthFrame(np.full((240, 320), 3.0), config.camera))
    assert maps.part_maps.shape == (15, 64, 80)
