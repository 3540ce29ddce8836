"""An exported refiner, stored so that ONNX Runtime computes its products in 8-bit integers.

What the linear layers of its blocks read is rounded to 256 steps of the range seen in training,
which is fixed, so that nobody's joints depend on who else is in the picture; their weights to the
steps of each neuron. Sums, norms, attention, what looks around and the ways in and out stay in
floating point: rounding what looks would move joints by a seventh more, 3.9 mm RMS in place of 3.4.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto, numpy_helper

from residualpose.learning.refiner_graph import Ranges, refiner_graph

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
    weights = {of.name: numpy_helper.to_array(of) for of in model.graph.initializer}
    told = {name: numbers[:ENOUGH_PEOPLE] for name, numbers in people.items()}
    onnx.save(refiner_graph(weights, _ranges(model, told)), str(path))


def _ranges(model: ModelProto, people: Mapping[str, np.ndarray]) -> Ranges:
    """Smallest and largest number that each linear layer reads."""
    import onnxruntime

    read = {node.name: node.input[0] for node in model.graph.node if node.name}
    names = list(read.values())
    opened = ModelProto()
    opened.CopyFrom(model)
    opened.graph.output.extend(
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in names
    )
    session = onnxruntime.InferenceSession(
        opened.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    seen = map(np.asarray, session.run(names, dict(people)))
    return {layer: (float(of.min()), float(of.max())) for layer, of in zip(read, seen, strict=True)}
