"""Scores of an estimator on labelled frames: overall, by stage, by joint, by kind of person."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from residualpose.errors import MissingExtraError
from residualpose.evaluation.breakdown import Group, Joints, groups_of
from residualpose.evaluation.calibration import (
    Calibration,
    by_origin,
    calibration_curve,
    squared_distances,
)
from residualpose.evaluation.labelled import LabelledFrames
from residualpose.evaluation.mpjpe import (
    RECALLS,
    aligned_errors_m,
    joint_errors_m,
    surest_errors_m,
)
from residualpose.evaluation.observe import STAGES, Observed, observe
from residualpose.evaluation.oks import OksScores, People2D, oks_scores
from residualpose.evaluation.pck import area_under_curve, correct_joints, pck_curve
from residualpose.skeleton import HEAD, ITOP15, NECK, Skeleton

if TYPE_CHECKING:
    from residualpose.estimator import PoseEstimator

FEW_PEOPLE = ("1", "2", "3")
"""Numbers of people a frame for which mAP is also given."""
_PCK_2D_SHARE = 0.1
"""Of the height of a person in the image."""


@dataclass(frozen=True, slots=True)
class StageScores:
    """Scores of one stage over all true people; a person who was not found is 15 misses."""

    pck10: float
    """Share of joints within 10 cm; missing joints are misses."""
    auc: float
    """Mean of the PCK curve up to 15 cm."""
    mpjpe_mm: float
    """Mean distance of the joints that were found; NaN if none was."""
    recall: float
    """Share of joints that were found: read mpjpe_mm beside it."""
    pa_mpjpe_mm: float
    """The same after the best rotation, shift and scale of each person."""
    pck10_joint: dict[str, float]
    """pck10 of each joint."""
    pck_curve: list[float]
    """Share of joints within each of `pck.CURVE_M`."""

    @classmethod
    def of(
        cls, joints_m: np.ndarray, truth_m: np.ndarray, skeleton: Skeleton = ITOP15
    ) -> StageScores:
        """Scores of (N, 15, 3) joints, NaN where missing, against the truth."""
        correct = correct_joints(joints_m, truth_m)
        errors = joint_errors_m(joints_m, truth_m)
        labelled = np.isfinite(truth_m).all(-1).sum()
        curve = pck_curve(joints_m, truth_m)
        return cls(
            _mean(correct),
            area_under_curve(curve),
            1000 * _mean(errors),
            float(np.isfinite(errors).sum() / max(labelled, 1)),
            1000 * _mean(aligned_errors_m(joints_m, truth_m)),
            {name: _mean(correct[:, j]) for j, name in enumerate(skeleton.joints)},
            curve.tolist(),
        )


@dataclass(frozen=True, slots=True)
class Scores2D:
    """How well people were found in the image."""

    pck10: float
    """Share of joints within a tenth of the person's height."""
    pckh: float
    """PCKh at 0.5: share of joints nearer than half of the way from neck to head."""
    oks: OksScores | None
    """None where the library that computes it is not installed."""


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
    """By stage: lifted, completed, refined; empty where the labels are in pixels only."""
    others: dict[str, StageScores]
    """Predictions of other methods that the set holds."""
    map10: dict[str, float]
    """Multi-person 3D mAP within 10 cm by stage."""
    map10_few: float
    """The same of the last stage, on frames with one to three people."""
    surest_mpjpe_mm: list[float]
    """MPJPE of the surest refined joints that make up each of `mpjpe.RECALLS`; NaN where fewer
    were found."""
    image: Scores2D
    calibration: Calibration
    calibration_curve: list[float]
    """Share of joints inside the ellipsoids of each of `calibration.LEVELS`."""
    calibration_origin: dict[str, Calibration]
    groups: list[Group]
    """Scores by view, sensor, people, heading, distance and occlusion, as far as known."""


def evaluate(
    estimate: PoseEstimator,
    labelled: LabelledFrames,
    progress: Callable[[], None],
    skeleton: Skeleton = ITOP15,
) -> Report:
    """Score an estimator of a skeleton; `progress()` is called after every frame."""
    return summarise(labelled.source, observe(estimate, labelled, progress), skeleton)


def summarise(source: str, seen: Observed, skeleton: Skeleton = ITOP15) -> Report:
    """All scores of what was observed."""
    in_3d = np.isfinite(seen.truth_m).any() or not np.isfinite(seen.truth_px).any()
    scores = {
        name: StageScores.of(joints_m, seen.truth_m, skeleton)
        for name, joints_m in seen.stages_m.items()
        if in_3d
    }
    final = STAGES[-1]
    distance2 = squared_distances(seen.stages_m[final] - seen.truth_m, seen.covariance_m2)
    table = Joints.of(seen, distance2)
    few = np.isin(seen.attributes["people"], FEW_PEOPLE)
    few_frames = np.isin(seen.frame_attributes["people"], (*FEW_PEOPLE, "0"))
    return Report(
        source=source,
        frames=len(seen.right_count),
        people=len(seen.truth_m),
        matched=int(seen.found.sum()),
        extra=int(seen.nobody.sum()),
        right_count=float(seen.right_count.mean()) if len(seen.right_count) else 0.0,
        stages={name: scores[name] for name in STAGES if name in scores},
        others={name: score for name, score in scores.items() if name not in STAGES},
        map10={stage: table.map10(stage, slice(None), slice(None)) for stage in STAGES},
        map10_few=table.map10(final, few, few_frames[seen.extra_px.frame]),
        surest_mpjpe_mm=[
            1000 * error_m
            for error_m in surest_errors_m(
                table.error_m[final], seen.sure, int(table.labelled.sum())
            )
        ],
        image=_scores_2d(seen),
        calibration=Calibration.of(distance2),
        calibration_curve=calibration_curve(distance2),
        calibration_origin=by_origin(distance2, seen.origin),
        groups=groups_of(table) if in_3d else [],
    )


def surest(report: Report) -> list[tuple[float, float]]:
    """(share, mm) of `surest_mpjpe_mm` at half of all joints and at each further tenth."""
    pairs = list(zip(RECALLS.tolist(), report.surest_mpjpe_mm, strict=True))
    return pairs[len(pairs) // 2 - 1 :: 2]


def _scores_2d(seen: Observed) -> Scores2D:
    true = People2D(seen.frame, seen.truth_px, np.ones(len(seen.frame)))
    limit_px = _PCK_2D_SHARE * seen.height_px[:, None]
    distance_px = np.linalg.norm(seen.joints_px - seen.truth_px, axis=-1)
    head_px = np.linalg.norm(seen.truth_px[:, HEAD] - seen.truth_px[:, NECK], axis=-1)
    half_head_px = head_px[:, None] / 2
    with np.errstate(invalid="ignore"):
        right = np.where(seen.inside, distance_px < limit_px, np.nan)
        by_head = np.where(seen.inside & (half_head_px > 0), distance_px < half_head_px, np.nan)
    try:
        oks = oks_scores(seen.found_px(), true, seen.inside)
    except MissingExtraError:  # one figure of many: the others are worth having without it
        oks = None
    return Scores2D(_mean(right), _mean(by_head), oks)


def _mean(values: np.ndarray) -> float:
    return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")
