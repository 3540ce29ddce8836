"""The body's own upright frame, found from the trunk joints that are seen.

Axes: x from the person's right to the left, y down, z = x cross y (backwards). A prior in this
frame serves every heading. What counts as down is a hypothesis: see `frame_hypotheses`.
"""

from __future__ import annotations

import numpy as np

from residualpose.skeleton import L_HIP, L_SHOULDER, NECK, R_HIP, R_SHOULDER, TORSO

LEVEL_DOWN = np.array([0.0, 1.0, 0.0])
"""Down in the frame of a level camera (y down)."""
OVERHEAD_DOWN = np.array([0.0, 0.0, 1.0])
"""Down in the frame of a camera that looks straight down."""

# Log odds against a mirrored (y up) input and against a camera far from level. Taking the trunk for
# the vertical costs little where the camera is level; missing a tilt moves a foot by half a metre.
_MIRRORED_LOG_ODDS = -4.0
_TRUNK_LOG_ODDS = -2.0


_RIGHT, _LEFT = [R_SHOULDER, R_HIP], [L_SHOULDER, L_HIP]
_MIDDLE, _INSTEAD = [NECK, TORSO], [TORSO, NECK]


def _first_known(*candidates: np.ndarray) -> np.ndarray:
    """The first of several (..., 3) estimates that is known, vector by vector; others are NaN."""
    result = candidates[0]
    for candidate in candidates[1:]:
        result = np.where(np.isnan(result[..., :1]), candidate, result)
    return result


def _unit(vectors: np.ndarray) -> np.ndarray:
    length = np.sqrt((vectors * vectors).sum(axis=-1, keepdims=True))
    return vectors / np.where(length > 1e-6, length, np.nan)


def leftwards(joints_m: np.ndarray) -> np.ndarray:
    """Right-to-left vector of the trunk, (N, 15, 3) -> (N, 3); NaN where nothing tells."""
    right, left = joints_m[:, _RIGHT], joints_m[:, _LEFT]  # (N, 2, 3): shoulders, hips
    middle = _first_known(joints_m[:, _MIDDLE], joints_m[:, _INSTEAD])
    across = _first_known(left - right, 2 * (left - middle), 2 * (middle - right))
    known = ~np.isnan(across[..., :1])
    return np.where(known.any(1), np.where(known, across, 0.0).sum(1), np.nan)


def trunk_down(joints_m: np.ndarray) -> np.ndarray:
    """Unit direction from the upper to the lower trunk, (N, 15, 3) -> (N, 3); NaN if unknown."""
    shoulders, hips = ((joints_m[:, _RIGHT] + joints_m[:, _LEFT]) / 2).swapaxes(0, 1)
    torso = joints_m[:, TORSO]
    upper = _first_known(joints_m[:, NECK], shoulders)
    return _unit(_first_known(hips, torso) - upper)


def upright_frame(joints_m: np.ndarray, down: np.ndarray) -> np.ndarray:
    """Body axes as columns, (N, 15, 3), unit down (3,) or (N, 3) -> (N, 3, 3); NaN if unknown."""
    return _axes(leftwards(joints_m), np.broadcast_to(down, (len(joints_m), 3)))


def _axes(left: np.ndarray, down: np.ndarray) -> np.ndarray:
    """Body axes as columns from vectors to the left and down, (N, 3) each -> (N, 3, 3)."""
    x = _unit(left - (left * down).sum(-1, keepdims=True) * down)
    return np.stack([x, down, _cross(x, down)], axis=-1)


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(N, 3) vector products; np.cross takes several times as long for so few."""
    following, last = [1, 2, 0], [2, 0, 1]
    return a[:, following] * b[:, last] - a[:, last] * b[:, following]


def frame_hypotheses(joints_m: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Candidate body axes of people (N, 15, 3): columns (N, 4, 3, 3), and log odds (N, 4).

    A level camera; the same with mirrored axes (y up, as ITOP labels are); for any other camera or
    a person lying down, the trunk itself as the vertical; and a camera that looks straight down,
    which tells the vertical better than a trunk seen end-on. NaN and -inf where the trunk does not
    tell.
    """
    log_odds = np.array([0.0, _MIRRORED_LOG_ODDS, _TRUNK_LOG_ODDS, 0.0])
    down = np.empty((len(log_odds), len(joints_m), 3))
    down[:] = np.stack([LEVEL_DOWN, -LEVEL_DOWN, LEVEL_DOWN, OVERHEAD_DOWN])[:, None]
    down[2] = trunk_down(joints_m)
    left = np.tile(leftwards(joints_m), (len(log_odds), 1))
    axes = _axes(left, down.reshape(-1, 3)).reshape(*down.shape, 3)
    axes[1, :, :, 2] *= -1  # mirrored axes are left-handed
    known = np.isfinite(axes).all((-2, -1))
    return axes.swapaxes(0, 1), np.where(known, log_odds[:, None], -np.inf).T
