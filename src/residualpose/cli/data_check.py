"""Look at a recorded data set: what is there, and what is wrong with it.

PATH is a folder or file of ITOP (.h5 or .h5.gz), the folder of a CMU Panoptic sequence, or a folder
in our own plain format (16-bit PNG, camera.json, labels.jsonl); docs/data_sets.md describes them.
ITOP needs the h5 extra: pip install 'residualpose[h5]'. The exit status is 1 if anything is wrong.

Examples:
  residualpose data check ITOP --kind itop-side --split test
  residualpose data check 160422_haggling1
  residualpose data check recording
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from residualpose.cli.progress import progress_bar
from residualpose.datasets.check import check_dataset
from residualpose.datasets.opening import open_dataset
from residualpose.errors import UsageError


@dataclass(frozen=True, slots=True)
class Options:
    """What to look at."""

    path: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="PATH")]
    """A folder or file."""
    kind: Annotated[
        Literal["itop-side", "itop-top", "panoptic", "plain"] | None,
        tyro.conf.arg(metavar="itop-side|itop-top|panoptic|plain", help_behavior_hint=""),
    ] = None
    """What it is. Default: what it looks like."""
    split: Annotated[
        Literal["train", "test"] | None,
        tyro.conf.arg(metavar="train|test", help_behavior_hint=""),
    ] = None
    """Which part of ITOP. Default: the one that is there, test where both are."""
    frames: Annotated[int, tyro.conf.arg(metavar="N")] = 200
    """Look at so many images, evenly spread; labels are all checked."""


def run(options: Options) -> int:
    """Check and tell."""
    if options.frames < 1:
        raise UsageError(f"--frames: expected at least 1, got {options.frames}")
    dataset = open_dataset(options.path, options.kind, options.split)
    with progress_bar("frames") as progress:
        total = min(len(dataset), options.frames)
        task = progress.add_task("frames", total=total, note="looking")
        checked = check_dataset(dataset, options.frames, lambda: progress.advance(task))
    sys.stdout.write(f"{options.path}\n")
    width = max(map(len, checked.about))
    for name, text in checked.about.items():
        sys.stdout.write(f"  {name:<{width}}  {text}\n")
    if not checked.faults:
        sys.stdout.write("nothing is wrong with it\n")
        return 0
    sys.stdout.write("wrong:\n")
    for fault in checked.faults:
        sys.stdout.write(f"  - {fault}\n")
    return 1
