"""A refiner that begins with an exported one's weights says what that one says."""

from __future__ import annotations

import shutil
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")
pytest.importorskip("onnx", reason="needs the train extra")

from residualpose.detector import Detector  # noqa: E402
from residualpose.errors import ResidualPoseError  # noqa: E402
from residualpose.learning.export import export_refiner, write_card  # noqa: E402
from residualpose.learning.refiner_network import RefinerNetwork  # noqa: E402
from residualpose.learning.refiner_start import start_refiner_from  # noqa: E402
from residualpose.model import ModelFolder  # noqa: E402
from residualpose.pipeline.around import N_AROUND, around  # noqa: E402
from residualpose.pipeline.maps import start_session  # noqa: E402
from residualpose.pipeline.refine import N_FEATURES  # noqa: E402
from residualpose.sources import open_source  # noqa: E402


def _model(folder: Path, network: RefinerNetwork) -> Path:
    """A model folder with this refiner."""
    base = ModelFolder.open("base").path
    for file in ("maps.onnx", "prior.npz"):
        shutil.copyfile(base / file, folder / file)
    export_refiner(network, folder / "refiner.onnx")
    write_card(folder, "mine")
    return folder


@pytest.fixture
def network() -> RefinerNetwork:
    """One that does something."""
    torch.manual_seed(1)
    network = RefinerNetwork(width=16, blocks=2)
    with torch.no_grad():
        for weight in network.parameters():
            weight += 0.1 * torch.randn(weight.shape)
    return network


def test_an_exported_refiner_comes_back_whole(network: RefinerNetwork, tmp_path: Path) -> None:
    model = _model(tmp_path, network)
    again = RefinerNetwork(width=16, blocks=2)
    start_refiner_from(again, str(model))
    expected = dict(network.named_parameters())
    for name, weight in again.named_parameters():
        torch.testing.assert_close(weight, expected[name], atol=2e-3, rtol=2e-3)  # half precision


@pytest.mark.parametrize(
    "name, width, blocks, look_around",
    [("small", 64, 3, False), ("base", 96, 4, True), ("large", 96, 7, True)],
)
def test_the_bundled_refiner_says_the_same(
    name: str, width: int, blocks: int, look_around: bool
) -> None:
    network = RefinerNetwork(width, blocks, look_around=look_around)
    start_refiner_from(network, name)
    generator = torch.Generator().manual_seed(0)
    told = {"features": 0.5 * torch.randn(64, N_FEATURES, generator=generator)}
    if look_around:  # of people: noise everywhere is beyond the ranges that they have shown
        told["around"] = torch.from_numpy(np.resize(_surroundings(name), (64, 15, N_AROUND)))
    with torch.no_grad():
        ours = network.eval()(*told.values())
    session = start_session(ModelFolder.open(name).refiner_path, 1)
    theirs_told = {name: numbers.numpy() for name, numbers in told.items()}
    for mine, theirs in zip(ours, session.run(None, theirs_told), strict=True):
        apart = mine.numpy() - np.asarray(theirs)  # what lies between layers is rounded there
        assert np.sqrt(np.mean(apart**2)) < 0.03 * mine.numpy().std()


def test_one_with_more_blocks_says_the_same_to_begin_with(
    network: RefinerNetwork, tmp_path: Path
) -> None:
    larger = RefinerNetwork(width=16, blocks=4)
    start_refiner_from(larger, str(_model(tmp_path, network)))
    x = torch.randn(8, N_FEATURES, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for ours, theirs in zip(larger.eval()(x), network.eval()(x), strict=True):
            torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


def _surroundings(name: str) -> np.ndarray:
    """(P, 15, N_AROUND) around the people whom a bundled model finds in the samples."""
    detect, shown = Detector(ModelFolder.open(name)), []
    for path in sorted(Path(str(resources.files("residualpose") / "samples")).glob("*.npz")):
        for frame in open_source(path):
            _, people = detect(frame)
            shown.append(around(people.looks, people.joints_m))
    return np.concatenate(shown)


def test_one_that_looks_around_begins_with_one_that_does_not_and_comes_back_whole(
    network: RefinerNetwork, tmp_path: Path
) -> None:
    looking = RefinerNetwork(width=16, blocks=2, look_around=True)
    start_refiner_from(looking, str(_model(tmp_path, network)))
    x = torch.randn(8, N_FEATURES, generator=torch.Generator().manual_seed(0))
    around = torch.randn(8, 15, N_AROUND, generator=torch.Generator().manual_seed(1))
    assert looking.look is not None
    with torch.no_grad():
        for ours, theirs in zip(looking.eval()(x, around), network.eval()(x), strict=True):
            torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)
        for weight in looking.look.parameters():
            weight += 0.1 * torch.randn(weight.shape)
    again = RefinerNetwork(width=16, blocks=2, look_around=True)
    start_refiner_from(again, str(_model(tmp_path, looking)))
    expected = dict(looking.named_parameters())
    for name, weight in again.named_parameters():
        torch.testing.assert_close(weight, expected[name], atol=2e-3, rtol=2e-3)


def test_one_that_looks_around_is_not_made_blind(tmp_path: Path) -> None:
    model = _model(tmp_path, RefinerNetwork(width=16, blocks=2, look_around=True))
    with pytest.raises(ResidualPoseError, match="look_around = true"):
        start_refiner_from(RefinerNetwork(width=16, blocks=2), str(model))


def test_one_of_another_size_is_refused(network: RefinerNetwork, tmp_path: Path) -> None:
    model = _model(tmp_path, network)
    for other in (RefinerNetwork(width=32, blocks=2), RefinerNetwork(width=16, blocks=1)):
        with pytest.raises(ResidualPoseError, match="another size"):
            start_refiner_from(other, str(model))
