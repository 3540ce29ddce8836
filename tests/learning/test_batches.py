"""Batches: a function of seed and step, with truth that fits the picture."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")

from residualpose.learning.batches import (  # noqa: E402
    Batch,
    FrameStore,
    _mirror,
    make_batch,
)
from residualpose.synthetic.people import VISIBLE_WITHIN_M  # noqa: E402
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


def test_shards_join_one_by_one(tiny_shards: Path) -> None:
    store = store_of(tiny_shards)
    assert [len(store.at_step(step)) for step in (0, 2, 3, 100)] == [1, 1, 2, 2]
    assert len(store.at_step(0)) == 1  # a resumed run sees what the straight one saw


def test_shapes_and_units(tiny_shards: Path) -> None:
    batch = make_batch(store_of(tiny_shards), 0, 5, 0, CPU)
    assert batch.depth_m.shape == (5, 80, 96) and batch.depth_m.dtype == torch.float32
    assert batch.joints_m.shape == (5, 4, 15, 3) and batch.visible.shape == (5, 4, 15)
    assert torch.isfinite(batch.depth_m).all() and (batch.depth_m >= 0).all()
    assert 0.5 < batch.depth_m[batch.depth_m > 0].median() < 10


def clean_batch(folder: Path) -> tuple[Batch, torch.Tensor]:
    shard = load_shard(shard_path(folder, 0))
    depth = torch.from_numpy(shard.depth_mm).float() / MM
    fields = (shard.joints_m, shard.visible, shard.intrinsics)
    return Batch(depth, *map(torch.from_numpy, fields)), torch.from_numpy(shard.label)


@pytest.mark.parametrize("mirrored", [False, True])
def test_truth_fits_the_picture_and_its_mirror_image(tiny_shards: Path, mirrored: bool) -> None:
    batch, label = clean_batch(tiny_shards)
    batch, label = _mirror(batch, label, torch.full((len(label),), mirrored))
    frame, person, joint = batch.visible.nonzero().T
    assert len(frame) > 40
    points, intrinsics = batch.joints_m[frame, person, joint], batch.intrinsics[frame]
    pixels = points[:, :2] / points[:, 2:] * intrinsics[:, :2] + intrinsics[:, 2:]
    column, row = pixels.round().long().T
    fits = (label[frame, row, column] >> 4) == person + 1
    behind_m = points[:, 2] - batch.depth_m[frame, row, column]
    fits &= behind_m < VISIBLE_WITHIN_M + 1e-3
    # A joint at exactly half a pixel may round to the other side.
    assert fits.float().mean() > 0.98


def test_the_mirror_image_of_the_mirror_image_is_the_picture(tiny_shards: Path) -> None:
    batch, label = clean_batch(tiny_shards)
    chosen = torch.tensor([True, False, True, False])
    once, once_label = _mirror(batch, label, chosen)
    twice, twice_label = _mirror(once, once_label, chosen)
    assert torch.equal(twice.depth_m, batch.depth_m) and torch.equal(twice_label, label)
    torch.testing.assert_close(twice.joints_m, batch.joints_m, equal_nan=True)
    torch.testing.assert_close(twice.intrinsics, batch.intrinsics)
    assert torch.equal(once.depth_m[1], batch.depth_m[1])
    right, left = once.joints_m[0, 0, 2], batch.joints_m[0, 0, 3]
    torch.testing.assert_close(right, left * torch.tensor([-1.0, 1, 1]))
