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
from sensor_measures import measures, percent

from residualpose.synthetic.materials import Material
from residualpose.synthetic.shards import MM, Shard

Rows = list[dict[str, float]]
"""Each frame's measures by name."""


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
    """Write a table in Markdown for each kind of sensor to standard output."""
    clean = clean_frames(config.shards, config.frames, config.seed)
    perfect = [measures(depth_mm / np.float32(MM), FOCAL_PX) for depth_mm in clean.depth_mm]
    for kind, sensor in SENSORS.items():
        columns: dict[str, Rows] = {}
        for name in RECORDED.get(kind, ()):
            if config.recorded.is_dir():
                frames = recorded_frames(config.recorded, name, config.frames, people=False)
                columns[name] = [measures(frame, FOCAL_PX) for frame in frames]
        noisy = sensed(clean, sensor, config.seed)
        columns["rendered"] = [
            measures(frame, FOCAL_PX) | missing_on(frame, clean, i) for i, frame in enumerate(noisy)
        ]
        columns["rendered, no faults"] = perfect
        sys.stdout.write(_table(kind, columns))


def missing_on(depth_m: np.ndarray, clean: Shard, index: int) -> dict[str, float]:
    """Share without a reading by surface, of what a perfect sensor would see."""
    label, seen = clean.label[index], clean.depth_mm[index] > 0
    material = label & 15
    surfaces = {
        "people": label >= 16,
        "hair": material == Material.HAIR,
        "dark cloth": material == Material.DARK_CLOTH,
        "the room": label < 16,
    }
    gone = depth_m <= 0
    return {f"missing on {name}, %": percent(gone[on & seen]) for name, on in surfaces.items()}


def _table(kind: str, columns: dict[str, Rows]) -> str:
    lines = [f"| {kind} | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for name in columns["rendered"][0]:
        cells = [
            _cell(np.array([frame.get(name, np.nan) for frame in frames]))
            for frames in columns.values()
        ]
        if set(cells) != {"-"}:
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n\n"


def _cell(values: np.ndarray) -> str:
    values = values[np.isfinite(values)]
    if not len(values):
        return "-"
    low, middle, high = np.percentile(values, (10, 50, 90))
    return f"{_short(middle)} ({_short(low)}-{_short(high)})" if len(values) > 1 else _short(middle)


def _short(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"


if __name__ == "__main__":
    warnings.filterwarnings("ignore", category=RuntimeWarning)
    main(tyro.cli(StatisticsConfig, description=__doc__))
