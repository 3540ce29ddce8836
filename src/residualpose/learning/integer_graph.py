"""An exported network that rounds, stored so that ONNX Runtime computes it in 8-bit integers.

The exporter writes each rounding as a pair of nodes, QuantizeLinear and DequantizeLinear. What is
done here lets the runtime see that a convolution between two such pairs is one of integers: its
weights and biases become integers too.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import NodeProto, helper, numpy_helper

from residualpose.learning.integers import WEIGHT_STEPS


def store_integers(path: Path) -> None:
    """Rewrite an exported 2D network in place; what it computes stays, up to rounding of biases."""
    graph = _Graph(onnx.load(str(path)))
    for node in list(graph.nodes):
        if node.op_type == "Conv" and graph.of_integers(node):
            graph.convolve_integers(node)
    onnx.save(graph.finished(), str(path))


class _Graph:
    """An ONNX graph with its nodes by what they make and read."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model
        self.nodes: list[NodeProto] = list(model.graph.node)
        self.stored = {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}
        for node in self.nodes:
            if node.op_type == "Constant":
                self.stored[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)

    def maker(self, name: str, kind: str) -> NodeProto | None:
        """The node that makes a value, where it is of that kind."""
        found = (node for node in self.nodes if name in node.output and node.op_type == kind)
        return next(found, None)

    def readers(self, name: str) -> list[NodeProto]:
        """The nodes that read a value."""
        return [node for node in self.nodes if name in node.input]

    def of_integers(self, conv: NodeProto) -> bool:
        """Whether what a convolution reads is rounded, and what it makes, ReLU or not, too."""
        after = self.readers(conv.output[0])
        if len(after) == 1 and after[0].op_type == "Relu":
            after = self.readers(after[0].output[0])
        rounded = bool(after) and all(node.op_type == "QuantizeLinear" for node in after)
        return rounded and self.maker(conv.input[0], "DequantizeLinear") is not None

    def convolve_integers(self, conv: NodeProto) -> None:
        """Store the weights of a convolution as 8-bit, its biases as 32-bit integers."""
        source, weight_name, bias_name = conv.input
        before = self.maker(source, "DequantizeLinear")
        assert before is not None
        weight, bias = self.stored.pop(weight_name), self.stored.pop(bias_name)
        largest = np.abs(weight).max((1, 2, 3))
        scale = (np.maximum(largest, 1e-12) / WEIGHT_STEPS).astype(np.float32)
        steps = np.rint(weight / scale[:, None, None, None]).astype(np.int8)
        products = scale * np.float32(self.stored[before.input[1]])
        sums = np.rint(bias / products).astype(np.int32)
        for k, name, integers, size in (
            (1, weight_name, steps, scale), (2, bias_name, sums, products),
        ):  # fmt: skip
            zero = np.zeros(len(size), integers.dtype)
            self.stored |= {name: integers, f"{name}_scale": size, f"{name}_zero": zero}
            parts = [name, f"{name}_scale", f"{name}_zero"]
            made = helper.make_node("DequantizeLinear", parts, [f"{name}_real"], axis=0)
            self.nodes.insert(self.nodes.index(conv), made)
            conv.input[k] = f"{name}_real"

    def finished(self) -> onnx.ModelProto:
        """The model as changed."""
        constants = {node.output[0] for node in self.nodes if node.op_type == "Constant"}
        del self.model.graph.node[:], self.model.graph.initializer[:]
        self.model.graph.node.extend(self.nodes)
        self.model.graph.initializer.extend(
            numpy_helper.from_array(np.ascontiguousarray(value), name)
            for name, value in self.stored.items()
            if name not in constants
        )
        onnx.checker.check_model(self.model)
        return self.model
