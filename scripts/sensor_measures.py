"""Measures of one depth frame's faults, from the frame alone, so that both sides use the same.

Flat places are found by planes fitted in windows (a plane is linear in 1/z over the pixels), edges
by rows and columns that are flat on both sides of a step.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

WINDOW_PX = 9
DISTANCES_M = ((1.0, 2.0), (2.0, 3.0), (3.0, 4.0), (4.0, 5.5))
ANGLES = ((0, 45), (45, 65), (65, 80))
LEAST = 12
"""Windows or edges below which a frame says nothing."""


def measures(depth_m: np.ndarray, focal_px: float) -> dict[str, float]:
    """Every measure of a frame (h, w); NaN where it shows too little for one."""
    return (
        missing(depth_m)
        | flat_places(depth_m, focal_px)
        | edges(depth_m)
        | {"quantisation step at 3 m, mm": step_mm(depth_m)}
    )


def missing(depth_m: np.ndarray) -> dict[str, float]:
    """Share without a reading: everywhere, in the corners, in the bands left and right."""
    gone = depth_m <= 0
    height, width = gone.shape
    a, b, band = height // 8, width // 8, max(width // 16, 1)
    corners = (gone[:a, :b], gone[:a, -b:], gone[-a:, :b], gone[-a:, -b:])
    return {
        "missing, %": percent(gone),
        "missing in the corners, %": percent(np.stack(corners)),
        "missing in the left band, %": percent(gone[:, :band]),
        "missing in the right band, %": percent(gone[:, -band:]),
    }


def percent(mask: np.ndarray) -> float:
    """Share of a mask that is set; NaN where it is too small."""
    return 100 * float(np.mean(mask)) if mask.size >= LEAST else float("nan")


def flat_places(depth_m: np.ndarray, focal_px: float) -> dict[str, float]:
    """Noise and holes on planes by distance and by angle between normal and viewing ray."""
    z, angle, sd_m, holes, together = _planes(depth_m, focal_px, WINDOW_PX)
    found: dict[str, float] = {}
    facing = angle < 65
    for low, high in DISTANCES_M:
        inside = facing & (z >= low) & (z < high)
        found[f"noise at {low:g}-{high:g} m, mm"] = _median(1000 * sd_m[inside])
    z_wide, angle_wide, sd_wide_m, _, _ = _planes(depth_m, focal_px, 27)
    for low, high in DISTANCES_M[1:]:
        inside = (angle_wide < 65) & (z_wide >= low) & (z_wide < high)
        found[f"lumps at {low:g}-{high:g} m, mm"] = _median(1000 * sd_wide_m[inside], 3)
    found["neighbours' errors alike, correlation"] = _median(together[facing])
    for low, high in ANGLES:
        inside = (angle >= low) & (angle < high)
        found[f"holes on planes at {low}-{high} degrees, %"] = _mean(100 * holes[inside])
    far = facing & (z >= 4)
    found["holes on planes beyond 4 m, %"] = _mean(100 * holes[far])
    return found


def _planes(depth_m: np.ndarray, focal_px: float, side: int) -> tuple[np.ndarray, ...]:
    """Distance, angle (degrees), sd of residuals (m), share of holes, their lag-1 correlation.

    One entry a window in which a plane explains what is seen.
    """
    stride = max(side // 2, 1)
    windows = sliding_window_view(depth_m, (side, side))[::stride, ::stride]
    columns = windows.shape[1]
    windows = windows.reshape(-1, side * side)
    seen = windows > 0
    chosen = seen.mean(1) > 0.6
    seen, windows = seen[chosen], windows[chosen]
    v0, u0 = np.divmod(np.flatnonzero(chosen), columns)
    height, width = depth_m.shape
    u0 = u0 * stride + side // 2 - (width - 1) / 2
    v0 = v0 * stride + side // 2 - (height - 1) / 2
    v, u = (a.ravel() - side // 2 for a in np.mgrid[:side, :side])
    design = np.stack([np.ones_like(u), u, v], 1).astype(float)
    inverse = np.where(seen, 1 / np.where(seen, windows, 1), 0)
    normal = np.einsum("nk,ki,kj->nij", seen.astype(float), design, design)
    plane = np.linalg.solve(normal, (inverse @ design)[..., None])[..., 0]
    residual = np.where(seen, inverse - plane @ design.T, 0)
    z = 1 / np.maximum(plane[:, 0], 0.05)
    sd_m = np.sqrt((residual**2).sum(1) / np.maximum(seen.sum(1) - 3, 1)) * z**2
    # 1/z = a x/z.. : the plane's normal is (du, dv in 1/z times focal length, the value at centre).
    nx, ny = plane[:, 1] * focal_px, plane[:, 2] * focal_px
    nz = plane[:, 0] - plane[:, 1] * u0 - plane[:, 2] * v0
    ray = np.stack([u0, v0, np.full(len(z), focal_px)], 1)
    dot = np.abs(nx * ray[:, 0] + ny * ray[:, 1] + nz * ray[:, 2])
    cosine = dot / (np.sqrt(nx**2 + ny**2 + nz**2) * np.linalg.norm(ray, axis=1)).clip(1e-9)
    grid = residual.reshape(-1, side, side)
    energy = (grid**2).sum((1, 2)).clip(1e-12)
    together = 0.5 * (grid[:, 1:] * grid[:, :-1]).sum((1, 2)) / energy
    together += 0.5 * (grid[:, :, 1:] * grid[:, :, :-1]).sum((1, 2)) / energy
    flat = sd_m < 0.06 * z
    fields = (z, np.degrees(np.arccos(cosine.clip(0, 1))), sd_m, 1 - seen.mean(1), together)
    return tuple(field[flat] for field in fields)


def edges(depth_m: np.ndarray) -> dict[str, float]:
    """Steps of at least 0.4 m along rows and columns: width, flying pixels, missing beside them."""
    across, along = _steps(depth_m), _steps(depth_m.T)
    both = [np.concatenate(pair) for pair in zip(across, along, strict=True)]
    width_px, flying, gap_px, _ = both
    near_is_right = across[3]
    # Which side shadows fall to depends on the camera, and on whether the image is mirrored.
    gaps = sorted((_mean(across[2][near_is_right]), _mean(across[2][~near_is_right])))
    return {
        "edge width 10-90 %, px": _median(width_px[np.isfinite(width_px)]),
        "edges with flying pixels, %": percent(flying),
        "gap on the shadow side of edges, px": gaps[1],
        "gap on their other side, px": gaps[0],
        "edges with a gap, %": percent(gap_px > 0),
    }


def _steps(depth_m: np.ndarray, reach: int = 8) -> tuple[np.ndarray, ...]:
    """Width (NaN across gaps), flying or not, missing pixels, near side right, of steps in rows."""
    windows = sliding_window_view(depth_m, 2 * reach + 1, axis=1)
    flat = windows.reshape(-1, 2 * reach + 1)
    sides = np.where(flat > 0, flat, np.nan)
    left, right = sides[:, :4], sides[:, -4:]
    enough = (np.isfinite(left).sum(1) >= 3) & (np.isfinite(right).sum(1) >= 3)
    flat, left, right = flat[enough], left[enough], right[enough]
    a, b = np.nanmedian(left, 1), np.nanmedian(right, 1)
    jump = np.abs(b - a)
    calm = np.maximum(
        np.nanmax(left, 1) - np.nanmin(left, 1), np.nanmax(right, 1) - np.nanmin(right, 1)
    )
    chosen = (jump > 0.4) & (calm < 0.2 * jump)
    flat, a, b = flat[chosen], a[chosen], b[chosen]
    share = np.where(flat > 0, (flat - a[:, None]) / (b - a)[:, None], np.nan)
    # The step is this window's own when it crosses half height at the middle, and only there.
    filled = _forward_filled(share)
    crossing = np.diff((filled > 0.5).astype(int), axis=1) != 0
    own = crossing[:, reach] & (crossing.sum(1) == 1)
    share, filled, a, b = share[own], filled[own], a[own], b[own]
    gap = np.sum(np.isnan(share), axis=1)
    flying = np.any((share > 0.15) & (share < 0.85), axis=1)
    width = np.where(gap == 0, _crossing(filled, 0.9) - _crossing(filled, 0.1), np.nan)
    return width, np.asarray(flying), np.asarray(gap), np.asarray(b < a)


def _forward_filled(share: np.ndarray) -> np.ndarray:
    index = np.where(np.isfinite(share), np.arange(share.shape[1]), 0)
    return np.take_along_axis(share, np.maximum.accumulate(index, 1), 1)


def _crossing(share: np.ndarray, level: float) -> np.ndarray:
    """Position where a profile last rises through a level, interpolated, pixels."""
    below = share <= level
    k = share.shape[1] - 1 - np.argmax(below[:, ::-1], axis=1)
    k = np.clip(k, 0, share.shape[1] - 2)
    rows = np.arange(len(share))
    low, high = share[rows, k], share[rows, k + 1]
    return k + (level - low) / np.where(high > low, high - low, 1.0)


def step_mm(depth_m: np.ndarray) -> float:
    """Median gap between the values that occur between 2.5 and 4 m, brought to 3 m by z squared."""
    values, count = np.unique(
        np.round(depth_m[(depth_m > 2.5) & (depth_m < 4.0)] * 1000), return_counts=True
    )
    values = values[count >= 2]
    if len(values) < 5 or count.sum() < 1000:
        return float("nan")
    steps = np.diff(values) * (3000 / values[1:]) ** 2
    return float(np.median(steps))


def _median(values: np.ndarray, least: int = LEAST) -> float:
    return float(np.median(values)) if len(values) >= least else float("nan")


def _mean(values: np.ndarray) -> float:
    return float(np.mean(values)) if len(values) >= LEAST else float("nan")
