"""Multi-person 3D mAP: average precision of each joint over a set of frames, then the mean.

Each person found goes to its best true person, one each; the others are false positives. A joint of
a person found is right within 0.10 m. Joints are ranked by how sure each is said to be.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class RankedJoints:
    """Joints reported for people, with what they are ranked by."""

    present: np.ndarray
    """(N, J) bool: reported at all."""
    joint_score: np.ndarray
    """(N, J) 0..1."""
    person_score: np.ndarray
    """(N,) 0..1, which ranks joints of equal score, such as those that a prior guessed."""


def mean_average_precision(
    right: np.ndarray, labelled: np.ndarray, matched: RankedJoints, extra: RankedJoints
) -> float:
    """Mean over joints of the average precision; NaN without any labelled joint.

    Args:
        right: (N, J) bool, joints of true people that were reported within the limit.
        labelled: (N, J) bool, joints that have a truth.
        matched: what was reported for each true person; nothing where nobody was found.
        extra: the people found that are nobody.
    """
    values = []
    for j in np.flatnonzero(labelled.any(0)):
        rows = np.flatnonzero(matched.present[:, j] & labelled[:, j])
        wrong = np.flatnonzero(extra.present[:, j])
        joint = np.concatenate([matched.joint_score[rows, j], extra.joint_score[wrong, j]])
        person = np.concatenate([matched.person_score[rows], extra.person_score[wrong]])
        hit = np.concatenate([right[rows, j], np.zeros(len(wrong), bool)])
        order = np.lexsort((hit, -person, -joint))  # of what ties, the wrong one comes first
        values.append(average_precision(hit[order], int(labelled[:, j].sum())))
    return float(np.mean(values)) if values else float("nan")


def average_precision(hit: np.ndarray, total: int) -> float:
    """Area under precision over recall, precision made monotonous.

    Args:
        hit: (K,) bool, reports from the surest to the least sure.
        total: how many there are to find.
    """
    if not len(hit):
        return 0.0
    right = np.cumsum(hit)
    precision = right / np.arange(1, len(hit) + 1)
    best_from_here = np.maximum.accumulate(precision[::-1])[::-1]
    return float(best_from_here[hit].sum() / total)
