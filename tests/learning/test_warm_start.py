"""Training that starts from a model: the first forward pass is the model's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")
pytest.importorskip("onnx", reason="needs the train extra")

import numpy as np  # noqa: E402

from residualpose.camera import Camera  # noqa: E402
from residualpose.errors import ResidualPoseError, UsageError  # noqa: E402
from residualpose.learning.checkpoint import load_checkpoint, save_checkpoint  # noqa: E402
from residualpose.learning.export import (  # noqa: E402
    export_maps,
    network_settings,
    write_card,
)
from residualpose.learning.mix import Share  # noqa: E402
from residualpose.learning.network import NetworkConfig, PoseNetwork, split_maps  # noqa: E402
from residualpose.learning.train_maps import MapsConfig, train_maps  # noqa: E402
from residualpose.learning.warm_start import freeze_norms, restore_norms, start_from  # noqa: E402
from residualpose.model import WEIGHTS, ModelFolder  # noqa: E402
from residualpose.pipeline.maps import MapsModel  # noqa: E402
from residualpose.pipeline.normalise import NetworkInput, normalise  # noqa: E402
from residualpose.settings import build  # noqa: E402
from residualpose.sources import open_source  # noqa: E402


def _one_step(shards: Path, out: Path) -> MapsConfig:
    """A run of one step of a tiny network."""
    tiny = NetworkConfig(stem=4, widths=(8, 8, 8), blocks=(1, 1, 1), head=8)
    data = (Share(shards),)
    return MapsConfig(data, out, steps=1, batch=2, shards=1, first_shards=1, network=tiny)


def _maps_of(network: PoseNetwork, depth: np.ndarray) -> list[np.ndarray]:
    """Parts, fields and offsets of one image, norms as in use but frozen as in training."""
    network.train()
    freeze_norms(network)
    with torch.no_grad():
        _, final = network(torch.from_numpy(depth)[None, None])
    return [m[0].numpy() for m in split_maps(final)]


def _image() -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.choice([0, 1.5, 2.2, 3.0, 6.0], (80, 96)).astype(np.float32)


def _exported(folder: Path, depth: np.ndarray) -> list[np.ndarray]:
    maps = MapsModel(folder / "maps.onnx", 2)(NetworkInput(depth, Camera(144, 144, 48, 40)))
    assert maps.offset_m is not None
    return [maps.part_maps, maps.limb_fields, maps.offset_m]


def test_an_exported_model_comes_back_whole(tiny_shards: Path, tmp_path: Path) -> None:
    config = replace(_one_step(tiny_shards, tmp_path / "run"), steps=2)
    export_maps(train_maps(config, lambda *_: None), tmp_path / "maps.onnx")
    prior = ModelFolder.open("base").path / "prior.npz"
    (tmp_path / "prior.npz").write_bytes(prior.read_bytes())
    write_card(tmp_path, "tiny")
    network = PoseNetwork(config.network)
    start_from(network, str(tmp_path))
    depth = _image()
    for ours, theirs in zip(_maps_of(network, depth), _exported(tmp_path, depth), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=2e-3)


@pytest.mark.parametrize("name", ["base", "small"])
def test_the_bundled_models_come_back_but_for_their_rounding(name: str) -> None:
    folder = ModelFolder.open(name)
    network = PoseNetwork(build(NetworkConfig, network_settings(folder), name))
    start_from(network, name)
    (frame,) = open_source(WEIGHTS.parent / "samples" / "structured_light_one.npz")
    depth = normalise(frame, folder.focal_px).depth_m
    for ours, theirs in zip(_maps_of(network, depth), _exported(folder.path, depth), strict=True):
        assert np.abs(ours - theirs).mean() < 0.02
        assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.95


def test_restored_norms_leave_the_model_as_it_is_and_fit_the_images() -> None:
    restored, model = PoseNetwork(), PoseNetwork()
    start_from(restored, "base")
    start_from(model, "base")
    images = torch.from_numpy(np.random.default_rng(0).uniform(1, 4, (4, 1, 32, 48))).float()
    restore_norms(restored, [images[:2], images[2:]])
    with torch.no_grad():
        _, expected = model.eval()(images)
        torch.testing.assert_close(restored.eval()(images)[1], expected, atol=1e-3, rtol=1e-3)
        # Statistics of a batch are now those of the network: training goes on where it stood.
        torch.testing.assert_close(restored.train()(images)[1], expected, atol=0.05, rtol=0.05)
    filters = [weight for weight in restored.parameters() if weight.ndim == 4]
    sizes = [float(torch.linalg.vector_norm(f)) / f.numel() ** 0.5 for f in filters]
    assert min(sizes) > 0.05  # Adam turns all of them at like speeds


def test_a_checkpoint_of_another_run(tmp_path: Path) -> None:
    config = NetworkConfig(stem=4, widths=(8, 8, 8), blocks=(1, 1, 1), head=8)
    source, network = PoseNetwork(config), PoseNetwork(config)
    state = {"step": 1, "network": {}, "average": source.state_dict(), "optimiser": {}}
    save_checkpoint(tmp_path / "checkpoint.pt", {**state, "config": "{}"})
    start_from(network, str(tmp_path / "checkpoint.pt"))
    x = torch.rand(1, 1, 32, 32)
    assert torch.equal(network.eval()(x)[1], source.eval()(x)[1])


def test_training_goes_on_from_another_run(tiny_shards: Path, tmp_path: Path) -> None:
    one = _one_step(tiny_shards, tmp_path / "one")
    first = train_maps(one, lambda *_: None)
    again = replace(one, out=tmp_path / "two", start=str(first), learning_rate=1e-9)
    second = train_maps(again, lambda *_: None)
    before, after = load_checkpoint(first)["average"], load_checkpoint(second)["network"]
    for name, value in before.items():
        torch.testing.assert_close(after[name], value, atol=1e-6, rtol=1e-4)


def test_norms_are_followed_when_not_frozen(tiny_shards: Path, tmp_path: Path) -> None:
    one = _one_step(tiny_shards, tmp_path / "one")
    first = str(train_maps(one, lambda *_: None))
    counts = {}
    for frozen in (True, False):
        out = tmp_path / f"{frozen}"
        again = replace(one, out=out, start=first, steps=3, frozen_norms=frozen)
        state = load_checkpoint(train_maps(again, lambda *_: None))["network"]
        counts[frozen] = {int(v) for k, v in state.items() if k.endswith("num_batches_tracked")}
    assert max(counts[False]) - max(counts[True]) == 3


def test_models_that_do_not_fit_are_named(tmp_path: Path) -> None:
    small = PoseNetwork(NetworkConfig(stem=4, widths=(8, 8, 8), blocks=(1, 1, 1), head=8))
    with pytest.raises(ResidualPoseError, match=r"base: expected a network of the size set"):
        start_from(small, "base")
    with pytest.raises(UsageError, match="no model 'nothing'"):
        start_from(small, "nothing")
    with pytest.raises(ResidualPoseError, match="cannot read the checkpoint"):
        start_from(small, str(tmp_path / "missing.pt"))


def test_with_few_frames_only_the_ends_learn(tiny_shards: Path, tmp_path: Path) -> None:
    tiny = NetworkConfig(stem=4, widths=(8, 8), blocks=(1, 1), head=8)
    one = MapsConfig(
        (Share(tiny_shards),), tmp_path, steps=1, batch=2, shards=1, first_shards=1,
        network=tiny, learn="ends",
    )  # fmt: skip
    torch.manual_seed(one.seed)
    before = PoseNetwork(tiny).state_dict()
    train_maps(one, lambda *_: None)
    after = load_checkpoint(tmp_path / "checkpoint.pt")["network"]
    changed = {name for name, value in before.items() if not torch.equal(after[name], value)}
    kernels = {name for name, value in before.items() if value.ndim == 4}
    assert "stem.0.0.weight" in changed and "final.1.weight" in changed
    assert any("hourglasses" in name and name.endswith(".1.weight") for name in changed)
    assert not any("hourglasses" in name for name in changed & kernels)
    with pytest.raises(UsageError, match="learn"):
        replace(one, learn="middle")
