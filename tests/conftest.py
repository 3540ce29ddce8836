"""Shared makings: two people with every kind of joint."""

from __future__ import annotations

import numpy as np
import pytest

from residualpose import Camera, Origin, Poses


@pytest.fixture
def poses() -> Poses:
    """Two people; the first one's joint 0 is absent, 1 from nearby, 2 guessed without a pixel."""
    rng = np.random.default_rng(5)
    camera = Camera(300, 300, 160, 120)
    joints_m = rng.normal([0, 0, 3], [0.5, 0.5, 0.1], (2, 15, 3))
    joints_px = camera.project(joints_m)
    origin = np.full((2, 15), Origin.MEASURED)
    origin[0, :3] = [Origin.ABSENT, Origin.NEIGHBOUR, Origin.PRIOR]
    joints_m[0, 0] = np.nan
    joints_px[0, [0, 2]] = np.nan
    covariance_m2 = np.broadcast_to(np.eye(3) * 1e-4, (2, 15, 3, 3))
    return Poses(
        joints_px, joints_m, rng.uniform(0, 1, (2, 15)), np.array([0.9, 0.4]), origin,
        covariance_m2, camera,
    )  # fmt: skip
