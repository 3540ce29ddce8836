"""Parity of the released networks: seeded weights in, the release's recorded outputs out."""

from __future__ import annotations

import hashlib
import json
import zlib
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="the released networks need the train extra")

import torch

from residualpose.learning.released_network import (
    Hourglass,
    ReleasedHourglass,
    ReleasedRegressor,
    ResidualBlock,
)
from residualpose.released import load_hourglass, load_regressor

PARITY = Path(__file__).resolve().parents[2] / ".." / "shared" / "reference" / "parity"
RECORDED = Path(__file__).with_name("released_outputs.json")
OUTPUTS = ("heat0", "heat1", "paf0", "paf1", "reg_out")
TOLERANCE = 1e-4

needs_parity = pytest.mark.skipif(not PARITY.is_dir(), reason="../shared/reference is absent")


def seeded_tensor(name: str, shape: tuple[int, ...]) -> torch.Tensor:
    rng = np.random.default_rng(zlib.crc32(("dev:" + name).encode()))
    leaf = name.rpartition(".")[2]
    if leaf == "num_batches_tracked":
        return torch.tensor(7)
    if leaf == "running_var":
        values = rng.uniform(0.5, 1.5, shape)
    elif leaf == "running_mean":
        values = rng.normal(0, 0.1, shape)
    elif leaf == "bias":
        values = rng.normal(0, 0.05, shape)
    elif len(shape) == 1:
        values = rng.uniform(0.5, 1.0, shape)
    else:
        values = rng.normal(0, np.sqrt(1 / np.prod(shape[1:])), shape)
    return torch.from_numpy(values.astype(np.float32))


def seeded_state(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: seeded_tensor(name, tuple(v.shape)) for name, v in network.state_dict().items()}


def shapes(network: torch.nn.Module) -> dict[str, list[int]]:
    return {name: list(value.shape) for name, value in network.state_dict().items()}


def digest(named_shapes: dict[str, list[int]]) -> str:
    return hashlib.sha256(json.dumps(named_shapes, sort_keys=True).encode()).hexdigest()


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    """What the loaded networks make of the fixtures' input, weights read from files."""
    folder = tmp_path_factory.mktemp("released")
    torch.save(seeded_state(ReleasedHourglass()), folder / "hg.pm")
    torch.save(seeded_state(ReleasedRegressor()), folder / "reg.pm")
    rng = np.random.default_rng(7)
    image = torch.from_numpy(rng.uniform(-0.5, 0.5, (1, 1, 256, 320)).astype(np.float32))
    joints = torch.from_numpy(rng.normal(0, 1, (4, 45)).astype(np.float32))
    with torch.inference_mode():
        heat, paf = load_hourglass(folder / "hg.pm")(image)
        reg_out = load_regressor(folder / "reg.pm")(joints)
    found = (*heat, *paf, reg_out)
    return {name: value.numpy() for name, value in zip(OUTPUTS, found, strict=True)}


@needs_parity
def test_state_dicts_are_those_of_the_release() -> None:
    released = json.loads((PARITY / "state_shapes.json").read_text())
    assert shapes(ReleasedHourglass()) == released["hourglass"]
    assert shapes(ReleasedRegressor()) == released["regressor"]


@needs_parity
@pytest.mark.parametrize("name", OUTPUTS)
def test_outputs_are_those_of_the_release(outputs: dict[str, np.ndarray], name: str) -> None:
    expected = np.load(PARITY / "network_expected.npz")[name]
    assert outputs[name].shape == expected.shape
    np.testing.assert_allclose(outputs[name], expected, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("name", OUTPUTS)
def test_outputs_are_those_recorded(outputs: dict[str, np.ndarray], name: str) -> None:
    recorded = json.loads(RECORDED.read_text())[name]
    assert list(outputs[name].shape) == recorded["shape"]
    found = outputs[name].ravel()[recorded["at"]]
    np.testing.assert_allclose(found, recorded["values"], rtol=0, atol=TOLERANCE)
    assert outputs[name].std() == pytest.approx(recorded["sd"], abs=TOLERANCE)


def test_state_dicts_are_those_recorded() -> None:
    recorded = json.loads(RECORDED.read_text())["state_sha256"]
    assert digest(shapes(ReleasedHourglass())) == recorded["hourglass"]
    assert digest(shapes(ReleasedRegressor())) == recorded["regressor"]


def test_sizes_are_those_of_the_release() -> None:
    def size(network: torch.nn.Module) -> int:
        return sum(p.numel() for p in network.parameters())

    assert size(ReleasedHourglass()) == 12_952_856
    assert size(ReleasedRegressor()) == 12_791_853


def test_hourglass_keeps_its_resolution() -> None:
    assert Hourglass(128, 256)(torch.zeros(1, 128, 32, 16)).shape == (1, 256, 32, 16)


def test_a_block_has_a_shortcut_only_where_widths_differ() -> None:
    assert "shortcut.weight" not in ResidualBlock(64, 64).state_dict()
    assert "shortcut.weight" in ResidualBlock(64, 128).state_dict()
