"""OpenPose's JSON: a folder with a file a frame, people in BODY_25 order, as Pose2Sim reads it."""

from __future__ import annotations

import shutil
from pathlib import Path
from tempfile import mkdtemp

import numpy as np

from residualpose.results import json_line, unwritable
from residualpose.sinks.run import Run
from residualpose.skeleton import Skeleton

BODY_25 = (
    "nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow",
    "left_wrist", "mid_hip", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee",
    "left_ankle",
)  # fmt: skip
"""The first 15 of its 25 joints; we know nothing of eyes, ears, heels and toes."""

_JOINTS = 25
_NEAREST = {
    "right_wrist": "right_hand", "left_wrist": "left_hand", "right_ankle": "right_foot",
    "left_ankle": "left_foot",
}  # fmt: skip
"""Our joint where the name differs. The head's centre is no nose and is left out."""


def write_openpose(run: Run, base: Path) -> None:
    """Write BASE_openpose/SEQUENCE_NUMBER_keypoints.json; a joint that is absent is 0, 0, 0."""
    folder = base.with_name(f"{base.name}_openpose")
    names, numbers = run.sequence_names(), {}
    own_columns = columns(run.skeleton)
    try:
        temporary = Path(mkdtemp(prefix=f".{folder.name}.", suffix=".tmp", dir=folder.parent))
        try:
            for record in run.frames():
                name = names[record.source]
                number = numbers[name] = numbers.get(name, -1) + 1
                people = [
                    _person(own_columns, person, *arrays)
                    for person, *arrays in zip(
                        record.ids, record.poses.joints_px, record.poses.joints_m,
                        record.poses.joint_score, strict=True,
                    )
                ]  # fmt: skip
                path = temporary / f"{name}_{number:012d}_keypoints.json"
                path.write_bytes(json_line({"version": 1.3, "people": people}))
            shutil.rmtree(folder, ignore_errors=True)
            temporary.chmod(0o755)  # mkdtemp's are for nobody else
            temporary.replace(folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        raise unwritable(folder, error) from None


def columns(skeleton: Skeleton, names: tuple[str, ...] = BODY_25) -> list[list[int]]:
    """For each joint by OpenPose's name those of ours whose middle it is; none where unknown."""
    own = []
    for name in names:
        options = [name, _NEAREST.get(name, name)]
        found = [skeleton.joints.index(option) for option in options if option in skeleton.joints]
        if name == "mid_hip" and not found:
            own.append([skeleton.index("right_hip"), skeleton.index("left_hip")])
            continue
        own.append(found[:1])
    return own


def _person(
    columns: list[list[int]],
    person: int,
    joints_px: np.ndarray,
    joints_m: np.ndarray,
    joint_score: np.ndarray,
) -> dict[str, object]:
    def stacked(joints: np.ndarray, digits: int) -> list[float]:
        rows = np.zeros((_JOINTS, joints.shape[1] + 1))
        for row, own in enumerate(columns):
            values = np.append(joints[own].mean(0), joint_score[own].min()) if own else np.nan
            rows[row] = values if np.isfinite(values).all() else 0
        return rows.round(digits).ravel().tolist()

    return {
        "person_id": [person],
        "pose_keypoints_2d": stacked(joints_px, 2),
        "pose_keypoints_3d": stacked(joints_m, 4),
    }
