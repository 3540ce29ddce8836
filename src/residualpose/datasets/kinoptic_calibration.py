"""CMU Panoptic's Kinects: from the world of the skeletons to each depth camera.

    world, cm --R, t of camera 50_KK--> colour camera --/100--> metres --M_color--> Kinect's own
    frame --M_depth--> depth camera --K_depth, distortion--> pixels of the unmirrored image

M_color is used as "colour to Kinect" by the data set's own point cloud demo and as "Kinect to
colour" by its own projection into the colour image. So both are tried, and the skeletons decide.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from residualpose.camera import Camera
from residualpose.errors import ResidualPoseError

Reading = Literal["colour to Kinect", "Kinect to colour"]
"""What M_color may mean."""
READINGS: tuple[Reading, ...] = ("colour to Kinect", "Kinect to colour")
CM = 100.0


@dataclass(frozen=True, slots=True)
class KinectCalibration:
    """One Kinect of a sequence."""

    number: int
    """From 1, as in KINECTNODE1."""
    camera: Camera
    """Of the unmirrored depth image."""
    T_colour_world: np.ndarray
    """(4, 4) centimetres to centimetres."""
    M_color: np.ndarray
    """(4, 4) metres."""
    M_depth: np.ndarray
    """(4, 4) metres, Kinect's own frame to depth camera."""

    def to_camera(self, world_cm: np.ndarray, reading: Reading) -> np.ndarray:
        """World points (..., 3) in centimetres to the depth camera's frame, metres."""
        colour_m = _moved(world_cm, self.T_colour_world) / CM
        forwards = reading == "colour to Kinect"
        T_kinect_colour = self.M_color if forwards else np.linalg.inv(self.M_color)
        return _moved(colour_m, self.M_depth @ T_kinect_colour)


def read_calibrations(folder: Path, numbers: Sequence[int]) -> dict[int, KinectCalibration]:
    """Calibrations of some Kinects of a sequence, by number.

    Raises:
        ResidualPoseError: a file or a Kinect in it is missing, or a matrix is none.
    """
    kinect_file = one_file(folder, "kcalibration_*.json")
    panoptic_file = one_file(folder, "calibration_*.json")
    sensors = read_json(kinect_file).get("sensors")
    cameras = read_json(panoptic_file).get("cameras")
    if not isinstance(sensors, list) or not isinstance(cameras, list):
        wrong = panoptic_file if isinstance(sensors, list) else kinect_file
        raise ResidualPoseError(f"{wrong}: expected a list of sensors or cameras, found none")
    by_name = {one.get("name"): one for one in cameras if isinstance(one, dict)}
    return {
        number: _calibration(
            number, _sensor(kinect_file, sensors, number), kinect_file,
            by_name.get(f"50_{number:02d}"), panoptic_file,
        )
        for number in numbers
    }  # fmt: skip


def one_file(folder: Path, pattern: str) -> Path:
    """The file of that name in a sequence's folder; ResidualPoseError if there is none."""
    found = sorted(folder.glob(pattern))
    if not found:
        raise ResidualPoseError(
            f"{folder}: expected {pattern} of the Panoptic sequence, found none"
        )
    return found[0]


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object; ResidualPoseError if the file does not hold one."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ResidualPoseError(f"{path}: expected a JSON file, found {error}") from None
    if not isinstance(data, dict):
        raise ResidualPoseError(f"{path}: expected a JSON object, found {type(data).__name__}")
    return data


def _sensor(path: Path, sensors: list[Any], number: int) -> dict[str, Any]:
    if number > len(sensors) or not isinstance(sensors[number - 1], dict):
        raise ResidualPoseError(
            f"{path}: expected the calibration of KINECTNODE{number}, found {len(sensors)} sensors"
        )
    return sensors[number - 1]


def _calibration(
    number: int, sensor: dict[str, Any], kinect_file: Path, panel: Any, panoptic_file: Path
) -> KinectCalibration:
    name = f"50_{number:02d}"
    if panel is None:
        raise ResidualPoseError(f"{panoptic_file}: expected camera {name}, found none of that name")
    K = _matrix(kinect_file, number, sensor, "K_depth", (3, 3))
    # The files hold two further numbers, 1000 and 0, which are no distortion.
    distortion = _numbers(kinect_file, number, sensor, "distCoeffs_depth").ravel()[:5]
    if len(distortion) != 5:
        raise ResidualPoseError(
            f"{kinect_file}: KINECTNODE{number}: expected 5 distCoeffs_depth, found "
            f"{len(distortion)}"
        )
    R = _matrix(panoptic_file, number, panel, "R", (3, 3))
    t = _numbers(panoptic_file, number, panel, "t").reshape(-1)
    if t.shape != (3,):
        raise ResidualPoseError(f"{panoptic_file}: {name}: expected t of 3 numbers, found {len(t)}")
    return KinectCalibration(
        number,
        Camera(K[0, 0], K[1, 1], K[0, 2], K[1, 2], tuple(distortion), f"KINECTNODE{number}"),
        _rigid(R, t),
        _transform(kinect_file, number, sensor, "M_color"),
        _transform(kinect_file, number, sensor, "M_depth"),
    )


def _numbers(path: Path, number: int, stored: dict[str, Any], key: str) -> np.ndarray:
    try:
        values = np.array(stored[key], np.float64)
    except (KeyError, TypeError, ValueError):
        values = np.full(1, np.nan)
    if not np.isfinite(values).all():
        raise ResidualPoseError(f"{path}: Kinect {number}: expected numbers in {key}")
    return values


def _matrix(
    path: Path, number: int, stored: dict[str, Any], key: str, shape: tuple[int, int]
) -> np.ndarray:
    values = _numbers(path, number, stored, key)
    if values.shape != shape:
        raise ResidualPoseError(
            f"{path}: Kinect {number}: expected {key} {shape}, found {values.shape}"
        )
    return values


def _transform(path: Path, number: int, stored: dict[str, Any], key: str) -> np.ndarray:
    """A rigid (4, 4), of which the last row may be left out."""
    rows = len(stored[key]) if isinstance(stored.get(key), list) else 4
    values = _matrix(path, number, stored, key, (min(rows, 4), 4))
    if rows < 3 or abs(np.linalg.det(values[:3, :3]) - 1) > 0.05:
        raise ResidualPoseError(f"{path}: Kinect {number}: expected {key} to turn and move only")
    return _rigid(values[:3, :3], values[:3, 3])


def _rigid(R: np.ndarray, t: np.ndarray) -> np.ndarray:
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = R, t
    return T


def _moved(points: np.ndarray, T: np.ndarray) -> np.ndarray:
    return points @ T[:3, :3].T + T[:3, 3]
