"""How long each stage takes: the calls of `PoseEstimator.explain`, one by one, with a clock."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import TypeVar

import numpy as np

from residualpose.detector import Detector
from residualpose.estimator import PoseEstimator
from residualpose.frames import DepthFrame
from residualpose.pipeline.body_frame import trunk_down
from residualpose.pipeline.complete import LimbPrior, complete_people
from residualpose.pipeline.floor import find_floor
from residualpose.pipeline.group import group
from residualpose.pipeline.lift import LiftedPoints, lift
from residualpose.pipeline.maps import MapsModel, surface_of
from residualpose.pipeline.normalise import normalise
from residualpose.pipeline.peaks import find_peaks
from residualpose.pipeline.refine import Refiner

T = TypeVar("T")

STAGES = ("normalise", "maps", "peaks", "lift", "group", "floor", "complete", "refine")
CLOSER = "closer looks"
"""One more stage of models that have them: all that is done again, network and grouping too."""
OUTSIDE = "all but maps"
"""The sum of the stages that are not the 2D network, nor closer looks."""
WHOLE = "whole"
"""A call of the estimator, which does all of it."""
REFERENCE_ROUNDS = 3
RUNS = 5
"""Runs of calls in a row, of which the steadiest counts: other programs disturb some."""


@dataclass(frozen=True, slots=True)
class Times:
    """Milliseconds of one stage over all measured frames."""

    median_ms: float
    p95_ms: float
    """95 % of the frames take at most so long."""
    p99_ms: float

    @classmethod
    def of(cls, times_ms: Sequence[float]) -> Times:
        """The times of single calls, at least one."""
        return cls(*(float(np.percentile(times_ms, share)) for share in (50, 95, 99)))

    @property
    def tail(self) -> float:
        """The 99 % over the median: 1 is perfectly steady."""
        return self.p99_ms / self.median_ms


class StageClock:
    """Runs the stages of an estimator apart and keeps their times."""

    def __init__(self, estimate: PoseEstimator) -> None:
        self._estimate = estimate
        folder = estimate.model.path
        self._maps = MapsModel(folder / "maps.onnx", estimate.model.stride)
        self._detector = Detector(estimate.model)
        self._prior = LimbPrior.load_npz(folder / "prior.npz")
        self._refiner = Refiner(folder / "refiner.onnx")
        stages: list[str] = list(STAGES)
        if self._detector.looks_closer:
            stages.insert(stages.index("floor"), CLOSER)
        self._ms: dict[str, list[float]] = {name: [] for name in (*stages, OUTSIDE, WHOLE)}

    def measure(self, frame: DepthFrame) -> int:
        """Time every stage on one frame; returns the number of people found."""
        poses = self._timed(WHOLE, self._estimate, frame)
        view = self._timed("normalise", normalise, frame, self._estimate.model.focal_px)
        maps = self._timed("maps", self._maps, view)
        peaks = self._timed("peaks", find_peaks, maps.part_maps)
        grid_camera = view.camera.resized(1 / maps.stride, 1 / maps.stride)

        def lifted() -> tuple[np.ndarray, LiftedPoints]:
            surface_m = surface_of(view, maps.stride)
            points = lift(peaks, maps.part_maps, maps.offset_m, surface_m, grid_camera)
            return surface_m, points

        surface_m, points = self._timed("lift", lifted)
        self._timed("group", group, peaks, maps.limb_fields, points.points_m)
        if self._detector.looks_closer:
            first = self._detector.at_first_sight(frame, view, maps)
            self._timed(CLOSER, self._detector.look_closer, frame, first)
        people = self._detector.lift(frame, view, maps)
        trunks = trunk_down(people.joints_m)
        self._timed("floor", find_floor, surface_m, grid_camera, trunks)
        done = self._timed(
            "complete", complete_people,
            self._prior, people.joints_m, people.origin, people.covariance_m2,
        )  # fmt: skip
        self._timed(
            "refine", self._refiner,
            done.joints_m, people.joint_score, done.origin, done.covariance_m2, people.floor,
            people.looks,
        )  # fmt: skip
        self._ms[OUTSIDE].append(sum(self._ms[name][-1] for name in STAGES if name != "maps"))
        return len(poses)

    def forget(self) -> None:
        """Drop the times so far: the first frames pay for caches and memory."""
        for times in self._ms.values():
            times.clear()

    def times(self) -> dict[str, Times]:
        """Times of each stage, and of the whole."""
        return {name: Times.of(ms) for name, ms in self._ms.items()}

    def _timed(self, stage: str, function: Callable[..., T], *arguments: object) -> T:
        start = time.perf_counter()
        result = function(*arguments)
        self._ms[stage].append(1000 * (time.perf_counter() - start))
        return result


@dataclass(frozen=True, slots=True)
class Measured:
    """What one run measured."""

    stages: dict[tuple[str, str], dict[str, Times]]
    """(model, set of frames) -> stage -> times."""
    people: dict[tuple[str, str], int]
    """(model, set of frames) -> people found in one pass over the set."""
    references: dict[str, Times]
    """What ran beside them for comparison."""


def measure(
    estimates: Mapping[str, PoseEstimator],
    sets: Mapping[str, Sequence[DepthFrame]],
    references: Mapping[str, Callable[[], object]],
    rounds: int,
    progress: Callable[[], None],
) -> Measured:
    """Times over `rounds` passes through all sets of frames with every model.

    Models and references take turns within a round, so that what else the machine does hits them
    alike; the references, being slow, in the first few rounds only. One more round comes first and
    is not counted. `progress()` is called after each round.
    """
    clocks = {(m, s): StageClock(estimate) for m, estimate in estimates.items() for s in sets}
    beside: dict[str, list[float]] = {name: [] for name in references}
    people = dict.fromkeys(clocks, 0)
    for number in range(rounds + 1):
        for (model, name), clock in clocks.items():
            people[model, name] = sum(clock.measure(frame) for frame in sets[name])
            if number == 0:
                clock.forget()
        for name, run in references.items() if number <= REFERENCE_ROUNDS else ():
            start = time.perf_counter()
            run()
            if number:
                beside[name].append(1000 * (time.perf_counter() - start))
        progress()
    return Measured(
        {key: clock.times() for key, clock in clocks.items()},
        people,
        {name: Times.of(times) for name, times in beside.items()},
    )


def in_a_row(estimate: PoseEstimator, frames: Sequence[DepthFrame], calls: int) -> Times:
    """Times of so many calls in a row, the frames by turns: of the steadiest of `RUNS` runs."""
    runs = []
    for _ in range(RUNS):
        times_ms = []
        for frame in islice(cycle(frames), calls):
            start = time.perf_counter()
            estimate(frame)
            times_ms.append(1000 * (time.perf_counter() - start))
        runs.append(Times.of(times_ms))
    return min(runs, key=lambda times: times.tail)


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
