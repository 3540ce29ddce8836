"""People as ROS names and numbers, after REP 155 (ROS for human-robot interaction); needs no ROS.

Bodies are called "p" and their id: a part of a ROS 2 topic must not begin with a digit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from residualpose.drawing.palette import person_rgb
from residualpose.poses import Origin, Poses
from residualpose.quaternions import quaternions
from residualpose.sinks.openpose import columns

TRACKED = "/humans/bodies/tracked"
MARKERS = "/humans/bodies/markers"
"""Of our own: REP 155 has no topic for markers."""

SKELETON_2D = (
    "nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow",
    "left_wrist", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle",
    "left_eye", "right_eye", "left_ear", "right_ear",
)  # fmt: skip
"""The points of hri_msgs/Skeleton2D in their order, which is OpenPose's for COCO."""

LINKS = {
    "head": "head", "torso": "torso",
    "l_shoulder": "left_shoulder", "l_elbow": "left_elbow", "l_wrist": "left_wrist",
    "r_shoulder": "right_shoulder", "r_elbow": "right_elbow", "r_wrist": "right_wrist",
    "l_hip": "left_hip", "l_knee": "left_knee", "l_ankle": "left_ankle",
    "r_hip": "right_hip", "r_knee": "right_knee", "r_ankle": "right_ankle",
}  # fmt: skip
"""REP 155's name of a link, and the joint at its origin."""

_GUESSED_ALPHA = 0.35


@dataclass(frozen=True, slots=True)
class Link:
    """Where a frame lies in its parent."""

    parent: str
    child: str
    translation_m: np.ndarray
    """(3,)"""
    quaternion: np.ndarray
    """(4,) x, y, z, w."""


@dataclass(frozen=True, slots=True)
class Marks:
    """One person in 3D as markers show it: rgba of each point in 0..1, guessed ones faint."""

    joints_m: np.ndarray
    """(N, 3) the joints that are known."""
    joints_rgba: np.ndarray
    limbs_m: np.ndarray
    """(2 L, 3) both ends of each limb that is known, one after the other."""
    limbs_rgba: np.ndarray
    name_m: np.ndarray
    """(3,) a hand's breadth above all joints."""


def body_name(person: int) -> str:
    """How a person is called in topics and frames."""
    return f"p{person}"


def body_topic(person: int, what: str) -> str:
    """Topic of a person, such as /humans/bodies/p3/skeleton2d."""
    return f"/humans/bodies/{body_name(person)}/{what}"


def skeleton_2d(poses: Poses, row: int, size: tuple[int, int]) -> np.ndarray:
    """(18, 3) x, y and confidence in 0..1 of one person in an image of `size` (width, height).

    Hands stand for wrists and feet for ankles; what we do not know is 0 with confidence 0.
    """
    points = np.zeros((len(SKELETON_2D), 3), np.float32)
    for number, own in enumerate(columns(poses.skeleton, SKELETON_2D)):
        xy = poses.joints_px[row, own].mean(0) if own else np.full(2, np.nan)
        if np.isfinite(xy).all():
            # Pixel 0 covers [-0.5, 0.5); the image begins at 0.
            points[number] = *((xy + 0.5) / size), poses.joint_score[row, own].min()
    return points


def region(poses: Poses, row: int, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """x, y, width and height in whole pixels around one person, inside of the image."""
    known = poses.joints_px[row][np.isfinite(poses.joints_px[row]).all(-1)]
    if not len(known):
        return 0, 0, 0, 0
    low = np.clip(np.floor(known.min(0) + 0.5), 0, size).astype(int)
    high = np.clip(np.floor(known.max(0) + 1.5), 0, size).astype(int)
    (x, y), (width, height) = low.tolist(), (high - low).tolist()
    return x, y, width, height


def links(poses: Poses, row: int, camera_frame: str) -> list[Link]:
    """The frame of a body and those of its links; none where hips, shoulders or neck are unknown.

    body_<id> lies between the hips, x ahead of the person, y to its left, z to the neck.
    """
    name = body_name(int(poses.person_id[row]))
    joints_m = poses.joints_m[row].astype(np.float64)
    at = {link: joints_m[own].mean(0)
          for link, own in zip(LINKS, columns(poses.skeleton, tuple(LINKS.values())), strict=True)
          if own}  # fmt: skip
    origin_m = (at["l_hip"] + at["r_hip"]) / 2
    up = joints_m[poses.skeleton.index("neck")] - origin_m
    left = at["l_shoulder"] - at["r_shoulder"] + at["l_hip"] - at["r_hip"]
    ahead = np.cross(left, up)
    if not np.linalg.norm(ahead) > 1e-6:
        return []
    axes = np.stack([ahead, np.cross(up, ahead), up], axis=1)
    axes /= np.linalg.norm(axes, axis=0)
    body = Link(camera_frame, f"body_{name}", origin_m, quaternions(axes))
    level = np.array([0.0, 0, 0, 1])
    return [body] + [
        Link(body.child, f"{link}_{name}", axes.T @ (point_m - origin_m), level)
        for link, point_m in at.items() if np.isfinite(point_m).all()
    ]  # fmt: skip


def marks(poses: Poses, row: int) -> Marks | None:
    """One person as markers show it; None where nothing of it is known."""
    joints_m = poses.joints_m[row].astype(np.float64)
    known = np.isfinite(joints_m).all(-1)
    if not known.any():
        return None
    rgba = np.ones((len(joints_m), 4))
    rgba[:, :3] = np.array(person_rgb(int(poses.person_id[row]))) / 255
    rgba[poses.origin[row] == Origin.PRIOR, 3] = _GUESSED_ALPHA
    ends = poses.skeleton.limb_array
    ends = ends[known[ends].all(-1)]
    limbs_rgba = rgba[ends]
    limbs_rgba[..., 3] = limbs_rgba[..., 3].min(1, keepdims=True)
    name_m = joints_m[known][joints_m[known, 1].argmin()] - [0, 0.15, 0]
    return Marks(joints_m[known], rgba[known], joints_m[ends].reshape(-1, 3),
                 limbs_rgba.reshape(-1, 4), name_m)  # fmt: skip
