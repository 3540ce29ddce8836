"""Scores of an estimator on labelled frames, stage by stage."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from residualpose.evaluation.labelled import LabelledFrame, LabelledFrames
from residualpose.evaluation.match import match_people
from residualpose.evaluation.mpjpe import aligned_errors_m, joint_errors_m
from residualpose.evaluation.pck import correct_joints
from residualpose.skeleton import ITOP15

if TYPE_CHECKING:
    from residualpose.estimator import PoseEstimator, Stages

STAGES = ("lifted", "completed", "refined")
MATCH_WITHIN_M = 0.5
"""Median joint distance up to which a person found counts as a true one."""


@dataclass(frozen=True, slots=True)
class StageScores:
    """Scores of one stage over all true people; a person who was not found is 15 misses."""

    pck10: float
    """Share of joints within 10 cm; missing joints are misses."""
    mpjpe_mm: float
    """Mean distance of the joints that were found; NaN if none was."""
    recall: float
    """Share of joints that were found: read mpjpe_mm beside it."""
    pa_mpjpe_mm: float
    """The same after the best rotation, shift and scale of each person."""
    pck10_joint: dict[str, float]
    """pck10 of each joint."""

    @classmethod
    def of(cls, joints_m: np.ndarray, truth_m: np.ndarray) -> StageScores:
        """Scores of (N, 15, 3) joints, NaN where missing, against the truth."""
        correct = correct_joints(joints_m, truth_m)
        errors = joint_errors_m(joints_m, truth_m)
        labelled = np.isfinite(truth_m).all(-1).sum()
        return cls(
            _mean(correct),
            1000 * _mean(errors),
            float(np.isfinite(errors).sum() / max(labelled, 1)),
            1000 * _mean(aligned_errors_m(joints_m, truth_m)),
            {name: _mean(correct[:, j]) for j, name in enumerate(ITOP15.joints)},
        )


@dataclass(frozen=True, slots=True)
class Report:
    """What an evaluation found."""

    source: str
    frames: int
    people: int
    """True people who had to be found."""
    matched: int
    """Those of them who were."""
    extra: int
    """People found who are nobody; in sets that label one person a frame, the others found."""
    right_count: float
    """Share of frames with the right number of people."""
    stages: dict[str, StageScores]
    """By stage: lifted, completed, refined."""


def evaluate(
    estimate: PoseEstimator, labelled: LabelledFrames, progress: Callable[[], None]
) -> Report:
    """Score an estimator; `progress()` is called after every frame."""
    joints: dict[str, list[np.ndarray]] = {stage: [] for stage in STAGES}
    truths, matched, extra, right = [], 0, 0, 0
    for one in labelled:
        stages = estimate.explain(one.frame)
        pairs = dict(_pairs(one, stages, labelled.one_person))
        asked = np.flatnonzero(one.asked).tolist()
        found_of = {true: found for found, true in pairs.items()}
        for stage in STAGES:
            people = getattr(stages, f"{stage}_m")
            joints[stage] += [
                people[found_of[q]] if q in found_of else np.full((15, 3), np.nan) for q in asked
            ]
        truths += list(one.truth_m[asked])
        matched += sum(q in found_of for q in asked)
        nobody = len(stages.poses) - len(pairs)
        extra += nobody
        right += nobody == 0 and all(q in found_of for q in asked)
        progress()
    truth_m = np.array(truths, np.float64).reshape(-1, 15, 3)
    scores = {
        stage: StageScores.of(np.array(rows, np.float64).reshape(-1, 15, 3), truth_m)
        for stage, rows in joints.items()
    }
    frames = len(labelled)
    return Report(
        labelled.source, frames, len(truth_m), matched, extra, right / max(frames, 1), scores
    )


def _pairs(one: LabelledFrame, stages: Stages, one_person: bool) -> list[tuple[int, int]]:
    """(found, true) people.

    Where one person is labelled, the surest one found is taken, near or not: the truth must not
    choose among the people found.
    """
    poses = stages.poses
    if one_person:
        return [(int(np.argmax(poses.person_score)), 0)] if len(poses) and len(one.truth_m) else []
    return match_people(stages.refined_m, one.truth_m, MATCH_WITHIN_M)


def _mean(values: np.ndarray) -> float:
    return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")
