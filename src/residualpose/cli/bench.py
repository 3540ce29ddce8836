"""Time each stage of the models on this machine.

Uses the sample frames that come with the package, or the frames that you give, those with one
person and those with several apart. Every frame is measured several times, after a pass that is
not counted. Beside them runs the released network (random weights), if torch is installed.

Examples:
  residualpose bench
  residualpose bench recording.npz --model model --json times.json
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import tyro

from residualpose.camera import Camera
from residualpose.cli.progress import progress_bar
from residualpose.cli.tables import write_report, write_table
from residualpose.errors import MissingExtraError, UsageError
from residualpose.frames import DepthFrame
from residualpose.model import bundled_models
from residualpose.sources import open_source

if TYPE_CHECKING:
    from residualpose.estimator import PoseEstimator
    from residualpose.evaluation.timing import Measured, Times

SAMPLES = Path(__file__).parents[1] / "samples"
ONE, SEVERAL = "one person", "several people"


@dataclass(frozen=True, slots=True)
class Options:
    """What to time, on what."""

    source: Annotated[
        tuple[str, ...],
        tyro.conf.Positional,
        tyro.conf.arg(metavar="[SOURCE...]", help_behavior_hint=""),
    ] = ()
    """Depth images that know their camera, as for predict. Default: the bundled samples."""
    model: Annotated[str | None, tyro.conf.arg(metavar="NAME|PATH", help_behavior_hint="")] = None
    """A bundled model or a model folder. Default: every bundled one."""
    rounds: Annotated[int, tyro.conf.arg(metavar="N")] = 20
    """How often each frame is measured."""
    calls: Annotated[int, tyro.conf.arg(metavar="N")] = 0
    """Time so many calls in a row too, 1000 for instance, five times over, and show how much longer
    than the median the slowest 1 % take in the steadiest of the five. 0: do not."""
    released: bool = True
    """Time the released network's forward pass too, and compare with it."""
    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE", help_behavior_hint="")] = None
    """Write the times here too."""


def run(options: Options) -> int:
    """Measure and show."""
    from residualpose.estimator import PoseEstimator
    from residualpose.evaluation.released_speed import released_passes
    from residualpose.evaluation.timing import in_a_row, machine, measure

    if options.rounds < 1 or options.calls < 0:
        raise UsageError(
            f"expected --rounds of at least 1 and --calls of at least 0, got {options.rounds} and "
            f"{options.calls}"
        )
    names = [options.model] if options.model is not None else bundled_models()
    estimates = {estimate.model.name: estimate for estimate in map(PoseEstimator, names)}
    sets = _by_people(_frames(options.source), next(iter(estimates.values())))
    passes, remark = {}, ""
    if options.released:
        try:
            passes = released_passes()
        except MissingExtraError as error:
            remark = f"no released network to compare with: {error}"
    with progress_bar("rounds") as progress:
        task = progress.add_task("rounds", total=options.rounds + 1, note="")
        measured = measure(estimates, sets, passes, options.rounds, lambda: progress.advance(task))
    rows = {
        (model, name): in_a_row(estimates[model], sets[name], options.calls)
        for model, name in measured.stages if options.calls
    }  # fmt: skip
    where = machine()
    _show(measured, sets, where, options.rounds)
    for (model, name), times in rows.items():
        sys.stdout.write(
            f"{model}, {name}, {options.calls} calls in a row, the steadiest of five runs: "
            f"median {times.median_ms:.2f} ms, 99 % {times.p99_ms:.2f} ms, "
            f"{times.tail:.2f} times as long\n"
        )
    if remark:
        sys.stderr.write(remark + "\n")
    if options.json is not None:
        report = _report(measured, estimates, sets) | {"rounds": options.rounds, "machine": where}
        report["in_a_row"] = [
            {"model": model, "set": name, "calls": options.calls} | asdict(times)
            for (model, name), times in rows.items()
        ]
        write_report(options.json, report)
    return 0


def _show(
    measured: Measured, sets: dict[str, list[DepthFrame]], where: dict[str, object], rounds: int
) -> None:
    """The machine, a table for each model and set of frames, and the references."""
    from residualpose.evaluation.timing import WHOLE

    threads = where["omp_num_threads"] or "default"
    sys.stdout.write(f"{where['cpu']}, {where['cores']} cores, threads: {threads}\n")
    for (model, name), stages in measured.stages.items():
        sys.stdout.write(
            f"{model}, {name}: {len(sets[name])} frames of {_sizes(sets[name])} with "
            f"{measured.people[model, name]} people, {rounds} times each\n"
        )
        write_table("Milliseconds a frame", _COLUMNS, _rows(stages.items()))
        for reference, times in measured.references.items():
            faster = times.median_ms / stages[WHOLE].median_ms
            sys.stdout.write(f"{faster:.1f} times faster than {reference}\n")
    if measured.references:
        write_table(
            "Forward pass beside them, milliseconds", _COLUMNS, _rows(measured.references.items())
        )


_COLUMNS = ("stage", "median", "95 %", "99 %")


def _rows(times: Iterable[tuple[str, Times]]) -> list[tuple[str, ...]]:
    return [(name, *(f"{ms:.2f}" for ms in asdict(t).values())) for name, t in times]


def _report(
    measured: Measured,
    estimates: dict[str, PoseEstimator],
    sets: dict[str, list[DepthFrame]],
) -> dict[str, object]:
    return {
        "models": {name: estimate.model.sha256 for name, estimate in estimates.items()},
        "measured": [
            {
                "model": model,
                "set": name,
                "frames": len(sets[name]),
                "sizes": _sizes(sets[name]),
                "people": measured.people[model, name],
                "stages_ms": {stage: asdict(t) for stage, t in stages.items()},
            }
            for (model, name), stages in measured.stages.items()
        ],
        "released_ms": {name: asdict(times) for name, times in measured.references.items()},
    }


def _sizes(frames: list[DepthFrame]) -> str:
    return ", ".join(sorted({f"{frame.width}x{frame.height}" for frame in frames}))


def _by_people(frames: list[DepthFrame], estimate: PoseEstimator) -> dict[str, list[DepthFrame]]:
    """The frames in which a model sees one person or none, and the others."""
    sets: dict[str, list[DepthFrame]] = {ONE: [], SEVERAL: []}
    for frame, poses in zip(frames, estimate.stream(frames), strict=True):
        sets[SEVERAL if len(poses) > 1 else ONE].append(frame)
    return {name: chosen for name, chosen in sets.items() if chosen}


def _frames(sources: tuple[str, ...]) -> list[DepthFrame]:
    """The frames to measure on: given ones, or the samples and all of them in one picture."""
    names = sources or tuple(str(path) for path in sorted(SAMPLES.glob("*.npz")))
    frames = [frame for name in names for frame in open_source(name, None, None)]
    return frames if sources else [*frames, _crowd(frames)]


def _crowd(frames: list[DepthFrame], focal_px: float = 288.0) -> DepthFrame:
    """Every frame side by side, as a very wide camera would see them."""
    from residualpose.pipeline.normalise import normalise

    views = [normalise(frame, focal_px).depth_m for frame in frames]
    width, height = sum(view.shape[1] for view in views), max(len(view) for view in views)
    depth_m, left = np.zeros((height, width), np.float32), 0
    for view in views:
        depth_m[: len(view), left : left + view.shape[1]] = view
        left += view.shape[1]
    camera = Camera(focal_px, focal_px, (width - 1) / 2, (height - 1) / 2)
    return DepthFrame(depth_m, camera, "samples side by side")
