"""What the page knows of a frame: plain JSON, big arrays as base64 of little-endian integers."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping

import numpy as np
from PIL import Image

from residualpose.camera import Camera
from residualpose.drawing.ground import Ground, find_ground
from residualpose.drawing.shade import MAX_LONG_SIDE_PX, resize_picture, shade_depth, surface_light
from residualpose.poses import Origin, Poses

FINE_PICTURE, SMALL_PICTURE = (MAX_LONG_SIDE_PX, 84), (400, 72)
"""Longest side in pixels and JPEG quality of a depth image."""
SHELL_DEVIATIONS = 2.0
"""Radius of an uncertainty shell in standard deviations."""


def pack_frame(
    title: str,
    depth_m: np.ndarray,
    camera: Camera,
    poses: Poses,
    stages: Mapping[str, np.ndarray],
    max_points: int,
    picture: tuple[int, int] = FINE_PICTURE,
) -> tuple[dict[str, object], Ground]:
    """One frame as JSON-ready values (metres in the camera frame, null for NaN), and its floor."""
    depth_m = np.nan_to_num(np.asarray(depth_m, dtype=np.float32), nan=0, posinf=0, neginf=0)
    points_m, light, spread = sample_cloud(depth_m, camera, max_points)
    ground = find_ground(depth_m, camera, poses.joints_m.astype(np.float64), poses.skeleton)
    every_stage = {**stages, "refined": stages.get("refined", poses.joints_m)}
    packed: dict[str, object] = {
        "title": title,
        "width": depth_m.shape[1],
        "height": depth_m.shape[0],
        "camera": camera.to_dict(),
        "image": _image_uri(depth_m, *picture),
        "cloud": pack_cloud(points_m, light) | {"spread": spread},
        "skeleton": poses.skeleton.to_dict(),
        "people": pack_people(poses),
        "stages": [
            {"name": name, "joints_m": rounded(joints_m, 4)}
            for name, joints_m in every_stage.items()
        ],
    }
    return packed, ground


def pack_ground(ground: Ground) -> dict[str, object]:
    """The upright frame as JSON-ready values."""
    return {
        "R_ground_camera": rounded(ground.R_ground_camera, 6),
        "height_m": round(ground.height_m, 4),
        "measured": ground.measured,
    }


def sample_cloud(
    depth_m: np.ndarray, camera: Camera, max_points: int
) -> tuple[np.ndarray, np.ndarray, float]:
    """Readings on a grid: points (N, 3), light (N,) in 0..1, and a point's width over its depth."""
    valid = np.isfinite(depth_m) & (depth_m > 0)
    step = 1
    while valid[::step, ::step].sum() > max_points:
        step += 1
    v, u = np.nonzero(valid[::step, ::step])
    v, u = v * step, u * step
    points_m = camera.backproject(np.stack([u, v], axis=-1), depth_m[v, u])
    return points_m, surface_light(depth_m)[v, u], step / camera.fx


def pack_cloud(points_m: np.ndarray, light: np.ndarray) -> dict[str, object]:
    """Points (N, 3) as int16 multiples of `unit_m`: half a millimetre, or more for far scenes."""
    farthest = float(np.abs(points_m).max(initial=0))
    unit_m = max(5e-4, farthest / 32767)
    grid = np.round(points_m / unit_m).astype("<i2")
    shades = np.round(np.clip(light, 0, 1) * 255).astype(np.uint8)
    return {"unit_m": unit_m, "xyz": _base64(grid), "light": _base64(shades)}


def pack_people(poses: Poses) -> list[dict[str, object]]:
    """Each person's 2D joints, scores, origins, and shells of uncertainty (columns of a 3x3)."""
    shells = uncertainty_shells(poses.covariance_m2)
    return [
        {
            "id": int(poses.person_id[p]),
            "score": _number(poses.person_score[p]),
            "joints_px": rounded(poses.joints_px[p], 2),
            "joint_score": [_number(score) for score in poses.joint_score[p]],
            "origin": [Origin(int(o)).name.lower() for o in poses.origin[p]],
            "shell_m": rounded(shells[p], 4),
        }
        for p in range(len(poses))
    ]


def uncertainty_shells(covariance_m2: np.ndarray) -> np.ndarray:
    """Covariances (..., 3, 3) to matrices from the unit sphere to two deviations; NaN stays."""
    known = np.isfinite(covariance_m2).all((-1, -2), keepdims=True)
    covariance = np.where(known, covariance_m2, 0).astype(np.float64)
    values, vectors = np.linalg.eigh(covariance)
    roots = np.sqrt(np.clip(values, 1e-8, None))
    shells = SHELL_DEVIATIONS * (vectors * roots[..., None, :]) @ vectors.swapaxes(-1, -2)
    return np.where(known, shells, np.nan)


def rounded(values: np.ndarray, digits: int) -> object:
    """Nested lists of numbers; a row (last axis) with anything not finite becomes null."""
    values = np.asarray(values, dtype=np.float64)
    if values.ndim <= 1:
        return [round(float(v), digits) for v in values] if np.isfinite(values).all() else None
    return [rounded(row, digits) for row in values]


def _number(value: float) -> float | None:
    return round(float(value), 3) if np.isfinite(value) else None


def _image_uri(depth_m: np.ndarray, long_side_px: int, quality: int) -> str:
    picture = shade_depth(depth_m)
    scale = min(1.0, long_side_px / max(picture.shape))
    stream = io.BytesIO()
    Image.fromarray(resize_picture(picture, scale)).save(stream, "JPEG", quality=quality)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode("ascii")


def _base64(array: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode("ascii")
