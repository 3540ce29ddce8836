"""Streamed batches: those of shards, by number alone, with torch and numpy alone."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")

from residualpose.errors import ResidualPoseError, UsageError  # noqa: E402
from residualpose.learning.batches import Batch, Crop  # noqa: E402
from residualpose.learning.stream import StreamConfig, finish, stream_batches  # noqa: E402
from residualpose.synthetic.bodies import BodyBank  # noqa: E402
from residualpose.synthetic.people import MAX_PEOPLE, SceneConfig  # noqa: E402
from residualpose.synthetic.poses import PoseLibrary  # noqa: E402
from residualpose.synthetic.shards import (  # noqa: E402
    MM,
    Cast,
    SynthConfig,
    load_shard,
    make_shard,
)

CPU = torch.device("cpu")
SMALL = SynthConfig(
    seed=5, shards=4, frames=3, bodies=3,
    scene=SceneConfig(48, 32, 40.0, 4.0, people=(0.2, 0.4, 0.4)),
)  # fmt: skip
CLEAN = StreamConfig(SMALL, 3, sensor_noise=False)
NOISY = StreamConfig(SMALL, 3)


@pytest.fixture(scope="module")
def folder(tiny_bank: BodyBank, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("stream")
    tiny_bank.save(path / "bodies_3_5.npz")
    return path


@pytest.fixture(autouse=True)
def few_poses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty thousand poses take seconds; worker processes make them all the same."""
    few = PoseLibrary.procedural(0, 300)
    monkeypatch.setattr(PoseLibrary, "procedural", lambda: few)


def taken(folder: Path, config: StreamConfig, count: int, workers: int = 0, first: int = 0) -> list:
    stream = stream_batches(folder, config, CPU, workers, first)
    batches = [next(stream) for _ in range(count)]
    stream.close()
    return batches


def same(one: Batch, two: Batch) -> bool:
    return all(
        torch.equal(getattr(one, f).nan_to_num(-9), getattr(two, f).nan_to_num(-9))
        for f in Batch.__slots__
    )


def test_a_batch_depends_on_seed_and_number_alone(folder: Path) -> None:
    straight = taken(folder, NOISY, 3)
    assert same(taken(folder, NOISY, 1, first=2)[0], straight[2])
    assert not same(straight[0], straight[1])
    other = replace(NOISY, synth=replace(SMALL, seed=6))
    (folder / "bodies_3_6.npz").write_bytes((folder / "bodies_3_5.npz").read_bytes())
    assert not same(taken(folder, other, 1)[0], straight[0])


def test_worker_processes_make_the_same_batches_in_order(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()  # the workers draw from all poses, so must we
    alone, together = (taken(folder, NOISY, 3, workers, first=1) for workers in (0, 2))
    assert all(same(one, two) for one, two in zip(alone, together, strict=True))


def test_the_frames_are_those_of_shards(folder: Path, tmp_path: Path) -> None:
    cast = Cast(BodyBank.load(folder / "bodies_3_5.npz"), PoseLibrary.procedural())
    for number, batch in enumerate(taken(folder, CLEAN, 2)):
        shard = load_shard(make_shard(tmp_path, number, SMALL, cast))
        flipped = (batch.intrinsics[:, 2].numpy() - shard.intrinsics[:, 2]) != 0
        depth = np.where(flipped[:, None, None], shard.depth_mm[..., ::-1], shard.depth_mm)
        np.testing.assert_allclose(batch.depth_m.numpy(), depth / MM, atol=1e-5)
        straight = ~flipped
        np.testing.assert_array_equal(batch.joints_m[straight], shard.joints_m[straight])
        np.testing.assert_array_equal(batch.visible[straight], shard.visible[straight])


def test_shapes_noise_and_crops(folder: Path) -> None:
    noisy, clean = taken(folder, NOISY, 1)[0], taken(folder, CLEAN, 1)[0]
    assert noisy.depth_m.shape == (3, 32, 48) and noisy.depth_m.dtype == torch.float32
    assert noisy.joints_m.shape == (3, MAX_PEOPLE, 15, 3)
    assert noisy.visible.shape == (3, MAX_PEOPLE, 15) and noisy.intrinsics.shape == (3, 4)
    assert not torch.equal(noisy.depth_m, clean.depth_m)
    cropped = taken(folder, replace(NOISY, crop=Crop(32, 16, whole_every=2)), 2)
    assert [tuple(b.depth_m.shape[1:]) for b in cropped] == [(32, 48), (16, 32)]


def test_missing_bodies_and_impossible_requests_are_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ResidualPoseError, match=r"bodies_3_5\.npz"):
        next(stream_batches(tmp_path, NOISY, CPU, 2))
    with pytest.raises(UsageError, match="batch"):
        StreamConfig(SMALL, 0)
    with pytest.raises(UsageError, match="workers"):
        next(stream_batches(folder, NOISY, CPU, -1))


ALONE = """
import sys
for name in ("anny", "roma", "trimesh", "tyro", "rich", "scipy", "PIL", "onnx", "onnxruntime",
             "h5py", "warp", "OpenEXR", "skimage", "matplotlib"):
    sys.modules[name] = None
from pathlib import Path
import torch
from residualpose.learning.stream import StreamConfig, stream_batches
from residualpose.synthetic.people import SceneConfig
from residualpose.synthetic.shards import SynthConfig
synth = SynthConfig(seed=5, bodies=3, scene=SceneConfig(48, 32, 40.0, 4.0))
batch = next(stream_batches(Path(sys.argv[1]), StreamConfig(synth, 2), torch.device("cpu"), 0))
print(tuple(batch.depth_m.shape))
"""


def test_torch_and_numpy_are_enough(folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ALONE, str(folder)], capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "(2, 32, 48)", done.stderr


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_draws_the_same_frames(folder: Path) -> None:
    stream = stream_batches(folder, CLEAN, torch.device("cuda"), 1)
    on_device, on_cpu = next(stream), taken(folder, CLEAN, 1)[0]
    stream.close()
    assert on_device.depth_m.is_cuda
    close = (on_device.depth_m.cpu() - on_cpu.depth_m).abs() < 2e-3
    assert close.float().mean() > 0.995


def test_finishing_on_a_device_is_what_the_stream_does(folder: Path) -> None:
    from residualpose.learning.stream import _Views

    views = _Views(folder, NOISY)[1]
    assert same(finish(views, 1, NOISY, CPU), taken(folder, NOISY, 1, first=1)[0])
