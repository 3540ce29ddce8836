"""TRC, the marker file of OpenSim: one a person, metres, y up, the person ahead facing +x."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from residualpose.results import replacing
from residualpose.sinks.motion import Motion, motions
from residualpose.sinks.run import Run

WORLD_CAMERA = np.array([[0.0, 0, -1], [0, -1, 0], [-1, 0, 0]])
"""R_world_camera of a level camera: x towards the camera, y up, z to the camera's left, which is
the right hand of one who faces it. OpenSim's models look along x."""

_DIGITS = 5


def write_trc(run: Run, base: Path) -> None:
    """Write BASE_SEQUENCE_pID.trc for every person; a gap is an empty cell."""
    for motion in motions(run):
        for row, person in enumerate(motion.ids):
            path = base.with_name(f"{base.name}_{motion.name}_p{person}.trc")
            with replacing(path) as stream:
                stream.write(_text(path.name, motion, row).encode())


def _text(name: str, motion: Motion, row: int) -> str:
    joints_m = motion.joints_m[:, row] @ WORLD_CAMERA.T
    known = np.flatnonzero(np.isfinite(joints_m).all(-1).any(-1))
    first, last = known[0], known[-1] + 1
    rate, count, joints = f"{motion.rate_hz:.6g}", last - first, motion.skeleton.joints
    axes = "\t".join(f"X{i}\tY{i}\tZ{i}" for i in range(1, len(joints) + 1))
    lines = [
        f"PathFileType\t4\t(X/Y/Z)\t{name}",
        "DataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\tOrigDataRate\tOrigDataStartFrame"
        "\tOrigNumFrames",
        f"{rate}\t{rate}\t{count}\t{len(joints)}\tm\t{rate}\t1\t{count}",
        "Frame#\tTime\t" + "\t\t\t".join(joints) + "\t\t",
        f"\t\t{axes}",
        "",
    ]
    for step in range(first, last):
        cells = [
            f"{value:.{_DIGITS}f}" if np.isfinite(value) else "" for value in joints_m[step].ravel()
        ]
        time = f"{step / motion.rate_hz:.6f}"
        # OpenSim takes an empty last cell for a missing one unless a tab closes it.
        end = [""] if not cells[-1] else []
        lines.append("\t".join([str(step - first + 1), time, *cells, *end]))
    return "\n".join(lines) + "\n"
