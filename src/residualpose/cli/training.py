"""What `residualpose train` does; imported when torch is there."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from residualpose.cli.progress import progress_bar, working
from residualpose.cli.reporting import EXIT_INTERRUPTED, complain
from residualpose.errors import ResidualPoseError, UsageError
from residualpose.estimator import Detector
from residualpose.learning.export import export_refiner
from residualpose.learning.refiner_data import RefinerData, collect
from residualpose.learning.train_maps import MapsConfig, train_maps
from residualpose.learning.train_prior import PriorConfig, train_prior
from residualpose.learning.train_refiner import RefinerConfig, train_refiner
from residualpose.model import ModelFolder
from residualpose.pipeline.limb_prior import LimbPrior
from residualpose.settings import build, plain, read_section, record, with_flags
from residualpose.synthetic.shards import SynthConfig, frame_count, load_cast, shard_path
from residualpose.synthetic.workers import RECORD, read_run

if TYPE_CHECKING:
    from residualpose.cli.train import MapsOptions, PriorOptions, RefinerOptions

_FREE = ("steps", "threads", "minutes_between_checkpoints", "data", "out")
"""Settings that may change when a run is resumed, and those that do not tell what it learns."""


def run_maps(options: MapsOptions) -> int:
    """Train the 2D network, or go on."""
    rendered = read_run(options.data)
    config = _maps_config(options, int(str(rendered["shards"])))
    _make_folder(options.out)
    settings = plain(config) | {"rendered": {k: v for k, v in rendered.items() if k != "shards"}}
    record(options.out / RECORD, settings, _FREE)
    there = sum(shard_path(options.data, k).exists() for k in range(config.shards))
    if there < config.shards:
        complain(
            "train",
            f"{options.data} holds {there} of {config.shards} shards: training waits for the "
            "others when it needs them (residualpose synth makes them)",
        )
    try:
        checkpoint = _train_maps(config)
    except KeyboardInterrupt:
        complain("train", f"interrupted; the same command goes on from {options.out}/checkpoint.pt")
        return EXIT_INTERRUPTED
    sys.stdout.write(f"{config.steps} steps: {checkpoint}\n")
    return 0


def _maps_config(options: MapsOptions, rendered: int) -> MapsConfig:
    names = ("start", "steps", "batch", "shards", "seed", "threads")
    flags = {name: getattr(options, name) for name in names}
    values = {"shards": rendered} | with_flags(read_section(options.config, "maps"), flags)
    where = str(options.config or "options")
    config = build(MapsConfig, values, where, data=options.data, out=options.out)
    if config.shards > rendered:
        raise UsageError(
            f"{options.data}: is to hold {rendered} shards, but {config.shards} are asked for; "
            "give --shards, or run synth with more"
        )
    return config


def _train_maps(config: MapsConfig) -> Path:
    with progress_bar("samples") as bar:
        task = bar.add_task("maps", total=config.steps, scale=config.batch, note="first batch")
        seen = False

        def progress(step: int, losses: dict[str, float]) -> None:
            nonlocal seen
            if not seen:  # a resumed run starts far from 0, which is no speed
                bar.reset(task, completed=step, note="")
                seen = True
            finals = {k.removeprefix("final_"): v for k, v in losses.items() if "final" in k}
            note = "  ".join(f"{name} {value:.3f}" for name, value in finals.items())
            bar.update(task, completed=step + 1, note=note)

        return train_maps(config, progress)


def run_prior(options: PriorOptions) -> int:
    """Fit the limb prior."""
    values = read_section(options.config, "prior")
    config = build(PriorConfig, values, str(options.config or "options"))
    cast = load_cast(options.data, _synth_config(options.data))
    _make_folder(options.out.parent)
    with working(f"fitting the prior to {config.poses} poses"):
        prior = train_prior(cast, config)
    prior.save(options.out)
    sys.stdout.write(f"prior of {config.poses} poses: {options.out}\n")
    return 0


def _synth_config(folder: Path) -> SynthConfig:
    """The settings of a run; of its motion capture only that there was some."""
    return build(SynthConfig, read_run(folder), str(folder / RECORD))


def run_refiner(options: RefinerOptions) -> int:
    """Collect people from the earlier stages, train the refiner on them, export it."""
    read_run(options.data)
    values = with_flags(read_section(options.config, "refiner"), {"steps": options.steps})
    config = build(RefinerConfig, values, str(options.config or "options"))
    shards = sorted(options.data.glob("shard_*.npz"))
    if not shards:
        raise UsageError(f"{options.data}: holds no shard yet; run residualpose synth first")
    _make_folder(options.out.parent)
    data = _collect(ModelFolder.open(options.model), shards, config.seed)
    with progress_bar("steps") as bar:
        task = bar.add_task("refiner", total=config.steps, note="")
        network = train_refiner(
            data, config, lambda step, loss: bar.update(task, advance=1, note=f"loss {loss:.4f}")
        )
    temporary = options.out.with_name(f".{options.out.name}.part")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter, about itself
        export_refiner(network, temporary)
    temporary.replace(options.out)
    sys.stdout.write(f"refiner of {len(data.joints_m)} people: {options.out}\n")
    return 0


def _collect(model: ModelFolder, shards: list[Path], seed: int) -> RefinerData:
    prior = LimbPrior.load_npz(model.path / "prior.npz")
    with progress_bar("frames") as bar:
        total = sum(frame_count(path) for path in shards)
        task = bar.add_task("people", total=total, note="people from the earlier stages")
        return collect(
            Detector(model), prior, shards, seed, lambda frames: bar.update(task, advance=frames)
        )


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise UsageError(f"{folder}: expected a folder, found a file") from None
    except OSError as error:
        raise ResidualPoseError(f"{folder}: cannot be made ({error.strerror})") from None
