"""Time each stage of a model on this machine.

Uses the sample frames that come with the package, or the frames that you give. Every frame is
measured several times, after a pass that is not counted.

Examples:
  residualpose bench
  residualpose bench recording.npz --model model --json times.json
"""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from residualpose.camera import Camera
from residualpose.cli.progress import progress_bar
from residualpose.cli.tables import write_report, write_table
from residualpose.errors import UsageError
from residualpose.frames import DepthFrame
from residualpose.sources import open_source

SAMPLES = Path(__file__).parents[1] / "samples"


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
    """A bundled model or a model folder. Default: the bundled one."""
    rounds: Annotated[int, tyro.conf.arg(metavar="N")] = 10
    """How often each frame is measured."""
    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE", help_behavior_hint="")] = None
    """Write the times here too."""


def run(options: Options) -> int:
    """Measure and show."""
    from residualpose.estimator import PoseEstimator
    from residualpose.evaluation.timing import machine, measure

    if options.rounds < 1:
        raise UsageError(f"--rounds: expected at least 1, got {options.rounds}")
    frames = _frames(options.source)
    estimate = PoseEstimator(options.model)
    with progress_bar("frames") as progress:
        task = progress.add_task("frames", total=len(frames) * (options.rounds + 1), note="")
        times, people = measure(estimate, frames, options.rounds, lambda: progress.advance(task))
    where = machine()
    sizes = sorted({f"{frame.width}x{frame.height}" for frame in frames})
    threads = where["omp_num_threads"] or "default"
    sys.stdout.write(
        f"{estimate.model.name} on {where['cpu']}, {where['cores']} cores, threads: {threads}; "
        f"{len(frames)} frames of {', '.join(sizes)} with {people} people, "
        f"{options.rounds} times each\n"
    )
    rows = [(name, f"{t.median_ms:.2f}", f"{t.p95_ms:.2f}") for name, t in times.items()]
    write_table("Milliseconds a frame", ("stage", "median", "95 %"), rows)
    if options.json is not None:
        report = {
            "model": {"name": estimate.model.name, "sha256": estimate.model.sha256},
            "machine": where,
            "frames": len(frames),
            "sizes": sizes,
            "people": people,
            "rounds": options.rounds,
            "stages_ms": {name: asdict(t) for name, t in times.items()},
        }
        write_report(options.json, report)
    return 0


def _frames(sources: tuple[str, ...]) -> list[DepthFrame]:
    """The frames to measure on; a made one where no samples are bundled."""
    names = sources or tuple(str(path) for path in sorted(SAMPLES.glob("*.npz")))
    frames = [frame for name in names for frame in open_source(name, None, None)]
    return frames or [_made_frame()]


def _made_frame() -> DepthFrame:
    """A wall with a bulge about as large as a person, at the size of a usual sensor."""
    depth_m = np.full((480, 640), 3.5, np.float32)
    v, u = np.mgrid[-1:1:480j, -1:1:640j]
    body = (u / 0.2) ** 2 + (v / 0.9) ** 2
    depth_m = np.where(body < 1, 2.5 - 0.12 * np.sqrt(np.clip(1 - body, 0, 1)), depth_m)
    return DepthFrame(depth_m.astype(np.float32), Camera(525, 525, 319.5, 239.5), "made frame")
