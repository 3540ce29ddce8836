"""Surfaces under the cells of the maps, and files that are no networks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from residualpose import Camera, ResidualPoseError
from residualpose.model import ModelFolder
from residualpose.pipeline.maps import MapsModel, start_session, surface_of
from residualpose.pipeline.normalise import NetworkInput


def test_the_surface_of_a_cell_is_its_nearest_reading() -> None:
    depth = np.zeros((16, 32), np.float32)
    depth[0:2, 0:2] = [[3.0, 0.0], [2.0, 5.0]]
    depth[3, 5] = 4.0
    surface = surface_of(NetworkInput(depth, Camera(144, 144, 8, 8)), 2)
    assert surface.shape == (8, 16) and surface.dtype == np.float32
    assert surface[0, 0] == 2.0 and surface[1, 2] == 4.0
    assert np.count_nonzero(surface) == 2


@pytest.mark.parametrize("stride", [2, 4])
def test_training_and_use_agree_on_the_surface(stride: int) -> None:
    torch = pytest.importorskip("torch", reason="needs the train extra")
    from residualpose.learning.targets import surface_depth

    rng = np.random.default_rng(0)
    depth = rng.choice([0, 0, 1, 2.5, 4], (3, 32, 48)).astype(np.float32)
    trained = surface_depth(torch.from_numpy(depth), stride).numpy()
    for image, expected in zip(depth, trained, strict=True):
        used = surface_of(NetworkInput(image, Camera(144, 144, 8, 8)), stride)
        np.testing.assert_array_equal(used, expected)


def test_no_network_in_the_file_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "maps.onnx").write_text("not a network")
    for name in ("maps.onnx", "absent.onnx"):
        with pytest.raises(ResidualPoseError, match=name) as caught:
            start_session(tmp_path / name)
        assert "\n" not in str(caught.value)


def test_a_network_that_writes_something_else_is_of_another_version() -> None:
    refiner = ModelFolder.open("small").refiner_path
    with pytest.raises(ResidualPoseError, match=r"residual, log_sd: .*export it again"):
        MapsModel(refiner, 2)
