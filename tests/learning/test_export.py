"""The exported network is the trained one, at every image size."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")
pytest.importorskip("onnx", reason="needs the train extra")

from residualpose.camera import Camera  # noqa: E402
from residualpose.learning.export import STRIDE, export_maps  # noqa: E402
from residualpose.learning.mix import Share  # noqa: E402
from residualpose.learning.network import NetworkConfig, PoseNetwork, split_maps  # noqa: E402
from residualpose.learning.train_maps import MapsConfig, train_maps  # noqa: E402
from residualpose.pipeline.maps import MapsModel  # noqa: E402
from residualpose.pipeline.normalise import NetworkInput  # noqa: E402

TINY = NetworkConfig(stem=4, widths=(8, 8, 8), blocks=(1, 1, 1), head=8)


@pytest.fixture(scope="module")
def checkpoint(tiny_shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run")
    config = MapsConfig(
        (Share(tiny_shards),), out, steps=2, batch=2, shards=1, first_shards=1, network=TINY
    )
    return train_maps(config, lambda *_: None)


def test_onnx_equals_torch_at_other_image_sizes(checkpoint: Path, tmp_path: Path) -> None:
    assert export_maps(checkpoint, tmp_path / "model" / "maps.onnx") == 2
    state = torch.load(checkpoint, weights_only=True)
    network = PoseNetwork(NetworkConfig(**asdict(TINY)))
    network.load_state_dict(state["average"])
    run = MapsModel(tmp_path / "model" / "maps.onnx", STRIDE)
    rng = np.random.default_rng(0)
    for height, width in ((128, 160), (80, 96), (112, 208)):
        depth = rng.choice([0, 1.5, 2.2, 3.0, 6.0], (height, width)).astype(np.float32)
        maps = run(NetworkInput(depth, Camera(144, 144, width / 2, height / 2)))
        with torch.no_grad():
            _, final = network.eval()(torch.from_numpy(depth)[None, None])
        expected = [m[0].numpy() for m in split_maps(final)]
        assert maps.part_maps.shape == (15, height // 2, width // 2)
        assert maps.stride == 2 and maps.offset_m is not None
        for a, b in zip((maps.part_maps, maps.limb_fields, maps.offset_m), expected, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-4)
