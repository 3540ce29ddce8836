"""Left and right of the legs, settled by the trunk.

Where front and back look alike, the 2D network marks each leg as the right and as the left one, and
the best limbs may lead from a right hip across to the left knee. People cannot stand like that: of
979 rendered people none had the line between the knees point against the line between the hips.
On rendered frames where the two contradicted each other the hips were right.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from residualpose.pipeline.group import People2D

MIN_APART_M = 0.06
"""Joints nearer to each other say nothing about sides."""
_HIPS, _KNEES, _FEET = (9, 10), (11, 12), (13, 14)


def settle_sides(people: People2D, points_m: np.ndarray) -> People2D:
    """People whose knees, and feet with them, are on the side of their hips.

    Args:
        people: (P, ...) as grouped.
        points_m: (N, 3) position of each peak, metres, camera frame; NaN where unknown.
    """
    index = people.peak_index
    padded = np.concatenate([points_m, np.full((1, 3), np.nan, points_m.dtype)])
    joints_m = padded[index]  # -1, absent, takes the row of NaN
    hips, knees, feet = (_across(joints_m, pair) for pair in (_HIPS, _KNEES, _FEET))
    crossed = _against(hips, knees)
    if not crossed.any():
        return people
    # A foot goes with its knee unless that would cross the shanks instead.
    feet_too = crossed & ~_against(knees, feet)
    order = np.tile(np.arange(index.shape[1]), (len(index), 1))
    for (right, left), chosen in ((_KNEES, crossed), (_FEET, feet_too)):
        order[chosen, right], order[chosen, left] = left, right
    return replace(
        people,
        joints_px=np.take_along_axis(people.joints_px, order[..., None], 1),
        joint_score=np.take_along_axis(people.joint_score, order, 1),
        peak_index=np.take_along_axis(index, order, 1),
    )


def _across(joints_m: np.ndarray, pair: tuple[int, int]) -> np.ndarray:
    """(P, 3) from the left to the right joint of a pair."""
    return joints_m[:, pair[0]] - joints_m[:, pair[1]]


def _against(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(P,) bool: the lines point against each other, and both are long enough to tell."""
    apart2 = np.minimum((one * one).sum(-1), (other * other).sum(-1))
    return (apart2 > MIN_APART_M * MIN_APART_M) & ((one * other).sum(-1) < 0)
