"""Around each joint: what the 2D network saw there, for a refiner that looks at it.

Grouping and lifting leave one point of each joint's map and one depth. What they left may have
been right: a second peak, an opinion of the cell beside, the surface of the arm that was meant. A
refiner may be shown, for every joint, a small patch of the maps and of the surface about where it
was found, and the best few peaks of its map.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from residualpose.camera import Camera
from residualpose.pipeline.lift import LiftedPoints, lift
from residualpose.pipeline.maps import Maps, surface_of
from residualpose.pipeline.normalise import NetworkInput
from residualpose.pipeline.peaks import MIN_SCORE, Peaks, find_peaks
from residualpose.skeleton import ITOP15

FAINT_SCORE = 0.12
"""Peaks too low to be joints, which a refiner may believe all the same."""
SIDE = 7
_SPACING_M = 0.05
"""A patch has `SIDE` times `SIDE` points so far apart, square to the optical axis."""
PATCH = SIDE * SIDE
CANDIDATES = 3
"""Peaks of its map that are shown of a joint, best first."""
OPINION_SCALE_M, SURFACE_SCALE_M, CANDIDATE_SCALE_M = 0.3, 0.5, 1.0
"""What is farther off than that seems as far off as that."""
N_AROUND = 4 * PATCH + 4 * CANDIDATES
"""Numbers of each joint: patches of its own map, of its partner's, of how far behind the joint its
depth would be by the cell's surface and offset, and of how far behind it that surface is; then its
candidates: from the joint to each in the ray frame, and the score."""
_JOINTS = len(ITOP15.joints)
_PARTNER = np.array(ITOP15.mirror)
_STEPS_M = (np.arange(SIDE) - SIDE // 2) * _SPACING_M
_ACROSS_M, _DOWN_M = (steps.ravel() for steps in np.meshgrid(_STEPS_M, _STEPS_M))


@dataclass(frozen=True, slots=True)
class Look:
    """What the 2D network saw in a frame, or in a window of one."""

    maps: Maps
    surface_m: np.ndarray
    """(h, w) depth of the seen surface in each cell, 0 = none; not moved as in closer looks."""
    camera: Camera
    """Its pixels are the cells."""
    peaks: Peaks
    points: LiftedPoints
    """The peaks in 3D."""

    @classmethod
    def of(cls, view: NetworkInput, maps: Maps, lowest_score: float = MIN_SCORE) -> Look:
        """Lift what was seen.

        Args:
            view: what the network looked at, surfaces where they are.
            maps: what it saw.
            lowest_score: of the peaks.
        """
        surface_m = surface_of(view, maps.stride)
        camera = view.camera.resized(1 / maps.stride, 1 / maps.stride)
        peaks = find_peaks(maps.part_maps, lowest_score)
        points = lift(peaks, maps.part_maps, maps.offset_m, surface_m, camera)
        return cls(maps, surface_m, camera, peaks, points)

    def joints(self) -> tuple[Peaks, LiftedPoints]:
        """The peaks that are high enough for joints, and where they are."""
        high = self.peaks.score > MIN_SCORE
        if high.all():
            return self.peaks, self.points
        peaks = Peaks(self.peaks.joint[high], self.peaks.xy_px[high], self.peaks.score[high])
        of = self.points
        return peaks, LiftedPoints(of.points_m[high], of.origin[high], of.covariance_m2[high])


def around(look: Look, joints_m: np.ndarray, R_camera_ray: np.ndarray) -> np.ndarray:
    """(15, N_AROUND) float32 of one person, -1 to 1; zeros of joints that are unknown.

    Args:
        look: where the person was seen.
        joints_m: (15, 3) camera frame, NaN where unknown.
        R_camera_ray: (3, 3) of the person's `RayFrames`.
    """
    known = np.isfinite(joints_m[:, 0])
    place_m = np.where(known[:, None], joints_m, np.array([0, 0, 1], np.float32))
    shown = np.zeros((_JOINTS, N_AROUND), np.float32)
    shown[:, : 4 * PATCH] = _patches(look, place_m).reshape(_JOINTS, -1)
    shown[:, 4 * PATCH :] = _candidates(look, place_m, R_camera_ray).reshape(_JOINTS, -1)
    shown[~known] = 0
    return shown


def _patches(look: Look, joints_m: np.ndarray) -> np.ndarray:
    """(15, 4, PATCH), kinds as `N_AROUND` tells them."""
    height, width = look.surface_m.shape
    x, y, z = np.maximum(joints_m, np.array([-np.inf, -np.inf, 0.1])).T[..., None]
    col = np.rint((x + _ACROSS_M) / z * look.camera.fx + look.camera.cx).astype(np.int64)
    row = np.rint((y + _DOWN_M) / z * look.camera.fy + look.camera.cy).astype(np.int64)
    inside = (col >= 0) & (col < width) & (row >= 0) & (row < height)
    cell = np.minimum(np.maximum(row, 0), height - 1) * width
    cell += np.minimum(np.maximum(col, 0), width - 1)
    own = cell + (np.arange(_JOINTS) * (height * width))[:, None]
    partners = cell + (_PARTNER * (height * width))[:, None]
    maps, surface_m = look.maps, look.surface_m.reshape(-1)[cell]
    seen = inside & (surface_m > 0)
    patches = np.empty((_JOINTS, 4, PATCH), np.float32)
    patches[:, 0] = maps.part_maps.reshape(-1)[own] * inside
    patches[:, 1] = maps.part_maps.reshape(-1)[partners] * inside
    behind_m = surface_m - z
    opinion_m = behind_m if maps.offset_m is None else behind_m + maps.offset_m.reshape(-1)[own]
    patches[:, 2] = np.where(seen, np.clip(opinion_m / OPINION_SCALE_M, -1, 1), 0)
    # Without a reading it is as good as far away, and outside of the image nothing is in front.
    nothing = np.where(inside, 1, -1)
    patches[:, 3] = np.where(seen, np.clip(behind_m / SURFACE_SCALE_M, -1, 1), nothing)
    return patches


def _candidates(look: Look, joints_m: np.ndarray, R_camera_ray: np.ndarray) -> np.ndarray:
    """(15, CANDIDATES, 4), 0 where there are fewer."""
    joint, points_m = look.peaks.joint, look.points.points_m
    rank = np.arange(len(joint)) - np.searchsorted(joint, joint)
    taken = np.flatnonzero((rank < CANDIDATES) & np.isfinite(points_m[:, 0]))
    joint, rank = joint[taken], rank[taken]
    apart = (points_m[taken] - joints_m[joint]) @ R_camera_ray / CANDIDATE_SCALE_M
    candidates = np.zeros((_JOINTS, CANDIDATES, 4), np.float32)
    candidates[joint, rank, :3] = np.clip(apart, -1, 1)
    candidates[joint, rank, 3] = look.peaks.score[taken]
    return candidates
