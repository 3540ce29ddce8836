"""A depth image that every format can hold exactly: whole millimetres."""

from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture
def depth_mm() -> np.ndarray:
    """(3, 24, 32) uint16, three frames that differ everywhere but in their holes."""
    values = np.random.default_rng(3).integers(800, 4000, (3, 24, 32)).astype(np.uint16)
    values[:, :4, :4] = 0
    return values
