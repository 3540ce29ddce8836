"""Shards: the same bytes every time, whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the synthetic extra")

from residualpose.errors import ResidualPoseError
from residualpose.synthetic.people import MAX_PEOPLE, SceneConfig
from residualpose.synthetic.shards import (
    MM,
    SynthConfig,
    load_shard,
    make_shard,
    shard_path,
)

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
