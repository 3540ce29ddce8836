"""Runs an estimator over labelled frames and stacks what it said beside the truth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from residualpose.evaluation.attributes import (
    UNKNOWN,
    distance_names,
    heading_names,
    occlusion_names,
)
from residualpose.evaluation.average_precision import RankedJoints
from residualpose.evaluation.labelled import LabelledFrame, LabelledFrames
from residualpose.evaluation.match import match_people
from residualpose.evaluation.oks import People2D, person_boxes
from residualpose.evaluation.pck import PCK_LIMIT_M
from residualpose.uncertainty import probability_within

if TYPE_CHECKING:
    from residualpose.estimator import PoseEstimator, Stages

STAGES = ("lifted", "completed", "refined")
MATCH_WITHIN_M = 0.5
"""Median joint distance up to which a person found counts as a true one."""
_J = 15


@dataclass(frozen=True, slots=True)
class Observed:
    """N true people who had to be found in F frames, and M found who are nobody."""

    truth_m: np.ndarray
    """(N, 15, 3) NaN where unknown."""
    truth_px: np.ndarray
    """(N, 15, 2) NaN where unknown."""
    inside: np.ndarray
    """(N, 15) bool: labelled, and inside the image."""
    height_px: np.ndarray
    """(N,) of the people in the image."""
    frame: np.ndarray
    """(N,) number of the frame."""
    attributes: dict[str, np.ndarray]
    """Axis -> (N,) text, empty where unknown."""
    visible: np.ndarray | None
    """(N, 15) bool, where the labels tell."""
    stages_m: dict[str, np.ndarray]
    """Stage -> (N, 15, 3), NaN where not found; after ours, other methods'."""
    found: np.ndarray
    """(N,) bool."""
    joints_px: np.ndarray
    """(N, 15, 2)."""
    covariance_m2: np.ndarray
    """(N, 15, 3, 3) of the refined joints."""
    origin: np.ndarray
    """(N, 15) of Origin; 0 where not found."""
    joint_score: np.ndarray
    """(N, 15)."""
    sure: np.ndarray
    """(N, 15) of refined joints: how probably they are within 10 cm by their covariance; the joint
    score where there is none."""
    person_score: np.ndarray
    """(N,)."""
    extra_px: People2D
    """The M people who are nobody."""
    extra: dict[str, RankedJoints]
    """Stage -> their joints."""
    right_count: np.ndarray
    """(F,) bool: exactly the people who had to be found were."""
    nobody: np.ndarray
    """(F,) people found who are not labelled; real ones perhaps, where one person is."""
    frame_attributes: dict[str, np.ndarray]
    """Axis -> (F,) text, of those axes that belong to frames."""

    def ranked(self, stage: str) -> RankedJoints:
        """What a stage reported for the true people."""
        present = np.asarray(np.isfinite(self.stages_m[stage]).all(-1))
        score = self.sure if stage == STAGES[-1] else self.joint_score
        return RankedJoints(present, score, self.person_score)

    def found_px(self) -> People2D:
        """Everyone found, the true people first."""
        rows = self.found
        return People2D(
            np.concatenate([self.frame[rows], self.extra_px.frame]),
            np.concatenate([self.joints_px[rows], self.extra_px.joints_px]),
            np.concatenate([self.person_score[rows], self.extra_px.score]),
        )


@dataclass(slots=True)
class _Rows:
    """Columns that grow by a row a person."""

    columns: dict[str, list[np.ndarray]] = field(default_factory=dict)

    def add(self, **values: object) -> None:
        for name, value in values.items():
            self.columns.setdefault(name, []).append(np.asarray(value))

    def stack(self, name: str, *shape: int) -> np.ndarray:
        """(rows, *shape) of one column, also without any row."""
        rows = self.columns.get(name)
        return np.stack(rows) if rows else np.zeros((0, *shape))


def observe(
    estimate: PoseEstimator, labelled: LabelledFrames, progress: Callable[[], None]
) -> Observed:
    """Run the estimator; `progress()` is called after every frame."""
    people, extra, frames = _Rows(), _Rows(), _Rows()
    for number, one in enumerate(labelled):
        stages = estimate.explain(one.frame)
        pairs = _pairs(one, stages, labelled.one_person)
        found_of = {true: found for found, true in pairs}
        asked = np.flatnonzero(one.asked).tolist()
        count = str(len(asked))
        for q in asked:
            _add_true(people, one, q, number)
            _add_found(people, stages, found_of.get(q))
            people.add(people=count, found=q in found_of)
        nobody = sorted(set(range(len(stages.poses))) - {found for found, _ in pairs})
        # Where the labels know one person, the others found may be real.
        for p in [] if labelled.one_person else nobody:
            extra.add(frame=number)
            _add_found(extra, stages, p)
        right = not nobody and all(q in found_of for q in asked)
        frames.add(right=right, view=one.view, sensor=one.sensor, people=count, nobody=len(nobody))
        progress()
    return _stacked(people, extra, frames)


def _pairs(one: LabelledFrame, stages: Stages, one_person: bool) -> list[tuple[int, int]]:
    """(found, true) people.

    Where one person is labelled, the surest one found is taken, near or not: the truth must not
    choose among the people found.
    """
    poses = stages.poses
    if one_person:
        return [(int(np.argmax(poses.person_score)), 0)] if len(poses) and len(one.truth_m) else []
    return match_people(stages.refined_m, one.truth_m, MATCH_WITHIN_M)


def _add_true(rows: _Rows, one: LabelledFrame, q: int, number: int) -> None:
    size = one.frame.width, one.frame.height
    px = one.truth_px[q]
    with np.errstate(invalid="ignore"):
        inside = ((px > -0.5) & (px < np.array(size) - 0.5)).all(-1)
    height_px = person_boxes(px[None])[0, 3] if one.height_px is None else one.height_px[q]
    rows.add(truth=one.truth_m[q], px=px, inside=inside, height_px=height_px)
    rows.add(frame=number, view=one.view, sensor=one.sensor)
    if one.visible is not None:
        rows.add(visible=one.visible[q])
    rows.add(**{f"other {name}": joints[q] for name, joints in one.others.items()})


def _add_found(rows: _Rows, stages: Stages, p: int | None) -> None:
    poses = stages.poses
    if p is None:
        nothing = np.full((_J, 3), np.nan)
        rows.add(lifted=nothing, completed=nothing, refined=nothing, found_px=nothing[:, :2])
        rows.add(covariance=np.full((_J, 3, 3), np.nan), origin=np.zeros(_J, np.uint8))
        rows.add(joint_score=np.zeros(_J), sure=np.zeros(_J), person_score=0.0)
        return
    rows.add(**{stage: getattr(stages, f"{stage}_m")[p] for stage in STAGES})
    rows.add(found_px=poses.joints_px[p], covariance=poses.covariance_m2[p])
    rows.add(origin=poses.origin[p], joint_score=poses.joint_score[p])
    sure = probability_within(poses.covariance_m2[p], PCK_LIMIT_M)
    rows.add(sure=np.where(np.isnan(sure), poses.joint_score[p], sure))
    rows.add(person_score=poses.person_score[p])


def _stacked(people: _Rows, extra: _Rows, frames: _Rows) -> Observed:
    truth_m = people.stack("truth", _J, 3).astype(np.float64)
    n = len(truth_m)
    # A set in which some frames only tell what is hidden does not tell it.
    told = len(people.columns.get("visible", ())) == n > 0
    visible = people.stack("visible", _J).astype(bool) if told else None
    stages_m = {stage: people.stack(stage, _J, 3).astype(np.float64) for stage in STAGES}
    others = [name for name in people.columns if name.startswith("other ")]
    stages_m |= {name.removeprefix("other "): people.stack(name) for name in others}
    texts = {name: people.stack(name).astype(str) for name in ("view", "sensor", "people")}
    attributes = texts | {
        "heading": heading_names(truth_m),
        "distance": distance_names(truth_m),
        "occlusion": np.full(n, UNKNOWN) if visible is None else occlusion_names(visible),
    }
    extra_score = extra.stack("person_score")
    ranked = {
        stage: RankedJoints(
            np.asarray(np.isfinite(extra.stack(stage, _J, 3)).all(-1)),
            extra.stack("sure" if stage == STAGES[-1] else "joint_score", _J),
            extra_score,
        )
        for stage in STAGES
    }
    return Observed(
        truth_m=truth_m,
        truth_px=people.stack("px", _J, 2),
        inside=people.stack("inside", _J).astype(bool),
        height_px=people.stack("height_px"),
        frame=people.stack("frame").astype(int),
        attributes=attributes,
        visible=visible,
        stages_m=stages_m,
        found=people.stack("found").astype(bool),
        joints_px=people.stack("found_px", _J, 2),
        covariance_m2=people.stack("covariance", _J, 3, 3),
        origin=people.stack("origin", _J).astype(np.uint8),
        joint_score=people.stack("joint_score", _J),
        sure=people.stack("sure", _J),
        person_score=people.stack("person_score"),
        extra_px=People2D(
            extra.stack("frame").astype(int), extra.stack("found_px", _J, 2), extra_score
        ),
        extra=ranked,
        right_count=frames.stack("right").astype(bool),
        nobody=frames.stack("nobody").astype(int),
        frame_attributes={
            name: frames.stack(name).astype(str) for name in ("view", "sensor", "people")
        },
    )
