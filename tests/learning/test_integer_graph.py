"""A graph that rounds becomes one of integers, and computes the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest

onnx = pytest.importorskip("onnx", reason="needs the train extra")
pytest.importorskip("torch", reason="needs the train extra")

from onnx import helper, numpy_helper  # noqa: E402

from residualpose.learning.integer_graph import store_integers  # noqa: E402
from residualpose.learning.integers import WEIGHT_STEPS  # noqa: E402
from residualpose.pipeline.maps import start_session  # noqa: E402


def _rounding(name: str, out: str, scale: float, zero: int) -> tuple[list, list]:
    parts = [f"{out}_scale", f"{out}_zero"]
    nodes = [
        helper.make_node("QuantizeLinear", [name, *parts], [f"{out}_steps"]),
        helper.make_node("DequantizeLinear", [f"{out}_steps", *parts], [out]),
    ]
    values = np.array(scale, np.float32), np.array(zero, np.uint8)
    return nodes, [numpy_helper.from_array(v, n) for v, n in zip(values, parts, strict=True)]


def _write(path: Path, relu: bool, rounded: bool, side: int = 3) -> np.ndarray:
    """A convolution behind a rounding, and before one or not; returns its weights."""
    rng = np.random.default_rng(0)
    weight = rng.integers(-WEIGHT_STEPS, WEIGHT_STEPS + 1, (3, 2, side, side)).astype(np.float32)
    weight[:, 0, 0, 0] = WEIGHT_STEPS
    weight *= np.array([0.01, 0.02, 0.005], np.float32)[:, None, None, None]
    bias = np.array([0.3, -0.2, 0.1], np.float32)
    before, first = _rounding("image", "x", 0.0193, 100)
    nodes = [
        *before,
        helper.make_node("Conv", ["x", "weight", "bias"], ["sums"], pads=[side // 2] * 4),
    ]
    last, stored = "sums", [*first]
    if relu:
        nodes.append(helper.make_node("Relu", [last], ["positive"]))
        last = "positive"
    if rounded:
        after, more = _rounding(last, "y", 0.0487, 0 if relu else 128)
        nodes, stored, last = [*nodes, *after], [*stored, *more], "y"
    stored += [numpy_helper.from_array(weight, "weight"), numpy_helper.from_array(bias, "bias")]
    graph = helper.make_graph(
        nodes, "one",
        [helper.make_tensor_value_info("image", onnx.TensorProto.FLOAT, [1, 2, 8, 8])],
        [helper.make_tensor_value_info(last, onnx.TensorProto.FLOAT, [1, 3, 8, 8])],
        stored,
    )  # fmt: skip
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), str(path))
    return weight


def _as_written(path: Path, image: np.ndarray) -> np.ndarray:
    """What the graph's nodes compute one by one, nothing fused."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"image": image})[0])


@pytest.mark.parametrize("relu", [True, False])
def test_what_it_computes_stays(tmp_path: Path, relu: bool) -> None:
    path = tmp_path / "one.onnx"
    weight = _write(path, relu, rounded=True)
    image = np.random.default_rng(1).uniform(-2, 3, (1, 2, 8, 8)).astype(np.float32)
    before = _as_written(path, image)
    store_integers(path)
    stored = {i.name: numpy_helper.to_array(i) for i in onnx.load(str(path)).graph.initializer}
    assert stored["weight"].dtype == np.int8 and stored["bias"].dtype == np.int32
    scale = stored["weight_scale"][:, None, None, None]
    np.testing.assert_allclose(stored["weight"] * scale, weight, atol=1e-6)
    after = np.asarray(start_session(path, 1).run(None, {"image": image})[0])
    np.testing.assert_allclose(after, before, atol=1e-5)


def test_one_of_single_cells_whose_sums_are_not_rounded_multiplies_integers(
    tmp_path: Path,
) -> None:
    path = tmp_path / "one.onnx"
    weight = _write(path, relu=False, rounded=False, side=1)
    image = np.random.default_rng(1).uniform(-2, 3, (1, 2, 8, 8)).astype(np.float32)
    before = _as_written(path, image)
    store_integers(path)
    model = onnx.load(str(path))
    assert "Conv" not in {node.op_type for node in model.graph.node}
    stored = {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}
    assert stored["weight"].dtype == np.int8
    np.testing.assert_allclose(
        stored["weight"] * stored["weight_scale"], weight[:, :, 0, 0].T, atol=1e-6
    )
    after = np.asarray(start_session(path, 1).run(None, {"image": image})[0])
    np.testing.assert_allclose(after, before, atol=1e-5)


def test_a_convolution_whose_sums_are_not_rounded_stays(tmp_path: Path) -> None:
    path = tmp_path / "one.onnx"
    _write(path, relu=True, rounded=False)
    store_integers(path)
    stored = {i.name: numpy_helper.to_array(i) for i in onnx.load(str(path)).graph.initializer}
    assert stored["weight"].dtype == np.float32
