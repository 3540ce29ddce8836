"""Train the 2D network, or fit a whole model to a camera.

maps trains the 2D network from random weights or from those of a model; finetune does all that it
takes to get from a model to one for your own camera. The limb prior and the refiner are fitted by
`residualpose fit`, `residualpose export` puts the parts together. Needs the train extra:
pip install 'residualpose[train]'. A CUDA device is used where there is one; torchrun starts several
processes, on one machine or many.

Examples:
  residualpose train maps --data data --out runs/base --config configs/base.toml
  residualpose train maps --data data=0.7 --data my_recordings=0.3 --out runs/mixed --from base
  torchrun --nproc-per-node 2 -m residualpose.cli.main train maps --data data --out runs/base
  residualpose train finetune --data my_recordings --held-out others --out runs/mine
  residualpose train maps --help      explains one of them
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

Settings = Annotated[Path | None, tyro.conf.arg(metavar="FILE.toml", help_behavior_hint="")]
_Data = Annotated[tuple[str, ...], tyro.conf.UseAppendAction, tyro.conf.arg(metavar="DIR[=WEIGHT]")]
_Count = Annotated[int | None, tyro.conf.arg(metavar="N", help_behavior_hint="")]


@dataclass(frozen=True, slots=True)
class MapsOptions:
    """Train the 2D network; started again with the same --out, it goes on where it was.

    RUN gets checkpoint.pt every few minutes, log.jsonl with the losses, config.json with the
    settings. Shards may still be rendering: training waits for those it needs.
    """

    out: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="RUN")]
    """Folder of the run."""
    data: _Data
    """Folder of residualpose synth, or a recording with labels (residualpose data). Give it again
    to mix several, each with its share of the frames."""
    config: Settings = None
    """Settings: its table [maps]. The options below take precedence over it."""
    start: Annotated[
        str | None, tyro.conf.arg(name="from", metavar="MODEL", help_behavior_hint="")
    ] = None
    """Begin with this bundled model, model folder or checkpoint.pt. Default: random weights."""
    steps: _Count = None
    """Optimiser steps; may grow when a run is resumed. Default: 6000, or what the settings say."""
    batch: _Count = None
    """Frames a step, over all processes. Default: 32."""
    parts: _Count = None
    """Independent draws a batch consists of; the frames follow from it, not from the number of
    processes. Default: one a process."""
    shards: _Count = None
    """Shards to use. Default: all that DIR is going to hold."""
    seed: _Count = None
    """Another seed, another run. Default: 0."""
    threads: _Count = None
    """CPU threads of each process. Default: 1."""
    precision: Annotated[
        str | None,
        tyro.conf.arg(metavar="bfloat16|float32|float64", help_behavior_hint=""),
    ] = None
    """Of the forward pass. Default: bfloat16, mixed with float32."""
    tensorboard: bool = False
    """Write TensorBoard's files to RUN/tensorboard too (extra tensorboard)."""


@dataclass(frozen=True, slots=True)
class FineTuneOptions:
    """From a model and recordings of your camera to a model for that camera.

    DIR gets run (checkpoint, log), model (for --model, PoseEstimator) and, with --held-out,
    report.json: how both models do on frames that were not trained on. Prior and refiner stay.
    """

    data: _Data
    """Recordings with labels, and rendered frames if wanted."""
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="DIR")]
    """Folder for everything that is made."""
    start: Annotated[str, tyro.conf.arg(name="from", metavar="MODEL")] = "base"
    """The bundled model or model folder to begin with."""
    held_out: Annotated[Path | None, tyro.conf.arg(metavar="DIR", help_behavior_hint="")] = None
    """Labelled frames to compare both models on, of other recordings than --data."""
    config: Settings = None
    """Settings: its table [maps]. Default: a recipe for some tens to thousands of frames."""
    steps: _Count = None
    """Optimiser steps. Default: 250, or what the settings say."""
    seed: _Count = None
    """Another seed, another run. Default: 0."""
    threads: _Count = None
    """CPU threads. Default: 1."""


Options = (
    Annotated[MapsOptions, tyro.conf.subcommand("maps")]
    | Annotated[FineTuneOptions, tyro.conf.subcommand("finetune")]
)
"""What to train."""


def run(options: MapsOptions | FineTuneOptions) -> int:
    """Train, with a bar."""
    if isinstance(options, MapsOptions):
        from residualpose.cli.training import run_maps

        return run_maps(options)
    from residualpose.cli.fine_tuning import run_fine_tune

    return run_fine_tune(options)
