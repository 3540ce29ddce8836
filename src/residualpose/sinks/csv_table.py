"""A long table: one row a joint, as data frames like it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from residualpose.poses import Origin
from residualpose.results import replacing
from residualpose.sinks.run import FrameRecord, Run

COLUMNS = (
    "source", "frame", "time_s", "person", "joint", "x_px", "y_px", "x_m", "y_m", "z_m", "score",
    "origin",
)  # fmt: skip


def write_csv(run: Run, base: Path) -> None:
    """Write BASE.csv; what is unknown is an empty cell, a frame without people has no rows."""
    with replacing(base.with_name(f"{base.name}.csv")) as stream:
        text = io.TextIOWrapper(stream, encoding="utf-8", newline="")
        table = csv.writer(text)
        table.writerow(COLUMNS)
        for record in run.frames():
            table.writerows(_rows(record))
        text.flush()
        text.detach()


def _rows(record: FrameRecord) -> Iterator[list[object]]:
    poses = record.poses
    time_s = "" if record.time_s is None else record.time_s
    for row, person in enumerate(record.ids):
        for joint, name in enumerate(poses.skeleton.joints):
            origin = Origin(int(poses.origin[row, joint])).name.lower()
            yield [
                record.source, record.index, time_s, person, name,
                *_cells(poses.joints_px[row, joint], 2), *_cells(poses.joints_m[row, joint], 4),
                *_cells(poses.joint_score[row, joint : joint + 1], 4), origin,
            ]  # fmt: skip


def _cells(values: np.ndarray, digits: int) -> list[object]:
    return [round(float(value), digits) if np.isfinite(value) else "" for value in values]
