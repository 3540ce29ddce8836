"""Score a model on labelled depth frames: PCK, 3D mAP, MPJPE, 2D AP, covariance, by kind of view.

DATA is one of
  benchmark      300 frames of 1 to 5 people, rendered from a fixed recipe where --cache does not
                 hold them yet (about a minute on 2 cores; needs the synthetic extra)
  FILE.npz       depth_mm (N, H, W), K (3, 3) and joints_m (N, 15, 3) in the camera frame (x right,
                 y down, z forward), or (N, Q, 15, 3) for up to Q people a frame; or joints_px
                 (N, 15, 2). Arrays NAME_m of joints_m's shape are other methods' predictions and
                 are scored beside. Optional: visible, sensor, view
  DIR            shards of `residualpose synth`, which get the noise of random sensors
  a data set     ITOP, a sequence of CMU Panoptic, or our plain format (docs/data_sets.md), scored
                 as its papers do, with their figures beside

The figures are explained in docs/evaluation.md and at the end of the page that --html writes.
2D AP needs the eval extra: pip install 'residualpose[eval]'.

Examples:
  residualpose eval benchmark --cache ~/.cache/residualpose --html report.html
  residualpose eval benchmark --limit 60
  residualpose eval itop_side.npz --convention itop
  residualpose eval --data itop-side ITOP --convention itop
  residualpose eval --data panoptic 160422_haggling1 --convention panoptic
  residualpose eval held_out --model model --json scores.json
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from residualpose.cli.eval_tables import show_report
from residualpose.cli.progress import progress_bar
from residualpose.cli.tables import write_report, write_table
from residualpose.errors import UsageError
from residualpose.evaluation.benchmark import (
    Recipe,
    benchmark_folder,
    identity,
    missing_frames,
)
from residualpose.evaluation.headline import headline
from residualpose.evaluation.labelled import (
    LabelledFrames,
    of_dataset,
    open_benchmark,
    open_labelled,
)
from residualpose.evaluation.protocols import PROTOCOLS, protocol_table
from residualpose.evaluation.report import evaluate
from residualpose.settings import build, read_section

if TYPE_CHECKING:
    from residualpose.estimator import PoseEstimator

BENCHMARK = "benchmark"


@dataclass(frozen=True, slots=True)
class Options:
    """What to score, on what."""

    data: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DATA")]
    """The word benchmark, an .npz of labelled frames, a folder of shards, or a data set."""
    kind: Annotated[
        Literal["itop-side", "itop-top", "panoptic", "plain"] | None,
        tyro.conf.arg(
            name="data", metavar="itop-side|itop-top|panoptic|plain", help_behavior_hint=""
        ),
    ] = None
    """Kind of data set, scored as its papers do. Default: what DATA looks like."""
    split: Annotated[
        Literal["train", "test"] | None,
        tyro.conf.arg(metavar="train|test", help_behavior_hint=""),
    ] = None
    """Which part of ITOP. Default: test where it is there."""
    model: Annotated[str | None, tyro.conf.arg(metavar="NAME|PATH", help_behavior_hint="")] = None
    """A bundled model or a model folder. Default: the bundled one."""
    convention: Annotated[
        Literal["itop", "panoptic"] | None,
        tyro.conf.arg(metavar="itop|panoptic", help_behavior_hint=""),
    ] = None
    """Place joints where that data set's labels place them. Default: our own convention."""
    limit: Annotated[int | None, tyro.conf.arg(metavar="N", help_behavior_hint="")] = None
    """Only the first N frames. The first 60 of the benchmark are a fair sample of it."""
    seed: Annotated[int, tyro.conf.arg(metavar="N")] = 0
    """Of the sensor noise of rendered shards."""
    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE", help_behavior_hint="")] = None
    """Write the scores here too."""
    html: Annotated[Path | None, tyro.conf.arg(metavar="FILE", help_behavior_hint="")] = None
    """Write a page with plots, which opens offline."""
    cache: Annotated[Path | None, tyro.conf.arg(metavar="DIR", help_behavior_hint="")] = None
    """Keep the benchmark's frames here, for the next time. Default: they are not kept."""
    recipe: Annotated[Path | None, tyro.conf.arg(metavar="FILE.toml", help_behavior_hint="")] = None
    """Another benchmark: table [benchmark], as in configs/benchmark.toml."""
    workers: Annotated[int | None, tyro.conf.arg(metavar="N", help_behavior_hint="")] = None
    """Processes that render the benchmark. Default: one a core."""


def run(options: Options) -> int:
    """Score and show."""
    from residualpose.estimator import PoseEstimator

    _check(options)
    estimate = PoseEstimator(options.model, convention=options.convention)
    if str(options.data) != BENCHMARK:
        labelled = _recorded(options)
        return _score(options, estimate, labelled, None)
    recipe = build(Recipe, read_section(options.recipe, BENCHMARK), str(options.recipe))
    with _cache(options.cache) as folder:
        labelled = _rendered(benchmark_folder(folder, recipe), recipe, options)
        return _score(options, estimate, labelled, identity(recipe))


def _recorded(options: Options) -> LabelledFrames:
    if options.kind is None and options.split is None:
        return open_labelled(options.data, options.seed, options.limit)
    from residualpose.datasets import open_dataset

    return of_dataset(open_dataset(options.data, options.kind, options.split), options.limit)


def _check(options: Options) -> None:
    for name in ("limit", "workers"):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise UsageError(f"--{name}: expected at least 1, got {value}")
    if str(options.data) != BENCHMARK:
        for name in ("cache", "recipe", "workers"):
            if getattr(options, name) is not None:
                raise UsageError(f"--{name} belongs to `residualpose eval benchmark`")
    elif options.kind is not None or options.split is not None:
        raise UsageError("--data and --split belong to data sets, not to the benchmark")
    for path in (options.json, options.html):
        if path is not None and not path.parent.is_dir():
            raise UsageError(f"{path}: there is no folder {path.parent} to write it to")


@contextmanager
def _cache(folder: Path | None) -> Iterator[Path]:
    """The folder for frames; without one, a temporary folder."""
    if folder is not None:
        yield folder.expanduser()
        return
    with tempfile.TemporaryDirectory(prefix="residualpose_") as temporary:
        yield Path(temporary)


def _rendered(folder: Path, recipe: Recipe, options: Options) -> LabelledFrames:
    """The benchmark's frames, after rendering those that are missing."""
    labelled = open_benchmark(folder, recipe, options.limit)
    missing = missing_frames(folder, len(labelled))
    if not missing:
        return labelled
    from residualpose.synthetic.benchmark import render_benchmark

    workers = min(options.workers or os.cpu_count() or 1, len(missing))
    with progress_bar("frames") as progress:
        task = progress.add_task(
            "frames", total=len(labelled), completed=len(labelled) - len(missing),
            note="rendering the benchmark",
        )  # fmt: skip
        with closing(render_benchmark(folder, recipe, len(labelled), workers)) as frames:
            for _ in frames:
                progress.advance(task)
    return labelled


def _score(
    options: Options,
    estimate: PoseEstimator,
    labelled: LabelledFrames,
    benchmark: dict[str, object] | None,
) -> int:
    with progress_bar("frames") as progress:
        task = progress.add_task("frames", total=len(labelled), note="scoring")
        report = evaluate(
            estimate, labelled, lambda: progress.advance(task), estimate.model.skeleton
        )
    lines = headline(report) if benchmark is not None else []
    model = {"name": estimate.model.name, "sha256": estimate.model.sha256}
    made = {"model": model, "convention": options.convention, "benchmark": benchmark}
    table = None
    if labelled.kind in PROTOCOLS:
        table = protocol_table(labelled.kind, report, estimate.model.name, options.convention)
        made["protocol"] = asdict(table)
    if options.json is not None:
        summary = [asdict(line) for line in lines]
        write_report(options.json, {**made, **asdict(report), "headline": summary})
    if options.html is not None:
        from residualpose.evaluation.page import write_page

        write_page(options.html, report, lines, made, table)
    if table is not None:
        write_table(table.title, table.columns, table.rows)
        sys.stdout.write(f"{table.note}\n")
    show_report(report, lines, benchmark)
    for path in (options.json, options.html):
        if path is not None:
            sys.stdout.write(f"{path}\n")
    return 0
