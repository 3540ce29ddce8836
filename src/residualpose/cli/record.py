"""Copy depth frames of any source to our plain format: 16-bit PNG, camera.json, labels.jsonl.

Depth is rounded to whole millimetres; camera and time stamps stay. The folder is whole after every
frame, `residualpose predict DIR` reads it, and so does a tar of it. labels.jsonl has a line a frame
with room for labels, which are all null.

Examples:
  residualpose record walk.bag --output walk
  residualpose record rosbag2_folder:0:300 --output first_ten_seconds
  residualpose record realsense://012345678901:0:900 --output half_a_minute
  residualpose record 'day1/*.tif' --camera cam.json --depth-unit 0.0002 --output day1_plain
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from residualpose.cli.progress import progress_bar
from residualpose.datasets.plain_writer import PlainWriter
from residualpose.errors import UsageError
from residualpose.results import unwritable
from residualpose.sources import open_source


@dataclass(frozen=True, slots=True)
class Options:
    """What to copy, and where to."""

    source: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="SOURCE")]
    """File, folder, glob or recording of depth images."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="DIR")]
    """Folder for the images; must not hold a recording yet."""
    camera: Annotated[str | None, tyro.conf.arg(metavar="NAME|FILE|NUMBERS")] = None
    """A sensor, a .json file, or fx,fy,cx,cy in pixels. Default: the source's own."""
    depth_unit: Annotated[str | None, tyro.conf.arg(metavar="m|mm|SCALE")] = None
    """Unit of the stored numbers, where the source does not say; SCALE is metres per unit."""


def run(options: Options) -> int:
    """Copy frame by frame."""
    source = open_source(options.source, options.camera, options.depth_unit)
    # A source that cannot be opened leaves no folder behind.
    total = None if source.unbounded else len(source)
    try:
        with PlainWriter(options.output) as writer, progress_bar("frames") as progress:
            task = progress.add_task("frames", total=total, note="")
            taken = 0
            for frame in source:
                writer.add(frame)
                taken = frame.index + 1
                progress.advance(task)
    except (FileExistsError, NotADirectoryError):
        raise UsageError(f"{options.output}: expected a folder, found a file") from None
    except OSError as error:
        raise unwritable(options.output, error) from None
    frames = f"{writer.count} frame{'s' if writer.count != 1 else ''}"
    dropped = f" ({taken - writer.count} dropped)" if source.live else ""
    sys.stdout.write(f"{frames}{dropped}: {options.output}\n")
    return 0
