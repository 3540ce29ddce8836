"""The frozen benchmark: what its frames show, and where they lie once they were rendered.

No frame is stored or shipped: a recipe and a seed are. Frame i follows from the recipe, the version
of the rendering code and i alone, so a machine renders the same bytes again; other machines may
differ in the last bits of floating point.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
import zlib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

import numpy as np

from residualpose import __version__
from residualpose.camera import PRESETS, Camera
from residualpose.errors import ResidualPoseError, UsageError
from residualpose.settings import plain

SENSORS = ("structured_light", "time_of_flight", "stereo")
VIEWS = ("eye", "fixed", "low", "high", "overhead")
MAX_PEOPLE = 5


@dataclass(frozen=True, slots=True)
class Setup:
    """A sensor and the camera that carries it."""

    sensor: str
    """One of SENSORS: whose faults the depth gets."""
    camera: str
    """Preset that gives the focal length."""
    width: int
    """Pixels; with the height of the preset's shape."""
    height: int
    """Pixels."""

    def __post_init__(self) -> None:
        if self.sensor not in SENSORS:
            raise UsageError(f"sensor: expected one of {', '.join(SENSORS)}, got {self.sensor!r}")
        if self.camera not in PRESETS:
            raise UsageError(f"camera: expected one of {', '.join(PRESETS)}, got {self.camera!r}")


SETUPS = (
    Setup("structured_light", "kinect1", 320, 240),
    Setup("time_of_flight", "kinect2", 512, 424),
    Setup("stereo", "d435", 424, 240),
    Setup("structured_light", "xtion", 320, 240),
    Setup("time_of_flight", "azure-nfov", 320, 288),
    Setup("stereo", "oak-d", 320, 200),
)


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a benchmark's frames show; frame i takes the setups, people and views in turn."""

    name: str = "benchmark-1"
    """Version: a recipe that changes gets another name."""
    seed: int = 730_114
    """Everything follows from it: bodies, poses, rooms, clothes, sensors."""
    frames: int = 300
    """Number of frames."""
    bodies: int = 64
    """Body shapes, none of which is in a training set of another seed."""
    poses: int = 6000
    """Procedural poses to draw from; motion capture is not used."""
    attempts: int = 12
    """Scenes drawn for a frame until one has the people and the view in turn."""
    people: tuple[int, ...] = (1, 2, 1, 3, 2, 1, 4, 2, 3, 5)
    """People in sight, in turn; all setups are gone through before the next number."""
    views: tuple[str, ...] = ("eye", "high", "overhead", "fixed", "low")
    """Camera placements, in turn."""
    setups: tuple[Setup, ...] = SETUPS
    """Sensors and cameras, in turn."""

    def __post_init__(self) -> None:
        for name in ("frames", "bodies", "poses", "attempts"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name}: expected at least 1, got {getattr(self, name)}")
        if self.seed < 0:
            raise UsageError(f"seed: expected at least 0, got {self.seed}")
        if not self.people or not all(1 <= count <= MAX_PEOPLE for count in self.people):
            raise UsageError(f"people: expected numbers of 1 to {MAX_PEOPLE}, got {self.people}")
        if not self.views or not set(self.views) <= set(VIEWS):
            raise UsageError(f"views: expected some of {', '.join(VIEWS)}, got {self.views}")
        if not self.setups:
            raise UsageError("setups: expected at least one")

    @property
    def checksum(self) -> str:
        """SHA-256 of the recipe's values, whatever file they were written in."""
        text = json.dumps(plain(self), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def wanted(self, index: int) -> tuple[Setup, int, str]:
        """Setup, people in sight and view of a frame."""
        turn, number = divmod(index, len(self.setups))
        # One more step a round: otherwise a setup and a number would always meet the same view.
        rounds = index // (len(self.setups) * len(self.people))
        return (
            self.setups[number],
            self.people[turn % len(self.people)],
            self.views[(index + rounds) % len(self.views)],
        )


@cache
def generator_checksum() -> str:
    """SHA-256 of the code that renders: figures are comparable where it is the same."""
    digest = hashlib.sha256()
    folder = Path(str(resources.files("residualpose"))) / "synthetic"
    for file in sorted(folder.rglob("*.py")):
        digest.update(file.relative_to(folder).as_posix().encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


def identity(recipe: Recipe) -> dict[str, object]:
    """What a figure on the benchmark has to be quoted with."""
    return {
        "name": recipe.name,
        "recipe_sha256": recipe.checksum,
        "generator_sha256": generator_checksum(),
        "version": __version__,
    }


def benchmark_folder(cache_folder: Path, recipe: Recipe) -> Path:
    """Where frames of this recipe and this rendering code lie."""
    return cache_folder / f"{recipe.name}_{recipe.checksum[:8]}_{generator_checksum()[:8]}"


def frame_path(folder: Path, index: int) -> Path:
    """File of one frame."""
    return folder / f"frame_{index:04d}.npz"


def missing_frames(folder: Path, count: int) -> list[int]:
    """Which of the first frames are not rendered yet."""
    return [i for i in range(count) if not frame_path(folder, i).exists()]


@dataclass(frozen=True, slots=True)
class BenchmarkFrame:
    """One frame with its truth."""

    depth_mm: np.ndarray
    """(H, W) uint16 as the sensor gives it, 0 = no reading."""
    joints_m: np.ndarray
    """(Q, 15, 3) float32 camera frame, our own joint convention."""
    visible: np.ndarray
    """(Q, 15) bool: nothing but its own person is before the joint."""
    intrinsics: np.ndarray
    """(4,) fx, fy, cx, cy."""
    sensor: np.ndarray
    """() name of the sensor."""
    view: np.ndarray
    """() kind of camera placement."""

    @property
    def camera(self) -> Camera:
        """Camera of the frame."""
        return Camera(*self.intrinsics.tolist())


def load_frame(path: Path) -> BenchmarkFrame:
    """Read a rendered frame.

    Raises:
        ResidualPoseError: it is missing, cut short or no such frame.
    """
    try:
        with np.load(path, allow_pickle=False) as data:
            return BenchmarkFrame(*(data[name] for name in BenchmarkFrame.__slots__))
    except (OSError, ValueError, KeyError, EOFError, zlib.error, zipfile.BadZipFile) as error:
        raise ResidualPoseError(
            f"{path}: expected a frame of the benchmark, found {error}; delete it and run again"
        ) from None
