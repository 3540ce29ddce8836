"""Fit the parts of a model that need minutes: limb prior, refiner, the released statistics.

DIR is a folder of residualpose synth or a recording with labels (see residualpose data). `train`
makes the 2D network, `export` puts the parts together. Needs the train extra:
pip install 'residualpose[train]'.

Examples:
  residualpose fit prior --data data --out runs/prior.npz
  residualpose export --run runs/base --prior runs/prior.npz --out runs/detector
  residualpose fit refiner --data held_out --model runs/detector --out runs/refiner.onnx
  residualpose export --run runs/base --prior runs/prior.npz --refiner runs/refiner.onnx --out model
  residualpose fit statistics --data my_recordings --out statistics
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from residualpose.cli.train import Settings

_Data = Annotated[Path, tyro.conf.arg(metavar="DIR")]


@dataclass(frozen=True, slots=True)
class PriorOptions:
    """Fit the limb prior to poses.

    Of rendered frames to the bodies and poses that they are made of, of a recording to its labels.
    """

    data: _Data
    """Rendered frames or a recording with labels."""
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="FILE.npz")]
    """The prior."""
    config: Settings = None
    """Settings: its table [prior]."""
    down: Annotated[tuple[float, float, float], tyro.conf.arg(metavar="X Y Z")] = (0.0, 1.0, 0.0)
    """Direction of gravity in the frame of a recording's camera. Default: a level camera."""


@dataclass(frozen=True, slots=True)
class RefinerOptions:
    """Fit the refiner to what the earlier stages make of frames that they were not trained on."""

    data: _Data
    """Rendered frames of another seed than the 2D network's, or a recording with labels."""
    model: Annotated[str, tyro.conf.arg(metavar="MODEL")]
    """Model folder of residualpose export; it may lack a refiner."""
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="FILE.onnx")]
    """The refiner."""
    config: Settings = None
    """Settings: its table [refiner]. The options below take precedence over it."""
    steps: Annotated[int | None, tyro.conf.arg(metavar="N", help_behavior_hint="")] = None
    """Optimiser steps. Default: 4000, or what the settings say."""
    start: Annotated[
        str | None, tyro.conf.arg(name="from", metavar="MODEL", help_behavior_hint="")
    ] = None
    """Begin with the refiner of this model, as wide as the settings say; it may have fewer blocks,
    and not look around yet. `base`'s and `large`'s look around, for which the settings have to say
    so. Default: with nothing."""


@dataclass(frozen=True, slots=True)
class StatisticsOptions:
    """Mean and spread of joints and limbs, in the files that the original tool reads.

    DIR gets mean_pose_limb.npy, var_pose_limb.npy and train_input_stats.json, metres, in the
    camera's axes (x right, y down, z forward).
    """

    data: _Data
    """Rendered frames or a recording with labels."""
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="DIR")]
    """Folder for the files."""


Options = (
    Annotated[PriorOptions, tyro.conf.subcommand("prior")]
    | Annotated[RefinerOptions, tyro.conf.subcommand("refiner")]
    | Annotated[StatisticsOptions, tyro.conf.subcommand("statistics")]
)
"""What to fit."""


def run(options: PriorOptions | RefinerOptions | StatisticsOptions) -> int:
    """Fit, with a bar."""
    from residualpose.cli.fitting import run_prior, run_refiner, run_statistics

    if isinstance(options, PriorOptions):
        return run_prior(options)
    if isinstance(options, RefinerOptions):
        return run_refiner(options)
    return run_statistics(options)
