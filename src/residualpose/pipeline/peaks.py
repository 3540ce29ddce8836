"""Part maps -> joint candidates: sub-pixel local maxima, whatever the width of the blobs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import reduce

import numpy as np

from residualpose.errors import ResidualPoseError

MAX_PEAKS = 20
"""Most candidates kept of one joint."""
MIN_SCORE = 0.3
"""A joint found with less is left to the prior, which guesses it better: on 60 ITOP frames 7 % of
such joints were right, 20 % after completion."""
_SURE = 0.3
_BLOB_SD_CELLS = 2.0
"""Wider blobs are searched on averaged cells: noise makes many false tops on a wide one."""


@dataclass(frozen=True, slots=True)
class Peaks:
    """The N joint candidates of one frame, ordered by joint, then by score, best first."""

    joint: np.ndarray
    """(N,) int64 joint index."""
    xy_px: np.ndarray
    """(N, 2) float32 pixels of the maps' grid, centres at integers."""
    score: np.ndarray
    """(N,) float32 height of the map at the peak, in 0..1."""

    def __post_init__(self) -> None:
        count = len(self.joint)
        if np.shape(self.xy_px) != (count, 2) or np.shape(self.score) != (count,):
            raise ValueError(
                f"peaks: expected xy_px ({count}, 2) and score ({count},), "
                f"got {np.shape(self.xy_px)} and {np.shape(self.score)}"
            )

    def __len__(self) -> int:
        return len(self.joint)


def find_peaks(part_maps: np.ndarray, threshold: float = MIN_SCORE) -> Peaks:
    """Local maxima of every map that rise above a threshold.

    Args:
        part_maps: (J, h, w) confidence maps, peak height about 1; NaN counts as 0.
        threshold: lowest height of a candidate.
    """
    if np.ndim(part_maps) != 3:
        raise ResidualPoseError(f"part_maps: expected (J, h, w), got {np.shape(part_maps)}")
    maps = np.ascontiguousarray(part_maps, dtype=np.float32)
    joint, row, col = _above(maps, threshold)
    around = _neighbourhood(maps, joint, row, col)
    factor = max(1, round(_blob_sd_px(around, row, col, maps.shape[1:]) / _BLOB_SD_CELLS))
    if factor > 1:
        maps = _averaged(_finite(maps), factor)
        joint, row, col = _above(maps, threshold)
        around = _neighbourhood(maps, joint, row, col)
    # Strict on one side only, so that two equal neighbours give one peak.
    top = (around[4] > around[:4]).all(axis=0) & (around[4] >= around[5:]).all(axis=0)
    joint, row, col, around = joint[top], row[top], col[top], around[:, top]
    cell_xy = np.array([col, row]).T + _log_offset(around)
    xy_px = (cell_xy + 0.5) * factor - 0.5
    return _strongest(joint, xy_px, np.clip(around[4], 0.0, 1.0))


def _finite(values: np.ndarray) -> np.ndarray:
    """The values with 0 in place of NaN and minus infinity, and 1 of infinity."""
    # Looking first costs a fraction of replacing.
    if np.isfinite(values).all():
        return values
    return np.nan_to_num(values, posinf=1.0, neginf=0.0)


def _above(maps: np.ndarray, threshold: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Joint, row and column of the cells above a threshold; NaN is not."""
    # Four times as fast as np.nonzero on three axes.
    flat = np.flatnonzero(maps.reshape(-1) > threshold)
    joint, cell = np.divmod(flat, maps.shape[1] * maps.shape[2])
    return joint, *np.divmod(cell, maps.shape[2])


def _blob_sd_px(
    around: np.ndarray, row: np.ndarray, col: np.ndarray, size: tuple[int, ...]
) -> float:
    """Standard deviation of the blobs: of a Gaussian, sd^2 = sum of squares / squared slopes.

    Args:
        around: (9, N) values around each candidate, by rows.
        row: (N,) row and
        col: (N,) column of the candidates in
        size: maps of (h, w).
    """
    height, width = size
    inside = (row > 0) & (row < height - 1) & (col > 0) & (col < width - 1) & (around[4] > _SURE)
    if not inside.any():
        return 1.0
    here, right, below = around[4], around[5] - around[4], around[7] - around[4]
    slopes = float(((right * right + below * below) * inside).sum())
    # 0.76: both sums are cut at 0.3 of the peak, which takes more from the slopes.
    squares = float((here * here * inside).sum())
    return min(math.sqrt(0.76 * squares / max(slopes, 1e-9)), min(height, width) / 8.0)


def _averaged(maps: np.ndarray, factor: int) -> np.ndarray:
    """(J, h', w') means of factor x factor cells; the last ones are completed by the border."""
    if factor == 1:
        return maps
    _, height, width = maps.shape
    pad = [(0, 0), (0, -height % factor), (0, -width % factor)]
    padded = np.pad(maps, pad, mode="edge") if np.any(pad) else maps
    # Sums of shifted images: far faster than the mean over two short axes.
    rows = reduce(np.add, (padded[:, i::factor] for i in range(factor)))
    return reduce(np.add, (rows[:, :, i::factor] for i in range(factor))) / np.float32(factor**2)


def _neighbourhood(
    cells: np.ndarray, joint: np.ndarray, row: np.ndarray, col: np.ndarray
) -> np.ndarray:
    """(9, N) values of the 3 x 3 cells around each candidate, by rows; mirrored at the border."""
    _, height, width = cells.shape
    rows, cols = _three(row, height - 1) + joint * height, _three(col, width - 1)
    around = (rows * width)[:, None] + cols
    return _finite(cells.reshape(-1)[around.reshape(9, -1)])


def _three(place: np.ndarray, last: int) -> np.ndarray:
    """(3, N) the places before, at and after each of 0 to `last`; mirrored beyond the ends."""
    three = np.abs(np.array([place - 1, place, place + 1]))
    return np.maximum(last - np.abs(last - three), 0)


def _log_offset(around: np.ndarray) -> np.ndarray:
    """(N, 2) offset (x, y) of the top of a Gaussian through the centre and its neighbours."""
    level = np.log(np.maximum(around, 1e-3))
    centre, before, after = level[4], level[[3, 1]], level[[5, 7]]
    curvature = before + after - 2.0 * centre
    offset = (before - after) / (2.0 * np.minimum(curvature, -1e-6))
    return np.minimum(np.maximum(offset, -0.5), 0.5).T


def _strongest(joint: np.ndarray, xy_px: np.ndarray, score: np.ndarray) -> Peaks:
    """Candidates ordered by joint and score, at most MAX_PEAKS a joint."""
    order = np.lexsort((-score, joint))
    joint, xy_px, score = joint[order], xy_px[order], score[order]
    if len(joint) > MAX_PEAKS:
        rank = np.arange(len(joint)) - np.searchsorted(joint, joint)
        keep = rank < MAX_PEAKS
        joint, xy_px, score = joint[keep], xy_px[keep], score[keep]
    return Peaks(joint, xy_px.astype(np.float32), score)
