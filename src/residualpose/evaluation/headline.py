"""The few lines that say whether a model is good enough for the benchmark, above all else."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from residualpose.evaluation.breakdown import Group
from residualpose.evaluation.mpjpe import RECALLS
from residualpose.evaluation.report import Report

# What the models are to reach on the benchmark.
MAP10_GOAL = 0.80
MPJPE_GOAL_MM, RECALL_GOAL = 50.0, 0.90
PROFILE_GAP_GOAL = 0.15
INSIDE68_GOAL, INSIDE95_GOAL = (0.63, 0.73), (0.92, 0.98)


@dataclass(frozen=True, slots=True)
class Line:
    """One statement with its goal."""

    name: str
    value: str
    detail: str
    goal: str
    reached: bool | None
    """None where the set cannot tell."""


def headline(report: Report) -> list[Line]:
    """The five lines; empty where the labels are in pixels only."""
    if not report.stages:
        return []
    return [_precision(report), _distance(report), _stages(report), _profiles(report),
            _ellipsoids(report)]  # fmt: skip


def _precision(report: Report) -> Line:
    value = report.map10_few
    known = np.isfinite(value)
    return Line(
        "3D mAP within 10 cm, 1 to 3 people",
        f"{value:.1%}" if known else "unknown",
        f"all frames {report.map10['refined']:.1%}" if known else "",
        f"at least {MAP10_GOAL:.0%}",
        bool(value >= MAP10_GOAL) if known else None,
    )


def _distance(report: Report) -> Line:
    """Joints of which the model is not sure may be left out, up to the recall asked for."""
    refined = report.stages["refined"]
    name = f"MPJPE of the surest {RECALL_GOAL:.0%} of all joints"
    goal = f"at most {MPJPE_GOAL_MM:.0f} mm"
    if not refined.recall:
        return Line(name, "nobody found", "", goal, False)
    surest_mm = report.surest_mpjpe_mm[int(np.searchsorted(RECALLS, RECALL_GOAL - 1e-9))]
    known = np.isfinite(surest_mm)
    return Line(
        name,
        f"{surest_mm:.0f} mm" if known else f"only {refined.recall:.1%} found",
        f"of all found {refined.mpjpe_mm:.0f} mm at {refined.recall:.1%}, aligned "
        f"{refined.pa_mpjpe_mm:.0f} mm, within 10 cm {refined.pck10:.1%}",
        goal,
        bool(known and surest_mm <= MPJPE_GOAL_MM),
    )


def _stages(report: Report) -> Line:
    scores = [report.stages[name].pck10 for name in ("lifted", "completed", "refined")]
    worse = [f"{g.axis} {g.name}" for g in report.groups if not g.improves]
    all_rows = len(report.groups) + 1
    overall = scores[0] < scores[1] < scores[2]
    good = all_rows - len(worse) - (not overall)
    worse = worse if overall else ["all", *worse]
    return Line(
        "refined > completed > lifted",
        f"in {good} of {all_rows} rows",
        " < ".join(f"{s:.1%}" for s in scores) + (f"; not in: {', '.join(worse)}" if worse else ""),
        "in every row",
        not worse,
    )


def _profiles(report: Report) -> Line:
    by_name = {g.name: g for g in report.groups if g.axis == "heading"}
    frontal = by_name.get("frontal")
    turned = [by_name[name] for name in ("profile", "back") if name in by_name]
    if frontal is None or not turned:
        return Line("profiles against frontal", "unknown", "no such people",
                    f"within {100 * PROFILE_GAP_GOAL:.0f} points", None)  # fmt: skip
    beyond = _pooled_pck(turned)
    gap = frontal.pck10["refined"] - beyond
    parts = ", ".join(f"{g.name} {g.pck10['refined']:.1%}" for g in (frontal, *turned))
    return Line(
        "headings beyond 50 degrees against frontal",
        f"{100 * gap:.1f} points behind" if gap > 0 else f"{-100 * gap:.1f} points ahead",
        f"within 10 cm: {parts}",
        f"within {100 * PROFILE_GAP_GOAL:.0f} points",
        bool(gap <= PROFILE_GAP_GOAL),
    )


def _ellipsoids(report: Report) -> Line:
    c = report.calibration
    reached = all(
        low <= value <= high
        for value, (low, high) in ((c.inside68, INSIDE68_GOAL), (c.inside95, INSIDE95_GOAL))
    )
    return Line(
        "true joints in the 68 % and 95 % ellipsoids",
        f"{c.inside68:.1%} and {c.inside95:.1%}" if c.joints else "unknown",
        f"standard deviations would be right times {c.sd_factor:.2f}" if c.joints else "",
        "63 to 73 % and 92 to 98 %",
        reached if c.joints else None,
    )


def _pooled_pck(groups: list[Group]) -> float:
    joints = np.array([g.joints for g in groups])
    return float((joints * [g.pck10["refined"] for g in groups]).sum() / joints.sum())
