"""What `residualpose train finetune` does: train, put together, compare."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from residualpose.cli import export
from residualpose.cli.progress import progress_bar
from residualpose.cli.reporting import EXIT_INTERRUPTED, complain
from residualpose.cli.tables import write_report, write_table
from residualpose.cli.training import maps_config, record_run, train_with_bar
from residualpose.errors import UsageError
from residualpose.estimator import PoseEstimator
from residualpose.evaluation.labelled import LabelledFrames, open_labelled
from residualpose.evaluation.report import Report, evaluate
from residualpose.learning.mix import Share
from residualpose.model import ModelFolder
from residualpose.settings import read_section, with_flags
from residualpose.synthetic.workers import read_run

if TYPE_CHECKING:
    from residualpose.cli.train import FineTuneOptions

RECIPE: Mapping[str, object] = {
    "learn": "ends",
    "steps": 250,
    "batch": 12,
    "learning_rate": 1.5e-3,
    "warm_up": 20,
    "fall": 0.6,
    "ema": 0.97,
    "crop": {"whole_every": 4},
}
"""For some tens of frames; more frames bear more steps. As in configs/finetune.toml."""


def run_fine_tune(options: FineTuneOptions) -> int:
    """Fine-tune, export, and compare both models on frames held out."""
    begun = time.monotonic()
    model = ModelFolder.open(options.start)
    prior, refiner = model.path / "prior.npz", model.refiner_path
    labelled = open_labelled(options.held_out) if options.held_out is not None else None
    shares = [Share.parse(text) for text in options.data]
    if labelled is not None and options.held_out in [share.path for share in shares]:
        raise UsageError(f"{options.held_out}: held out and trained on; choose other recordings")
    values = dict(RECIPE) | read_section(options.config, "maps")
    flags = {"steps": options.steps, "seed": options.seed, "threads": options.threads}
    values = {"integers": bool(model.card.get("integers"))} | with_flags(values, flags)
    values |= {"start": options.start}
    config = maps_config(values, str(options.config or "options"), shares, options.out / "run")
    record_run(config, {s.path: read_run(s.path) for s in shares if s.rendered})
    try:
        train_with_bar(config)
    except KeyboardInterrupt:
        complain("train", f"interrupted; the same command goes on from {config.out}")
        return EXIT_INTERRUPTED
    tuned = options.out / "model"
    name = options.out.resolve().name
    # Closer looks, which have learned nothing of this camera, would undo what the first has.
    export.run(export.Options(config.out, prior, tuned, refiner, name=name, overwrite=True))
    minutes = (time.monotonic() - begun) / 60
    if labelled is not None:
        _compare(options.start, tuned, labelled, minutes, options.out / "report.json")
    return 0


def _compare(
    before: str, after: Path, labelled: LabelledFrames, minutes: float, path: Path
) -> None:
    reports = {"before": _score(before, labelled), "after": _score(after, labelled)}
    rows = [(name, *_row(report)) for name, report in reports.items()]
    columns = ("", "pck10 lifted", "pck10", "mpjpe mm", "joints found", "people found")
    write_table(f"{labelled.source}: {len(labelled)} frames held out", columns, rows)
    gain = reports["after"].stages["refined"].pck10 - reports["before"].stages["refined"].pck10
    sys.stdout.write(f"pck10 {100 * gain:+.1f} points, trained in {minutes:.1f} minutes\n")
    found: dict[str, object] = {name: asdict(report) for name, report in reports.items()}
    write_report(path, found | {"pck10_gain": gain, "minutes": minutes})
    sys.stdout.write(f"{path}\n")


def _score(model: str | Path, labelled: LabelledFrames) -> Report:
    with progress_bar("frames") as bar:
        task = bar.add_task("frames", total=len(labelled), note=f"scoring {model}")
        return evaluate(PoseEstimator(model), labelled, lambda: bar.advance(task))


def _row(report: Report) -> tuple[str, ...]:
    lifted, refined = report.stages["lifted"], report.stages["refined"]
    return (
        f"{lifted.pck10:.1%}", f"{refined.pck10:.1%}", f"{refined.mpjpe_mm:.0f}",
        f"{refined.recall:.1%}", f"{report.matched} of {report.people}",
    )  # fmt: skip
