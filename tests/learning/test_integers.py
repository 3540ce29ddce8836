"""Networks of 8-bit integers: what training rounds is what ONNX Runtime computes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")
onnx = pytest.importorskip("onnx", reason="needs the train extra")

from residualpose.errors import UsageError  # noqa: E402
from residualpose.learning.checkpoint import load_checkpoint  # noqa: E402
from residualpose.learning.export import card_facts, export_maps, write_card  # noqa: E402
from residualpose.learning.integers import (  # noqa: E402
    STEPS,
    WEIGHT_STEPS,
    RoundedFilters,
    Rounding,
    fold,
    round_network,
)
from residualpose.learning.mix import Share  # noqa: E402
from residualpose.learning.network import NetworkConfig, PoseNetwork, split_maps  # noqa: E402
from residualpose.learning.train_maps import MapsConfig, train_maps  # noqa: E402
from residualpose.learning.warm_start import start_from  # noqa: E402
from residualpose.model import ModelFolder  # noqa: E402
from residualpose.pipeline.maps import start_session  # noqa: E402

TINY = NetworkConfig(stem=4, widths=(8, 8, 8), blocks=(1, 1, 1), head=8)


def _rounding(low: float, high: float) -> Rounding:
    rounding = Rounding()
    rounding.low.fill_(low)
    rounding.high.fill_(high)
    return rounding


def test_numbers_take_256_steps_of_which_one_is_zero() -> None:
    rounding = _rounding(-1.0, 3.0).eval()
    x = torch.linspace(-2, 4, 5001)
    rounded = rounding(x)
    assert len(rounded.unique()) == STEPS + 1
    assert (rounded == 0).any()
    inside = (x > -0.99) & (x < 2.99)
    assert (rounded - x)[inside].abs().max() <= 0.51 * 4 / STEPS
    assert rounded.min() > -1.01 and rounded.max() < 3.01


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_training_rounds_as_use_does_and_lets_gradients_pass_inside(dtype: torch.dtype) -> None:
    rounding = _rounding(0.0, 2.55).train()
    x = torch.tensor([-1.0, 0.101, 1.004, 2.0, 7.0]).to(dtype).requires_grad_()
    y = rounding(x)
    y.sum().backward()
    assert x.grad is not None and x.grad.tolist() == [0.0, 1.0, 1.0, 1.0, 0.0]
    expected = rounding.eval()(x.detach().float())  # in the range that it followed to
    assert expected.max() < 2.7 and expected.min() > -0.05
    torch.testing.assert_close(y.float(), expected, atol=0.006, rtol=0.01)


def test_ranges_begin_with_a_batch_and_follow_the_next() -> None:
    rounding = Rounding().train()
    rounding(torch.tensor([0.5, 2.0]))
    assert (float(rounding.low), float(rounding.high)) == (0.0, 2.0)  # 0 is always inside
    rounding(torch.tensor([-1.0, 4.0]))
    assert float(rounding.low) == pytest.approx(-0.02)
    assert float(rounding.high) == pytest.approx(2.04)


def test_filters_take_few_enough_steps_that_16_bit_sums_hold_two_products() -> None:
    weight = torch.randn(5, 3, 3, 3, generator=torch.Generator().manual_seed(0))
    scale = weight.abs().amax((1, 2, 3), keepdim=True) / WEIGHT_STEPS
    steps = RoundedFilters()(weight) / scale
    torch.testing.assert_close(steps, steps.round(), atol=1e-4, rtol=0)
    assert 2 * steps.abs().max() * STEPS < 2**15


def test_folding_changes_nothing() -> None:
    torch.manual_seed(0)
    network = PoseNetwork(TINY)
    round_network(network)
    x = torch.rand(2, 1, 32, 48) * 3 + 1
    network.train()(x)
    network.eval()
    with torch.no_grad():
        expected = network(x)[1]
        fold(network)
        torch.testing.assert_close(network(x)[1], expected, atol=0.02, rtol=0.02)
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in network.modules())


@pytest.fixture(scope="module")
def trained(tiny_shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoint of a tiny run that rounds."""
    config = MapsConfig(
        (Share(tiny_shards),), tmp_path_factory.mktemp("rounded"), steps=3, batch=4, shards=1,
        first_shards=1, network=TINY, integers=True, ema=0.1,
    )  # fmt: skip
    return train_maps(config, lambda *_: None)


def test_the_exported_network_is_the_trained_one_in_integers(trained: Path, tmp_path: Path) -> None:
    path = tmp_path / "maps.onnx"
    assert export_maps(trained, path) == 3
    network = PoseNetwork(TINY)
    round_network(network)
    network.load_state_dict(load_checkpoint(trained)["average"])
    x = torch.rand(1, 1, 48, 64, generator=torch.Generator().manual_seed(1)) * 3 + 1
    with torch.no_grad():
        expected = split_maps(network.eval()(x)[1])
    (maps,) = start_session(path, 1).run(None, {"depth_m": x.numpy()})
    written = np.split(np.asarray(maps), [15, 43], axis=1)
    for ours, theirs in zip(expected, written, strict=True):
        # A number on the edge of two steps may take either.
        apart = np.abs(ours.numpy() - theirs)
        assert apart.mean() < 0.05 * ours.std()
    assert card_facts(trained)["integers"] is True


def test_all_but_the_first_convolution_are_of_integers(trained: Path, tmp_path: Path) -> None:
    export_maps(trained, tmp_path / "maps.onnx")
    graph = onnx.load(str(tmp_path / "maps.onnx")).graph
    stored = {i.name: i.data_type for i in graph.initializer}
    made = {node.output[0]: node for node in graph.node}
    kinds = []
    for conv in (node for node in graph.node if node.op_type == "Conv"):
        weight, bias = (made.get(name) for name in conv.input[1:])
        kinds.append(weight is not None)
        if weight is not None:
            assert bias is not None
            assert stored[weight.input[0]] == onnx.TensorProto.INT8
            assert stored[bias.input[0]] == onnx.TensorProto.INT32
    assert kinds == [False] + [True] * (len(kinds) - 1)
    readers = [node for node in graph.node if node.op_type == "MatMulIntegerToFloat"]
    assert [stored[node.input[1]] for node in readers] == [onnx.TensorProto.INT8]
    assert not any(node.op_type == "Resize" for node in graph.node)


@pytest.mark.parametrize("name", ["base", "small"])
def test_what_is_enlarged_is_added_in_integers(name: str, tmp_path: Path) -> None:
    """Of the bundled networks, one sum alone, of three numbers, is one of floats."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    options.log_severity_level = 3
    onnxruntime.InferenceSession(
        str(ModelFolder.open(name).path / "maps.onnx"), options, ["CPUExecutionProvider"]
    )
    nodes = onnx.load(str(tmp_path / "optimised.onnx")).graph.node
    kinds = [node.op_type for node in nodes]
    assert "Resize" not in kinds
    assert kinds.count("Add") == 2 and kinds.count("QLinearAdd") >= 16


def test_training_can_begin_with_a_network_of_integers(trained: Path, tmp_path: Path) -> None:
    export_maps(trained, tmp_path / "maps.onnx")
    (tmp_path / "prior.npz").write_bytes((ModelFolder.open("base").path / "prior.npz").read_bytes())
    write_card(tmp_path, "tiny")
    rounded, plain = PoseNetwork(TINY), PoseNetwork(TINY)
    round_network(rounded)
    rounded.load_state_dict(load_checkpoint(trained)["average"])
    fold(rounded.eval())
    start_from(plain, str(tmp_path))
    sizes = [
        sorted(float(m.weight.norm()) for m in network.modules() if isinstance(m, torch.nn.Conv2d))
        for network in (rounded, plain)
    ]
    assert sizes[0] == pytest.approx(sizes[1], rel=1e-3)


def test_training_can_begin_with_the_checkpoint_of_a_run_that_rounded(trained: Path) -> None:
    plain = PoseNetwork(TINY)
    start_from(plain, str(trained))
    state = load_checkpoint(trained)["average"]
    stored = state["stem.1.0.parametrizations.weight.original"]
    assert torch.equal(plain.stem[1][0].weight, stored)  # pyright: ignore


def test_only_the_compact_network_rounds(tmp_path: Path) -> None:
    config = MapsConfig((Share(tmp_path),), tmp_path, integers=True)
    with pytest.raises(UsageError, match="compact"):
        replace(config, architecture="released")
