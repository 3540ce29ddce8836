"""8-bit copies of a network say nearly what the network says."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from residualpose import open_source
from residualpose.learning.quantise import quantise_maps
from residualpose.model import WEIGHTS
from residualpose.pipeline.maps import start_session
from residualpose.pipeline.normalise import normalise

SAMPLES = sorted((WEIGHTS.parent / "samples").glob("*.npz"))


def test_an_8_bit_copy_is_smaller_and_sees_the_same(tmp_path: Path) -> None:
    views = [normalise(frame, 144.0).depth_m for file in SAMPLES for frame in open_source(file)]
    frames_m = np.stack([view[:96, :128] for view in views])
    source, target = WEIGHTS / "base" / "maps.onnx", tmp_path / "maps.onnx"
    quantise_maps(source, target, frames_m)
    assert target.stat().st_size < 0.4 * source.stat().st_size
    inputs = {"depth_m": frames_m[1][None, None]}
    exact = np.asarray(start_session(source, 1).run(None, inputs)[0])
    rough = np.asarray(start_session(target, 1).run(None, inputs)[0])
    assert np.abs(rough - exact).mean() < 0.02
    assert np.corrcoef(rough.ravel(), exact.ravel())[0, 1] > 0.9
