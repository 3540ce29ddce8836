"""What sets people apart in a table of results: from where, how far, how turned, how hidden."""

from __future__ import annotations

import numpy as np

from residualpose.skeleton import L_HIP, L_SHOULDER, NECK, R_HIP, R_SHOULDER, TORSO

UNKNOWN = ""
FRONTAL_RAD, BACK_RAD = np.radians(50), np.radians(130)
"""Headings up to the first are frontal, from the second on backs, profiles between."""
_END_ON = 0.5
"""Sine of the angle between trunk and line of sight below which a heading means nothing."""
_FAR_M = (2.0, 3.0, 4.0)
_IN_SIGHT, _HIDDEN = 0.8, 0.4

ORDER = {
    "view": ("eye", "fixed", "low", "high", "overhead"),
    "sensor": ("structured_light", "time_of_flight", "stereo"),
    "people": tuple(str(count) for count in range(1, 16)),
    "heading": ("frontal", "profile", "back", "end-on"),
    "distance": ("under 2 m", "2 to 3 m", "3 to 4 m", "over 4 m"),
    "occlusion": ("in sight", "part hidden", "mostly hidden"),
}
"""Axes of the tables, with their values in order; other values follow these."""


def headings_rad(truth_m: np.ndarray) -> np.ndarray:
    """(N,) angle 0..pi about the trunk between where a person faces and where the camera is.

    NaN where it is unknown, or where the camera looks along the trunk.
    """
    joints = np.asarray(truth_m, np.float64)
    right = joints[:, R_SHOULDER] - joints[:, L_SHOULDER]
    right = right + joints[:, R_HIP] - joints[:, L_HIP]
    down = _unit(joints[:, TORSO] - joints[:, NECK])
    facing = _unit(np.cross(right, down))
    to_camera = _unit(-joints[:, NECK])
    aside = to_camera - (to_camera * down).sum(-1, keepdims=True) * down
    length = np.linalg.norm(aside, axis=-1)
    cosine = (facing * aside).sum(-1) / np.where(length > _END_ON, length, np.nan)
    return np.arccos(np.clip(cosine, -1, 1))


def heading_names(truth_m: np.ndarray) -> np.ndarray:
    """(N,) frontal, profile, back or end-on; empty where the trunk is unknown."""
    angle = headings_rad(truth_m)
    trunk = truth_m[:, [NECK, TORSO, R_SHOULDER, L_SHOULDER, R_HIP, L_HIP]]
    known = np.isfinite(trunk).all((1, 2))
    names = np.array(ORDER["heading"])[np.digitize(np.nan_to_num(angle), (FRONTAL_RAD, BACK_RAD))]
    return np.where(known, np.where(np.isfinite(angle), names, "end-on"), UNKNOWN)


def distance_names(truth_m: np.ndarray) -> np.ndarray:
    """(N,) how far the torso is from the camera."""
    distance = np.linalg.norm(truth_m[:, TORSO], axis=-1)
    names = np.array(ORDER["distance"])[np.digitize(np.nan_to_num(distance), _FAR_M)]
    return np.where(np.isfinite(distance), names, UNKNOWN)


def occlusion_names(visible: np.ndarray) -> np.ndarray:
    """(N,) by the share of joints (N, 15) that nothing hides and the image does not cut."""
    share = visible.mean(-1)
    names = np.array(ORDER["occlusion"])
    return names[np.where(share >= _IN_SIGHT, 0, np.where(share >= _HIDDEN, 1, 2))]


def ordered_values(axis: str, values: np.ndarray) -> list[str]:
    """The values that occur on an axis, in order, without the unknown."""
    there = set(values.tolist()) - {UNKNOWN}
    known = [value for value in ORDER.get(axis, ()) if value in there]
    return known + sorted(there - set(known))


def _unit(vectors: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.where(length > 0, length, np.nan)
