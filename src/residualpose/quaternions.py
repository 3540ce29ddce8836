"""Rotation matrices as unit quaternions, for the formats that want those."""

from __future__ import annotations

import numpy as np


def quaternions(rotations: np.ndarray) -> np.ndarray:
    """(..., 4) unit quaternions x, y, z, w with w >= 0 of rotation matrices (..., 3, 3).

    The eigenvector of the largest eigenvalue (Bar-Itzhack 2000): good for any angle.
    """
    R = np.asarray(rotations, dtype=np.float64)
    K = np.empty((*R.shape[:-2], 4, 4))
    K[..., :3, :3] = R + R.swapaxes(-1, -2)
    trace = np.trace(R, axis1=-2, axis2=-1)
    K[..., [0, 1, 2], [0, 1, 2]] -= trace[..., None]
    K[..., 3, 3] = trace
    for axis, (i, j) in enumerate(((2, 1), (0, 2), (1, 0))):
        K[..., axis, 3] = K[..., 3, axis] = R[..., i, j] - R[..., j, i]
    largest = np.linalg.eigh(K)[1][..., -1]
    return np.where(largest[..., 3:] < 0, -largest, largest)
