"""What `residualpose train maps` does; imported when torch is there."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from residualpose.cli.progress import progress_bar
from residualpose.cli.reporting import EXIT_INTERRUPTED, complain
from residualpose.errors import ResidualPoseError, UsageError
from residualpose.learning.export import network_settings
from residualpose.learning.mix import Share, open_recording
from residualpose.learning.network import NetworkConfig
from residualpose.learning.parallel import is_first, process_count
from residualpose.learning.train_maps import MapsConfig, train_maps
from residualpose.model import ModelFolder
from residualpose.settings import build, plain, read_section, record, with_flags
from residualpose.synthetic.shards import shard_path
from residualpose.synthetic.workers import RECORD, read_run

if TYPE_CHECKING:
    from residualpose.cli.train import MapsOptions

_FREE = ("steps", "threads", "minutes_between_checkpoints", "data", "out", "tensorboard")
"""Settings that may change when a run is resumed, and those that do not tell what it learns."""
_FLAGS = ("start", "steps", "batch", "parts", "shards", "seed", "threads", "precision")


def run_maps(options: MapsOptions) -> int:
    """Train the 2D network, or go on."""
    shares = [Share.parse(text) for text in options.data]
    rendered = _rendered(shares)
    flags = {name: getattr(options, name) for name in _FLAGS}
    flags["tensorboard"] = options.tensorboard or None
    values = with_flags(read_section(options.config, "maps"), flags)
    config = maps_config(values, str(options.config or "options"), shares, options.out)
    record_run(config, rendered)
    _tell_missing(config, rendered)
    try:
        checkpoint = train_with_bar(config)
    except KeyboardInterrupt:
        if is_first():
            complain("train", f"interrupted; the same command goes on from {config.out}")
        return EXIT_INTERRUPTED
    if is_first():
        sys.stdout.write(f"{config.steps} steps: {checkpoint}\n")
    return 0


def _rendered(shares: Sequence[Share]) -> dict[Path, dict[str, object]]:
    """The settings of the folders of rendered shards."""
    return {share.path: read_run(share.path) for share in shares if share.rendered}


def maps_config(
    values: dict[str, object], where: str, shares: Sequence[Share], out: Path
) -> MapsConfig:
    """Settings of a run, what they leave out filled in from the data and the processes.

    Raises:
        UsageError: settings that do not fit the data.
    """
    rendered = _rendered(shares)
    for share in shares:
        if share.path not in rendered:
            open_recording(share)
    known: dict[str, object] = {"parts": process_count()}
    if rendered:
        known["shards"] = max(int(str(run["shards"])) for run in rendered.values())
        known["focal_px"] = _closer_px(values) or _focal_px(rendered)
    start = str(values.get("start") or "")
    if start and not start.endswith(".pt"):
        model = ModelFolder.open(start)
        known.setdefault("focal_px", model.focal_px)
        known["network"] = _network_at(float(str(known["focal_px"])), model)
    config = build(MapsConfig, known | values, where, data=tuple(shares), out=out)
    if rendered and config.shards > int(str(known["shards"])):
        raise UsageError(
            f"{next(iter(rendered))}: is to hold {known['shards']} shards, but {config.shards} "
            "are asked for; give --shards, or run synth with more"
        )
    if rendered and config.focal_px != known["focal_px"]:
        raise UsageError(
            f"focal_px: expected {known['focal_px']}, as the frames of {next(iter(rendered))} "
            f"have it, got {config.focal_px}"
        )
    return config


def _network_at(focal_px: float, model: ModelFolder) -> dict[str, object]:
    """Settings of a model's network that is to see frames of a focal length, its own or another."""
    network = network_settings(model)
    if focal_px != model.focal_px:
        unit = float(str(network.get("depth_unit", NetworkConfig().depth_unit)))
        network["depth_unit"] = unit * focal_px / model.focal_px
    return network


def _closer_px(values: dict[str, object]) -> float | None:
    """Focal length that closer looks are learned at, whose frames have more pixels."""
    crop = values.get("crop")
    return crop.get("closer_px") if isinstance(crop, dict) else None


def _focal_px(rendered: dict[Path, dict[str, object]]) -> float:
    found: dict[float, Path] = {}
    for path, run in rendered.items():
        scene = run.get("scene")
        if not isinstance(scene, dict) or not isinstance(scene.get("focal_px"), int | float):
            raise ResidualPoseError(
                f"{path / RECORD}: expected scene.focal_px, found {scene!r:.60}"
            )
        found[float(scene["focal_px"])] = path
    if len(found) > 1:
        several = ", ".join(f"{focal} in {path}" for focal, path in found.items())
        raise UsageError(f"rendered frames of one focal length expected, found {several}")
    return next(iter(found))


def record_run(config: MapsConfig, rendered: dict[Path, dict[str, object]]) -> None:
    """Keep the settings in the run's folder; they must be those of the run that is there.

    Raises:
        UsageError: the folder holds a run of other settings.
    """
    if not is_first():
        return
    make_folder(config.out)
    made = [{k: v for k, v in run.items() if k != "shards"} for run in rendered.values()]
    settings = plain(config) | {"rendered": made, "weights": [s.weight for s in config.data]}
    record(config.out / RECORD, settings, _FREE)


def _tell_missing(config: MapsConfig, rendered: dict[Path, dict[str, object]]) -> None:
    for path in rendered if is_first() else ():
        wanted = min(config.shards, int(str(rendered[path]["shards"])))
        there = sum(shard_path(path, k).exists() for k in range(wanted))
        if there < wanted:
            complain(
                "train",
                f"{path} holds {there} of {wanted} shards: training waits for the others when it "
                "needs them (residualpose synth makes them)",
            )


def train_with_bar(config: MapsConfig) -> Path:
    """Train, or go on, with a bar; returns the checkpoint."""
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


def make_folder(folder: Path) -> None:
    """Make a folder; one line where that cannot be done."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise UsageError(f"{folder}: expected a folder, found a file") from None
    except OSError as error:
        raise ResidualPoseError(f"{folder}: cannot be made ({error.strerror})") from None
