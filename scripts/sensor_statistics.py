"""Faults of recorded and of rendered depth frames in one table, both as the network receives them.

    python scripts/sensor_statistics.py [--shards FOLDER] [--recorded FOLDER]

Of each measure: the median over the frames and, in brackets, where the middle 80 % of them lie.
"""

from __future__ import annotations

import sys
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro
from sensor_frames import FOCAL_PX, RECORDED, SENSORS, clean_frames, recorded_frames, sensed
from sensor_measures import measures


@dataclass(frozen=True, slots=True)
class StatisticsConfig:
    """What to compare."""

    shards: Path | None = None
    """Folder of rendered shards; without one, frames are rendered here."""
    recorded: Path = Path("../shared/real")
    """Folder of recorded frames."""
    frames: int = 100
    """Frames of each kind at most."""
    seed: int = 0


def main(config: StatisticsConfig) -> None:
    """Write the table in Markdown to standard output."""
    clean = clean_frames(config.shards, config.frames, config.seed)
    columns: dict[str, list[dict[str, float]]] = {}
    for kind, sensor in SENSORS.items():
        for name in RECORDED.get(kind, ()):
            if config.recorded.is_dir():
                frames = recorded_frames(config.recorded, name, config.frames)
                columns[name] = [measures(frame, FOCAL_PX) for frame in frames]
        frames = list(sensed(clean, sensor, config.seed))
        columns[f"**{kind}**"] = [measures(frame, FOCAL_PX) for frame in frames]
    sys.stdout.write(_table(columns))


def _table(columns: dict[str, list[dict[str, float]]]) -> str:
    lines = ["| | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    names = next(iter(columns.values()))[0]
    for name in names:
        cells = [_cell(np.array([frame[name] for frame in frames])) for frames in columns.values()]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _cell(values: np.ndarray) -> str:
    values = values[np.isfinite(values)]
    if not len(values):
        return "-"
    low, middle, high = np.percentile(values, (10, 50, 90))
    if len(values) == 1:
        return f"{middle:.3g}"
    return f"{middle:.3g} ({low:.3g}-{high:.3g})"


if __name__ == "__main__":
    warnings.filterwarnings("ignore", category=RuntimeWarning)
    main(tyro.cli(StatisticsConfig, description=__doc__))
