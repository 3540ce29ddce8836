"""An exported refiner, stored so that ONNX Runtime computes its products in 8-bit integers.

What its linear layers read is rounded to 256 steps of the range seen in training, which is fixed,
so that nobody's joints depend on who else is in the picture; their weights to the steps of each
neuron. Sums, norms, attention, what looks around and the ways in and out stay in floating point;
their weights are kept in half as many bits, from which they are read once, when a session starts.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, helper, numpy_helper

from residualpose.learning.integer_graph import MICROSOFT, filter_steps
from residualpose.learning.integers import STEPS

_LOOKING = "look."
"""Beginning of the names of the weights that look around."""
_MANY = 1024
"""Weights from which on they are kept in half as many bits."""
ENOUGH_PEOPLE = 2048
"""People to measure ranges by: those of fewer may be too narrow for others."""


def store_refiner_integers(path: Path, people: Mapping[str, np.ndarray]) -> None:
    """Rewrite an exported refiner in place.

    Args:
        path: an ONNX file as `export_refiner` writes it.
        people: what it is told of people whose numbers it is to hold, at least one, by the names
            of its inputs; the first `ENOUGH_PEOPLE` will do.
    """
    model = onnx.load(str(path))
    stored = {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}
    layers = [node for node in model.graph.node if _rounded(node)]
    told = {name: numbers[:ENOUGH_PEOPLE] for name, numbers in people.items()}
    ranges = _ranges(model, [node.input[0] for node in layers], told)
    nodes: list[NodeProto] = []
    for node in model.graph.node:
        if not _rounded(node):
            nodes.append(node)
            continue
        source, weight, bias = node.input
        read = f"{node.output[0]}_read"
        scales, zeros = [f"{read}_scale", f"{weight}_scale"], [f"{read}_zero", f"{weight}_zero"]
        stored[scales[0]], stored[zeros[0]] = _steps(*ranges[source])
        # A linear layer keeps (outputs, inputs).
        steps, stored[scales[1]] = filter_steps(stored[weight])
        stored[weight], stored[zeros[1]] = steps.T, np.zeros(len(steps), np.int8)
        nodes += [
            helper.make_node("QuantizeLinear", [source, scales[0], zeros[0]], [read]),
            helper.make_node(
                "MatMulIntegerToFloat", [read, weight, *scales, *zeros, bias],
                node.output, domain=MICROSOFT,
            ),
        ]  # fmt: skip
    halved = [name for name, of in stored.items() if of.dtype == np.float32 and of.size >= _MANY]
    for node in nodes:
        node.input[:] = [f"{name}_real" if name in halved else name for name in node.input]
    for name in halved:
        stored[name] = stored[name].astype(np.float16)
        real = helper.make_node("Cast", [name], [f"{name}_real"], to=onnx.TensorProto.FLOAT)
        nodes.insert(0, real)
    del model.graph.node[:], model.graph.initializer[:]
    model.graph.node.extend(nodes)
    model.graph.initializer.extend(
        numpy_helper.from_array(np.ascontiguousarray(array), name) for name, array in stored.items()
    )
    model.opset_import.append(helper.make_opsetid(MICROSOFT, 1))
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def _rounded(node: NodeProto) -> bool:
    """Whether a step of the graph becomes one of integers: linear layers, but for those that look.

    They are small, and rounding what they read moves joints by a seventh more: 3.9 mm RMS, not 3.4.
    """
    return node.op_type == "Gemm" and not node.input[1].startswith(_LOOKING)


def _ranges(
    model: ModelProto, names: list[str], people: dict[str, np.ndarray]
) -> dict[str, tuple[float, float]]:
    """Smallest and largest number of each value inside the network."""
    import onnxruntime

    opened = ModelProto()
    opened.CopyFrom(model)
    opened.graph.output.extend(
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in names
    )
    session = onnxruntime.InferenceSession(
        opened.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    seen = session.run(names, people)
    values = (np.asarray(value) for value in seen)
    return {name: (float(v.min()), float(v.max())) for name, v in zip(names, values, strict=True)}


def _steps(low: float, high: float) -> tuple[np.ndarray, np.ndarray]:
    """Size of a step, and the number of steps from the lowest number to 0, which is one."""
    low, high = min(low, 0.0), max(high, 0.0)
    step = np.float32(max(high - low, 1e-6) / STEPS)
    return np.array(step), np.array(np.uint8(np.rint(-low / step)))
