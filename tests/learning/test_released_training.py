"""The paper's networks: trained for a moment, exported, and run through the estimator."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")
pytest.importorskip("onnx", reason="needs the train extra")

from residualpose.camera import Camera  # noqa: E402
from residualpose.errors import UsageError  # noqa: E402
from residualpose.estimator import PoseEstimator  # noqa: E402
from residualpose.frames import DepthFrame  # noqa: E402
from residualpose.learning.architectures import released_losses, targets_of  # noqa: E402
from residualpose.learning.batches import Crop, FrameStore, make_batch  # noqa: E402
from residualpose.learning.checkpoint import load_checkpoint  # noqa: E402
from residualpose.learning.export import (  # noqa: E402
    card_facts,
    export_maps,
    export_regressor,
    write_card,
)
from residualpose.learning.mix import Share  # noqa: E402
from residualpose.learning.refiner_data import RefinerData  # noqa: E402
from residualpose.learning.released_network import ReleasedConfig, ReleasedHourglass  # noqa: E402
from residualpose.learning.statistics import PoseStatistics, released_prior  # noqa: E402
from residualpose.learning.train_maps import MapsConfig, train_maps  # noqa: E402
from residualpose.learning.train_refiner import RefinerConfig  # noqa: E402
from residualpose.learning.train_regressor import train_regressor  # noqa: E402
from residualpose.model import ModelFolder  # noqa: E402
from residualpose.pipeline.limb_prior import LimbPrior  # noqa: E402
from residualpose.released import ReleasedMaps  # noqa: E402
from residualpose.released_folder import FolderMaps, FolderRefiner  # noqa: E402

SMALL = ReleasedConfig(width=16)


@pytest.fixture(scope="module")
def people() -> RefinerData:
    """Seventy people of whom the joints lie 5 cm too near."""
    rng = np.random.default_rng(0)
    middle = rng.normal([0, 0, 3], 0.4, (15, 3))
    truth = middle + rng.normal(0, [0.3, 0.05, 0.3], (70, 1, 3)) + rng.normal(
        0, 0.05, (70, 15, 3)
    )  # fmt: skip
    found = truth - [0, 0, 0.05]
    return RefinerData(
        found.astype(np.float32), np.ones((70, 15), np.float32), np.ones((70, 15), np.float32),
        np.zeros((70, 15, 3, 3), np.float32), truth.astype(np.float32),
        np.full((70, 4), np.nan, np.float32), np.zeros((70, 15, 0), np.float16),
    )  # fmt: skip


@pytest.fixture(scope="module")
def trained(
    tiny_shards: Path, people: RefinerData, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A folder with a `run` and a `model`."""
    tmp_path = tmp_path_factory.mktemp("released")
    config = MapsConfig(
        (Share(tiny_shards),), tmp_path / "run", steps=2, batch=2, shards=1, first_shards=1,
        architecture="released", released=SMALL, crop=Crop(96, 80, 1), precision="float32",
    )  # fmt: skip
    losses: list[dict[str, float]] = []
    checkpoint = train_maps(config, lambda _, loss: losses.append(loss))
    assert set(losses[0]) == {f"{s}_{k}" for s in ("early", "final") for k in ("part", "limb")}
    folder = tmp_path / "model"
    export_maps(checkpoint, folder / "maps.onnx")
    released_prior(people.truth_m).save(folder / "prior.npz")
    regressor = train_regressor(people, RefinerConfig(32, 1, steps=20), lambda *_: None)
    export_regressor(regressor, folder / "refiner.onnx")
    write_card(folder, "paper", **card_facts(checkpoint))
    return tmp_path


def test_a_trained_folder_runs_as_the_network_does(trained: Path) -> None:
    model = trained / "model"
    folder = ModelFolder.open(model)
    assert folder.released and folder.stride == 4
    network = ReleasedHourglass(SMALL)
    network.load_state_dict(load_checkpoint(trained / "run" / "checkpoint.pt")["average"])
    rng = np.random.default_rng(1)
    depth = rng.uniform(0.5, 5, (90, 120)).astype(np.float32)
    frame = DepthFrame(depth, Camera(110, 110, 60, 45))
    expected, camera = ReleasedMaps(network.eval())(frame)
    maps, found = FolderMaps(model / "maps.onnx")(frame)
    assert found == camera and maps.part_maps.shape == (15, 64, 80)
    np.testing.assert_allclose(maps.part_maps, expected.part_maps, atol=1e-4)
    np.testing.assert_allclose(maps.limb_fields, expected.limb_fields, atol=1e-4)
    estimate = PoseEstimator(model)
    poses = estimate(frame)
    assert poses.joints_m.shape == (len(poses), 15, 3)
    assert [len(one) for one in estimate.stream([frame, frame], workers=2)] == [len(poses)] * 2
    with pytest.raises(UsageError, match="convention"):
        PoseEstimator(model, convention="itop")


def test_the_regressor_takes_away_an_offset(people: RefinerData, tmp_path: Path) -> None:
    config = RefinerConfig(64, 1, steps=60, batch=64, learning_rate=3e-3)
    losses: list[float] = []
    network = train_regressor(people, config, lambda _, loss: losses.append(loss))
    export_regressor(network, tmp_path / "refiner.onnx")
    refined = FolderRefiner(tmp_path / "refiner.onnx")(people.joints_m)
    before = np.linalg.norm(people.joints_m - people.truth_m, axis=-1).mean()
    after = np.linalg.norm(refined - people.truth_m, axis=-1).mean()
    assert before == pytest.approx(0.05, abs=1e-3) and after < 0.01
    assert len(FolderRefiner(tmp_path / "refiner.onnx")(np.zeros((0, 15, 3)))) == 0


def test_the_right_maps_have_no_loss(tiny_shards: Path) -> None:
    batch = make_batch(FrameStore(tiny_shards, 1, 1, 1), 0, 2, 0, torch.device("cpu"))
    seen = []

    def zero(image: torch.Tensor) -> tuple:
        seen.append(image)
        parts, fields = torch.zeros(2, 16, 64, 80), torch.zeros(2, 28, 64, 80)
        return [parts, parts], [fields, fields]

    total, _ = released_losses(zero, batch, lambda value: value)
    assert seen[0].shape == (2, 1, 256, 320) and -0.5 <= seen[0].min() <= seen[0].max() <= 0.5
    assert float(total) > 1
    from residualpose.learning.architectures import _resized

    wanted = targets_of(_resized(batch), 4)
    background = 1 - wanted.parts.amax(1, keepdim=True)

    def right(_: torch.Tensor) -> tuple:
        parts = torch.cat([wanted.parts, background], 1)
        return [parts, parts], [wanted.fields, wanted.fields]

    assert float(released_losses(right, batch, lambda value: value)[0]) == pytest.approx(
        0, abs=1e-9
    )


def test_statistics_are_in_the_released_format(people: RefinerData, tmp_path: Path) -> None:
    mean, covariance, stats = PoseStatistics.of(people.truth_m).save(tmp_path)
    prior = LimbPrior.load(mean, covariance)
    joints = people.truth_m[0].copy()
    joints[13:] = np.nan
    filled, _ = prior.complete(joints)
    assert np.linalg.norm(filled - people.truth_m[0], axis=-1).max() < 0.4
    from residualpose.released import _read_stats

    joint_mean, joint_sd = _read_stats(stats)
    np.testing.assert_allclose(joint_mean, people.truth_m.mean(0), atol=1e-5)
    np.testing.assert_allclose(joint_sd, people.truth_m.std(0), atol=1e-5)
