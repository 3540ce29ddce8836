"""Newcomers: people who came into sight, and who of those lost before each of them is."""

from __future__ import annotations

import numpy as np

from residualpose.tracking.assignment import assign
from residualpose.tracking.reentry import LOST_M, place_costs
from residualpose.tracking.track import Track

_NEW = 4.5
"""Minus log likelihood, per cubic metre, that somebody appears whom nobody has seen; less of those
found in few of the frames since, who may be nobody at all."""


def claim(newcomer: Track, others: list[Track], time_s: float) -> None:
    """Note who the newcomer may be: whoever was lost before, and can have gone there."""
    lost = [track for track in others if track.believed and track.seen_s < newcomer.born_s]
    if not lost:
        return
    cost = place_costs(
        np.stack([track.centre.position_m for track in lost]),
        newcomer.centre.position_m[None],
        np.array([time_s - track.seen_s for track in lost]),
        np.array([track.depth_sd_m for track in lost]),
        LOST_M,
    )[:, 0]
    newcomer.claims = {t: c for t, c in zip(lost, cost.tolist(), strict=True) if np.isfinite(c)}


def who_is_who(newcomers: list[Track]) -> list[Track | None]:
    """Who each newcomer is, all of them weighed together; None for somebody never seen before.

    The way from where somebody was lost and the lengths of the limbs tell.
    """
    lost = list({track: None for one in newcomers for track in one.claims})
    cost = np.full((len(lost) + len(newcomers), len(newcomers)), np.inf)
    for column, one in enumerate(newcomers):
        cost[len(lost) + column, column] = _NEW * one.hits / (one.hits + one.missed)
        for row, track in enumerate(lost):
            if track in one.claims and track.seen_s < one.born_s:
                cost[row, column] = one.claims[track] + one.bones.unlike(track.bones)
    return [lost[row] if row < len(lost) else None for row in assign(cost).tolist()]
