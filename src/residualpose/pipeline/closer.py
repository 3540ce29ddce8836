"""A closer look at everybody found: cut out of the frame, enlarged, and moved up to the camera.

The 2D network sees every frame at one focal length, at which somebody at 5 m is a few dozen cells.
The camera often has more pixels. A person is cut out at the focal length at which they are as large
as somebody at `CLOSE_M`, and the surfaces are moved as much nearer, so that sizes, distances and
depths along the body agree for the network as they do for somebody who stands there. Who is as near
as that is looked at again as large as before. The network for it sees the mirror image too.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from residualpose.frames import DepthFrame
from residualpose.pipeline.normalise import NetworkInput, normalise

CLOSE_M = 1.8
"""How far away a closer look shows people, where the camera has the pixels for it."""
_MARGIN_M, _WIDE_MARGIN_M = 0.35, 0.6
"""Of the window around the joints found, and where joints are missing, which may lie farther out:
the networks' time goes with the window, and is half with the smaller margin."""
_WELL_FOUND = 12
"""Joints from which on the smaller margin will do."""
_SIDE_PX = (48, 512)
"""Of what the network is shown: it should see something, and joints that are wrong by metres should
not make it look at more than a frame."""
_SAME_M, _MIN_SAME = 0.25, 3
"""Somebody is the same person if so many joints are no farther than that from where they were."""
MIN_DEPTH_M = 0.25
"""Surfaces never seem nearer than that: what stands in front would be behind the camera."""


@dataclass(frozen=True, slots=True)
class Closer:
    """A window of a frame that is to be looked at again."""

    frame: DepthFrame
    """The window."""
    corner_px: np.ndarray
    """(2,) where its first pixel lies in the frame."""
    focal_px: float
    """Focal length to look at it with."""
    nearer_m: float
    """How much nearer its surfaces are to seem."""

    def shown(self) -> tuple[NetworkInput, NetworkInput]:
        """The window as it is, at its focal length, and as the network is to see it."""
        view = normalise(self.frame, self.focal_px)
        nearer_m = np.maximum(view.depth_m - np.float32(self.nearer_m), np.float32(MIN_DEPTH_M))
        seen_m = np.where(view.depth_m > 0, nearer_m, np.float32(0))
        return view, NetworkInput(seen_m, view.camera)


def closer_look(frame: DepthFrame, joints_m: np.ndarray, focal_px: float) -> Closer:
    """The window around one person, (15, 3) joints with NaN.

    Args:
        frame: what the person was found in.
        joints_m: camera frame; NaN where not found.
        focal_px: focal length that the network has looked with.
    """
    distance_m = float(np.nanmedian(joints_m[:, 2]))
    found_px = frame.camera.project(joints_m)
    well_found = np.isfinite(joints_m[:, 0]).sum() >= _WELL_FOUND
    margin_m = _MARGIN_M if well_found else _WIDE_MARGIN_M
    margin_px = margin_m * frame.camera.fx / distance_m
    size = np.array([frame.width, frame.height])
    low = np.nanmin(found_px, axis=0) - margin_px
    high = np.nanmax(found_px, axis=0) + margin_px
    fewest, most = _SIDE_PX
    # Pixels that the camera does not have would only be made up.
    most_enlarged = min(frame.camera.fx, most * frame.camera.fx / (high - low).max()) / focal_px
    enlarged = max(min(distance_m / CLOSE_M, most_enlarged), 1.0)
    wanted = fewest * frame.camera.fx / (focal_px * enlarged)
    short = np.maximum(wanted - (high - low), 0.0)
    low = np.clip(np.floor(low - short / 2), 0, size - 1).astype(int)
    high = np.clip(np.ceil(high + short / 2), low + 16, size).astype(int)
    low = np.maximum(np.minimum(low, high - 16), 0)
    (left, top), (right, bottom) = low, high
    camera = replace(frame.camera, cx=frame.camera.cx - left, cy=frame.camera.cy - top)
    window = DepthFrame(frame.depth_m[top:bottom, left:right], camera, frame.source)
    return Closer(window, low, focal_px * enlarged, distance_m * (1 - 1 / enlarged))


def same_person(joints_m: np.ndarray, found_m: np.ndarray) -> int | None:
    """Which of (P, 15, 3) found people one (15, 3) is; None where it is none of them."""
    if not len(found_m):
        return None
    apart = np.linalg.norm(found_m - joints_m, axis=-1)
    same = (apart < _SAME_M).sum(axis=-1)
    best = int(same.argmax())
    return best if same[best] >= _MIN_SAME else None
