"""Camera intrinsics: the only place where fx, fy, cx, cy and distortion are used.

Camera frame: x right, y down, z forward, metres. Pixel centres lie at integers.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from residualpose.errors import ResidualPoseError, UsageError


@dataclass(frozen=True, slots=True)
class Camera:
    """A pinhole depth camera, optionally with Brown-Conrady distortion."""

    fx: float
    """Focal length along x, pixels; positive."""
    fy: float
    """Focal length along y, pixels; positive."""
    cx: float
    """Principal point, pixels from the centre of the left-most pixel."""
    cy: float
    """Principal point, pixels from the centre of the top-most pixel."""
    distortion: tuple[float, ...] = ()
    """Brown-Conrady k1, k2, p1, p2[, k3[, k4, k5, k6]] in OpenCV's order (the last three divide, as
    the lens of an Azure Kinect needs); empty for an undistorted image."""
    name: str = ""
    """Preset or file the numbers came from."""

    def __post_init__(self) -> None:
        for field in ("fx", "fy", "cx", "cy"):
            value = getattr(self, field)
            try:
                value = float(value)
            except (TypeError, ValueError):
                raise UsageError(
                    f"camera {field} must be a number of pixels, got {value!r}"
                ) from None
            object.__setattr__(self, field, value)
            if not abs(value) <= 1e6:
                raise UsageError(f"camera {field} must be a finite number of pixels, got {value}")
        if self.fx <= 0 or self.fy <= 0:
            raise UsageError(
                f"camera focal lengths must be positive pixels, got fx={self.fx}, fy={self.fy}"
            )
        try:
            coefficients = tuple(float(k) for k in self.distortion)
        except (TypeError, ValueError):
            coefficients = (math.nan,)
        if len(coefficients) not in (0, 4, 5, 8) or not all(map(math.isfinite, coefficients)):
            raise UsageError(
                f"distortion must be k1,k2,p1,p2[,k3[,k4,k5,k6]], got {self.distortion!r}"
            )
        object.__setattr__(self, "distortion", coefficients if any(coefficients) else ())

    @property
    def K(self) -> np.ndarray:
        """(3, 3) intrinsic matrix."""
        return np.array([[self.fx, 0, self.cx], [0, self.fy, self.cy], [0, 0, 1.0]])

    def project(self, points_m: np.ndarray) -> np.ndarray:
        """Camera-frame points (..., 3) in metres to pixels (..., 2); NaN where z <= 0 or NaN."""
        points_m = np.asarray(points_m, dtype=np.float64)
        z = np.where(points_m[..., 2] > 0, points_m[..., 2], np.nan)
        x, y = self._distort(points_m[..., 0] / z, points_m[..., 1] / z)
        pixels = np.empty((*z.shape, 2))
        pixels[..., 0], pixels[..., 1] = x * self.fx + self.cx, y * self.fy + self.cy
        return pixels

    def rays(self, pixels: np.ndarray) -> np.ndarray:
        """Pixels (..., 2) to ray directions (..., 3) with z = 1, distortion removed."""
        pixels = np.asarray(pixels, dtype=np.float64)
        xd = (pixels[..., 0] - self.cx) / self.fx
        yd = (pixels[..., 1] - self.cy) / self.fy
        x, y = xd, yd
        # Fixed-point inversion of the Brown-Conrady model; 20 rounds reach 1e-9 for real lenses, 60
        # for the wide ones that need eight coefficients.
        for _ in range({0: 0, 8: 60}.get(len(self.distortion), 20)):
            xe, ye = self._distort(x, y)
            x, y = x + xd - xe, y + yd - ye
        rays = np.ones((*x.shape, 3))
        rays[..., 0], rays[..., 1] = x, y
        return rays

    def backproject(self, pixels: np.ndarray, depth_m: np.ndarray) -> np.ndarray:
        """Pixels (..., 2) and z-depths (...) in metres to camera-frame points (..., 3)."""
        return self.rays(pixels) * np.asarray(depth_m, dtype=np.float64)[..., None]

    def _distort(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if not self.distortion:
            return x, y
        k1, k2, p1, p2, k3, k4, k5, k6 = (*self.distortion, 0.0, 0.0, 0.0, 0.0)[:8]
        r2 = x * x + y * y
        radial = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
        radial = radial / (1 + r2 * (k4 + r2 * (k5 + r2 * k6)))
        return (
            x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x),
            y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y,
        )

    def to_dict(self) -> dict[str, object]:
        """JSON-ready numbers, as written in result files and read by `Camera.load`."""
        numbers: dict[str, object] = {k: getattr(self, k) for k in ("fx", "fy", "cx", "cy")}
        if self.distortion:
            numbers["distortion"] = list(self.distortion)
        if self.name:
            numbers["name"] = self.name
        return numbers

    def resized(self, scale_x: float, scale_y: float) -> Camera:
        """The camera of the same image resized by the given factors."""
        return Camera(
            self.fx * scale_x,
            self.fy * scale_y,
            (self.cx + 0.5) * scale_x - 0.5,
            (self.cy + 0.5) * scale_y - 0.5,
            self.distortion,
            self.name,
        )

    @classmethod
    def load(cls, path: str | Path) -> Camera:
        """Read a JSON file with fx, fy, cx, cy and optionally distortion (k1, k2, p1, p2, k3)."""
        path = Path(path)
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise UsageError(f"{path}: cannot read the camera file ({error.strerror})") from None
        except ValueError as error:
            raise UsageError(f"{path}: expected a JSON camera, found {error}") from None
        if not isinstance(data, dict) or not {"fx", "fy", "cx", "cy"} <= data.keys():
            raise UsageError(f'{path}: expected {{"fx": , "fy": , "cx": , "cy": }} in pixels')
        try:
            return cls(*(data[k] for k in ("fx", "fy", "cx", "cy")),
                       distortion=data.get("distortion", ()), name=path.name)  # fmt: skip
        except UsageError as error:
            raise UsageError(f"{path}: {error}") from None

    @classmethod
    def parse(cls, text: str, image_size: tuple[int, int] | None = None) -> Camera:
        """A preset name, a JSON path or "fx,fy,cx,cy"; presets scale to `image_size` (w, h)."""
        if text.count(",") == 3:
            return cls(*text.split(","))  # type: ignore[arg-type]
        if text in PRESETS:
            return preset(text, image_size)
        if text.endswith(".json"):
            return cls.load(text)
        raise UsageError(
            f"unknown camera {text!r}: give fx,fy,cx,cy, a .json file, or one of "
            f"{', '.join(PRESETS)}"
        )


PRESETS: dict[str, tuple[int, int, float, float, float, float]] = {
    # name: width, height, fx, fy, cx, cy (nominal; a calibration of your own unit is better)
    "itop": (320, 240, 1 / 0.0035, 1 / 0.0035, 160.0, 120.0),
    "kinect1": (640, 480, 575.8, 575.8, 319.5, 239.5),
    "xtion": (640, 480, 570.3, 570.3, 319.5, 239.5),
    "kinect2": (512, 424, 365.5, 365.5, 255.5, 211.5),
    "azure-nfov": (640, 576, 504.0, 504.0, 319.5, 287.5),
    "azure-wfov": (512, 512, 252.0, 252.0, 255.5, 255.5),
    "d435": (848, 480, 425.0, 425.0, 423.5, 239.5),
    "d455": (848, 480, 425.0, 425.0, 423.5, 239.5),
    "l515": (640, 480, 460.0, 460.0, 319.5, 239.5),
    "femto": (640, 576, 504.0, 504.0, 319.5, 287.5),
    "oak-d": (640, 400, 400.0, 400.0, 319.5, 199.5),
}


def preset(name: str, image_size: tuple[int, int] | None = None) -> Camera:
    """A nominal camera by sensor name, rescaled to `image_size` (width, height) if given."""
    if name not in PRESETS:
        raise UsageError(f"unknown camera preset {name!r}: one of {', '.join(PRESETS)}")
    width, height, fx, fy, cx, cy = PRESETS[name]
    camera = Camera(fx, fy, cx, cy, name=name)
    if image_size is None or image_size == (width, height):
        return camera
    scale_x, scale_y = image_size[0] / width, image_size[1] / height
    if abs(scale_x / scale_y - 1) > 0.02:
        raise ResidualPoseError(
            f"camera preset {name!r} is {width}x{height}, the frame is "
            f"{image_size[0]}x{image_size[1]}, another shape: give fx,fy,cx,cy instead"
        )
    return camera.resized(scale_x, scale_y)
