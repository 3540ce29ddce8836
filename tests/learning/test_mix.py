"""Training frames of recordings: brought to the training camera, mixed with rendered ones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")

from residualpose.camera import Camera  # noqa: E402
from residualpose.datasets.plain_writer import PlainWriter  # noqa: E402
from residualpose.errors import ResidualPoseError, UsageError  # noqa: E402
from residualpose.frames import DepthFrame  # noqa: E402
from residualpose.learning.batches import Crop, make_batch  # noqa: E402
from residualpose.learning.labelled_store import LabelledStore  # noqa: E402
from residualpose.learning.mix import MixedFrames, Pace, Share, frame_px, open_frames  # noqa: E402
from residualpose.skeleton import ITOP15, PANOPTIC15, Skeleton  # noqa: E402

CPU = torch.device("cpu")
PACE = Pace(2, 2, 1)
WALL_M = 4.0


def bumpy(camera: Camera, joints_m: np.ndarray) -> np.ndarray:
    """A wall with a block of 9 x 9 pixels at each joint's depth."""
    depth = np.full((240, 320), WALL_M, np.float32)
    for (u, v), z in zip(camera.project(joints_m).round().astype(int), joints_m[:, 2], strict=True):
        depth[max(v - 4, 0) : v + 5, max(u - 4, 0) : u + 5] = z
    return depth


@pytest.fixture
def recording(standing_m: np.ndarray, tmp_path: Path) -> Path:
    """Three frames of a camera that is not the training one; the right hand is unlabelled."""
    camera = Camera(285.7, 285.7, 160.0, 120.0)
    with PlainWriter(tmp_path / "recording") as writer:
        for shift in (-0.5, 0.0, 0.4):
            joints = standing_m + [shift, 0, 0]
            labels = joints.copy()
            labels[6] = np.nan
            writer.add(DepthFrame(bumpy(camera, joints), camera), labels[None])
    return tmp_path / "recording"


def stores(recording: Path) -> Iterator[LabelledStore]:
    from residualpose.datasets import open_dataset

    data = open_dataset(recording)
    for size in ((160, 128), (96, 80), (200, 160)):
        yield LabelledStore(data.frames(), ITOP15, ITOP15, 144.0, size, "test")


def test_labels_lie_on_the_picture_after_cutting(recording: Path) -> None:
    for store in stores(recording):
        scene = store.draw(0, 6, np.random.default_rng(1))
        width, height = store.size
        assert scene.depth_m.shape == (6, height, width)
        assert scene.sensed is not None and scene.sensed.all()
        joints, seen = scene.joints_m[:, 0].numpy(), scene.visible[:, 0].numpy()
        assert seen.sum(1).min() >= 4 and not seen[:, 6].any()
        assert np.isnan(joints[:, 6]).all() and np.isfinite(np.delete(joints, 6, 1)).all()
        for i, lens in enumerate(scene.intrinsics.numpy()):
            assert lens[:2] == pytest.approx(144)
            u, v = (joints[i, :, :2] / joints[i, :, 2:] * lens[:2] + lens[2:]).T
            for j in np.flatnonzero(seen[i]):
                surface = float(scene.depth_m[i, round(float(v[j])), round(float(u[j]))])
                assert surface == pytest.approx(float(joints[i, j, 2]), abs=0.3)


def test_recorded_frames_get_no_second_sensor(
    recording: Path, standing_m: np.ndarray, tiny_shards: Path
) -> None:
    alone = open_frames([Share(recording)], PACE, 86.4)
    batch = make_batch(alone.frames, 3, 4, 0, CPU)
    found = set((batch.depth_m.numpy() * 1000).round().ravel())
    assert found <= {0, 1000 * WALL_M, *(1000 * standing_m[:, 2]).round()}
    shares = [Share(tiny_shards, 1.0), Share(recording, 3.0)]
    mixed = open_frames(shares, PACE, 86.4)
    scene = mixed.frames.draw(0, 200, np.random.default_rng(0))
    assert scene.depth_m.shape == (200, 80, 96) and scene.sensed is not None
    assert 0.65 < float(scene.sensed.float().mean()) < 0.85
    noisy = make_batch(mixed.frames, 0, 12, 0, CPU)
    clean = make_batch(mixed.frames, 0, 12, 0, CPU, sensor_noise=False)
    same = (noisy.depth_m == clean.depth_m).flatten(1).all(1)
    drawn = mixed.frames.draw(0, 12, np.random.default_rng([0, 0]))
    assert drawn.sensed is not None
    assert torch.equal(same[drawn.sensed], torch.ones_like(same[drawn.sensed]))
    assert not same[~drawn.sensed].all()


def test_batches_of_a_mix_are_functions_of_the_step(recording: Path, tiny_shards: Path) -> None:
    shares = [Share(tiny_shards, 0.5), Share(recording, 0.5)]
    one, two = (open_frames(shares, PACE, 86.4).frames for _ in range(2))
    make_batch(one, 0, 4, 7, CPU)
    crop = Crop(48, 48)
    first, second = (make_batch(frames, 5, 4, 7, CPU, crop) for frames in (one, two))
    assert torch.equal(first.depth_m, second.depth_m)
    other = make_batch(two, 5, 4, [7, 1], CPU, crop)
    assert not torch.equal(first.depth_m, other.depth_m)


def test_one_rendered_folder_is_drawn_from_as_ever(tiny_shards: Path) -> None:
    opened = open_frames([Share(tiny_shards)], PACE, 86.4)
    assert not isinstance(opened.frames, MixedFrames) and opened.skeleton == ITOP15


def test_joints_go_by_their_names(
    standing_m: np.ndarray, tmp_path: Path, tiny_shards: Path
) -> None:
    camera = Camera(285.7, 285.7, 160.0, 120.0)
    with PlainWriter(tmp_path / "panoptic", PANOPTIC15) as writer:
        writer.add(DepthFrame(bumpy(camera, standing_m), camera), standing_m[None])
    alone = open_frames([Share(tmp_path / "panoptic")], PACE, 144.0)
    assert alone.skeleton == PANOPTIC15
    rng = np.random.default_rng(0)
    assert torch.isfinite(alone.frames.draw(0, 1, rng).joints_m[0, 0]).all()
    mixed = open_frames([Share(tmp_path / "panoptic"), Share(tiny_shards)], PACE, 144.0)
    assert mixed.skeleton == ITOP15 and isinstance(mixed.frames, MixedFrames)
    joints = mixed.frames.sources[0].draw(0, 1, rng).joints_m[0, 0]
    known = [n for n, xyz in zip(ITOP15.joints, joints, strict=True) if torch.isfinite(xyz).all()]
    assert known == [name for name in ITOP15.joints if name in PANOPTIC15.joints]


def test_what_cannot_be_trained_on_is_named(recording: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="residualpose synth"):
        open_frames([Share(tmp_path)], PACE, 144.0)
    other = Skeleton("other", tuple(f"joint{i}" for i in range(15)), ITOP15.limbs, ITOP15.mirror)
    with pytest.raises(ResidualPoseError, match="labelled joints"):
        LabelledStore([], other, ITOP15, 144.0, (96, 80), "nothing")


def test_shares_are_read_from_text() -> None:
    assert Share.parse("data") == Share(Path("data"))
    assert Share.parse("data=0.3") == Share(Path("data"), 0.3)
    assert Share.parse("a=b/data") == Share(Path("a=b/data"))
    for wrong in ("data=0", "data=-1", "data=inf", "=2"):
        with pytest.raises(UsageError, match="weight"):
            Share.parse(wrong)


def test_frames_show_the_same_angle_at_any_focal_length() -> None:
    assert frame_px(144.0) == (160, 128)
    assert frame_px(171.0) == (192, 160)
    assert frame_px(288.0) == (320, 256)
