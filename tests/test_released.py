"""Loading released files, good and bad, and the released networks as stages."""

from __future__ import annotations

import json
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest

from residualpose.camera import Camera
from residualpose.errors import MissingExtraError, ResidualPoseError, UsageError
from residualpose.frames import DepthFrame
from residualpose.released import ReleasedMaps, ReleasedRefiner, load_hourglass, load_regressor

pytest.importorskip("torch", reason="the released networks need the train extra")

import torch

from residualpose.learning.released_network import (
    ReleasedHourglass,
    ReleasedRegressor,
)

CAMERA = Camera(365.0, 365.0, 250.0, 200.0)
SHARED = Path(__file__).resolve().parents[1] / ".." / "shared"


class Constant(torch.nn.Module):
    """Answers every input with the same rows."""

    def __init__(self, row: np.ndarray) -> None:
        super().__init__()
        self.row = torch.from_numpy(row.astype(np.float32))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.row.expand(len(x), -1)


class Probe(torch.nn.Module):
    """Keeps its input and answers with maps that have one bright cell."""

    def forward(self, x: torch.Tensor) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        self.seen = x
        first, last = torch.zeros(1, 16, 64, 80), torch.zeros(1, 16, 64, 80)
        last[0, 3, 10, 20] = 1.0
        last[0, 15] = 5.0
        return [first, last], [torch.zeros(1, 28, 64, 80), torch.ones(1, 28, 64, 80)]


def small_regressor() -> torch.nn.Module:
    return ReleasedRegressor(8, 2)


def test_regressor_round_trip_is_exact_and_in_eval_mode(tmp_path: Path) -> None:
    source = small_regressor()
    torch.save(source.state_dict(), tmp_path / "reg.pm")
    loaded = load_regressor(tmp_path / "reg.pm", features=8, blocks=2)
    assert not loaded.training
    for name, value in source.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value), name
    x = torch.randn(3, 45)
    assert torch.equal(loaded(x), source.eval()(x))


def test_half_precision_weights_become_single(tmp_path: Path) -> None:
    torch.save(small_regressor().half().state_dict(), tmp_path / "reg.pm")
    loaded = load_regressor(tmp_path / "reg.pm", features=8, blocks=2)
    assert loaded(torch.zeros(1, 45)).dtype == torch.float32


def test_absent_file_names_the_path(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nowhere\.pm: expected a file of released weights"):
        load_hourglass(tmp_path / "nowhere.pm")


@pytest.mark.parametrize("damage", [b"", b"not weights at all", b"PK\x03\x04" + bytes(100)])
def test_damaged_file_is_one_sentence(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "bad.pm"
    path.write_bytes(damage)
    with pytest.raises(ResidualPoseError, match=r"bad\.pm: expected a PyTorch state dict") as info:
        load_regressor(path)
    assert "\n" not in str(info.value)


def test_truncated_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cut.pm"
    torch.save(small_regressor().state_dict(), path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ResidualPoseError, match=r"cut\.pm"):
        load_regressor(path, features=8, blocks=2)


def test_pickled_code_is_not_run(tmp_path: Path) -> None:
    path, trace = tmp_path / "evil.pm", tmp_path / "ran"

    class Evil:
        def __reduce__(self) -> tuple[object, tuple[object, ...]]:
            return Path.touch, (trace,)

    path.write_bytes(pickle.dumps(Evil(), protocol=2))
    with pytest.raises(ResidualPoseError, match="unsafe"):
        load_regressor(path)
    assert not trace.exists()


def test_other_network_is_named(tmp_path: Path) -> None:
    torch.save(small_regressor().state_dict(), tmp_path / "reg.pm")
    with pytest.raises(ResidualPoseError, match=r"not the released 2D network: front\.0\.weight"):
        load_hourglass(tmp_path / "reg.pm")
    with pytest.raises(ResidualPoseError, match=r"should be \(2048, 45\), found \(8, 45\)"):
        load_regressor(tmp_path / "reg.pm")


def test_absent_and_unknown_tensors_are_named(tmp_path: Path) -> None:
    state = small_regressor().state_dict()
    torch.save({k: v for k, v in state.items() if k != "back.bias"}, tmp_path / "less.pm")
    torch.save(state | {"more": torch.zeros(1)}, tmp_path / "more.pm")
    with pytest.raises(ResidualPoseError, match=r"back\.bias is absent .* found 22"):
        load_regressor(tmp_path / "less.pm", features=8, blocks=2)
    with pytest.raises(ResidualPoseError, match="more is unknown"):
        load_regressor(tmp_path / "more.pm", features=8, blocks=2)


def test_a_list_of_tensors_is_not_a_state_dict(tmp_path: Path) -> None:
    torch.save([torch.zeros(2)], tmp_path / "list.pm")
    with pytest.raises(ResidualPoseError, match="found list"):
        load_regressor(tmp_path / "list.pm")


def test_without_torch_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtraError, match=r"residualpose\[train\]"):
        load_hourglass(tmp_path / "any.pm")


def test_hourglass_loads_and_answers_with_two_stages(tmp_path: Path) -> None:
    torch.save(ReleasedHourglass().state_dict(), tmp_path / "hg.pm")
    network = load_hourglass(tmp_path / "hg.pm")
    with torch.inference_mode():
        part_maps, limb_fields = network(torch.zeros(1, 1, 64, 64))
    assert [tuple(m.shape) for m in part_maps] == [(1, 16, 16, 16)] * 2
    assert [tuple(m.shape) for m in limb_fields] == [(1, 28, 16, 16)] * 2


def test_maps_normalise_depth_as_the_release_did() -> None:
    depth_m = np.zeros((240, 320), np.float32)
    depth_m[:, 100:200], depth_m[:, 200:] = 4.0, 12.0
    probe = Probe()
    ReleasedMaps(probe)(DepthFrame(depth_m, CAMERA))
    seen = probe.seen.numpy()[0, 0]
    assert seen.shape == (256, 320)
    np.testing.assert_allclose(seen[128, [50, 150, 250]], [-0.5, 0.0, 0.5], atol=1e-6)


@pytest.mark.parametrize("shape", [(240, 320), (424, 512), (480, 640), (90, 160)])
def test_a_cell_looks_along_the_ray_of_its_image_pixel(shape: tuple[int, int]) -> None:
    frame = DepthFrame(np.full(shape, 2.0, np.float32), CAMERA)
    maps, camera = ReleasedMaps(Probe())(frame)
    assert maps.part_maps.shape == (15, 64, 80)
    assert maps.limb_fields.shape == (28, 64, 80)
    assert maps.limb_fields.min() == 1.0  # the last stage
    y, x = np.argwhere(maps.part_maps[3] == 1.0)[0]
    pixel = [(x + 0.5) * shape[1] / 80 - 0.5, (y + 0.5) * shape[0] / 64 - 0.5]
    np.testing.assert_allclose(camera.rays(np.array([x, y])), CAMERA.rays(np.array(pixel)))


def write_stats(path: Path, mean: float, sd: float) -> Path:
    path.write_text(json.dumps({"train_mean": [[mean] * 3] * 15, "train_sd": [[sd] * 3] * 15}))
    return path


def test_refiner_adds_the_denormalised_output(tmp_path: Path) -> None:
    row = np.zeros(45)
    row[3:6] = (1.0, 2.0, -1.0)
    refine = ReleasedRefiner.load(
        Constant(row),
        write_stats(tmp_path / "in.json", 1.0, 2.0),
        write_stats(tmp_path / "out.json", 0.01, 0.1),
    )
    joints_m = np.arange(90, dtype=np.float32).reshape(2, 15, 3)
    moved_m = refine(joints_m) - joints_m
    np.testing.assert_allclose(moved_m[:, 1], [[0.11, 0.21, -0.09]] * 2, atol=1e-5)
    np.testing.assert_allclose(moved_m[:, [0, 2, 14]], 0.01, atol=1e-5)
    assert refine(np.zeros((0, 15, 3))).shape == (0, 15, 3)


def test_refiner_feeds_normalised_joints(tmp_path: Path) -> None:
    class Echo(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x

    refine = ReleasedRefiner.load(
        Echo(),
        write_stats(tmp_path / "in.json", 1.0, 2.0),
        write_stats(tmp_path / "out.json", 0.0, 0.1),
    )
    np.testing.assert_allclose(refine(np.full((1, 15, 3), 3.0)), 3.1, atol=1e-6)


def test_refiner_ignores_corrections_of_metres(tmp_path: Path) -> None:
    row = np.zeros(45)
    row[18:21], row[21:24] = 0.2, 0.05  # times 10: 3.5 m and 0.87 m
    stats = write_stats(tmp_path / "s.json", 0.0, 10.0)
    refined_m = ReleasedRefiner.load(Constant(row), stats, stats)(np.zeros((1, 15, 3)))
    np.testing.assert_allclose(refined_m[0, 6], 0.0)
    np.testing.assert_allclose(refined_m[0, 7], 0.5, atol=1e-5)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("{", "expected JSON"),
        ('{"train_mean": []}', "train_sd"),
        ('{"train_mean": [[0,0,0]], "train_sd": [[1,1,1]]}', r"\(1, 3\)"),
    ],
)
def test_bad_statistics_are_named(tmp_path: Path, text: str, found: str) -> None:
    (tmp_path / "bad.json").write_text(text)
    good = write_stats(tmp_path / "good.json", 0.0, 1.0)
    with pytest.raises(ResidualPoseError, match=rf"bad\.json: .*{found}"):
        ReleasedRefiner.load(Constant(np.zeros(45)), tmp_path / "bad.json", good)
    with pytest.raises(UsageError, match=r"none\.json"):
        ReleasedRefiner.load(Constant(np.zeros(45)), good, tmp_path / "none.json")


@pytest.mark.skipif(not SHARED.is_dir(), reason="../shared is absent")
@pytest.mark.parametrize("name", ["itop", "panoptic"])
def test_released_statistics_load(name: str) -> None:
    folder = SHARED / "reference" / name
    refine = ReleasedRefiner.load(
        Constant(np.zeros(45)),
        folder / "train_input_stats.json",
        folder / "train_output_stats.json",
    )
    people = refine.input_mean_m[None]
    np.testing.assert_allclose(refine(people)[0] - people[0], refine.output_mean_m, atol=1e-5)
