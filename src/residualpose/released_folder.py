"""A model folder with the released architecture: its networks as ONNX, so that no torch is needed.

maps.onnx     depth_m (1, 1, H, W) metres -> part_maps (1, 16, 64, 80), limb_fields (1, 28, 64, 80)
refiner.onnx  joints_m (P, 15, 3) completed -> refined_m (P, 15, 3), camera frame, metres
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from residualpose.camera import Camera
from residualpose.detector import Detector, Lifted
from residualpose.frames import DepthFrame
from residualpose.model import ModelFolder
from residualpose.pipeline.limb_prior import LimbPrior
from residualpose.pipeline.maps import Maps, start_session
from residualpose.released import MAX_RESIDUAL_M, STRIDE
from residualpose.released_estimator import ReleasedEstimator


class FolderMaps:
    """The 2D network of a folder as `released.ReleasedMaps` is called."""

    def __init__(self, path: Path) -> None:
        self._session = start_session(path)

    def __call__(self, frame: DepthFrame) -> tuple[Maps, Camera]:
        """Maps without the background, and the camera of their grid."""
        image = np.ascontiguousarray(frame.depth_m, np.float32)[None, None]
        outputs = self._session.run(None, {"depth_m": image})
        part_maps, limb_fields = (np.asarray(output)[0] for output in outputs)
        height, width = part_maps.shape[1:]
        maps = Maps(part_maps[:-1], limb_fields, None, STRIDE)
        return maps, frame.camera.resized(width / frame.width, height / frame.height)


class FolderRefiner:
    """The 3D network of a folder as `released.ReleasedRefiner` is called."""

    def __init__(self, path: Path) -> None:
        self._session = start_session(path)

    def __call__(self, joints_m: np.ndarray) -> np.ndarray:
        """Complete people (P, 15, 3) to refined people; a correction that is too long is not."""
        joints_m = np.asarray(joints_m, np.float32)
        if not len(joints_m):
            return joints_m
        (refined_m,) = (np.asarray(o) for o in self._session.run(None, {"joints_m": joints_m}))
        moved_m = np.linalg.norm(refined_m - joints_m, axis=-1, keepdims=True)
        return np.where(moved_m <= MAX_RESIDUAL_M, refined_m, joints_m)


def open_released(model: ModelFolder) -> ReleasedEstimator:
    """The estimator of a folder.

    Raises:
        ResidualPoseError: a file is damaged, or there is no refiner yet.
    """
    return _estimator(model, FolderRefiner(model.refiner_path))


def detector_of(model: ModelFolder) -> Callable[[DepthFrame], tuple[Maps, Lifted]]:
    """The stages of any model folder up to lifting; a refiner need not be there."""
    return _estimator(model, np.asarray).detect if model.released else Detector(model)


def _estimator(model: ModelFolder, refine: Callable[[np.ndarray], np.ndarray]) -> ReleasedEstimator:
    prior = LimbPrior.load_npz(model.path / "prior.npz")
    maps = FolderMaps(model.path / "maps.onnx")
    return ReleasedEstimator(maps, prior, refine, np.ones(3), skeleton=model.skeleton)
