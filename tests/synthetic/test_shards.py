"""Shards: the same bytes every time, whole or not at all."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the synthetic extra")

from residualpose.errors import ResidualPoseError  # noqa: E402
from residualpose.learning.batches import FrameStore, make_batch  # noqa: E402
from residualpose.skeleton import ITOP15  # noqa: E402
from residualpose.synthetic.draw import draw  # noqa: E402
from residualpose.synthetic.people import (  # noqa: E402
    MAX_PEOPLE,
    SceneConfig,
    draw_scene,
    sample_scene,
)
from residualpose.synthetic.shards import (  # noqa: E402
    MM,
    Shard,
    SynthConfig,
    load_shard,
    make_shard,
    shard_path,
)
from residualpose.synthetic.views import seen_from  # noqa: E402

if TYPE_CHECKING:
    from residualpose.synthetic.shards import Cast

SMALL = SynthConfig(
    seed=5, shards=2, frames=3, bodies=3,
    scene=SceneConfig(48, 32, 40.0, 4.0, people=(0.2, 0.4, 0.4, 0, 0)),
)  # fmt: skip


def test_the_same_bytes_twice(tiny_cast: Cast, tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
    one, two = (make_shard(tmp_path / f, 1, SMALL, tiny_cast) for f in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()
    other = make_shard(tmp_path / "one", 0, SMALL, tiny_cast)
    assert other.read_bytes() != one.read_bytes()


def test_a_shard_that_is_there_is_kept(tiny_cast: Cast, tmp_path: Path) -> None:
    kept = shard_path(tmp_path, 0)
    kept.write_bytes(b"rendered earlier")
    assert make_shard(tmp_path, 0, SMALL, tiny_cast) == kept
    assert kept.read_bytes() == b"rendered earlier"
    made = make_shard(tmp_path, 1, SMALL, tiny_cast)
    assert sorted(tmp_path.iterdir()) == [kept, made]


def test_what_a_shard_holds(tiny_shards: Path) -> None:
    shard = load_shard(shard_path(tiny_shards, 0))
    assert len(shard) == 4
    assert shard.depth_mm.shape == shard.label.shape == (4, 80, 96)
    assert shard.depth_mm.dtype == np.uint16 and shard.label.dtype == np.uint8
    assert shard.joints_m.shape == (4, MAX_PEOPLE, 15, 3)
    assert shard.visible.shape == (4, MAX_PEOPLE, 15)
    there = np.isfinite(shard.joints_m).all((2, 3))
    assert (there.sum(1) >= 1).all() and (there.sum(1) <= 2).all()
    assert np.isnan(shard.joints_m[~there]).all() and not shard.visible[~there].any()
    assert (shard.label >> 4).max() <= there.sum(1).max()
    np.testing.assert_allclose(shard.intrinsics[:, :2], 86.4)
    for i in range(4):
        person = shard.label[i] >= 16
        assert (shard.depth_mm[i][person] / MM > 0.2).all()


@pytest.mark.parametrize("kept", [0, 100, 0.5, 0.99])
def test_a_truncated_shard_is_an_error_that_names_it(
    tiny_shards: Path, tmp_path: Path, kept: float
) -> None:
    whole = shard_path(tiny_shards, 0).read_bytes()
    cut = tmp_path / "cut.npz"
    cut.write_bytes(whole[: int(kept if kept > 1 else kept * len(whole))])
    with pytest.raises(ResidualPoseError, match=r"cut\.npz"):
        load_shard(cut)


def test_no_shard_another_archive_and_a_changed_byte_are_errors(
    tiny_shards: Path, tmp_path: Path
) -> None:
    with pytest.raises(ResidualPoseError, match="absent"):
        load_shard(tmp_path / "absent.npz")
    np.savez(tmp_path / "other.npz", depth=np.zeros(3))
    with pytest.raises(ResidualPoseError, match="other"):
        load_shard(tmp_path / "other.npz")
    data = bytearray(shard_path(tiny_shards, 0).read_bytes())
    data[len(data) // 3] ^= 0xFF
    (tmp_path / "flipped.npz").write_bytes(data)
    with pytest.raises(ResidualPoseError, match="flipped"):
        load_shard(tmp_path / "flipped.npz")


def stored(shard: Shard, path: Path, **extra: np.ndarray) -> Path:
    """A shard as any version may have written it."""
    np.savez_compressed(path, **{f: getattr(shard, f) for f in Shard.__slots__}, **extra)
    return path


def test_older_shards_with_fewer_people_and_no_names_load_beside_new_ones(
    tiny_shards: Path, tmp_path: Path
) -> None:
    new = load_shard(shard_path(tiny_shards, 0))
    four = replace(new, joints_m=new.joints_m[:, :4], visible=new.visible[:, :4])
    assert np.isnan(new.joints_m[:, 4:]).all()  # nobody is lost by storing four
    old = load_shard(stored(four, shard_path(tmp_path, 0)))
    assert old.joints_m.shape == (4, MAX_PEOPLE, 15, 3)
    np.testing.assert_array_equal(old.joints_m, new.joints_m)
    np.testing.assert_array_equal(old.visible, new.visible)
    shutil.copy(shard_path(tiny_shards, 1), shard_path(tmp_path, 1))
    store = FrameStore(tmp_path, shards=2, first_shards=2, steps_per_shard=1)
    batch = make_batch(store, 0, 12, 0, torch.device("cpu"))
    assert batch.joints_m.shape == (12, MAX_PEOPLE, 15, 3)


def test_joints_are_found_by_their_names(tiny_shards: Path, tmp_path: Path) -> None:
    shard = load_shard(shard_path(tiny_shards, 0))
    names = [*reversed(ITOP15.joints[1:]), "left thumb"]
    joints = np.concatenate([shard.joints_m[:, :, :0:-1], shard.joints_m[:, :, :1] + 9], 2)
    visible = np.concatenate([shard.visible[:, :, :0:-1], shard.visible[:, :, :1]], 2)
    changed = replace(shard, joints_m=joints, visible=visible)
    read = load_shard(stored(changed, tmp_path / "joints.npz", joints=np.array(names)))
    np.testing.assert_array_equal(read.joints_m[:, :, 1:], shard.joints_m[:, :, 1:])
    np.testing.assert_array_equal(read.visible[:, :, 1:], shard.visible[:, :, 1:])
    assert np.isnan(read.joints_m[:, :, 0]).all() and not read.visible[:, :, 0].any()


def test_more_people_than_fit_is_an_error_that_names_the_file(
    tiny_shards: Path, tmp_path: Path
) -> None:
    shard = load_shard(shard_path(tiny_shards, 0))
    crowd = replace(
        shard,
        joints_m=np.tile(shard.joints_m, (1, 2, 1, 1)),
        visible=np.tile(shard.visible, (1, 2, 1)),
    )
    with pytest.raises(ResidualPoseError, match=r"crowd\.npz.*10 people"):
        load_shard(stored(crowd, tmp_path / "crowd.npz"))


def test_frames_drawn_together_are_those_drawn_alone(tiny_cast: Cast) -> None:
    scene = replace(SMALL.scene, people=(0.25, 0.25, 0.5))
    scenes = [
        sample_scene(tiny_cast.bank, tiny_cast.poses, scene, np.random.default_rng(seed))
        for seed in range(4)
    ]
    alone = [draw_scene(one, scene) for one in scenes]
    views = [seen_from(s.room.primitives, s.figures, s.viewpoint, s.camera) for s in scenes]
    depth, label = draw(views, scene.width, scene.height, "cpu")
    for i, frame in enumerate(alone):
        np.testing.assert_array_equal(depth[i], frame.depth_m)
        np.testing.assert_array_equal(label[i], frame.person * 16 + frame.material)
