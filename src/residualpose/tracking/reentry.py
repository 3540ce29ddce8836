"""Who comes out from behind somebody: those out of sight against those found anew."""

from __future__ import annotations

import numpy as np

JUST_SEEN_M, LOST_M = (0.06, 0.09), (0.15, 0.25)
"""Doubt about where somebody's trunk is found, across and along the line of sight: of two frames in
a row 95 % agree so well; but a body half hidden seems nearer, as what is in front of it is."""
_SIDEWAYS_M_S, _DEPTH_M_S = 0.70, 0.25
"""What each second unseen adds. Whoever comes out from behind somebody went sideways to do so."""
_GROWS_S = 3.0
"""Doubt does not grow for longer."""
_REACH2 = 12.0
"""Squared distance, in doubts, from which it must be somebody else."""
_COVER_M, _BEHIND_M = 0.35, 0.2
"""Somebody is hidden who is so close to the line of sight of a trunk, and so far behind it."""


def place_costs(
    expected_m: np.ndarray,
    found_m: np.ndarray,
    unseen_s: np.ndarray,
    depth_sd_m: np.ndarray,
    doubt_m: tuple[float, float],
) -> np.ndarray:
    """(T, P) minus log likelihood that each person found is the one known; infinite where too far.

    Args:
        expected_m: (T, 3) trunk centres as predicted.
        found_m: (P, 3) trunk centres.
        unseen_s: (T,) seconds since each was seen.
        depth_sd_m: (T,) how well each one's depth was known when seen last.
        doubt_m: Standard deviation across and along the line of sight of somebody just seen.
    """
    sight = expected_m / np.linalg.norm(expected_m, axis=-1, keepdims=True)
    offset = found_m[None] - expected_m[:, None]
    depth_m = (offset * sight[:, None]).sum(-1)
    sideways2 = np.maximum((offset**2).sum(-1) - depth_m**2, 0.0)
    grown_s = np.minimum(unseen_s, _GROWS_S)[:, None]
    sd_sideways = np.maximum(doubt_m[0], JUST_SEEN_M[0] + _SIDEWAYS_M_S * grown_s)
    sd_clear = JUST_SEEN_M[1] + _DEPTH_M_S * grown_s
    sd_nearer = np.maximum(doubt_m[1], sd_clear)
    sd_farther = np.hypot(sd_clear, depth_sd_m[:, None])
    sd_depth = np.where(depth_m > 0, sd_farther, sd_nearer)
    distance2 = sideways2 / sd_sideways**2 + (depth_m / sd_depth) ** 2
    cost = distance2 / 2 + np.log(sd_sideways**2 * (sd_nearer + sd_farther) / 2)
    return np.where(distance2 < _REACH2, cost, np.inf)


def behind(expected_m: np.ndarray, front_m: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How people out of sight must move to be behind somebody, as the camera sees it.

    Args:
        expected_m: (T, 3) their trunk centres.
        front_m: (P, 3) trunk centres of those in sight.

    Returns:
        (T, 3) the way to where the nearest of those in sight covers them, zero where one does;
        NaN where nobody is in front. And (T,) bool, who is covered already.
    """
    near = np.linalg.norm(front_m, axis=-1)
    sight = front_m / near[:, None]
    along = expected_m @ sight.T
    across = along[..., None] * sight - expected_m[:, None]
    aside = np.linalg.norm(across, axis=-1)
    # The nearer somebody is, the more is covered far behind.
    short = np.maximum(1 - _COVER_M * along / near / np.maximum(aside, 1e-9), 0.0)
    way = short[..., None] * across
    length = np.where(along > near + _BEHIND_M, np.linalg.norm(way, axis=-1), np.inf)
    if not len(front_m):
        return np.full(expected_m.shape, np.nan), np.zeros(len(expected_m), bool)
    least = length.min(1)
    way = np.take_along_axis(way, length.argmin(1)[:, None, None], 1)[:, 0]
    return np.where(np.isfinite(least)[:, None], way, np.nan), least == 0
