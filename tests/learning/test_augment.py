"""Frames seen anew: the truth still fits the picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")

from residualpose.learning.augment import (  # noqa: E402
    CLOSER_M,
    ENLARGED,
    SIZE,
    Scene,
    look_again,
    look_closer,
    mirror,
    resize,
)
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


def test_closer_looks_bring_people_near_and_keep_the_truth(scene: Scene) -> None:
    rng = np.random.default_rng(4)
    looks = [look_closer(scene, 100.0, (96, 112), rng) for _ in range(10)]
    shares, counts = np.array([share_on_their_body(look) for look in looks]).T
    assert np.average(shares, weights=counts) > 0.9 and counts.mean() > 20
    for look in looks:
        assert look.enlarged is not None and look.nearer_m is not None
        assert (look.enlarged >= 1).all() and (look.enlarged <= ENLARGED[1]).all()
        assert (look.intrinsics[:, :2] - 100).abs().max() < 1e-3
        # Surfaces lie where they were, once moved back: none before the camera, none made up.
        back = (look.depth_m + look.nearer_m[:, None, None])[look.depth_m > 0]
        assert torch.isin((back * MM).round(), (scene.depth_m * MM).round()).float().mean() > 0.99


def test_closer_looks_show_one_person_as_far_away_as_they_say(scene: Scene) -> None:
    look = look_closer(scene, float(scene.intrinsics[0, 0]), (96, 112), np.random.default_rng(5))
    assert look.enlarged is not None and look.nearer_m is not None
    known = torch.isfinite(scene.joints_m).all(-1) & torch.isfinite(look.joints_m).all(-1)
    nearer_m = (scene.joints_m - look.joints_m)[..., 2]
    expected = look.nearer_m[:, None, None].expand_as(nearer_m)
    torch.testing.assert_close(nearer_m[known], expected[known])
    # The person's distance is divided by the enlargement, so nearer_m tells where it stood.
    moved = look.enlarged > 1
    assert moved.any()
    stands_m = look.nearer_m[moved] / (1 - 1 / look.enlarged[moved])
    seems_m = stands_m / look.enlarged[moved]
    assert (seems_m >= CLOSER_M[0] - 1e-3).all() and (stands_m > CLOSER_M[0]).all()


def test_the_size_of_the_world_moves_closer_looks_along(scene: Scene) -> None:
    look = look_closer(scene, 144.0, (96, 112), np.random.default_rng(6))
    sized = resize(look, torch.ones(len(look.depth_m), dtype=torch.bool), np.random.default_rng(3))
    assert look.nearer_m is not None and sized.nearer_m is not None
    factor = sized.depth_m.flatten(1).sum(1) / look.depth_m.flatten(1).sum(1)
    torch.testing.assert_close(sized.nearer_m, look.nearer_m * factor)
    assert sized.enlarged is look.enlarged
