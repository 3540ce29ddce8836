"""Frames seen anew: the truth still fits the picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")

from residualpose.learning.augment import SIZE, Scene, look_again, mirror, resize  # noqa: E402
from residualpose.synthetic.people import VISIBLE_WITHIN_M  # noqa: E402
from residualpose.synthetic.shards import MM, load_shard, shard_path  # noqa: E402


@pytest.fixture
def scene(tiny_shards: Path) -> Scene:
    shard = load_shard(shard_path(tiny_shards, 0))
    depth = torch.from_numpy(shard.depth_mm).float() / MM
    fields = (shard.label, shard.joints_m, shard.visible, shard.intrinsics)
    return Scene(depth, *map(torch.from_numpy, fields))


def share_on_their_body(scene: Scene) -> tuple[float, int]:
    """Share of visible joints at whose pixel their person is seen, close in front of them."""
    frame, person, joint = scene.visible.nonzero().T
    points, intrinsics = scene.joints_m[frame, person, joint], scene.intrinsics[frame]
    pixels = points[:, :2] / points[:, 2:] * intrinsics[:, :2] + intrinsics[:, 2:]
    column, row = pixels.round().long().T
    fits = (scene.label[frame, row, column] >> 4) == person + 1
    behind_m = points[:, 2] - scene.depth_m[frame, row, column]
    fits &= behind_m < VISIBLE_WITHIN_M + 1e-3
    return float(fits.float().mean()), len(fits)


@pytest.mark.parametrize("mirrored", [False, True])
def test_truth_fits_the_picture_and_its_mirror_image(scene: Scene, mirrored: bool) -> None:
    share, count = share_on_their_body(mirror(scene, torch.full((len(scene.label),), mirrored)))
    assert count > 40
    assert share > 0.98  # a joint at exactly half a pixel may round to the other side


def test_the_mirror_image_of_the_mirror_image_is_the_picture(scene: Scene) -> None:
    chosen = torch.tensor([True, False, True, False])
    once = mirror(scene, chosen)
    twice = mirror(once, chosen)
    assert torch.equal(twice.depth_m, scene.depth_m) and torch.equal(twice.label, scene.label)
    torch.testing.assert_close(twice.joints_m, scene.joints_m, equal_nan=True)
    torch.testing.assert_close(twice.intrinsics, scene.intrinsics)
    assert torch.equal(once.depth_m[1], scene.depth_m[1])
    right, left = once.joints_m[0, 0, 2], scene.joints_m[0, 0, 3]
    torch.testing.assert_close(right, left * torch.tensor([-1.0, 1, 1]))


def test_truth_fits_rolled_and_moved_crops(scene: Scene) -> None:
    rng = np.random.default_rng(0)
    seen = [share_on_their_body(look_again(scene, (64, 80), rng)) for _ in range(20)]
    shares, counts = np.array(seen).T
    # Nearest pixels of a turned image miss thin hands and feet by one now and then.
    assert np.average(shares, weights=counts) > 0.93
    assert counts.mean() > 20


def test_limbs_keep_their_lengths(scene: Scene) -> None:
    shift = look_again(scene, (64, 80), np.random.default_rng(1)).joints_m
    before = (scene.joints_m[:, :, 1] - scene.joints_m[:, :, 8]).norm(dim=-1)
    after = (shift[:, :, 1] - shift[:, :, 8]).norm(dim=-1)
    ratio = (after / before)[torch.isfinite(after / before)]
    assert ((ratio - 1).abs() < 0.15).all()


def test_a_world_of_another_size_looks_the_same(scene: Scene) -> None:
    chosen = torch.tensor([True, False, True, True])
    resized = resize(scene, chosen, np.random.default_rng(3))
    factor = (resized.depth_m.flatten(1).sum(1) / scene.depth_m.flatten(1).sum(1))[:, None, None]
    assert factor[1] == 1 and (factor[chosen] >= SIZE[0]).all() and (factor <= SIZE[1]).all()
    torch.testing.assert_close(resized.depth_m, scene.depth_m * factor)
    torch.testing.assert_close(resized.joints_m, scene.joints_m * factor[..., None], equal_nan=True)
    share, count = share_on_their_body(resized)
    assert count > 40 and share > 0.9  # depth in front of a joint grows too


def test_what_was_outside_the_frame_is_empty(scene: Scene) -> None:
    wide = look_again(scene, (400, 400), np.random.default_rng(2))
    assert (wide.depth_m[:, 0, 0] == 0).all() and (wide.label[:, 0, 0] == 0).all()
    assert (wide.depth_m > 0).any()
