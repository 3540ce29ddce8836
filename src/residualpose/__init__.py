"""People in 3D from single depth images (Residual Pose, arXiv 2011.05010).

The data flow, one module a step:

    sources    file, folder, .h5      -> DepthFrame    depth in metres and its Camera
    normalise  DepthFrame             -> NetworkInput  the same scale for every sensor
    maps       NetworkInput           -> Maps          part maps, limb fields, depth offsets
    peaks      part maps              -> Peaks         joint candidates, sub-pixel
    group      Peaks, limb fields     -> People2D      candidates joined into people
    lift       People2D, depth        -> 3D joints, each measured, from nearby, or missing
    complete   3D joints, LimbPrior   -> all 15 joints with covariance
    refine     completed joints       -> Poses         the residual network's correction
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from residualpose.camera import Camera
    from residualpose.errors import ResidualPoseError, UsageError
    from residualpose.estimator import PoseEstimator, Stages
    from residualpose.frames import DepthFrame
    from residualpose.pipeline.complete import LimbPrior
    from residualpose.pipeline.group import group_people
    from residualpose.poses import Origin, Poses
    from residualpose.skeleton import ITOP15, Skeleton
    from residualpose.sources import open_source
    from residualpose.uncertainty import ellipsoid_radius, probability_within

__version__ = "0.1.0"

__all__ = [
    "Camera",
    "DepthFrame",
    "PoseEstimator",
    "Stages",
    "Poses",
    "Origin",
    "Skeleton",
    "ITOP15",
    "LimbPrior",
    "ellipsoid_radius",
    "group_people",
    "open_source",
    "probability_within",
    "ResidualPoseError",
    "UsageError",
    "__version__",
]

# Public name -> the module that defines it, imported on first use: `import residualpose` stays
# fast, and a reader of poses needs no ONNX Runtime.
_HOMES = {
    "Camera": "camera",
    "DepthFrame": "frames",
    "PoseEstimator": "estimator",
    "Stages": "estimator",
    "Poses": "poses",
    "Origin": "poses",
    "Skeleton": "skeleton",
    "ITOP15": "skeleton",
    "LimbPrior": "pipeline.complete",
    "ellipsoid_radius": "uncertainty",
    "probability_within": "uncertainty",
    "group_people": "pipeline.group",
    "open_source": "sources",
    "ResidualPoseError": "errors",
    "UsageError": "errors",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
