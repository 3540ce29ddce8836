"""Score a model on labelled depth frames, stage by stage.

DATA is an .npz with depth_mm (N, H, W), K (3, 3) and joints_m (N, 15, 3) in the camera frame (x
right, y down, z forward), or (N, Q, 15, 3) for up to Q people a frame; or a folder of `residualpose
synth`, whose frames then get the noise of random sensors (needs the synthetic extra).

pck10 is the share of joints within 10 cm; a joint that is missing is wrong. mpjpe is the mean
distance of the joints that were found, recall their share; pa-mpjpe is the distance after the best
turn, shift and scale of each person. Where the labels know one person a frame, the surest person
found is scored; otherwise people are paired with the true ones nearest to them.

Examples:
  residualpose eval itop_side.npz --convention itop
  residualpose eval held_out --model model --json scores.json
"""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from residualpose.cli.progress import progress_bar
from residualpose.cli.tables import write_report, write_table
from residualpose.errors import UsageError
from residualpose.evaluation.labelled import open_labelled
from residualpose.evaluation.report import Report, evaluate
from residualpose.skeleton import ITOP15


@dataclass(frozen=True, slots=True)
class Options:
    """What to score, on what."""

    data: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DATA")]
    """Labelled frames: an .npz or a folder of rendered shards."""
    model: Annotated[str | None, tyro.conf.arg(metavar="NAME|PATH", help_behavior_hint="")] = None
    """A bundled model or a model folder. Default: the bundled one."""
    convention: Annotated[
        Literal["itop", "panoptic"] | None,
        tyro.conf.arg(metavar="itop|panoptic", help_behavior_hint=""),
    ] = None
    """Place joints where that data set's labels place them. Default: our own convention."""
    limit: Annotated[int | None, tyro.conf.arg(metavar="N", help_behavior_hint="")] = None
    """Only the first N frames."""
    seed: Annotated[int, tyro.conf.arg(metavar="N")] = 0
    """Of the sensor noise of rendered frames."""
    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE", help_behavior_hint="")] = None
    """Write the scores here too."""


def run(options: Options) -> int:
    """Score and show."""
    from residualpose.estimator import PoseEstimator

    if options.limit is not None and options.limit < 1:
        raise UsageError(f"--limit: expected at least 1, got {options.limit}")
    labelled = open_labelled(options.data, options.seed, options.limit)
    estimate = PoseEstimator(options.model, convention=options.convention)
    with progress_bar("frames") as progress:
        task = progress.add_task("frames", total=len(labelled), note="")
        report = evaluate(estimate, labelled, lambda: progress.advance(task))
    _show(report)
    if options.json is not None:
        model = {"name": estimate.model.name, "sha256": estimate.model.sha256}
        write_report(
            options.json, {"model": model, "convention": options.convention, **asdict(report)}
        )
    return 0


def _show(report: Report) -> None:
    sys.stdout.write(
        f"{report.source}: {report.frames} frames, {report.matched} of {report.people} people "
        f"found, {report.extra} extra, right number in {report.right_count:.1%} of the frames\n"
    )
    rows = [
        (
            name,
            f"{s.pck10:.1%}",
            f"{s.mpjpe_mm:.0f} mm",
            f"{s.recall:.1%}",
            f"{s.pa_mpjpe_mm:.0f} mm",
        )
        for name, s in report.stages.items()
    ]
    write_table("Stages", ("stage", "pck10", "mpjpe", "recall", "pa-mpjpe"), rows)
    joints = [
        (name, *(f"{s.pck10_joint[name]:.1%}" for s in report.stages.values()))
        for name in ITOP15.joints
    ]
    write_table("Joints within 10 cm", ("joint", *report.stages), joints)
