"""The people of a sequence over time on an even grid, as motion-capture files have them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from residualpose.errors import ResidualPoseError
from residualpose.sinks.run import FrameRecord, Run
from residualpose.skeleton import Skeleton

_LONGEST_GAP = 100_000
"""Slots without a frame that are still written: an hour at 27 Hz."""


@dataclass(frozen=True, slots=True)
class Motion:
    """N even time steps of P people."""

    name: str
    rate_hz: float
    start_s: float
    """Time of the first step."""
    ids: tuple[int, ...]
    joints_m: np.ndarray
    """(N, P, J, 3) float64 metres, camera frame; NaN where unknown and where there is no frame."""
    skeleton: Skeleton


def motions(run: Run) -> Iterator[Motion]:
    """One for each sequence of the run that has people in it."""
    names = run.sequence_names()
    for name in dict.fromkeys(names.values()):
        records = [record for record in run.frames() if names[record.source] == name]
        ids = tuple(sorted({person for record in records for person in record.ids}))
        if not ids:
            continue
        slots, rate_hz, start_s = _grid(name, records, run.fps)
        joints = len(run.skeleton.joints)
        joints_m = np.full((slots[-1] + 1, len(ids), joints, 3), np.nan)
        for slot, record in zip(slots, records, strict=True):
            for row, person in enumerate(record.ids):
                joints_m[slot, ids.index(person)] = record.poses.joints_m[row]
        yield Motion(name, rate_hz, start_s, ids, joints_m, run.skeleton)


def _grid(name: str, records: list[FrameRecord], fps: float) -> tuple[list[int], float, float]:
    """Step of each frame, the rate, and the time of step 0.

    Raises:
        ResidualPoseError: the times jump so far that the file would be mostly empty.
    """
    times_s = [record.time_s for record in records if record.time_s is not None]
    if len(times_s) < max(len(records), 2) or times_s[-1] <= times_s[0]:
        first = records[0].index
        numbered = len({record.source for record in records}) == 1
        steps = [record.index - first if numbered else i for i, record in enumerate(records)]
        return _rising(steps), fps, times_s[0] if times_s else 0.0
    times = np.array(times_s)
    intervals = np.diff(times)
    span_s = float(times[-1] - times[0])
    count = max(round(span_s / float(np.median(intervals[intervals > 0]))), len(records) - 1)
    if count > len(records) + _LONGEST_GAP:
        raise ResidualPoseError(
            f"{name}: expected times of one recording, found {len(records)} frames spread over "
            f"{span_s:.0f} s: this file type has no room for such gaps"
        )
    rate_hz = count / span_s
    return _rising(np.round((times - times[0]) * rate_hz).astype(int).tolist()), rate_hz, times_s[0]


def _rising(steps: list[int]) -> list[int]:
    """Each at least one more than the one before, so that no frame falls on another."""
    last, rising = -1, []
    for step in steps:
        last = max(step, last + 1)
        rising.append(last)
    return rising
