"""What the refiner learns from: people as they are found beside the truth, kept shard by shard."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the train extra")

from residualpose.detector import Lifted
from residualpose.errors import ResidualPoseError
from residualpose.frames import DepthFrame
from residualpose.learning import refiner_data
from residualpose.learning.refiner_data import RefinerData, collect, pairs
from residualpose.model import WEIGHTS
from residualpose.pipeline.around import N_AROUND
from residualpose.pipeline.limb_prior import LimbPrior
from residualpose.poses import Origin
from residualpose.synthetic.shards import load_shard

OFF_M = np.float32(0.03)
DOWN = np.array([0, 1, 0, 1.5], np.float32)


@pytest.fixture(scope="module")
def prior() -> LimbPrior:
    return LimbPrior.load_npz(WEIGHTS / "base" / "prior.npz")


def lifted(joints_m: np.ndarray) -> Lifted:
    people = len(joints_m)
    return Lifted(
        joints_m[..., :2], joints_m, np.full((people, 15), 0.8, np.float32), np.ones(people),
        np.full((people, 15), Origin.MEASURED, np.uint8),
        np.broadcast_to(np.eye(3, dtype=np.float32) * 1e-3, (people, 15, 3, 3)), DOWN,
    )  # fmt: skip


def detector(paths: list[Path]) -> Callable[[DepthFrame], tuple[SimpleNamespace, Lifted]]:
    """Finds the people of the shards' frames, asked for in order, OFF_M too far away."""
    truth = iter([joints_m for path in paths for joints_m in load_shard(path).joints_m])

    def detect(frame: DepthFrame) -> tuple[SimpleNamespace, Lifted]:
        joints_m = next(truth)
        joints_m = joints_m[np.isfinite(joints_m).all((1, 2))]
        return SimpleNamespace(), lifted(joints_m + OFF_M)

    return detect


@pytest.fixture
def paths(tiny_shards: Path) -> list[Path]:
    return sorted(tiny_shards.glob("shard_*.npz"))


def same(one: RefinerData, other: RefinerData) -> bool:
    return all(
        np.array_equal(getattr(one, field), getattr(other, field), equal_nan=True)
        for field in RefinerData.__slots__
    )


def test_everybody_is_there_as_found_and_with_joints_struck_out(
    paths: list[Path], prior: LimbPrior, tmp_path: Path
) -> None:
    done: list[int] = []
    data = collect(detector(paths), prior, paths, 0, done.append, tmp_path)
    people = sum(
        int(np.isfinite(load_shard(path).joints_m).all((2, 3)).sum()) for path in paths
    )  # fmt: skip
    assert done == [4, 4] and len(data) == 2 * people > 8
    struck = (data.origin != Origin.MEASURED).any(1)
    assert struck.sum() == people
    np.testing.assert_allclose(
        data.joints_m[~struck] - data.truth_m[~struck], OFF_M, atol=1e-5
    )  # fmt: skip
    assert (data.joint_score[data.origin == Origin.PRIOR] == 0).all()
    np.testing.assert_array_equal(data.floor, np.broadcast_to(DOWN, (len(data), 4)))


def test_what_is_seen_around_the_completed_joints_is_kept_if_wanted(
    prior: LimbPrior, standing_m: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[np.ndarray] = []

    def around(looks: Any, joints_m: np.ndarray) -> np.ndarray:
        asked.append(joints_m[0])
        return np.full((1, 15, N_AROUND), float(looks[0]))

    monkeypatch.setattr(refiner_data, "around", around)
    truth_m = np.stack([standing_m, standing_m + np.array([1.0, 0, 0])]).astype(np.float32)
    looks: Any = (1, 2)
    people = replace(lifted(truth_m), looks=looks)
    rows = pairs(prior, people, truth_m, np.random.default_rng(0), look_around=True)
    data = RefinerData.of(rows)
    assert data.around.shape == (4, 15, N_AROUND) and data.around.dtype == np.float16
    assert data.around[:, 0, 0].tolist() == [1, 2, 1, 2]
    np.testing.assert_array_equal(np.stack(asked), data.joints_m)  # not as they were found
    rows = pairs(prior, people, truth_m, np.random.default_rng(0))
    assert RefinerData.of(rows).around.shape == (4, 15, 0) and len(asked) == 4


def test_an_interrupted_run_looks_at_no_shard_twice(
    paths: list[Path], prior: LimbPrior, tmp_path: Path
) -> None:
    (elsewhere := tmp_path / "elsewhere").mkdir()
    whole = collect(detector(paths), prior, paths, 7, lambda _: None, elsewhere)

    def killed(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        collect(detector(paths), prior, paths, 7, killed, tmp_path)
    assert [path.name for path in tmp_path.glob("*.npz")] == ["people_00000.npz"]
    rest = collect(detector(paths[1:]), prior, paths, 7, lambda _: None, tmp_path)
    assert same(rest, whole)


def test_nobody_found_is_an_error_and_leaves_nothing(
    paths: list[Path], prior: LimbPrior, tmp_path: Path
) -> None:
    def nobody(_: DepthFrame) -> tuple[SimpleNamespace, Lifted]:
        return SimpleNamespace(), lifted(np.zeros((0, 15, 3), np.float32))

    with pytest.raises(ResidualPoseError, match="nobody is found in the 2 shards"):
        collect(nobody, prior, paths, 0, lambda _: None, tmp_path)
    assert not list(tmp_path.iterdir())


def test_saved_data_is_read_back(paths: list[Path], prior: LimbPrior, tmp_path: Path) -> None:
    data = collect(detector(paths), prior, paths, 0, lambda _: None, tmp_path)
    data.save(tmp_path / "data.npz")
    assert same(RefinerData.load(tmp_path / "data.npz"), data)
    twice = RefinerData.joined([data, data])
    assert len(twice) == 2 * len(data) and same(RefinerData.joined([data]), data)
