"""DepthFrame: one depth image in metres with the camera that took it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from residualpose.camera import Camera
from residualpose.errors import ResidualPoseError

MIN_SIDE_PX, MAX_SIDE_PX = 16, 4096


@dataclass(frozen=True, slots=True)
class DepthFrame:
    """A depth image ready for the pipeline: float32 metres, 0 = no reading."""

    depth_m: np.ndarray
    """(H, W) float32 z-depth in metres; NaN, infinite and negative readings become 0."""
    camera: Camera
    source: str = ""
    """File or device the frame came from."""
    index: int = 0
    """Number of the frame in its source."""
    time_s: float | None = None
    """Time stamp in seconds, if the source has one."""

    def __post_init__(self) -> None:
        depth = np.asarray(self.depth_m)
        if depth.ndim != 2 or depth.dtype.kind not in "fiu":
            raise ResidualPoseError(
                f"{self.source or 'depth'}: expected an (H, W) array of metres, found shape "
                f"{depth.shape} of {depth.dtype}"
            )
        if not all(MIN_SIDE_PX <= side <= MAX_SIDE_PX for side in depth.shape):
            raise ResidualPoseError(
                f"{self.source or 'depth'}: expected an image of {MIN_SIDE_PX} to {MAX_SIDE_PX} "
                f"pixels a side, found {depth.shape[1]}x{depth.shape[0]}"
            )
        depth = depth.astype(np.float32, copy=False)
        bad = ~((depth >= 0) & (depth < np.inf))
        if bad.any():
            depth = np.where(bad, np.float32(0), depth)
        object.__setattr__(self, "depth_m", depth)

    @property
    def height(self) -> int:
        """Image height in pixels."""
        return self.depth_m.shape[0]

    @property
    def width(self) -> int:
        """Image width in pixels."""
        return self.depth_m.shape[1]
