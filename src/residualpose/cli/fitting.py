"""What `residualpose fit` does; imported when torch is there."""

from __future__ import annotations

import shutil
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from residualpose.cli.progress import progress_bar, working
from residualpose.cli.reporting import EXIT_INTERRUPTED, complain
from residualpose.cli.training import make_folder
from residualpose.errors import ResidualPoseError, UsageError
from residualpose.learning.export import export_refiner, export_regressor
from residualpose.learning.fit_prior import fit_prior
from residualpose.learning.integer_refiner import ENOUGH_PEOPLE, store_refiner_integers
from residualpose.learning.labelled_poses import labelled_poses, training_frames
from residualpose.learning.mix import Share
from residualpose.learning.recorded_people import collect_recorded
from residualpose.learning.refiner_data import RefinerData, collect
from residualpose.learning.statistics import PoseStatistics, released_prior
from residualpose.learning.train_prior import PriorConfig, train_prior
from residualpose.learning.train_refiner import RefinerConfig, inputs_of, train_refiner
from residualpose.learning.train_regressor import train_regressor
from residualpose.model import ModelFolder
from residualpose.pipeline.limb_prior import LimbPrior
from residualpose.released_folder import detector_of
from residualpose.settings import build, plain, read_section, record, with_flags
from residualpose.synthetic.shards import SynthConfig, frame_count, load_cast
from residualpose.synthetic.workers import RECORD, read_run

if TYPE_CHECKING:
    from residualpose.cli.fit import PriorOptions, RefinerOptions, StatisticsOptions


def run_prior(options: PriorOptions) -> int:
    """Fit the limb prior."""
    values = read_section(options.config, "prior")
    config = build(PriorConfig, values, str(options.config or "options"))
    rendered = Share(options.data).rendered
    make_folder(options.out.parent)
    with working("fitting the prior"):
        if config.released:
            prior = released_prior(labelled_poses(options.data))
        elif rendered:
            prior = train_prior(load_cast(options.data, _synth_config(options.data)), config)
        else:
            poses = labelled_poses(options.data)
            prior = fit_prior(poses, np.asarray(options.down), config.fit)
    prior.save(options.out)
    sys.stdout.write(f"prior: {options.out}\n")
    return 0


def _synth_config(folder: Path) -> SynthConfig:
    """The settings of a run; of its motion capture only that there was some."""
    return build(SynthConfig, read_run(folder), str(folder / RECORD))


def run_refiner(options: RefinerOptions) -> int:
    """Collect people from the earlier stages, train the refiner on them, export it; or go on."""
    flags = {"steps": options.steps, "start": options.start}
    values = with_flags(read_section(options.config, "refiner"), flags)
    config = build(RefinerConfig, values, str(options.config or "options"))
    model = ModelFolder.open(options.model)
    if model.released and config.start:
        raise UsageError("--from: the released regressor begins with random weights only")
    if model.released and config.look_around:
        raise UsageError("look_around: the released regressor is told of joints only")
    unfinished = options.out.with_name(f"{options.out.name}.unfinished")
    make_folder(unfinished)
    settings = plain(config) | {"data": str(options.data), "model": model.sha256}
    record(unfinished / RECORD, settings)
    try:
        people = _fit_refiner(model, options, config, unfinished)
    except KeyboardInterrupt:
        complain("fit refiner", f"interrupted; the same command goes on from {unfinished}")
        return EXIT_INTERRUPTED
    except ResidualPoseError:
        if [path.name for path in unfinished.iterdir()] == [RECORD]:  # nothing to go on from
            shutil.rmtree(unfinished)
        raise
    shutil.rmtree(unfinished)
    sys.stdout.write(f"refiner of {people} people: {options.out}\n")
    return 0


def _fit_refiner(
    model: ModelFolder, options: RefinerOptions, config: RefinerConfig, unfinished: Path
) -> int:
    """Write the refiner; returns how many people it learned from."""
    data = _collect(model, options.data, config, unfinished)
    temporary = options.out.with_name(f".{options.out.name}.part")
    with progress_bar("steps") as bar, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter, about itself
        task = bar.add_task("refiner", total=config.steps, note="")

        def progress(step: int, loss: float) -> None:
            bar.update(task, completed=step + 1, note=f"loss {loss:.4f}")

        if model.released:
            export_regressor(train_regressor(data, config, progress), temporary)
        else:
            checkpoint = unfinished / "checkpoint.pt"
            export_refiner(train_refiner(data, config, progress, checkpoint), temporary)
            if len(data) >= ENOUGH_PEOPLE:
                people = data.part(slice(ENOUGH_PEOPLE))
                store_refiner_integers(temporary, inputs_of(people))
    temporary.replace(options.out)
    return len(data)


def _collect(model: ModelFolder, data: Path, config: RefinerConfig, keep: Path) -> RefinerData:
    """The people whom the earlier stages find, each set of them kept on the way."""
    seed, look_around = config.seed, config.look_around
    prior, detect = LimbPrior.load_npz(model.path / "prior.npz"), detector_of(model)
    with progress_bar("frames") as bar:
        task = bar.add_task("people", total=None, note="people from the earlier stages")
        if not Share(data).rendered:
            kept = keep / "people.npz"
            if kept.exists():
                return RefinerData.load(kept)
            frames = training_frames(data)
            bar.update(task, total=len(frames))
            people = collect_recorded(
                detect, prior, frames, seed, lambda: bar.advance(task), look_around
            )
            people.save(kept)
            return people
        read_run(data)
        shards = sorted(data.glob("shard_*.npz"))
        if not shards:
            raise UsageError(f"{data}: holds no shard yet; run residualpose synth first")
        bar.update(task, total=sum(frame_count(path) for path in shards))
        return collect(
            detect, prior, shards, seed, lambda n: bar.update(task, advance=n), keep, look_around
        )


def run_statistics(options: StatisticsOptions) -> int:
    """Write the released statistics of labelled poses."""
    with working("reading labels"):
        poses = labelled_poses(options.data)
    make_folder(options.out)
    files = PoseStatistics.of(poses).save(options.out)
    sys.stdout.write(f"statistics of {len(poses)} people: {', '.join(map(str, files))}\n")
    return 0
