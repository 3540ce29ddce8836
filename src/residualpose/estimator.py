"""PoseEstimator: calls the stages in order, nothing else.

frame -> detect (normalise, maps, peaks, lift, group) -> complete -> refine -> Poses
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path

import numpy as np

from residualpose.camera import Camera
from residualpose.conventions import convention_by_name, to_convention
from residualpose.detector import Detector, Lifted
from residualpose.errors import UsageError
from residualpose.frames import DepthFrame
from residualpose.model import ModelFolder
from residualpose.pipeline.complete import LimbPrior, complete_people
from residualpose.pipeline.floor import NO_FLOOR
from residualpose.pipeline.maps import Maps
from residualpose.pipeline.refine import Refiner
from residualpose.poses import Origin, Poses
from residualpose.skeleton import ITOP15
from residualpose.stream import ahead, default_workers, newest
from residualpose.tracking.follower import follow_live, follow_stream


@dataclass(frozen=True, slots=True)
class Stages:
    """Every stage of one frame, for teaching and debugging; people in the order of `poses`."""

    joints_px: np.ndarray
    """(P, 15, 2) float32 joints as the 2D stage found them, input pixels; NaN where it did not."""
    lifted_m: np.ndarray
    """(P, 15, 3) float32 metres, camera frame; NaN where not found or without depth."""
    completed_m: np.ndarray
    """(P, 15, 3) float32 after the prior filled what was missed."""
    refined_m: np.ndarray
    """(P, 15, 3) float32 after the residual network; equals poses.joints_m."""
    poses: Poses
    """The result."""
    maps: Maps
    """What the 2D network saw."""
    floor: np.ndarray = field(default_factory=NO_FLOOR.copy)
    """(4,) the way down, unit vector in the camera frame, and the camera's height above the floor
    in metres; NaN where no floor is seen."""

    def of(self, rows: np.ndarray, person_id: np.ndarray) -> Stages:
        """Some of the people, (N,) places, under other numbers (N,)."""
        poses = replace(self.poses[rows], person_id=person_id)
        return Stages(
            self.joints_px[rows], self.lifted_m[rows], self.completed_m[rows],
            self.refined_m[rows], poses, self.maps, self.floor,
        )  # fmt: skip


class PoseEstimator:
    """People in 3D from one depth image, on the CPU."""

    def __init__(self, model: str | Path | None = None, *, convention: str | None = None) -> None:
        """Load a model.

        Args:
            model: name of a bundled model, or the path of a model folder; None is the default.
            convention: where joints are placed: None is our own convention (joint centres),
                "itop" and "panoptic" place them as those data sets' labels do.

        Raises:
            UsageError: unknown model or convention.
            ResidualPoseError: a model file is damaged.
        """
        self.model = ModelFolder.open(model)
        self._convention = convention_by_name(convention) if convention is not None else None
        if self._convention is not None and self.model.skeleton != ITOP15:
            raise UsageError(
                f"convention {convention!r}: the joints of model {self.model.name} are those of "
                f"{self.model.skeleton.name} already; only models of {ITOP15.name} can be moved"
            )
        if self.model.released:
            from residualpose.released_folder import open_released

            if convention is not None:
                raise UsageError(f"convention: model {self.model.name} brings its own")
            self._released = open_released(self.model)
            return
        self._released = None
        self._detector = Detector(self.model)
        self._prior = LimbPrior.load_npz(self.model.path / "prior.npz")
        self._refiner = Refiner(self.model.refiner_path)

    def __call__(self, depth_m: np.ndarray | DepthFrame, camera: Camera | None = None) -> Poses:
        """The people of one depth image.

        Args:
            depth_m: (H, W) metres, 0 or NaN = no reading; or a DepthFrame.
            camera: camera of the image; a DepthFrame brings its own.

        Raises:
            UsageError: no camera, or two.
            ResidualPoseError: the array is no depth image.
        """
        return self.explain(depth_m, camera).poses

    def explain(self, depth_m: np.ndarray | DepthFrame, camera: Camera | None = None) -> Stages:
        """Every stage of one depth image; arguments as for a call."""
        frame = _as_frame(depth_m, camera)
        if self._released is not None:
            return self._released.explain(frame)
        return self._explained(frame, *self._detector(frame))

    def _explained(self, frame: DepthFrame, maps: Maps, people: Lifted) -> Stages:
        """Every stage after lifting."""
        completed = complete_people(
            self._prior, people.joints_m, people.origin, people.covariance_m2
        )
        refined = self._refiner(
            completed.joints_m, people.joint_score, completed.origin, completed.covariance_m2,
            people.floor, people.looks,
        )  # fmt: skip
        stages_m = people.joints_m, completed.joints_m, refined.joints_m
        joints_px = people.joints_px
        if self._convention is not None:
            stages_m = tuple(to_convention(joints_m, self._convention) for joints_m in stages_m)
            joints_px = _moved_px(joints_px, frame.camera, refined.joints_m, stages_m[-1])
        lifted_m, completed_m, refined_m = stages_m
        origin = np.where(np.isfinite(refined_m).all(-1), completed.origin, int(Origin.ABSENT))
        found = np.isfinite(joints_px).all(-1, keepdims=True)
        poses = Poses(
            joints_px=np.where(found, joints_px, frame.camera.project(refined_m)),
            joints_m=refined_m,
            joint_score=people.joint_score,
            person_score=people.person_score,
            origin=origin,
            covariance_m2=refined.covariance_m2,
            camera=frame.camera,
            skeleton=self.model.skeleton,
        )
        return Stages(joints_px, lifted_m, completed_m, poses.joints_m, poses, maps, people.floor)

    def stream(
        self,
        frames: Iterable[DepthFrame | np.ndarray],
        camera: Camera | None = None,
        *,
        workers: int | None = None,
        track: bool = False,
        smooth: float = 0.0,
    ) -> Iterator[Poses]:
        """The people of each frame, in order: what calls one by one return, but sooner.

        Args:
            frames: any iterable, read as needed; at most workers + 2 frames are held.
            camera: camera of all frames, where these are arrays.
            workers: frames that networks look at at a time. Default: one a core, at most 8.
            track: people keep their `person_id` from frame to frame; poses come 10 frames later.
            smooth: people are tracked and their joints move steadily, by what came before and 10
                frames after: 0 is off, 1 suits people who walk, 4 is the most.
        """
        workers = default_workers() if workers is None else workers
        if workers < 1:
            raise UsageError(f"workers: expected at least 1, got {workers}")
        all_frames = (_as_frame(frame, camera) for frame in frames)
        found = partial(self._streamed, workers=workers)
        return follow_stream(found, all_frames, smooth) if track or smooth else found(all_frames)

    def _streamed(self, frames: Iterable[DepthFrame], workers: int) -> Iterator[Poses]:
        """Networks look at the next frames in threads, while the caller's does all the rest.

        The rest holds Python's lock: several threads would only wait for one another.
        """
        if self._released is not None:
            released = self._released
            with closing(ahead(released.maps, frames, workers)) as seen:
                for frame, (maps, grid_camera) in seen:
                    yield released.explained(frame, maps, grid_camera).poses
            return
        # With several frames at a time, several threads a frame would only get in each other's way.
        detector = self._detector if workers == 1 else self._one_thread
        if detector.looks_closer:  # networks again, so that threads are worth it
            with closing(ahead(detector, frames, workers)) as found:
                for frame, (maps, people) in found:
                    yield self._explained(frame, maps, people).poses
            return
        with closing(ahead(detector.see, frames, workers)) as seen:
            for frame, (view, maps) in seen:
                people = detector.lift(frame, view, maps)
                yield self._explained(frame, maps, people).poses

    def live(
        self,
        frames: Iterable[DepthFrame | np.ndarray],
        camera: Camera | None = None,
        *,
        track: bool = False,
        smooth: float = 0.0,
    ) -> Iterator[tuple[DepthFrame, Poses]]:
        """The newest frame at each time with its people; frames that come meanwhile are dropped.

        Arguments as for `stream`, but tracking and smoothing look back only and hold nothing up;
        the frames are read in a thread of their own.
        """
        pairs = newest(self, (_as_frame(frame, camera) for frame in frames))
        return follow_live(pairs, smooth) if track or smooth else pairs

    @cached_property
    def _one_thread(self) -> Detector:
        return Detector(self.model, threads=1)

    def detect(self, frame: DepthFrame) -> tuple[Maps, Lifted]:
        """The stages up to lifting."""
        return self._detector(frame) if self._released is None else self._released.detect(frame)


def _moved_px(
    joints_px: np.ndarray, camera: Camera, before_m: np.ndarray, after_m: np.ndarray
) -> np.ndarray:
    """Pixels moved as the same joints were in space; where that is unknown, they stay."""
    shift_px = camera.project(after_m) - camera.project(before_m)
    return (joints_px + np.nan_to_num(shift_px)).astype(np.float32)


def _as_frame(depth_m: np.ndarray | DepthFrame, camera: Camera | None) -> DepthFrame:
    if isinstance(depth_m, DepthFrame):
        if camera is not None:
            raise UsageError("a DepthFrame brings its own camera: do not give a second one")
        return depth_m
    if camera is None:
        raise UsageError(
            "estimate(depth_m, camera) needs the camera: residualpose.Camera(fx, fy, cx, cy)"
        )
    return DepthFrame(depth_m, camera)
