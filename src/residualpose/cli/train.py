"""Train one of the three learned parts of a model, in this order.

maps is the 2D network, prior the limb prior that fills missing joints, refiner the residual network
that corrects the 3D people. `residualpose export` puts them together. Needs the train extra:
pip install 'residualpose[train]'. A CUDA device is used where there is one.

Examples:
  residualpose train maps --data data --out runs/base --config configs/base.toml
  residualpose train prior --data data --out runs/prior.npz
  residualpose export --run runs/base --prior runs/prior.npz --out runs/detector
  residualpose train refiner --data held_out --model runs/detector --out runs/refiner.onnx
  residualpose export --run runs/base --prior runs/prior.npz --refiner runs/refiner.onnx --out model
  residualpose train maps --help      explains one of them
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

_Settings = Annotated[Path | None, tyro.conf.arg(metavar="FILE.toml", help_behavior_hint="")]


@dataclass(frozen=True, slots=True)
class MapsOptions:
    """Train the 2D network; started again with the same --out, it goes on where it was.

    RUN gets checkpoint.pt every few minutes, log.jsonl with the losses, config.json with the
    settings. The shards may still be rendering: training waits for those it needs.
    """

    data: Annotated[Path, tyro.conf.arg(metavar="DIR")]
    """Folder of residualpose synth."""
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="RUN")]
    """Folder of the run."""
    config: _Settings = None
    """Settings: its table [maps]. The options below take precedence over it."""
    start: Annotated[
        str | None, tyro.conf.arg(name="from", metavar="MODEL", help_behavior_hint="")
    ] = None
    """Begin with this bundled model, model folder or checkpoint.pt. Default: random weights."""
    steps: Annotated[int | None, tyro.conf.arg(metavar="N", help_behavior_hint="")] = None
    """Optimiser steps; may grow when a run is resumed. Default: 6000, or what the settings say."""
    batch: Annotated[int | None, tyro.conf.arg(metavar="N", help_behavior_hint="")] = None
    """Frames a step. Default: 32."""
    shards: Annotated[int | None, tyro.conf.arg(metavar="N", help_behavior_hint="")] = None
    """Shards to use. Default: all that DIR is going to hold."""
    seed: Annotated[int | None, tyro.conf.arg(metavar="N", help_behavior_hint="")] = None
    """Another seed, another run. Default: 0."""
    threads: Annotated[int | None, tyro.conf.arg(metavar="N", help_behavior_hint="")] = None
    """CPU threads. Default: 1."""


@dataclass(frozen=True, slots=True)
class PriorOptions:
    """Fit the limb prior to the bodies and poses that the frames of DIR are made of."""

    data: Annotated[Path, tyro.conf.arg(metavar="DIR")]
    """Folder of residualpose synth."""
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="FILE.npz")]
    """The prior."""
    config: _Settings = None
    """Settings: its table [prior]."""


@dataclass(frozen=True, slots=True)
class RefinerOptions:
    """Train the refiner on what the earlier stages make of frames that they were not trained on."""

    data: Annotated[Path, tyro.conf.arg(metavar="DIR")]
    """Folder of residualpose synth, of another seed than the 2D network's."""
    model: Annotated[str, tyro.conf.arg(metavar="MODEL")]
    """Model folder of residualpose export; it may lack a refiner."""
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="FILE.onnx")]
    """The refiner."""
    config: _Settings = None
    """Settings: its table [refiner]. The options below take precedence over it."""
    steps: Annotated[int | None, tyro.conf.arg(metavar="N", help_behavior_hint="")] = None
    """Optimiser steps. Default: 6000, or what the settings say."""


Options = (
    Annotated[MapsOptions, tyro.conf.subcommand("maps")]
    | Annotated[PriorOptions, tyro.conf.subcommand("prior")]
    | Annotated[RefinerOptions, tyro.conf.subcommand("refiner")]
)
"""What to train."""


def run(options: MapsOptions | PriorOptions | RefinerOptions) -> int:
    """Train, with a bar."""
    from residualpose.cli.training import run_maps, run_prior, run_refiner

    if isinstance(options, MapsOptions):
        return run_maps(options)
    if isinstance(options, PriorOptions):
        return run_prior(options)
    return run_refiner(options)
