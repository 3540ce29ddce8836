"""What `residualpose eval` shows on the terminal."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence

from residualpose.cli.tables import write_table
from residualpose.evaluation.headline import Line
from residualpose.evaluation.report import Report, StageScores, surest

_MARKS = {True: "yes", False: "no", None: "-"}


def show_report(
    report: Report, lines: Sequence[Line], benchmark: Mapping[str, object] | None
) -> None:
    """All tables, the most important first."""
    sys.stdout.write(
        f"{report.source}: {report.frames} frames, {report.matched} of {report.people} people "
        f"found, {report.extra} extra, right number in {report.right_count:.1%} of the frames\n"
    )
    if benchmark is not None:
        sys.stdout.write(
            f"recipe {str(benchmark['recipe_sha256'])[:12]}, rendered by "
            f"{str(benchmark['generator_sha256'])[:12]} of residualpose {benchmark['version']}\n"
        )
        goals = [(line.name, line.value, line.goal, _MARKS[line.reached]) for line in lines]
        write_table("Goals", ("", "found", "goal", "reached"), goals)
        for line in lines:
            sys.stdout.write(f"  {line.name}: {line.detail}\n")
    if report.stages:
        _show_stages(report)
        _show_groups(report)
        _show_calibration(report)
        _show_surest(report)
    _show_image(report)


def _show_stages(report: Report) -> None:
    everyone = {**report.stages, **report.others}
    rows = [
        (
            name,
            _share(s.pck10),
            _share(s.auc),
            _share(report.map10.get(name, math.nan)),
            _mm(s.mpjpe_mm),
            _share(s.recall),
            _mm(s.pa_mpjpe_mm),
        )
        for name, s in everyone.items()
    ]
    columns = ("stage", "pck10", "auc", "map10", "mpjpe", "recall", "pa-mpjpe")
    write_table("Stages", columns, rows)
    _show_joints(everyone)


def _show_joints(everyone: Mapping[str, StageScores]) -> None:
    joints = next(iter(everyone.values())).pck10_joint
    rows = [(name, *(_share(s.pck10_joint[name]) for s in everyone.values())) for name in joints]
    write_table("Joints within 10 cm", ("joint", *everyone), rows)


def _show_groups(report: Report) -> None:
    rows = [
        (
            f"{g.axis}: {g.name}", str(g.people), *(_percent(v) for v in g.pck10.values()),
            _percent(g.map10), _number(g.mpjpe_mm), _percent(g.recall), _number(g.pa_mpjpe_mm),
            _percent(g.inside68), _percent(g.inside95),
        )
        for g in report.groups
    ]  # fmt: skip
    columns = (
        "", "people", *report.stages, *report.others, "map10", "mpjpe", "recall", "pa",
        "in 68%", "in 95%",
    )  # fmt: skip
    write_table("Kinds of people: pck10 of each stage; shares in %, distances in mm", columns, rows)


def _show_calibration(report: Report) -> None:
    parts = {"all": report.calibration, **report.calibration_origin}
    rows = [
        (name, str(c.joints), _share(c.inside68), _share(c.inside95), _factor(c.sd_factor))
        for name, c in parts.items()
    ]
    columns = ("joints", "number", "in 68%", "in 95%", "sd factor")
    write_table("True joints inside their ellipsoids", columns, rows)


def _show_surest(report: Report) -> None:
    asked = [(f"{share:.0%}", mm) for share, mm in surest(report)]
    title = "MPJPE of the surest joints that make up a share of all"
    write_table(title, tuple(share for share, _ in asked), [tuple(_mm(mm) for _, mm in asked)])


def _show_image(report: Report) -> None:
    image = report.image
    sys.stdout.write(f"2D: {_share(image.pck10)} of the joints within a tenth of the height")
    if image.oks is None:
        sys.stdout.write("; AP not computed: pip install 'residualpose[eval]'\n")
        return
    oks = image.oks
    sys.stdout.write(
        f"; OKS AP {_share(oks.ap)}, AP50 {_share(oks.ap50)}, AP75 {_share(oks.ap75)}, "
        f"AR {_share(oks.ar)}\n"
    )


def _share(value: float) -> str:
    return f"{value:.1%}" if math.isfinite(value) else ""


def _mm(value: float) -> str:
    return f"{value:.1f} mm" if math.isfinite(value) else ""


def _factor(value: float) -> str:
    return f"{value:.2f}" if math.isfinite(value) else ""


def _percent(value: float) -> str:
    return f"{100 * value:.1f}" if math.isfinite(value) else ""


def _number(value: float) -> str:
    return f"{value:.0f}" if math.isfinite(value) else ""
