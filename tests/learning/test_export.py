"""The exported network is the trained one, at every image size."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")
pytest.importorskip("onnx", reason="needs the train extra")

from residualpose.camera import Camera  # noqa: E402
from residualpose.learning.export import STRIDE, export_closer, export_maps  # noqa: E402
from residualpose.learning.mix import Share  # noqa: E402
from residualpose.learning.network import NetworkConfig, PoseNetwork, split_maps  # noqa: E402
from residualpose.learning.train_maps import MapsConfig, train_maps  # noqa: E402
from residualpose.pipeline.maps import Maps, MapsModel  # noqa: E402
from residualpose.pipeline.normalise import NetworkInput  # noqa: E402
from residualpose.skeleton import ITOP15, L_ELBOW, L_HAND, R_ELBOW, R_HAND  # noqa: E402

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


@pytest.mark.parametrize("integers", [False, True])
def test_a_closer_look_is_the_mean_of_both_ways(
    tiny_shards: Path, tmp_path: Path, integers: bool
) -> None:
    config = MapsConfig(
        (Share(tiny_shards),), tmp_path / "run", steps=2, batch=2, shards=1, first_shards=1,
        network=TINY, integers=integers,
    )  # fmt: skip
    checkpoint = train_maps(config, lambda *_: None)
    export_maps(checkpoint, tmp_path / "maps.onnx")
    assert export_closer(checkpoint, tmp_path / "closer.onnx") == 2
    once, both = (MapsModel(tmp_path / f"{name}.onnx", STRIDE) for name in ("maps", "closer"))
    depth = np.random.default_rng(0).uniform(1, 4, (48, 80)).astype(np.float32)
    camera = Camera(144, 144, 40, 24)
    one = once(NetworkInput(depth, camera))
    other = once(NetworkInput(np.ascontiguousarray(depth[:, ::-1]), camera))
    found = both(NetworkInput(depth, camera))
    right, left = (R_ELBOW, R_HAND), (L_ELBOW, L_HAND)
    turn = np.array([-1.0, 1.0])[:, None, None]
    for joint, partner in ((R_HAND, L_HAND), (L_HAND, R_HAND), (0, 0)):
        for of in (lambda maps: maps.part_maps, lambda maps: maps.offset_m):
            expected = (of(one)[joint] + of(other)[partner][:, ::-1]) / 2
            np.testing.assert_allclose(of(found)[joint], expected, atol=1e-5)
    for limb, partner in ((right, left), (left, right)):
        expected = (field(one, limb) + field(other, partner)[..., ::-1] * turn) / 2
        np.testing.assert_allclose(field(found, limb), expected, atol=1e-5)


def field(maps: Maps, limb: tuple[int, int]) -> np.ndarray:
    """(2, h, w) vectors along a limb."""
    fields = maps.limb_fields.reshape(len(ITOP15.limbs), 2, *maps.limb_fields.shape[1:])
    return fields[ITOP15.limbs.index(limb)]
