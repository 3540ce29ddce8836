"""What each part of the data engine is worth: small networks trained alike, one part left out each.

Renders, trains, exports and scores every variant of configs/ablation.toml; a second call goes on
where the first was interrupted. The score is that of the 2D stage lifted with the depth, as the
later stages would hide part of what the network did not learn.

Example:
  python scripts/ablation.py runs/ablation itop_side_dev.npz:itop realsense_dev.npz
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import tyro

from residualpose.cli.progress import progress_bar
from residualpose.errors import UsageError
from residualpose.estimator import PoseEstimator
from residualpose.evaluation.labelled import open_labelled
from residualpose.evaluation.report import evaluate
from residualpose.learning.export import export_maps, write_card
from residualpose.learning.mix import Share
from residualpose.learning.train_maps import MapsConfig, train_maps
from residualpose.model import ModelFolder
from residualpose.settings import build, read_section
from residualpose.synthetic.shards import SynthConfig
from residualpose.synthetic.workers import open_run, render_shards

VARIANTS = ("full", "no sensor noise", "no clothes", "no motion capture", "no occluders")


@dataclass(frozen=True, slots=True)
class Options:
    """What to run."""

    out: Annotated[Path, tyro.conf.Positional]
    """Folder for frames, runs and models."""
    sets: Annotated[tuple[str, ...], tyro.conf.Positional]
    """Labelled frames to score on, FILE.npz or FILE.npz:CONVENTION."""
    config: Path = Path("configs/ablation.toml")
    """Settings of the full variant."""
    workers: int = 1
    """Rendering processes."""


def main(options: Options) -> None:
    """Run every variant; prints a Markdown table."""
    synth = build(SynthConfig, read_section(options.config, "synth"), str(options.config))
    rows = []
    for variant in VARIANTS:
        folder = options.out / variant.replace(" ", "_")
        shared = options.out / "full" if variant == "no sensor noise" else folder
        data = render(shared / "data", without(variant, synth), options.workers)
        model = train(variant, data, folder, options.config, synth.shards)
        rows.append((variant, *(score(model, one, folder) for one in options.sets)))
    heads = [Path(one.partition(":")[0]).stem for one in options.sets]
    print("| variant |", " | ".join(heads), "|\n|---|" + "---|" * len(heads))
    for variant, *scores in rows:
        print(f"| {variant} |", " | ".join(f"{value:.1%}" for value in scores), "|")


def without(variant: str, synth: SynthConfig) -> SynthConfig:
    """The rendering settings of a variant."""
    if variant == "no motion capture":
        return replace(synth, mocap=())
    if variant == "no clothes":
        return replace(synth, scene=replace(synth.scene, dressed=0.0))
    if variant == "no occluders":
        return replace(synth, scene=replace(synth.scene, occluders=0.0))
    return synth


def render(folder: Path, synth: SynthConfig, workers: int) -> Path:
    """The frames of a variant."""
    folder.mkdir(parents=True, exist_ok=True)
    open_run(folder, synth)
    with progress_bar("shards") as bar:
        task = bar.add_task(folder.parent.name, total=synth.shards, note="")
        for _ in render_shards(folder, synth, workers):
            bar.advance(task)
    return folder


def train(variant: str, data: Path, folder: Path, settings: Path, shards: int) -> Path:
    """The network of a variant, in a model folder that has the bundled prior and refiner."""
    config = build(
        MapsConfig, read_section(settings, "maps"), str(settings),
        data=(Share(data),), out=folder / "run", shards=shards, first_shards=shards,
        sensor_noise=variant != "no sensor noise",
    )  # fmt: skip
    with progress_bar("steps") as bar:
        task = bar.add_task(variant, total=config.steps, note="")
        checkpoint = train_maps(
            config, lambda step, _: bar.update(task, completed=step + 1, note="")
        )
    bundled, model = ModelFolder.open(), folder / "model"
    export_maps(checkpoint, model / "maps.onnx")
    for file in ("prior.npz", "refiner.onnx"):
        (model / file).write_bytes((bundled.path / file).read_bytes())
    write_card(model, variant)
    return model


def score(model: Path, named_set: str, folder: Path) -> float:
    """Share of lifted joints within 10 cm, or of 2D joints where the labels are in pixels."""
    path, _, convention = named_set.partition(":")
    labelled = open_labelled(Path(path))
    with progress_bar("frames") as bar:
        task = bar.add_task(labelled.source, total=len(labelled), note="")
        report = evaluate(
            PoseEstimator(model, convention=convention or None),
            labelled,
            lambda: bar.advance(task),
        )
    if not report.frames:
        raise UsageError(f"{path}: holds no labelled frame")
    value = report.stages["lifted"].pck10 if report.stages else report.image.pck10
    (folder / f"{Path(path).stem}.json").write_text(json.dumps({"score": value}), encoding="utf-8")
    return value


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
