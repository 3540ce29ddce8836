"""C3D, the file of motion capture; needs the mocap extra."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from residualpose.errors import MissingExtraError
from residualpose.results import replacing
from residualpose.sinks.motion import Motion, motions
from residualpose.sinks.run import Run

WORLD_CAMERA = np.array([[0.0, 0, -1], [1, 0, 0], [0, -1, 0]])
"""R_world_camera of a level camera: x towards the camera, y to its right, z up."""

_MM = 1000.0


def write_c3d(run: Run, base: Path) -> None:
    """Write BASE_SEQUENCE.c3d: millimetres, z up, points "pID:joint", gaps without a residual.

    Raises:
        MissingExtraError: ezc3d is not installed.
    """
    for motion in motions(run):
        content = _content(motion)
        with (
            replacing(base.with_name(f"{base.name}_{motion.name}.c3d")) as stream,
            TemporaryDirectory(prefix="residualpose_") as folder,  # ezc3d writes only by name
        ):
            unnamed = Path(folder) / "motion.c3d"
            content.write(str(unnamed))
            stream.write(unnamed.read_bytes())


def _content(motion: Motion) -> Any:
    try:
        import ezc3d
    except ImportError:
        raise MissingExtraError("ezc3d", "mocap") from None
    steps, people, joints, _ = motion.joints_m.shape
    points_mm = (motion.joints_m @ WORLD_CAMERA.T * _MM).reshape(steps, people * joints, 3)
    file = ezc3d.c3d()
    labels = [f"p{person}:{joint}" for person in motion.ids for joint in motion.skeleton.joints]
    file["parameters"]["POINT"]["RATE"]["value"] = [motion.rate_hz]
    file["parameters"]["POINT"]["LABELS"]["value"] = labels
    file["parameters"]["POINT"]["UNITS"]["value"] = ["mm"]
    file.add_parameter("POINT", "X_SCREEN", ["+Y"])
    file.add_parameter("POINT", "Y_SCREEN", ["+Z"])
    homogeneous = np.ones((4, people * joints, steps))
    homogeneous[:3] = points_mm.transpose(2, 1, 0)
    file["data"]["points"] = homogeneous
    return file
