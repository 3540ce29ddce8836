"""An exported network that rounds, stored so that ONNX Runtime computes it in 8-bit integers.

The exporter writes each rounding as a pair of nodes, QuantizeLinear and DequantizeLinear. What is
done here lets the runtime see that a convolution between two such pairs is one of integers: its
weights and biases become integers too. Those that read the maps from the last layer make real
numbers of integers as they go. And what is enlarged is enlarged as integers, so that the sum it
goes into is one of integers as well.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import NodeProto, helper, numpy_helper

from residualpose.learning.integers import WEIGHT_STEPS

MICROSOFT = "com.microsoft"
"""Where ONNX Runtime keeps operations of its own."""


def store_integers(path: Path, images: int = 1) -> None:
    """Rewrite an exported 2D network in place; what it computes stays, up to rounding of biases.

    Args:
        path: the ONNX file.
        images: how many the network sees at a time.
    """
    graph = _Graph(onnx.load(str(path)))
    for node in list(graph.nodes):
        if node.op_type == "Conv" and graph.of_integers(node):
            graph.convolve_integers(node)
        elif node.op_type == "Conv" and graph.reads_integers(node):
            graph.multiply_integers(node)
        elif node.op_type == "Resize" and graph.doubles_integers(node):
            graph.double_integers(node, images)
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

    def reads_integers(self, conv: NodeProto) -> bool:
        """Whether a convolution of single cells makes real numbers of what is rounded."""
        single = self.stored[conv.input[1]].shape[2:] == (1, 1)
        return single and self.maker(conv.input[0], "DequantizeLinear") is not None

    def multiply_integers(self, conv: NodeProto) -> None:
        """Make a convolution of single cells a product of integers, with real numbers as result.

        The runtime would first make real numbers of all channels, and lay them out twice anew.
        """
        source, weight_name, bias_name = conv.input
        before = self.maker(source, "DequantizeLinear")
        assert before is not None
        steps, scale = filter_steps(self.stored.pop(weight_name))
        zero = np.zeros(len(scale), np.int8)
        name = conv.output[0]
        self.stored |= {
            weight_name: np.ascontiguousarray(steps[:, :, 0, 0].T),
            f"{weight_name}_scale": scale, f"{weight_name}_zero": zero,
        }  # fmt: skip
        factors = [weight_name, before.input[1], f"{weight_name}_scale"]
        zeros = [before.input[2], f"{weight_name}_zero"]
        made = [
            helper.make_node("Transpose", [before.input[0]], [f"{name}_read"], perm=[0, 2, 3, 1]),
            helper.make_node(
                "MatMulIntegerToFloat", [f"{name}_read", *factors, *zeros, bias_name],
                [f"{name}_cells"], domain=MICROSOFT,
            ),
            helper.make_node("Transpose", [f"{name}_cells"], [name], perm=[0, 3, 1, 2]),
        ]  # fmt: skip
        self._replace(conv, made, before)

    def convolve_integers(self, conv: NodeProto) -> None:
        """Store the weights of a convolution as 8-bit, its biases as 32-bit integers."""
        source, weight_name, bias_name = conv.input
        before = self.maker(source, "DequantizeLinear")
        assert before is not None
        bias = self.stored.pop(bias_name)
        steps, scale = filter_steps(self.stored.pop(weight_name))
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

    def doubles_integers(self, resize: NodeProto) -> bool:
        """Whether a node takes every pixel of a rounded image twice, across and down."""
        scales = self.stored.get(resize.input[2])
        twice = scales is not None and scales.tolist() == [1, 1, 2, 2]
        nearest = any(a.name == "mode" and a.s == b"nearest" for a in resize.attribute)
        return twice and nearest and self.maker(resize.input[0], "DequantizeLinear") is not None

    def double_integers(self, resize: NodeProto, images: int) -> None:
        """Double an image before its integers become real numbers, by laying runs side by side.

        All channels of a pixel are one run, then all pixels of a row. The runtime's own Resize
        fetches number by number: a tenth of the whole network's time.
        """
        before = self.maker(resize.input[0], "DequantizeLinear")
        assert before is not None
        whole, name = before.input[0], resize.output[0]
        # A 0 keeps the size that is there.
        shapes = {
            "pixels": [0, 0, -1, self._channels(whole)], "rows": [-1, 1, 0, 0],
            "image": [images, -1, 0, 0],
        }  # fmt: skip
        self.stored |= {f"{name}_{key}": np.array(shape) for key, shape in shapes.items()}
        steps: list[tuple[str, list[str], dict[str, Any]]] = [
            ("Transpose", [whole], {"perm": [0, 2, 3, 1]}),
            ("Concat", ["", ""], {"axis": 3}),  # (images, h, w, 2 c)
            ("Reshape", ["", f"{name}_pixels"], {}),  # (images, h, 2 w, c)
            ("Reshape", ["", f"{name}_rows"], {}),  # (images h, 1, 2 w, c)
            ("Concat", ["", ""], {"axis": 1}),
            ("Reshape", ["", f"{name}_image"], {}),  # (images, 2 h, 2 w, c)
            ("Transpose", [""], {"perm": [0, 3, 1, 2]}),
            ("DequantizeLinear", ["", *before.input[1:]], {}),
        ]
        made, last = [], ""
        for number, (kind, inputs, attributes) in enumerate(steps):
            output = name if number == len(steps) - 1 else f"{name}_{number}"
            inputs = [given or last for given in inputs]
            made.append(helper.make_node(kind, inputs, [output], **attributes))
            last = output
        self._replace(resize, made, before)

    def _replace(self, node: NodeProto, made: list[NodeProto], before: NodeProto) -> None:
        """Others in place of a node, and of the one before it where nobody else reads that."""
        place = self.nodes.index(node)
        self.nodes[place : place + 1] = made
        if not self.readers(before.output[0]):
            self.nodes.remove(before)

    def _channels(self, name: str) -> int:
        """Channels of what a convolution made, behind the ReLU and rounding that may follow."""
        node = next(node for node in self.nodes if name in node.output)
        if node.op_type != "Conv":
            return self._channels(node.input[0])
        integers = self.maker(node.input[1], "DequantizeLinear")
        return len(self.stored[integers.input[0] if integers is not None else node.input[1]])

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
        if any(node.domain == MICROSOFT for node in self.nodes):
            self.model.opset_import.append(helper.make_opsetid(MICROSOFT, 1))
        onnx.checker.check_model(self.model)
        return self.model


def filter_steps(weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weights (C, ...) as int8 steps, and the size (C,) of a step of each filter or neuron."""
    largest = np.abs(weight).reshape(len(weight), -1).max(1)
    scale = (np.maximum(largest, 1e-12) / WEIGHT_STEPS).astype(np.float32)
    steps = weight / scale.reshape(-1, *[1] * (weight.ndim - 1))
    return np.rint(steps).astype(np.int8), scale
