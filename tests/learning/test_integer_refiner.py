"""A refiner of integers says what it said before, and of everybody by themselves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")
onnx = pytest.importorskip("onnx", reason="needs the train extra")

from residualpose.learning.export import export_refiner  # noqa: E402
from residualpose.learning.integer_refiner import store_refiner_integers  # noqa: E402
from residualpose.learning.refiner_network import RefinerNetwork  # noqa: E402
from residualpose.pipeline.around import N_AROUND  # noqa: E402
from residualpose.pipeline.maps import start_session  # noqa: E402
from residualpose.pipeline.refine import N_FEATURES  # noqa: E402

WIDTH, BLOCKS = 32, 2


@pytest.fixture(scope="module")
def people() -> np.ndarray:
    """(64, N_FEATURES) features."""
    return np.random.default_rng(3).normal(size=(64, N_FEATURES)).astype(np.float32)


@pytest.fixture(scope="module")
def refiners(people: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """One that says something, as exported and of integers."""
    torch.manual_seed(1)
    network = RefinerNetwork(WIDTH, BLOCKS)
    with torch.no_grad():
        for weight in network.parameters():
            weight += 0.1 * torch.randn(weight.shape)
    folder = tmp_path_factory.mktemp("refiners")
    exported, rounded = folder / "exported.onnx", folder / "rounded.onnx"
    for path in (exported, rounded):
        export_refiner(network, path)
    store_refiner_integers(rounded, {"features": people})
    return exported, rounded


def said(path: Path, features: np.ndarray) -> list[np.ndarray]:
    """Residuals and log sds."""
    answers = start_session(path, 1).run(None, {"features": features})
    return [np.asarray(answer) for answer in answers]


def test_it_says_the_same_but_for_rounding(refiners: tuple[Path, Path], people: np.ndarray) -> None:
    for before, after in zip(*(said(path, people) for path in refiners), strict=True):
        apart = np.sqrt(np.mean((after - before) ** 2))
        assert 0 < apart < 0.03 * before.std()


def test_the_products_are_of_integers(refiners: tuple[Path, Path]) -> None:
    graph = onnx.load(str(refiners[1])).graph
    kinds = [node.op_type for node in graph.node]
    assert kinds.count("MatMul") == 2  # ways in and out
    assert kinds.count("MatMulIntegerToFloat") == 4 * BLOCKS
    assert refiners[1].stat().st_size < 0.7 * refiners[0].stat().st_size


def test_nobody_depends_on_who_else_is_there(
    refiners: tuple[Path, Path], people: np.ndarray
) -> None:
    crowd = people[:8].copy()
    crowd[1:] *= 50
    for alone, among in zip(*(said(refiners[1], x) for x in (crowd[:1], crowd)), strict=True):
        np.testing.assert_allclose(among[:1], alone, atol=1e-5)


def test_of_one_that_looks_around_only_the_looking_is_not_of_integers(
    tmp_path: Path, people: np.ndarray
) -> None:
    torch.manual_seed(1)
    network = RefinerNetwork(WIDTH, BLOCKS, look_around=True)
    with torch.no_grad():
        for weight in network.parameters():
            weight += 0.1 * torch.randn(weight.shape)
    around = np.random.default_rng(4).normal(size=(64, 15, N_AROUND)).astype(np.float32)
    told, paths = {"features": people, "around": around}, [tmp_path / "a.onnx", tmp_path / "b.onnx"]
    for path in paths:
        export_refiner(network, path)
    store_refiner_integers(paths[1], told)
    graph = onnx.load(str(paths[1])).graph
    kinds = [node.op_type for node in graph.node]
    assert kinds.count("MatMulIntegerToFloat") == 4 * BLOCKS
    assert kinds.count("MatMul") == 4  # ways in and out, and the two layers that read patches
    before, after = (start_session(path, 1).run(None, told) for path in paths)
    for one, other in zip(before, after, strict=True):
        apart = np.asarray(other) - np.asarray(one)
        assert 0 < np.sqrt(np.mean(apart**2)) < 0.03 * np.asarray(one).std()
    bits = {stored.name: onnx.helper.tensor_dtype_to_np_dtype(stored.data_type).itemsize * 8
            for stored in graph.initializer}  # fmt: skip
    assert bits["look.patches.0.weight"] == bits["look.maps.weight"] == 16
    assert bits["look.patches.0.bias"] == 32  # too few to matter
