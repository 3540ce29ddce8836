"""How long each stage takes: the calls of `PoseEstimator.explain`, one by one, with a clock."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from residualpose.estimator import PoseEstimator
from residualpose.frames import DepthFrame
from residualpose.pipeline.complete import LimbPrior, complete_people
from residualpose.pipeline.group import group
from residualpose.pipeline.lift import lift
from residualpose.pipeline.maps import MapsModel, surface_of
from residualpose.pipeline.normalise import normalise
from residualpose.pipeline.peaks import find_peaks
from residualpose.pipeline.refine import Refiner

T = TypeVar("T")

STAGES = ("normalise", "maps", "peaks", "lift", "group", "complete", "refine")
WHOLE = "whole"
"""A call of the estimator, which does all of it."""


@dataclass(frozen=True, slots=True)
class Times:
    """Milliseconds of one stage over all measured frames."""

    median_ms: float
    p95_ms: float
    """95 % of the frames take at most so long."""


class StageClock:
    """Runs the stages of an estimator apart and keeps their times."""

    def __init__(self, estimate: PoseEstimator) -> None:
        self._estimate = estimate
        folder = estimate.model.path
        self._maps = MapsModel(folder / "maps.onnx", estimate.model.stride)
        self._prior = LimbPrior.load_npz(folder / "prior.npz")
        self._refiner = Refiner(folder / "refiner.onnx")
        self._ms: dict[str, list[float]] = {name: [] for name in (*STAGES, WHOLE)}

    def measure(self, frame: DepthFrame) -> int:
        """Time every stage on one frame; returns the number of people found."""
        poses = self._timed(WHOLE, self._estimate, frame)
        view = self._timed("normalise", normalise, frame, self._estimate.model.focal_px)
        maps = self._timed("maps", self._maps, view)
        peaks = self._timed("peaks", find_peaks, maps.part_maps)
        grid_camera = view.camera.resized(1 / maps.stride, 1 / maps.stride)
        surface_m = surface_of(view, maps.stride)
        points = self._timed(
            "lift", lift, peaks, maps.part_maps, maps.offset_m, surface_m, grid_camera
        )
        self._timed("group", group, peaks, maps.limb_fields, points.points_m)
        _, people = self._estimate.detect(frame)
        done = self._timed(
            "complete", complete_people,
            self._prior, people.joints_m, people.origin, people.covariance_m2,
        )  # fmt: skip
        self._timed(
            "refine", self._refiner,
            done.joints_m, people.joint_score, done.origin, done.covariance_m2,
        )  # fmt: skip
        return len(poses)

    def forget(self) -> None:
        """Drop the times so far: the first frames pay for caches and memory."""
        for times in self._ms.values():
            times.clear()

    def times(self) -> dict[str, Times]:
        """Times of each stage, and of the whole."""
        return {
            name: Times(float(np.median(ms)), float(np.percentile(ms, 95)))
            for name, ms in self._ms.items()
        }

    def _timed(self, stage: str, function: Callable[..., T], *arguments: object) -> T:
        start = time.perf_counter()
        result = function(*arguments)
        self._ms[stage].append(1000 * (time.perf_counter() - start))
        return result


def measure(
    estimate: PoseEstimator,
    frames: Sequence[DepthFrame],
    rounds: int,
    progress: Callable[[], None],
) -> tuple[dict[str, Times], int]:
    """Times over `rounds` passes through the frames, and the people found in one pass.

    One more pass comes first and is not counted. `progress()` is called after every frame.
    """
    clock, people = StageClock(estimate), 0
    for number in range(rounds + 1):
        if number == 1:
            clock.forget()
        people = 0
        for frame in frames:
            people += clock.measure(frame)
            progress()
    return clock.times(), people


def machine() -> dict[str, object]:
    """What the times were measured on."""
    import onnxruntime

    return {
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "onnxruntime": onnxruntime.__version__,
        "omp_num_threads": os.environ.get("OMP_NUM_THREADS"),
    }


def _cpu_name() -> str:
    """The processor as its system calls it."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    if platform.system() == "Darwin":
        asked = subprocess.run(
            ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if asked.stdout.strip():
            return asked.stdout.strip()
    return platform.processor() or platform.machine()
