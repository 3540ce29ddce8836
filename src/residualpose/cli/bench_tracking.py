"""Measure how well people are followed, on rendered recordings of which the truth is known.

Scenes: four people crossing, two leaving the picture and coming back, one sitting down, three
behind a pillar. Each frame is rendered (about a second each) and goes through the model, then
through tracking, unsmoothed and smoothed, live and two-sided. Needs the extra synthetic.

Examples:
  residualpose bench tracking
  residualpose bench tracking --scene crossing --seconds 20 --json tracking.json
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import tyro

from residualpose.cli.progress import progress_bar
from residualpose.cli.tables import write_report, write_table
from residualpose.errors import UsageError

if TYPE_CHECKING:
    from residualpose.estimator import PoseEstimator
    from residualpose.evaluation.tracking import TrackingScore
    from residualpose.poses import Poses
    from residualpose.synthetic.bodies import BodyBank
    from residualpose.synthetic.sequences import SequenceFrame

_BODIES = 8


@dataclass(frozen=True, slots=True)
class Options:
    """What to render and follow."""

    scene: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME ...")] = ("crossing", "sitting")
    """Any of crossing, leaving, sitting, occluded."""
    seconds: Annotated[float, tyro.conf.arg(metavar="S")] = 20.0
    """Length of each scene, at 30 frames a second."""
    smooth: Annotated[float, tyro.conf.arg(metavar="STRENGTH")] = 1.0
    """Strength of the smoothing, 0 to 4."""
    model: Annotated[str | None, tyro.conf.arg(metavar="NAME|PATH", help_behavior_hint="")] = None
    """A bundled model or a model folder. Default: the bundled one."""
    seed: Annotated[int, tyro.conf.arg(metavar="N")] = 0
    """Who walks where, in what clothes."""
    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE", help_behavior_hint="")] = None
    """Write the numbers here too."""


def run(options: Options) -> int:
    """Render, follow and show."""
    from residualpose.estimator import PoseEstimator
    from residualpose.synthetic.bodies import make_bank
    from residualpose.synthetic.sequences import SCENES

    unknown = next((name for name in options.scene if name not in SCENES), None)
    if unknown is not None or not options.scene:
        raise UsageError(f"--scene: expected any of {', '.join(SCENES)}, found {unknown!r}")
    if not 1 <= options.seconds <= 3600:
        raise UsageError(f"--seconds: expected 1 to 3600, found {options.seconds:g}")
    estimate, bank = PoseEstimator(options.model), make_bank(_BODIES, options.seed)
    report: dict[str, object] = {}
    for scene in options.scene:
        frames, found = _recorded(options, scene, estimate, bank)
        scores = _scores(frames, found, options.smooth)
        _show(scene, scores)
        report[scene] = {name: asdict(score) for name, score in scores.items()}
    if options.json is not None:
        write_report(options.json, report | {"model": estimate.model.name})
    return 0


def _recorded(
    options: Options, scene: str, estimate: PoseEstimator, bank: BodyBank
) -> tuple[list[SequenceFrame], list[Poses]]:
    """The frames of a scene and what the model finds in each."""
    from residualpose.synthetic.sequences import render_sequence
    from residualpose.synthetic.walking import RATE_HZ

    frames, found = [], []
    with progress_bar("frames") as progress:
        task = progress.add_task("frames", total=round(options.seconds * RATE_HZ), note=scene)
        for frame in render_sequence(bank, scene, options.seconds, options.seed):
            frames.append(frame)
            found.append(estimate(frame.frame))
            progress.advance(task)
    return frames, found


def _scores(
    frames: Sequence[SequenceFrame], found: Sequence[Poses], smooth: float
) -> dict[str, TrackingScore]:
    from residualpose.evaluation.tracking import score_tracking
    from residualpose.synthetic.walking import RATE_HZ
    from residualpose.tracking import follow

    truth_m = np.stack([frame.joints_m for frame in frames])
    visible = np.stack([frame.visible for frame in frames])
    runs = {"frame by frame": list(found)}
    for name, strength, live in (
        ("tracked", 0.0, False), ("smoothed live", smooth, True), ("smoothed", smooth, False),
    ):  # fmt: skip
        timed = ((None, p, f.frame.time_s) for f, p in zip(frames, found, strict=True))
        runs[name] = [one.poses for one in follow(timed, strength, live)]
    return {name: score_tracking(poses, truth_m, visible, RATE_HZ) for name, poses in runs.items()}


_COLUMNS = (
    "", "MOTA", "switches", "missed", "false", "people", "MPJPE mm", "jitter m/s2", "bones mm",
    "delay frames",
)  # fmt: skip


def _show(scene: str, scores: dict[str, TrackingScore]) -> None:
    rows = [
        (name, f"{s.mota:.3f}", str(s.switches), str(s.missed), str(s.false), str(s.people),
         f"{s.mpjpe_mm:.1f}", f"{s.jitter_m_s2:.1f}", f"{s.bone_sd_mm:.1f}",
         f"{s.delay_frames:.1f}")
        for name, s in scores.items()
    ]  # fmt: skip
    write_table(scene, _COLUMNS, rows)
    ratio = scores["frame by frame"].jitter_m_s2 / scores["smoothed live"].jitter_m_s2
    sys.stdout.write(f"jitter is {ratio:.1f} times smaller live\n")
