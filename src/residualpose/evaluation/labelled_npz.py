"""Labelled frames in one .npz file.

depth_mm (N, H, W) and K (3, 3), and one kind of labels:
    joints_m (N, 15, 3) or (N, Q, 15, 3)  metres, camera frame (x right, y down, z forward)
    joints_px (N, 15, 2)                  pixels, of one person a frame
    body25_px, body25_conf, body25_names  OpenPose's pixels; frames where `people` is 1
Beside joints_m, each array NAME_m of its shape holds another method's predictions; visible (N, 15)
or (N, Q, 15) says what is not hidden; sensor and view, text for all or for each frame, sort the
results.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from residualpose.camera import Camera
from residualpose.errors import ResidualPoseError, UsageError
from residualpose.evaluation.labelled import LabelledFrame
from residualpose.frames import DepthFrame
from residualpose.skeleton import ITOP15

_BODY25 = {
    "right_shoulder": "RShoulder", "left_shoulder": "LShoulder", "right_elbow": "RElbow",
    "left_elbow": "LElbow", "right_hand": "RWrist", "left_hand": "LWrist", "right_hip": "RHip",
    "left_hip": "LHip", "right_knee": "RKnee", "left_knee": "LKnee", "right_foot": "RAnkle",
    "left_foot": "LAnkle",
}  # fmt: skip
_BODY25_SURE = 0.3
_ENOUGH_JOINTS = 6
"""OpenPose's people with fewer sure joints are no truth."""


@dataclass(frozen=True, slots=True)
class LabelledArrays:
    """What a file holds, for N frames of up to Q people."""

    path: Path
    depth_mm: np.ndarray
    camera: Camera
    truth_m: np.ndarray
    """(N, Q, 15, 3), all NaN where only pixels are labelled."""
    truth_px: np.ndarray
    """(N, Q, 15, 2)."""
    visible: np.ndarray | None
    """(N, Q, 15) bool."""
    sensor: np.ndarray
    """(N,) text."""
    view: np.ndarray
    """(N,) text."""
    others: Mapping[str, np.ndarray]
    """(N, Q, 15, 3) by method."""
    height_px: np.ndarray | None
    """(N, Q) of the people, where the labels tell more than their joints do."""
    one_person: bool


def read_labelled(path: Path) -> LabelledArrays:
    """Read and check a file.

    Raises:
        UsageError: there is no such file.
        ResidualPoseError: it is no .npz, or not of labelled frames.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            data = {name: stored[name] for name in stored.files}
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file") from None
    except (OSError, ValueError, EOFError, zlib.error, zipfile.BadZipFile) as error:
        raise ResidualPoseError(f"{path}: expected an .npz file, found {error}") from None
    for name, dimensions in (("depth_mm", 3), ("K", 2)):
        if name not in data or data[name].ndim != dimensions:
            found = data[name].shape if name in data else f"only {', '.join(sorted(data))}"
            raise ResidualPoseError(
                f"{path}: expected depth_mm (N, H, W) and K (3, 3), found {found}"
            )
    K = data["K"]
    camera = Camera(K[0, 0], K[1, 1], K[0, 2], K[1, 2])
    if "joints_m" in data:
        return _with_metres(path, data, camera)
    if "joints_px" in data:
        return _with_pixels(path, data["depth_mm"], camera, data["joints_px"])
    if {"body25_px", "body25_conf", "body25_names"} <= data.keys():
        rows, joints_px, height_px = _from_body25(data)
        return _with_pixels(path, data["depth_mm"][rows], camera, joints_px, height_px[:, None])
    raise ResidualPoseError(
        f"{path}: expected labels in joints_m, joints_px or body25_px, found only "
        f"{', '.join(sorted(data))}"
    )


def npz_frames(arrays: LabelledArrays) -> Iterator[LabelledFrame]:
    """The frames in order; people without any label are left out."""
    for i, depth_mm in enumerate(arrays.depth_mm):
        labelled = np.isfinite(arrays.truth_px[i]).any((1, 2))
        yield LabelledFrame(
            DepthFrame(depth_mm.astype(np.float32) / 1000, arrays.camera, str(arrays.path), i),
            arrays.truth_m[i][labelled],
            np.ones(labelled.sum(), bool),
            arrays.truth_px[i][labelled],
            None if arrays.visible is None else arrays.visible[i][labelled],
            str(arrays.sensor[i]),
            str(arrays.view[i]),
            None if arrays.height_px is None else arrays.height_px[i][labelled],
            {name: joints[i][labelled] for name, joints in arrays.others.items()},
        )


def _with_metres(path: Path, data: Mapping[str, np.ndarray], camera: Camera) -> LabelledArrays:
    depth, joints = data["depth_mm"], data["joints_m"]
    n = len(depth)
    if joints.shape[-2:] != (15, 3) or joints.ndim not in (3, 4) or len(joints) != n:
        raise ResidualPoseError(
            f"{path}: expected joints_m (N, 15, 3) or (N, Q, 15, 3) for N = {n} frames, found "
            f"{joints.shape}"
        )
    truth = joints.reshape(n, -1, 15, 3).astype(np.float64)
    others = {
        name.removesuffix("_m"): array.reshape(truth.shape).astype(np.float64)
        for name, array in sorted(data.items())
        if name.endswith("_m") and name != "joints_m" and array.shape == joints.shape
    }
    visible = data.get("visible")
    if visible is not None and visible.shape != joints.shape[:-1]:
        raise ResidualPoseError(
            f"{path}: expected visible {joints.shape[:-1]}, found {visible.shape}"
        )
    return LabelledArrays(
        path, depth, camera, truth, camera.project(truth),
        None if visible is None else visible.reshape(truth.shape[:-1]).astype(bool),
        _texts(path, data, "sensor", n), _texts(path, data, "view", n), others, None,
        joints.ndim == 3,
    )  # fmt: skip


def _with_pixels(
    path: Path,
    depth_mm: np.ndarray,
    camera: Camera,
    joints_px: np.ndarray,
    height_px: np.ndarray | None = None,
) -> LabelledArrays:
    if joints_px.shape != (len(depth_mm), 15, 2):
        raise ResidualPoseError(
            f"{path}: expected joints_px {(len(depth_mm), 15, 2)}, found {joints_px.shape}"
        )
    n = len(depth_mm)
    unknown, none = np.full((n, 1, 15, 3), np.nan), np.full(n, "")
    return LabelledArrays(
        path, depth_mm, camera, unknown, joints_px[:, None].astype(np.float64), None,
        none, none, {}, height_px, True,
    )  # fmt: skip


def _from_body25(
    data: Mapping[str, np.ndarray],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Frames (M,) with one well seen person, its pixels (M, 15, 2) where sure, its height (M,)."""
    names = [str(name) for name in data["body25_names"]]
    joints_px = np.full((len(data["depth_mm"]), 15, 2), np.nan)
    sure = data["body25_conf"] > _BODY25_SURE
    theirs_px = np.where(sure[..., None], data["body25_px"], np.nan)
    for name, theirs in _BODY25.items():
        joints_px[:, ITOP15.index(name)] = theirs_px[:, names.index(theirs)]
    people = data.get("people", np.ones(len(joints_px)))
    rows = np.flatnonzero((people == 1) & (sure.sum(-1) >= _ENOUGH_JOINTS))
    # Nose to ankles, though the nose is none of our joints.
    return rows, joints_px[rows], np.ptp(_filled(theirs_px[rows, :, 1]), axis=1)


def _filled(values: np.ndarray) -> np.ndarray:
    """(M, K) with NaN replaced by the mean of its row, which changes no extent."""
    return np.where(np.isfinite(values), values, np.nanmean(values, axis=1, keepdims=True))


def _texts(path: Path, data: Mapping[str, np.ndarray], name: str, count: int) -> np.ndarray:
    """(N,) text of an optional array that may be one text for all."""
    given = np.asarray(data.get(name, ""))
    if given.dtype.kind != "U" or given.shape not in ((), (count,)):
        raise ResidualPoseError(
            f"{path}: expected {name} as text, one or {count}, found {given.dtype} {given.shape}"
        )
    return np.broadcast_to(given, (count,))
