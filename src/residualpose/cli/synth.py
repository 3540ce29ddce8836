"""Render people in rooms, as training data: clean depth images with their truth, in shards.

Every frame follows from the seed and its number alone: any number of workers makes the same bytes,
and an interrupted run, started again, makes only what is missing. Sensor noise is added later, in
training, afresh each time a frame is used.

DIR gets shard_00000.npz and so on, config.json with the settings, and the bodies and captured poses
that they share. Needs the synthetic extra: pip install 'residualpose[synthetic]'.

Examples:
  residualpose synth --out data --shards 4 --frames 64
  residualpose synth --out data --config configs/base.toml --workers 8
  residualpose synth --out held_out --config configs/base.toml --seed 1 --shards 24
"""

from __future__ import annotations

import os
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from residualpose.cli.progress import progress_bar
from residualpose.cli.reporting import EXIT_INTERRUPTED, complain
from residualpose.errors import UsageError
from residualpose.settings import build, read_section, with_flags

if TYPE_CHECKING:
    from residualpose.synthetic.shards import SynthConfig


@dataclass(frozen=True, slots=True)
class Options:
    """Where to, how much, and of what."""

    out: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="DIR")]
    """Folder for the shards; a run that was interrupted there is finished."""
    config: Annotated[Path | None, tyro.conf.arg(metavar="FILE.toml", help_behavior_hint="")] = None
    """Settings: its table [synth]. The options below take precedence over it."""
    shards: Annotated[int | None, tyro.conf.arg(metavar="N", help_behavior_hint="")] = None
    """Number of shard files. Default: 40, or what the settings say; so below."""
    frames: Annotated[int | None, tyro.conf.arg(metavar="N", help_behavior_hint="")] = None
    """Frames a shard. Default: 512."""
    bodies: Annotated[int | None, tyro.conf.arg(metavar="N", help_behavior_hint="")] = None
    """Body shapes among which people are drawn. Default: 256."""
    seed: Annotated[int | None, tyro.conf.arg(metavar="N", help_behavior_hint="")] = None
    """Another seed, other frames. Default: 0."""
    mocap: Annotated[
        tuple[Path, ...] | None, tyro.conf.arg(metavar="PATH ...", help_behavior_hint="")
    ] = None
    """Motion capture (.zip, folder, .bvh or .amc) to mix with made-up poses. Default: none."""
    wardrobe: Annotated[Path | None, tyro.conf.arg(metavar="FILE.zip", help_behavior_hint="")] = (
        None
    )
    """MakeHuman clothes (.zip of .mhclo and .obj) to mix with made-up ones. Default: none."""
    workers: Annotated[int | None, tyro.conf.arg(metavar="N", help_behavior_hint="")] = None
    """Processes, of one core and about 600 MB each. Default: one a core."""


def run(options: Options) -> int:
    """Render what is missing; Ctrl-C leaves only whole shards."""
    workers = options.workers if options.workers is not None else os.cpu_count() or 1
    if workers < 1:
        raise UsageError(f"--workers: expected at least 1, got {workers}")
    from residualpose.synthetic.workers import missing_shards, open_run

    config = settings_of(options)
    open_run(options.out, config)
    try:
        made = _render(options.out, config, workers)
    except KeyboardInterrupt:
        there = config.shards - len(missing_shards(options.out, config))
        complain("synth", f"interrupted; {options.out} holds {there} of {config.shards} shards")
        return EXIT_INTERRUPTED
    sys.stdout.write(f"{config.shards} shards in {options.out}, {made} of them new\n")
    return 0


def settings_of(options: Options) -> SynthConfig:
    """Defaults, over them the settings file, over that the flags."""
    from residualpose.synthetic.shards import SynthConfig

    names = ("shards", "frames", "bodies", "seed", "mocap", "wardrobe")
    flags = {name: getattr(options, name) for name in names}
    values = with_flags(read_section(options.config, "synth"), flags)
    return build(SynthConfig, values, str(options.config or "options"))


def _render(folder: Path, config: SynthConfig, workers: int) -> int:
    """Render with a bar; returns the number of new shards."""
    from residualpose.synthetic.workers import missing_shards, render_shards

    made, missing = 0, len(missing_shards(folder, config))
    with progress_bar("frames") as progress:
        task = progress.add_task(
            "shards", total=config.shards, completed=config.shards - missing, scale=config.frames,
            note="preparing bodies and poses",
        )  # fmt: skip
        with closing(render_shards(folder, config, workers)) as shards:
            for path in shards:
                made += 1
                progress.update(task, advance=1, note=path.name)
    return made
