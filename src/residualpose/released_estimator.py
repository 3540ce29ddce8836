"""The released networks and prior, run through this package's stages from frame to poses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from residualpose.camera import Camera
from residualpose.detector import MIN_MEASURED, Lifted
from residualpose.estimator import Stages
from residualpose.frames import DepthFrame
from residualpose.original_config import OriginalConfig
from residualpose.pipeline.complete import Completed, LimbPrior, complete_people
from residualpose.pipeline.group import group
from residualpose.pipeline.lift import lift
from residualpose.pipeline.maps import Maps
from residualpose.pipeline.peaks import find_peaks
from residualpose.poses import Origin, Poses
from residualpose.released import (
    ReleasedMaps,
    ReleasedRefiner,
    load_hourglass,
    load_regressor,
    surface_of_cells,
)
from residualpose.skeleton import (
    ITOP15,
    L_HIP,
    L_SHOULDER,
    NECK,
    R_HIP,
    R_SHOULDER,
    TORSO,
    Skeleton,
)

_CORNERS = [R_SHOULDER, L_SHOULDER, R_HIP, L_HIP]


@dataclass(frozen=True, slots=True)
class ReleasedEstimator:
    """`DepthFrame` -> `Poses` with the released files; called as `PoseEstimator` is."""

    maps: Callable[[DepthFrame], tuple[Maps, Camera]]
    prior: LimbPrior
    refine: Callable[[np.ndarray], np.ndarray]
    axes: np.ndarray
    """(3,) of +1 or -1: camera frame times this is the frame of the prior and of `refine`."""
    landmark_conf: float = 0.3
    """Least height of a part map's peak."""
    skeleton: Skeleton = ITOP15

    @classmethod
    def from_config(cls, config: OriginalConfig) -> ReleasedEstimator:
        """Load the six files that a configuration names.

        Raises:
            ResidualPoseError: one of them is absent, damaged or something else; names it.
        """
        files = config.files
        regressor = load_regressor(files["regressor"], config.n_features, config.n_resblocks)
        return cls(
            ReleasedMaps(load_hourglass(files["hourglass"])),
            LimbPrior.load(files["prior_mean"], files["prior_var"]),
            ReleasedRefiner.load(regressor, files["input_stats"], files["output_stats"]),
            config.axes,
            config.landmark_conf,
        )

    def __call__(self, frame: DepthFrame) -> Poses:
        """The people of a frame."""
        return self.explain(frame).poses

    def explain(self, frame: DepthFrame) -> Stages:
        """Every stage of a frame."""
        return self.explained(frame, *self.maps(frame))

    def explained(self, frame: DepthFrame, maps: Maps, grid_camera: Camera) -> Stages:
        """Every stage after the 2D network."""
        people = self._lift(frame, maps, grid_camera)
        completed, refined_m = self._complete_and_refine(people)
        found = np.isfinite(people.joints_px).all(-1, keepdims=True)
        poses = Poses(
            joints_px=np.where(found, people.joints_px, frame.camera.project(refined_m)),
            joints_m=refined_m,
            joint_score=people.joint_score,
            person_score=people.person_score,
            origin=np.where(np.isfinite(refined_m).all(-1), completed.origin, Origin.ABSENT),
            covariance_m2=completed.covariance_m2,
            camera=frame.camera,
            skeleton=self.skeleton,
        )
        return Stages(
            people.joints_px, people.joints_m, completed.joints_m, poses.joints_m, poses, maps
        )

    def detect(self, frame: DepthFrame) -> tuple[Maps, Lifted]:
        """The stages up to lifting, surface points as the released 3D network expects them."""
        maps, grid_camera = self.maps(frame)
        return maps, self._lift(frame, maps, grid_camera)

    def _lift(self, frame: DepthFrame, maps: Maps, grid_camera: Camera) -> Lifted:
        """The people in the maps of a frame, with their depth."""
        peaks = find_peaks(maps.part_maps, self.landmark_conf)
        surface_m = surface_of_cells(frame.depth_m)
        points = lift(peaks, maps.part_maps, maps.offset_m, surface_m, grid_camera)
        people = group(peaks, maps.limb_fields, points.points_m)
        # Row -1, the last one, stands for joints that were not found.
        joints_m = np.append(points.points_m, np.full((1, 3), np.nan, np.float32), axis=0)
        covariance = np.append(points.covariance_m2, np.full((1, 3, 3), np.nan, np.float32), axis=0)
        origin = np.append(points.origin, np.uint8(Origin.ABSENT))[people.peak_index]
        believed = (origin == Origin.MEASURED).sum(1) >= MIN_MEASURED
        index = people.peak_index[believed]
        pixels = frame.camera.project(grid_camera.rays(people.joints_px[believed]))
        return Lifted(
            pixels.astype(np.float32),
            joints_m[index],
            people.joint_score[believed],
            people.person_score[believed],
            origin[believed],
            covariance[index],
        )

    def _complete_and_refine(self, people: Lifted) -> tuple[Completed, np.ndarray]:
        """Completed people and refined joints (P, 15, 3); people who cannot be stay as lifted."""
        joints_m, origin = people.joints_m.copy(), people.origin.copy()
        covariance_m2, refined_m = people.covariance_m2.copy(), people.joints_m.copy()
        rows = np.flatnonzero(is_refinable(people.joints_m))
        flip = np.outer(self.axes, self.axes)
        done = complete_people(
            self.prior, joints_m[rows] * self.axes, origin[rows], covariance_m2[rows] * flip
        )
        whole = np.isfinite(done.joints_m).all((1, 2))
        rows = rows[whole]
        joints_m[rows] = done.joints_m[whole] * self.axes
        origin[rows], covariance_m2[rows] = done.origin[whole], done.covariance_m2[whole] * flip
        refined_m[rows] = self.refine(done.joints_m[whole]) * self.axes
        return Completed(joints_m, origin, covariance_m2), refined_m


def is_refinable(joints_m: np.ndarray) -> np.ndarray:
    """Of (P, 15, 3) people, the (P,) with neck, torso and two of the shoulders and hips known."""
    known = np.all(np.isfinite(joints_m), axis=-1)
    return known[:, NECK] & known[:, TORSO] & (known[:, _CORNERS].sum(1) >= 2)
