"""Peaks: sub-pixel, one a blob whatever its width, honest about empty and broken maps."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from residualpose.errors import ResidualPoseError
from residualpose.pipeline.peaks import MAX_PEAKS, Peaks, find_peaks


def blobs(
    shape: tuple[int, int], centres_px: list[tuple[float, float]], sd_px: float
) -> np.ndarray:
    row, col = np.mgrid[: shape[0], : shape[1]]
    squares = [(col - x) ** 2 + (row - y) ** 2 for x, y in centres_px]
    return np.max([np.exp(-square / (2 * sd_px**2)) for square in squares], axis=0)


@pytest.mark.parametrize(
    ("shape", "sd_px"), [((60, 80), 1.0), ((60, 80), 2.2), ((120, 160), 4.0), ((240, 320), 7.0)]
)
def test_one_peak_a_blob_to_a_fraction_of_a_pixel(shape: tuple[int, int], sd_px: float) -> None:
    height, width = shape
    rng = np.random.default_rng(3)
    maps = np.zeros((15, height, width))
    truth = {}
    for joint in range(15):
        x, y = rng.uniform(0.2, 0.4, 2) * [width, height]
        truth[joint] = np.array([[x, y], [x + 0.3 * width, y + 0.35 * height]])
        maps[joint] = blobs(shape, [(a, b) for a, b in truth[joint]], sd_px)
    peaks = find_peaks(maps + rng.normal(0, 0.01, maps.shape))
    assert np.array_equal(np.bincount(peaks.joint), np.full(15, 2))
    for joint, xy in truth.items():
        found = peaks.xy_px[peaks.joint == joint]
        found = found[np.argsort(found[:, 0])]
        assert np.abs(found - xy).max() < 0.12 * max(sd_px, 1.0)
    # A blob between two pixels, or averaged over cells, keeps most of its height.
    assert peaks.score.min() > 0.75
    assert peaks.score.max() <= 1.0


@settings(max_examples=20, deadline=None)
@given(
    x=st.floats(3, 36), y=st.floats(3, 26), sd_px=st.floats(0.8, 2.5), height=st.floats(0.3, 1.0)
)
def test_exact_on_a_clean_blob(x: float, y: float, sd_px: float, height: float) -> None:
    peaks = find_peaks(height * blobs((30, 40), [(x, y)], sd_px)[None], threshold=0.1)
    assert len(peaks) == 1
    assert np.abs(peaks.xy_px[0] - [x, y]).max() < 0.05


def test_blob_on_the_border_and_in_the_corner() -> None:
    peaks = find_peaks(
        np.stack([blobs((30, 40), [(0, 12)], 1.5), blobs((30, 40), [(39, 29)], 1.5)])
    )
    assert peaks.joint.tolist() == [0, 1]
    assert np.abs(peaks.xy_px - [[0, 12], [39, 29]]).max() < 0.3


def test_neighbours_are_told_apart() -> None:
    peaks = find_peaks(blobs((60, 80), [(30, 30), (37, 30)], 2.0)[None])
    assert np.abs(np.sort(peaks.xy_px[:, 0]) - [30, 37]).max() < 0.3


def test_flat_top_is_one_peak() -> None:
    maps = np.zeros((1, 20, 20))
    maps[0, 10, 10:12] = 0.8
    assert len(find_peaks(maps)) == 1


def test_order_and_limit() -> None:
    rng = np.random.default_rng(0)
    maps = np.zeros((2, 60, 80))
    maps[:, 2:-2:3, 2:-2:3] = rng.uniform(0.3, 1.0, maps[:, 2:-2:3, 2:-2:3].shape)
    peaks = find_peaks(maps)
    assert np.bincount(peaks.joint).tolist() == [MAX_PEAKS, MAX_PEAKS]
    for joint in range(2):
        score = peaks.score[peaks.joint == joint]
        assert (np.diff(score) <= 0).all()
        assert score[0] == pytest.approx(maps[joint].max(), abs=1e-6)


@pytest.mark.parametrize("value", [0.0, np.nan, -1.0, 0.05])
def test_nothing_to_find(value: float) -> None:
    peaks = find_peaks(np.full((15, 12, 16), value))
    assert len(peaks) == 0
    assert peaks.xy_px.shape == (0, 2)
    assert peaks.joint.dtype == np.int64


def test_threshold_is_the_lowest_height() -> None:
    maps = np.stack([0.25 * blobs((30, 40), [(20, 15)], 2.0), blobs((30, 40), [(20, 15)], 2.0)])
    assert find_peaks(maps, threshold=0.3).joint.tolist() == [1]
    assert find_peaks(maps, threshold=0.2).joint.tolist() == [0, 1]


def test_wrong_shapes_are_named() -> None:
    with pytest.raises(ResidualPoseError, match=r"part_maps.*\(30, 40\)"):
        find_peaks(np.zeros((30, 40)))
    with pytest.raises(ValueError, match="xy_px"):
        Peaks(joint=np.zeros(2, np.int64), xy_px=np.zeros((3, 2)), score=np.zeros(2))
