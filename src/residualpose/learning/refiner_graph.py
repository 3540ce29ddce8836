"""The residual network as an ONNX graph for one frame's few people: as few operations as it takes.

So small a network, run once a frame between other work, spends its time on getting from operation
to operation, and on fetching what the 2D network has pushed out of the processor's caches. Traced
by the exporter it would be 170 operations for four blocks; written by hand it is 88, with ONNX
Runtime's own attention and norms, and with whatever depends on weights alone left to be worked out
when a session starts. A person and the person's mirror image go through it side by side.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from residualpose.learning.integer_graph import MICROSOFT, filter_steps
from residualpose.learning.integers import STEPS
from residualpose.learning.network import mirror_of_maps
from residualpose.learning.refiner_network import HEADS, heard_columns, mirror_of_features
from residualpose.pipeline.around import N_AROUND, N_PATCHES, SIDE
from residualpose.pipeline.refine import N_FEATURES, N_JOINTS
from residualpose.skeleton import ITOP15

Ranges = Mapping[str, tuple[float, float]]
"""Smallest and largest number that each linear layer reads, by the layer's name."""
_OUT = 6
"""Numbers of a joint that come out: its residual and log sds."""
_EPSILON = 1e-5
_MANY = 1024
"""Weights from which on those of a graph of integers are kept in half as many bits."""
_PARTNER = np.array(ITOP15.mirror)


def refiner_graph(weights: Mapping[str, np.ndarray], ranges: Ranges | None = None) -> ModelProto:
    """The graph of a `RefinerNetwork`, (P, N_FEATURES) to residual and log sd (P, 15, 3).

    One that looks around is told (P, 15, N_AROUND) as well.

    Args:
        weights: as the network names them.
        ranges: of the linear layers of its blocks, which are then computed in 8-bit integers.
    """
    graph = _Graph(weights, ranges)
    width = weights["leave.weight"].shape[1]
    looks = "look.maps.weight" in weights
    inside = _entered(graph, width, looks)
    for block in range(sum(name.endswith(".asked.weight") for name in weights)):
        inside = _block(graph, f"blocks.{block}", inside, width)
    _left(graph, graph.norm("before_leaving", inside)[0])
    people = [("features", [N_FEATURES])] + [("around", [N_JOINTS, N_AROUND])] * looks
    answers = [(name, [N_JOINTS, 3]) for name in ("residual", "log_sd")]
    return graph.finished(people, answers)


def _entered(graph: _Graph, width: int, looks: bool) -> list[str]:
    """What each joint of a person, and of the mirror image, hears: summands (2 P, 15, width)."""
    columns, signs = (of.numpy() for of in mirror_of_features())
    heard = heard_columns()
    both = graph.constant("heard", np.stack([heard, columns[heard]]).astype(np.int32))
    turned = np.stack([np.ones_like(heard, np.float32), signs[heard]])
    told = graph.add("Gather", "features", both, axis=1)
    told = graph.add("Mul", told, graph.constant("heard_signs", turned))
    weight, bias, numbers = "enter.weight", "enter.bias", heard.shape[1]
    around: list[str] = []
    if looks:
        each = graph.sizes(N_PATCHES, N_AROUND - N_PATCHES)
        patches, maps = graph.add_several("Split", ["around", each], 2, axis=-1)
        told = graph.add("Concat", told, _seen_at(graph, maps), axis=-1)
        weight = graph.add("Concat", weight, "look.maps.weight", axis=1)
        bias = graph.add("Add", bias, "look.maps.bias")
        numbers += N_AROUND - N_PATCHES
        around = [_seen_around(graph, patches, width)]
    told = graph.add("Reshape", told, graph.sizes(-1, N_JOINTS, numbers))
    return [graph.add("Add", graph.of_each_joint(told, weight), bias), *around]


def _seen_at(graph: _Graph, maps: str) -> str:
    """All maps at the joints, (P, 2, 15, 58): as they are, and as the mirror image has them."""
    rows, signs = (of.numpy() for of in mirror_of_maps())
    each = [1, N_JOINTS, len(rows)]
    places = (_PARTNER[:, None] * len(rows) + rows).reshape(each).astype(np.int32)
    flat = graph.add("Reshape", maps, graph.sizes(-1, N_JOINTS * len(rows)))
    mirrored = graph.add("Gather", flat, graph.constant("mirrored_maps", places), axis=1)
    mirrored = graph.add("Mul", mirrored, graph.constant("maps_signs", signs))
    as_they_are = graph.add("Reshape", maps, graph.sizes(-1, *each))
    return graph.add("Concat", as_they_are, mirrored, axis=1)


def _seen_around(graph: _Graph, patches: str, width: int) -> str:
    """What patches say, (2 P, 15, width): a mirrored patch is read with mirrored weights."""
    first = graph.turned("look.patches.0.weight")
    flipped = np.arange(N_PATCHES, dtype=np.int32).reshape(-1, SIDE)[:, ::-1].ravel()
    mirrored = graph.add("Gather", first, graph.constant("flipped", flipped), axis=0)
    both = graph.add(
        "Concat",
        *(graph.add("Unsqueeze", one, graph.sizes(0)) for one in (first, mirrored)),
        axis=0,
    )
    alike = graph.add("Reshape", patches, graph.sizes(-1, 1, N_JOINTS, N_PATCHES))
    hidden = graph.add("Add", graph.add("MatMul", alike, both), "look.patches.0.bias")
    said = graph.add("MatMul", graph.add("Relu", hidden), graph.turned("look.patches.2.weight"))
    said = graph.add("Add", said, "look.patches.2.bias")
    side_by_side = graph.add("Reshape", said, graph.sizes(-1, 2 * N_JOINTS, width))
    order = np.concatenate([np.arange(N_JOINTS), N_JOINTS + _PARTNER]).astype(np.int32)
    ordered = graph.add("Gather", side_by_side, graph.constant("ordered", order), axis=1)
    return graph.add("Reshape", ordered, graph.sizes(-1, N_JOINTS, width))


def _block(graph: _Graph, name: str, inside: list[str], width: int) -> list[str]:
    """Joints attend to one another, then each thinks by itself; the result as summands."""
    read, before = graph.norm(f"{name}.before_looking", inside)
    asked = graph.linear(f"{name}.asked", read)
    parts = graph.add_several("Split", [asked, graph.sizes(*[width] * 3)], 3, axis=-1)
    whom = graph.add("Unsqueeze", f"{name}.whom", graph.sizes(0))
    looked = graph.add(
        "MultiHeadAttention", *parts, "", "", whom, domain=MICROSOFT, num_heads=HEADS
    )
    read, before = graph.norm(
        f"{name}.before_thinking", [before, graph.linear(f"{name}.seen", looked)]
    )
    thought = graph.linear(f"{name}.think.0", read, positive=True)
    return [before, graph.linear(f"{name}.think.3", thought)]


def _left(graph: _Graph, inside: str) -> None:
    """Residual and log sd: the mean over a person and the mirror image."""
    found = graph.of_each_joint(inside, "leave.weight")
    found = graph.add("Reshape", found, graph.sizes(-1, 2 * N_JOINTS * _OUT))
    number = np.arange(N_JOINTS * _OUT).reshape(N_JOINTS, _OUT)
    order = np.stack([number, number.size + number[_PARTNER]]).astype(np.int32)
    order = graph.constant("answers", order)
    share = np.full((2, 1, _OUT), 0.5, np.float32)
    share[1, 0, 0] = -0.5
    share = graph.constant("shares", share)
    bias = graph.add("Concat", *["leave.bias"] * 2, axis=0)
    bias = graph.add("Reshape", bias, graph.sizes(1, -1))
    for_all = []
    for numbers in (found, bias):
        both = graph.add("Mul", graph.add("Gather", numbers, order, axis=1), share)
        for_all.append(graph.add("ReduceSum", both, graph.sizes(1), keepdims=0))
    answer = graph.add("Add", *for_all)
    graph.nodes.append(
        helper.make_node("Split", [answer, graph.sizes(3, 3)], ["residual", "log_sd"], axis=-1)
    )


@dataclass(slots=True)
class _Graph:
    """A graph in the making."""

    weights: Mapping[str, np.ndarray]
    ranges: Ranges | None
    nodes: list[NodeProto] = field(default_factory=list)
    stored: dict[str, np.ndarray] = field(default_factory=dict)

    def add_several(
        self, kind: str, inputs: list[str], outputs: int, **attributes: Any
    ) -> list[str]:
        """Add an operation; returns the names of what it makes."""
        for name in inputs:
            if name in self.weights:
                self.stored[name] = self.weights[name]
        names = [f"{kind}_{len(self.nodes)}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(kind, inputs, names, **attributes))
        return names

    def add(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """The same of an operation that makes one thing."""
        return self.add_several(kind, list(inputs), 1, **attributes)[0]

    def constant(self, name: str, values: np.ndarray) -> str:
        """Numbers of the graph's own."""
        self.stored[name] = values
        return name

    def sizes(self, *sizes: int) -> str:
        """Sizes of axes, or their numbers."""
        name = "_".join(map(str, ("sizes", *sizes)))
        return self.constant(name, np.array(sizes, dtype=np.int64))

    def turned(self, weight: str) -> str:
        """A linear layer's weights as (inputs, outputs)."""
        return self.add("Transpose", weight, perm=[1, 0])

    def of_each_joint(self, read: str, weight: str) -> str:
        """A linear layer for each joint, (P, 15, inputs) to (P, 15, outputs), without bias."""
        by_joint = self.add("Transpose", read, perm=[1, 0, 2])
        return self.add("Transpose", self.add("MatMul", by_joint, weight), perm=[1, 0, 2])

    def norm(self, name: str, summands: list[str]) -> tuple[str, str]:
        """The sum of one or two, normed, and as it is."""
        # Not the runtime's operation for both: it takes five times as long as these two.
        total = self.add("Add", *summands) if len(summands) > 1 else summands[0]
        of = f"{name}.weight", f"{name}.bias"
        return self.add("LayerNormalization", total, *of, epsilon=_EPSILON), total

    def linear(self, name: str, read: str, *, positive: bool = False) -> str:
        """A linear layer of (2 P, 15, .), of what is positive alone where the next reads that."""
        weight, bias = f"{name}.weight", f"{name}.bias"
        if self.ranges is None:
            product = self.add("MatMul", read, self.turned(weight), name=name)
            made = self.add("Add", product, bias)
            return self.add("Relu", made) if positive else made
        # What is negative is less than the range of the next holds: rounding leaves 0 of it.
        step, zero = _steps(*self.ranges[name])
        of_read = [f"{name}.read_scale", f"{name}.read_zero"]
        of_weight = [f"{weight}_scale", f"{weight}_zero"]
        self.stored[of_read[0]], self.stored[of_read[1]] = step, zero
        steps, self.stored[of_weight[0]] = filter_steps(self.weights[weight])
        self.stored[weight] = np.ascontiguousarray(steps.T)
        self.stored[of_weight[1]] = np.zeros(len(steps), np.int8)
        self.stored[bias] = self.weights[bias]
        rounded = self.add("QuantizeLinear", read, *of_read)
        self.nodes.append(
            helper.make_node(
                "MatMulIntegerToFloat",
                [rounded, weight, of_read[0], of_weight[0], of_read[1], of_weight[1], bias],
                [f"{name}.made"], domain=MICROSOFT,
            )
        )  # fmt: skip
        return f"{name}.made"

    def finished(
        self, told: list[tuple[str, list[int]]], answers: list[tuple[str, list[int]]]
    ) -> ModelProto:
        """The model; one of integers keeps its many real weights in half as many bits."""
        if self.ranges is not None:
            for name, values in self.stored.items():
                if values.dtype == np.float32 and values.size >= _MANY:
                    self._halve(name)
        inputs, outputs = (
            [
                helper.make_tensor_value_info(name, TensorProto.FLOAT, ["people", *sizes])
                for name, sizes in all_of
            ]
            for all_of in (told, answers)
        )
        stored = [numpy_helper.from_array(values, name) for name, values in self.stored.items()]
        graph = helper.make_graph(self.nodes, "refiner", inputs, outputs, stored)
        opsets = [helper.make_opsetid("", 17), helper.make_opsetid(MICROSOFT, 1)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
        onnx.checker.check_model(model)
        return model

    def _halve(self, name: str) -> None:
        self.stored[name] = self.stored[name].astype(np.float16)
        for node in self.nodes:
            node.input[:] = [f"{name}_real" if of == name else of for of in node.input]
        real = helper.make_node("Cast", [name], [f"{name}_real"], to=TensorProto.FLOAT)
        self.nodes.insert(0, real)


def _steps(low: float, high: float) -> tuple[np.ndarray, np.ndarray]:
    """Size of a step, and the number of steps from the lowest number to 0, which is one."""
    low, high = min(low, 0.0), max(high, 0.0)
    step = np.float32(max(high - low, 1e-6) / STEPS)
    return np.array(step), np.array(np.uint8(np.rint(-low / step)))
