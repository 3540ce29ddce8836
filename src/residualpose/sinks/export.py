"""The kinds of file that are made of a journal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from residualpose.sinks.c3d import write_c3d
from residualpose.sinks.coco import write_coco
from residualpose.sinks.csv_table import write_csv
from residualpose.sinks.gif import write_gif
from residualpose.sinks.openpose import write_openpose
from residualpose.sinks.ros_bag import write_db3, write_mcap
from residualpose.sinks.run import Run
from residualpose.sinks.trc import write_trc
from residualpose.sinks.video import write_mp4


@dataclass(frozen=True, slots=True)
class Exporter:
    """One kind of file."""

    pattern: str
    """Matches what it writes for the base name "poses"."""
    write: Callable[[Run, Path], None]
    """From a run, to names that begin with the second argument; each whole or not at all."""


EXPORTS: dict[str, Exporter] = {
    "csv": Exporter("poses.csv", write_csv),
    "coco": Exporter("poses.coco.json", write_coco),
    "openpose": Exporter("poses_openpose", write_openpose),
    "c3d": Exporter("poses_*.c3d", write_c3d),
    "trc": Exporter("poses_*.trc", write_trc),
    "db3": Exporter("poses_*_db3", write_db3),
    "mcap": Exporter("poses_*_mcap", write_mcap),
    "mp4": Exporter("poses_*.mp4", write_mp4),
    "gif": Exporter("poses_*.gif", write_gif),
}
