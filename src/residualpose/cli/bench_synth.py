"""Time rendering beside the training that it feeds, in one run on this machine.

Worker processes render finished frames (bodies, room, sensor faults, labels) without files, while
the 2D network trains on such frames. Printed: each alone, both side by side, and whether training
would wait for data. Needs the extras synthetic and train.

Examples:
  residualpose bench synth
  residualpose bench synth --config configs/base.toml --workers 2 --json rates.json
  residualpose bench synth --data data        takes the bodies that synth left there
"""

from __future__ import annotations

import math
import os
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from residualpose.cli.progress import working
from residualpose.cli.tables import write_report, write_table
from residualpose.errors import UsageError
from residualpose.settings import build, plain, read_section

if TYPE_CHECKING:
    from residualpose.evaluation.data_rate import DataRate
    from residualpose.learning.train_maps import MapsConfig
    from residualpose.synthetic.shards import SynthConfig

_BODIES = 32
"""Enough to be as slow as 256, and made in seconds."""
_SCENE = {"width": 320, "height": 240, "focal_px": 285.7, "people": [0, 0, 1]}


@dataclass(frozen=True, slots=True)
class Options:
    """What to render, for what training, for how long."""

    config: Annotated[Path | None, tyro.conf.arg(metavar="FILE.toml", help_behavior_hint="")] = None
    """Settings: its tables [synth] and [maps]. Default: two people at 320x240, default training."""
    data: Annotated[Path | None, tyro.conf.arg(metavar="DIR", help_behavior_hint="")] = None
    """A folder of synth, of the same settings: its bodies are used instead of new ones."""
    workers: Annotated[int | None, tyro.conf.arg(metavar="N", help_behavior_hint="")] = None
    """Rendering processes. Default: one a core."""
    batch: Annotated[int | None, tyro.conf.arg(metavar="N", help_behavior_hint="")] = None
    """Frames a training step, and a batch. Default: as the settings say, or 32."""
    seconds: Annotated[float, tyro.conf.arg(metavar="S")] = 20.0
    """At least so long for each of the three measurements."""
    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE", help_behavior_hint="")] = None
    """Write the numbers here too."""


def run(options: Options) -> int:
    """Measure and show."""
    workers = options.workers if options.workers is not None else os.cpu_count() or 1
    if workers < 1:
        raise UsageError(f"--workers: expected at least 1, got {workers}")
    if not options.seconds > 0:
        raise UsageError(f"--seconds: expected more than 0, got {options.seconds}")
    from residualpose.evaluation.data_rate import measure_data_rate
    from residualpose.evaluation.timing import machine
    from residualpose.learning.stream import StreamConfig
    from residualpose.synthetic.shards import prepare_cast

    synth, maps = _settings(options)
    stream = StreamConfig(synth, maps.batch, sensor_noise=maps.sensor_noise)
    with tempfile.TemporaryDirectory() as made, working("bodies") as spinner:
        folder = options.data or Path(made)
        prepare_cast(folder, synth)
        rate = measure_data_rate(folder, stream, maps, workers, options.seconds, spinner.update)
    where = machine()
    scene = synth.scene
    sys.stdout.write(
        f"frames of {scene.width}x{scene.height}, {workers} workers; steps of {maps.batch} frames, "
        f"{maps.threads} threads; {where['cpu']}, {where['cores']} cores\n"
    )
    _show(rate)
    if options.json is not None:
        report: dict[str, object] = {"machine": where, "workers": workers}
        report |= {"synth": plain(synth), "maps": plain(maps)}
        write_report(options.json, report | asdict(rate) | {"starves": rate.starves})
    return 0


def _settings(options: Options) -> tuple[SynthConfig, MapsConfig]:
    from residualpose.learning.train_maps import MapsConfig
    from residualpose.synthetic.shards import SynthConfig

    where = str(options.config or "options")
    values = read_section(options.config, "synth")
    if options.config is None:
        values = {"bodies": _BODIES, "scene": _SCENE}
    training = read_section(options.config, "maps")
    if options.batch is not None:
        training["batch"] = options.batch
    folder = options.data or Path()
    maps = build(MapsConfig, training, where, data=folder, out=folder)
    return build(SynthConfig, values, where), maps


def _show(rate: DataRate) -> None:
    rows = [
        (name, *(_number(getattr(one, field) * scale, digits) for one in _columns(rate)))
        for name, field, scale, digits in (
            ("frames finished a second", "frames_per_s", 1, 1),
            ("training step, ms", "step_s", 1000, 0),
            ("frames it takes a second", "taken_per_s", 1, 1),
        )
    ]
    write_table("Rendering and training", ("", "rendering", "training", "side by side"), rows)
    made, taken = rate.together.frames_per_s, rate.together.taken_per_s
    verdict = "training waits for data" if rate.starves else "data never starves the training"
    sys.stdout.write(f"side by side, {made:.1f} frames/s come and {taken:.1f} go: {verdict}\n")


def _columns(rate: DataRate) -> tuple:
    return rate.rendering, rate.training, rate.together


def _number(value: float, digits: int) -> str:
    return "" if math.isnan(value) else f"{value:.{digits}f}"
