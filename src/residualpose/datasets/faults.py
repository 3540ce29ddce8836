"""What can be wrong with the labels of a set, as sentences with a count and an example."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from residualpose.camera import Camera
from residualpose.datasets.cloud import inside_image
from residualpose.skeleton import Skeleton


def not_numbers(joints_m: np.ndarray, skeleton: Skeleton, name: Callable[[int], str]) -> list[str]:
    """Labels (N, 15, 3) that hold NaN or infinity; `name(i)` says which frame row i is of."""
    bad = np.argwhere(~np.isfinite(joints_m).all(-1))
    if not len(bad):
        return []
    row, joint = bad[0].tolist()
    return [
        f"{len(bad)} joints of {len(set(bad[:, 0].tolist()))} people are no numbers (NaN), first "
        f"{skeleton.joints[joint]} in {name(row)}"
    ]


def outside_frame(
    joints_m: np.ndarray,
    asked: np.ndarray,
    camera: Camera,
    size: tuple[int, int],
    margin_px: float,
    skeleton: Skeleton,
    name: Callable[[int], str],
) -> list[str]:
    """Joints (N, 15, 3) among `asked` (N, 15) that lie outside the image, or behind the camera."""
    px = camera.project(joints_m)
    known = np.isfinite(joints_m).all(-1) & asked
    bad = np.argwhere(known & ~inside_image(px, *size, margin_px))
    if not len(bad):
        return []
    row, joint = bad[0].tolist()
    u, v = px[row, joint]
    where = f"at pixel ({u:.0f}, {v:.0f})" if np.isfinite(u) else "behind the camera"
    beyond = f" by more than {margin_px:.0f} px" if margin_px else ""
    return [
        f"{len(bad)} labels lie outside the frame of {size[0]}x{size[1]}{beyond}, first "
        f"{skeleton.joints[joint]} in {name(row)}, {where}"
    ]
