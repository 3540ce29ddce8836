"""Batches: a function of seed and step, with truth that fits the picture."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")

from residualpose.learning import batches  # noqa: E402
from residualpose.learning.augment import Scene  # noqa: E402
from residualpose.learning.batches import (  # noqa: E402
    Batch,
    Crop,
    FrameStore,
    make_batch,
    sensed,
)
from residualpose.synthetic.people import MAX_PEOPLE  # noqa: E402
from residualpose.synthetic.sensors import Sensor  # noqa: E402
from residualpose.synthetic.shards import MM, load_shard, shard_path  # noqa: E402

CPU = torch.device("cpu")


def store_of(folder: Path) -> FrameStore:
    return FrameStore(folder, shards=2, first_shards=1, steps_per_shard=3)


def same(one: Batch, two: Batch) -> bool:
    return all(
        torch.equal(getattr(one, f).nan_to_num(-9), getattr(two, f).nan_to_num(-9))
        for f in ("depth_m", "joints_m", "visible", "intrinsics")
    )


def test_a_batch_depends_on_seed_and_step_alone(tiny_shards: Path) -> None:
    straight = store_of(tiny_shards)
    batches = [make_batch(straight, step, 3, 7, CPU) for step in range(5)]
    late = make_batch(store_of(tiny_shards), 4, 3, 7, CPU)
    assert same(late, batches[4])
    torch.manual_seed(123)
    assert same(make_batch(straight, 1, 3, 7, CPU), batches[1])
    assert not same(batches[0], batches[1])
    assert not same(make_batch(straight, 0, 3, 8, CPU), batches[0])


def test_each_frame_gets_the_look_sampled_for_it(
    tiny_shards: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = store_of(tiny_shards)
    clean = make_batch(store, 0, 3, 7, CPU, sensor_noise=False)
    assert not same(make_batch(store, 0, 3, 7, CPU), clean)
    looks = torch.full((3,), int(Sensor.CLEAN))
    monkeypatch.setattr(batches, "sample_looks", lambda scene, generator: looks)
    assert same(
        make_batch(store, 0, 3, 7, CPU), make_batch(store, 0, 3, 7, CPU, sensor_noise=False)
    )


def test_shards_join_one_by_one(tiny_shards: Path) -> None:
    store = store_of(tiny_shards)
    assert [len(store.at_step(step)) for step in (0, 2, 3, 100)] == [1, 1, 2, 2]
    assert len(store.at_step(0)) == 1  # a resumed run sees what the straight one saw


def test_shapes_and_units(tiny_shards: Path) -> None:
    batch = make_batch(store_of(tiny_shards), 0, 5, 0, CPU)
    assert batch.depth_m.shape == (5, 80, 96) and batch.depth_m.dtype == torch.float32
    assert batch.joints_m.shape == (5, MAX_PEOPLE, 15, 3)
    assert batch.visible.shape == (5, MAX_PEOPLE, 15)
    assert torch.isfinite(batch.depth_m).all() and (batch.depth_m >= 0).all()
    assert 0.5 < batch.depth_m[batch.depth_m > 0].median() < 10


def test_crops_and_whole_frames_take_turns(tiny_shards: Path) -> None:
    crop = Crop(width=48, height=64, whole_every=2)
    store = store_of(tiny_shards)
    shapes = [tuple(make_batch(store, step, 2, 0, CPU, crop).depth_m.shape) for step in range(3)]
    assert shapes == [(2, 80, 96), (2, 64, 48), (2, 80, 96)]
    assert same(make_batch(store, 1, 2, 0, CPU, crop), make_batch(store, 1, 2, 0, CPU, crop))


def test_without_sensor_noise_the_frames_stay_as_rendered(tiny_shards: Path) -> None:
    clean = make_batch(store_of(tiny_shards), 0, 8, 0, CPU, sensor_noise=False)
    noisy = make_batch(store_of(tiny_shards), 0, 8, 0, CPU)
    torch.testing.assert_close(clean.joints_m, noisy.joints_m, equal_nan=True)
    stored = np.unique(load_shard(shard_path(tiny_shards, 0)).depth_mm).astype(np.float32)
    seen = np.unique((clean.depth_m * MM).round().numpy())
    assert np.isin(seen, stored).all()
    assert not torch.equal(clean.depth_m, noisy.depth_m)


def test_closer_looks_are_all_crops_at_their_focal_length(tiny_shards: Path) -> None:
    crop = Crop(width=48, height=64, whole_every=1, closer_px=60.0)
    batch = make_batch(store_of(tiny_shards), 0, 3, 0, CPU, crop)
    assert batch.depth_m.shape == (3, 64, 48)
    torch.testing.assert_close(batch.intrinsics[:, :2], torch.full((3, 2), 60.0))


def test_the_noise_of_closer_looks_is_that_of_where_people_are(tiny_shards: Path) -> None:
    shard = load_shard(shard_path(tiny_shards, 0))
    wall = Scene(
        torch.full((8, 64, 64), 1.5), torch.zeros(8, 64, 64, dtype=torch.uint8),
        torch.from_numpy(shard.joints_m[:1]).expand(8, -1, -1, -1),
        torch.zeros(8, MAX_PEOPLE, 15, dtype=torch.bool), torch.full((8, 4), 171.0),
    )  # fmt: skip
    far = replace(wall, nearer_m=torch.full((8,), 3.0), enlarged=torch.full((8,), 3.0))
    stereo = torch.full((8,), int(Sensor.STRUCTURED_LIGHT))

    def error_m(scene: Scene) -> float:
        depth_m = sensed(scene, stereo, torch.Generator().manual_seed(0))
        assert (depth_m > 0).float().mean() > 0.3
        return float((depth_m[depth_m > 0] - 1.5).abs().median())

    # Three times as far at three times the focal length: 9 / 3 times the error.
    assert 1.8 * error_m(wall) < error_m(far) < 6 * error_m(wall)
