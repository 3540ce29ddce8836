"""DepthFrame: whatever is no reading becomes 0, whatever is no image is refused."""

from __future__ import annotations

import numpy as np
import pytest

from residualpose import Camera, DepthFrame, ResidualPoseError

CAMERA = Camera(100, 100, 16, 16)


def test_what_is_no_reading_becomes_zero() -> None:
    depth = np.full((20, 30), 2.0)
    depth[0, :5] = [np.nan, np.inf, -np.inf, -1, 0]
    frame = DepthFrame(depth, CAMERA)
    assert frame.depth_m.dtype == np.float32
    assert (frame.depth_m[0, :5] == 0).all()
    assert (frame.depth_m[1:] == 2).all()
    assert (frame.height, frame.width) == (20, 30)
    assert np.isnan(depth[0, 0]), "the caller's array must not change"


@pytest.mark.parametrize(
    "depth",
    [
        np.ones((20, 20, 3)),
        np.ones(20),
        np.ones((15, 20)),
        np.ones((1, 1)),
        np.broadcast_to(np.float32(1), (10_000, 10_000)),
        np.ones((20, 20), dtype=complex),
        np.ones((20, 20), dtype=object),
        np.full((20, 20), "far"),
    ],
    ids=lambda depth: f"{depth.shape}-{depth.dtype}",
)
def test_what_is_no_depth_image_is_refused(depth: np.ndarray) -> None:
    with pytest.raises(ResidualPoseError, match=r"here\.npy: expected .* found"):
        DepthFrame(depth, CAMERA, source="here.npy")
