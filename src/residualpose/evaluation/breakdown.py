"""Scores of parts of a set: who was seen from where, by which sensor, how far, how turned."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from residualpose.evaluation.attributes import ordered_values
from residualpose.evaluation.average_precision import RankedJoints, mean_average_precision
from residualpose.evaluation.calibration import inside
from residualpose.evaluation.mpjpe import aligned_errors_m, joint_errors_m
from residualpose.evaluation.observe import STAGES, Observed
from residualpose.evaluation.pck import PCK_LIMIT_M

FRAME_AXES = ("view", "sensor", "people")
"""Axes that belong to whole frames: there, people found who are nobody have a place too."""
PERSON_AXES = ("heading", "distance", "occlusion")

Rows = np.ndarray | slice


@dataclass(frozen=True, slots=True)
class Group:
    """Scores of one row of the table."""

    axis: str
    """What the set was divided by."""
    name: str
    people: int
    joints: int
    """Labelled joints."""
    pck10: dict[str, float]
    """By stage, and by other methods that the set holds."""
    mpjpe_mm: float
    """Of the refined joints, as the next three."""
    pa_mpjpe_mm: float
    recall: float
    map10: float
    """NaN for parts of frames, where nobody can say whose a false positive is."""
    inside68: float
    """Share of true joints in the ellipsoids that should hold 68 %."""
    inside95: float

    @property
    def improves(self) -> bool:
        """Each stage is better than the one before."""
        lifted, completed, refined = (self.pck10[stage] for stage in STAGES)
        return lifted < completed < refined


@dataclass(frozen=True, slots=True)
class Joints:
    """What is known of each of N x 15 true joints, computed once for all groups."""

    seen: Observed
    labelled: np.ndarray
    """(N, 15) bool."""
    error_m: dict[str, np.ndarray]
    """Stage or method -> (N, 15), NaN where missing."""
    aligned_m: np.ndarray
    """(N, 15) of the refined joints."""
    distance2: np.ndarray
    """(N, 15) squared Mahalanobis distance of the refined joints."""

    @classmethod
    def of(cls, seen: Observed, distance2: np.ndarray) -> Joints:
        """From what was observed."""
        return cls(
            seen,
            np.asarray(np.isfinite(seen.truth_m).all(-1)),
            {name: joint_errors_m(joints, seen.truth_m) for name, joints in seen.stages_m.items()},
            aligned_errors_m(seen.stages_m[STAGES[-1]], seen.truth_m),
            distance2,
        )

    def map10(self, stage: str, people: Rows, extra: Rows) -> float:
        """3D mAP of some of the people; `extra` chooses among those found who are nobody."""
        with np.errstate(invalid="ignore"):
            right = self.error_m[stage] < PCK_LIMIT_M
        found, nobody = self.seen.ranked(stage), self.seen.extra[stage]
        return mean_average_precision(
            right[people], self.labelled[people], _chosen(found, people), _chosen(nobody, extra)
        )

    def group(self, axis: str, name: str, joints: np.ndarray, map10: float) -> Group:
        """Scores of the joints in a (N, 15) mask."""
        mask = joints & self.labelled
        total = max(int(mask.sum()), 1)
        final = self.error_m[STAGES[-1]][mask]
        with np.errstate(invalid="ignore"):
            pck10 = {n: float((e[mask] < PCK_LIMIT_M).mean()) for n, e in self.error_m.items()}
        distance2 = self.distance2[mask]
        return Group(
            axis, name, int(mask.any(1).sum()), int(mask.sum()), pck10,
            1000 * _mean(final), 1000 * _mean(self.aligned_m[mask]),
            float(np.isfinite(final).sum() / total), map10,
            inside(distance2, 0.68), inside(distance2, 0.95),
        )  # fmt: skip


def groups_of(table: Joints) -> list[Group]:
    """One row for each value that occurs on each axis."""
    seen, rows = table.seen, []
    for axis in (*FRAME_AXES, *PERSON_AXES):
        values = seen.attributes[axis]
        for name in ordered_values(axis, values):
            people = values == name
            if not table.labelled[people].any():
                continue
            map10 = float("nan")
            if axis in FRAME_AXES:
                frames = seen.frame_attributes[axis] == name
                map10 = table.map10(STAGES[-1], people, frames[seen.extra_px.frame])
            everyone = np.broadcast_to(people[:, None], table.labelled.shape)
            rows.append(table.group(axis, name, everyone, map10))
    if seen.visible is not None:
        for name, joints in (("in sight", seen.visible), ("hidden or cut", ~seen.visible)):
            if (joints & table.labelled).any():
                rows.append(table.group("joint", name, joints, float("nan")))
    return rows


def _chosen(ranked: RankedJoints, rows: Rows) -> RankedJoints:
    return RankedJoints(ranked.present[rows], ranked.joint_score[rows], ranked.person_score[rows])


def _mean(values: np.ndarray) -> float:
    return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")
