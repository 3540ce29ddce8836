"""The refiner's graph by hand says what the network says, in few operations."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")
onnx = pytest.importorskip("onnx", reason="needs the train extra")

from residualpose.learning.export import export_refiner  # noqa: E402
from residualpose.learning.refiner_network import RefinerNetwork  # noqa: E402
from residualpose.pipeline.around import N_AROUND  # noqa: E402
from residualpose.pipeline.maps import start_session  # noqa: E402
from residualpose.pipeline.refine import N_FEATURES  # noqa: E402


@pytest.mark.parametrize("look_around", [False, True])
@pytest.mark.parametrize("people", [1, 5])
def test_it_says_what_the_network_says(look_around: bool, people: int, tmp_path: Path) -> None:
    """Of people and their mirror images, whose mean is told, whatever the weights."""
    torch.manual_seed(2)
    network = RefinerNetwork(24, 2, look_around=look_around).eval()
    with torch.no_grad():
        for weight in network.parameters():
            weight += 0.2 * torch.randn(weight.shape)
    rng = np.random.default_rng(people)
    told = {"features": rng.normal(size=(people, N_FEATURES)).astype(np.float32)}
    if look_around:
        told["around"] = rng.uniform(-1, 1, (people, 15, N_AROUND)).astype(np.float32)
    path = tmp_path / "refiner.onnx"
    export_refiner(network, path)
    with torch.no_grad():
        expected = network(*map(torch.from_numpy, told.values()))
    found = start_session(path, 1).run(None, told)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(np.asarray(one), other.numpy(), atol=2e-5, rtol=1e-4)
    assert len(onnx.load(str(path)).graph.node) < 100
