"""How well people were followed: MOTA, id switches, error, jitter and delay.

MOTA is 1 - (missed + false + switches) / people (Bernardin, Stiefelhagen 2008), on 3D joints.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from residualpose.evaluation.labelled import MIN_VISIBLE
from residualpose.poses import Poses
from residualpose.tracking.assignment import assign

_MATCH_M = 0.5
"""Mean distance of the joints up to which a person found is the person of the truth."""
_DELAYS = np.linspace(-2, 4, 61)
"""Frames."""


@dataclass(frozen=True, slots=True)
class TrackingScore:
    """One sequence."""

    mota: float
    switches: int
    """Times that somebody's number changed."""
    missed: int
    false: int
    people: int
    """People to be found, over all frames."""
    ids: int
    """Numbers given out."""
    mpjpe_mm: float
    """Mean error of the visible joints of those found."""
    jitter_m_s2: float
    """Root mean square error of the joints' acceleration."""
    bone_sd_mm: float
    """Standard deviation over time of one person's limb lengths."""
    delay_frames: float
    """The shift in time at which the joints fit the truth best; positive is late."""


def pooled(scores: Sequence[TrackingScore]) -> TrackingScore:
    """Several sequences as one: counts add up, errors are averaged over the people to be found."""
    weights = np.array([max(score.people, 1) for score in scores], float)

    def total(name: str) -> int:
        return sum(getattr(score, name) for score in scores)

    def mean(name: str, power: float = 1.0) -> float:
        values = np.array([getattr(score, name) for score in scores]) ** power
        return float(np.average(values, weights=weights) ** (1 / power))

    mistakes = total("missed") + total("false") + total("switches")
    return TrackingScore(
        1 - mistakes / max(total("people"), 1), total("switches"), total("missed"), total("false"),
        total("people"), total("ids"), mean("mpjpe_mm"), mean("jitter_m_s2", 2.0),
        mean("bone_sd_mm"), mean("delay_frames"),
    )  # fmt: skip


def score_tracking(
    found: Sequence[Poses], truth_m: np.ndarray, visible: np.ndarray, rate_hz: float
) -> TrackingScore:
    """Score one sequence.

    Args:
        found: T frames.
        truth_m: (T, P, J, 3).
        visible: (T, P, J) bool; people with few visible joints count neither way.
        rate_hz: Frames a second.
    """
    people = truth_m.shape[1]
    joints_m = np.full(truth_m.shape, np.nan)
    last: dict[int, int] = {}
    ids: set[int] = set()
    missed = false = switches = 0
    asked = visible.sum(-1) >= MIN_VISIBLE
    for frame, poses in enumerate(found):
        ids |= set(poses.person_id.tolist())
        rows, columns = _matches(truth_m[frame], poses, last)
        missed += int((asked[frame] & ~np.isin(np.arange(people), rows)).sum())
        false += len(poses) - len(columns)
        for person, column in zip(rows.tolist(), columns.tolist(), strict=True):
            number = int(poses.person_id[column])
            switches += last.get(person, number) != number
            last[person] = number
            joints_m[frame, person] = poses.joints_m[column]
    total = int(asked.sum())
    seen = visible & asked[..., None]
    error = np.linalg.norm(joints_m - truth_m, axis=-1)
    return TrackingScore(
        1 - (missed + false + switches) / max(total, 1), switches, missed, false, total, len(ids),
        1000 * float(np.nanmean(np.where(seen, error, np.nan))),
        _jitter(joints_m, truth_m, seen, rate_hz), 1000 * _bone_sd(joints_m, found[0]),
        _delay(joints_m, truth_m, seen),
    )  # fmt: skip


def _matches(
    truth_m: np.ndarray, poses: Poses, last: dict[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the truth and of the poses that belong together, old pairs first where they fit."""
    if not len(poses):
        return np.zeros(0, int), np.zeros(0, int)
    away = np.linalg.norm(truth_m[:, None] - poses.joints_m[None], axis=-1)
    away = np.nan_to_num(np.nanmean(away, axis=-1), nan=np.inf)
    kept = np.array([[last.get(p) == i for i in poses.person_id] for p in range(len(truth_m))])
    rows = assign(np.where(away < _MATCH_M, away - kept, np.inf))
    columns = np.flatnonzero(rows >= 0)
    return rows[columns], columns


def _jitter(joints_m: np.ndarray, truth_m: np.ndarray, seen: np.ndarray, rate_hz: float) -> float:
    error = np.where(seen[..., None], joints_m - truth_m, np.nan)
    acceleration = np.diff(error, 2, axis=0) * rate_hz**2
    return float(np.sqrt(np.nanmean((acceleration**2).sum(-1))))


def _bone_sd(joints_m: np.ndarray, poses: Poses) -> float:
    start, end = poses.skeleton.limb_array.T
    length = np.linalg.norm(joints_m[:, :, end] - joints_m[:, :, start], axis=-1)
    return float(np.nanmean(np.nanstd(length, axis=0)))


def _delay(joints_m: np.ndarray, truth_m: np.ndarray, seen: np.ndarray) -> float:
    """Frames by which the truth must be held back to fit best."""
    frames = np.arange(len(truth_m), dtype=float)
    inner = slice(4, -4)
    errors = []
    for delay in _DELAYS:
        at = np.clip(frames - delay, 0, len(frames) - 1)
        low = np.minimum(at.astype(int), len(frames) - 2)
        part = (at - low)[:, None, None, None]
        held = (1 - part) * truth_m[low] + part * truth_m[low + 1]
        error = ((joints_m - held) ** 2).sum(-1)
        errors.append(np.nanmean(np.where(seen, error, np.nan)[inner]))
    return float(_DELAYS[int(np.argmin(errors))])
