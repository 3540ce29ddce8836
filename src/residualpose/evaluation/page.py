"""One self-contained page about an evaluation: goals, curves, tables. It loads nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from importlib import resources
from pathlib import Path

import numpy as np

from residualpose.evaluation.breakdown import Group
from residualpose.evaluation.calibration import LEVELS
from residualpose.evaluation.headline import Line
from residualpose.evaluation.pck import CURVE_M
from residualpose.evaluation.plots import Curve, bar_groups, dot_row, line_plot
from residualpose.evaluation.protocols import ProtocolTable
from residualpose.evaluation.report import Report, surest
from residualpose.results import replacing

_STAGE_COLOUR = {"lifted": "#aab3c2", "completed": "#4fa3e0", "refined": "#1f3fae"}
_OTHER_COLOURS = ("#f08c00", "#c2417c", "#00a87a", "#6e64dc")
_MARK = {True: ("yes", "✓"), False: ("no", "✗"), None: ("", "-")}

_NOTES = {
    "pck10": "share of joints strictly within 10 cm of the truth, hidden joints included; a joint "
    "or a person that was not found is wrong",
    "AUC": "mean of that share over limits of 0 to 15 cm in steps of 5 mm",
    "mAP": "people found are paired with true ones, one each, so that the median distances of "
    "their joints (at most 0.5 m) are smallest; the others are false positives. Lifted and "
    "completed joints are ranked by score, refined ones by how probably they are within 10 cm by "
    "their covariance; average precision of each joint at 10 cm, then the mean of the 15",
    "MPJPE, PA-MPJPE": "mean distance of the joints that were found, before and after the best "
    "turn, shift and scale of each person; recall is the share of joints found",
    "of the surest": "MPJPE of the joints that are most probably within 10 cm by their covariance, "
    "as many as make up that share of all; empty where fewer were found",
    "ellipsoids": "share of true joints inside the region that the covariance says holds 68 % or "
    "95 %, taking errors for Student's t with 5 degrees of freedom; below the "
    "diagonal the model is too sure, above it too careful",
    "OKS AP": "COCO's keypoint AP in the image, with COCO's constants and 0.53 of the joints' box "
    "as area",
    "heading": "angle about the trunk between where a person faces and the camera: frontal up to "
    "50 degrees, profile up to 130, back beyond; end-on where the camera looks along the trunk",
    "occlusion": "share of joints that neither anything else nor the image's edge hides: in sight "
    "80 % and more, mostly hidden below 40 %",
    "asked for": "a rendered person with fewer than 8 of 15 joints in sight is neither missed nor "
    "wrong",
}


def write_page(
    path: Path,
    report: Report,
    lines: Sequence[Line],
    made: Mapping[str, object],
    protocol: ProtocolTable | None = None,
) -> None:
    """Write the page; a file that is there is replaced whole.

    Args:
        path: the .html file.
        report: what to show.
        lines: what stands above everything else.
        made: "model", "convention" and "benchmark", as in the JSON report.
        protocol: the table of the data set's papers, if it is such a set.

    Raises:
        ResidualPoseError: it cannot be written.
    """
    with replacing(path) as stream:
        stream.write(render_page(report, lines, made, protocol).encode())


def render_page(
    report: Report,
    lines: Sequence[Line],
    made: Mapping[str, object],
    protocol: ProtocolTable | None = None,
) -> str:
    """The text of the page."""
    css = resources.files("residualpose.evaluation").joinpath("page.css")
    colours = _colours(report)
    parts = [_header(report, made), _lines(lines)]
    if protocol is not None:
        rows = [[escape(cell) for cell in row] for row in protocol.rows]
        parts.append(
            f"<section><h2>{escape(protocol.title)}</h2>{_table(protocol.columns, rows)}"
            f'<p class="note">{escape(protocol.note)}</p></section>'
        )
    if report.stages:
        parts += [
            f'<div class="pair">{_curves(report, colours)}{_calibration(report)}</div>',
            _groups(report, colours),
            _joints(report, colours),
        ]
    parts += [_image(report), _notes()]
    title = escape(f"{report.source} - residualpose")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{css.read_text(encoding='utf-8')}</style></head>\n"
        f"<body>{chr(10).join(parts)}</body></html>\n"
    )


def _colours(report: Report) -> dict[str, str]:
    others = {name: _OTHER_COLOURS[k % len(_OTHER_COLOURS)] for k, name in enumerate(report.others)}
    return {**_STAGE_COLOUR, **others}


def _header(report: Report, made: Mapping[str, object]) -> str:
    model, benchmark = made["model"], made["benchmark"]
    facts = [
        f"{report.frames} frames, {report.matched} of {report.people} people found, "
        f"{report.extra} extra, right number in {report.right_count:.1%} of the frames"
    ]
    if isinstance(model, Mapping):
        convention = made["convention"] or "our own"
        facts.append(
            f"model {model['name']} ({str(model['sha256'])[:12]}), {convention} joint convention"
        )
    if isinstance(benchmark, Mapping):
        facts.append(
            f"recipe {str(benchmark['recipe_sha256'])[:12]}, rendered by "
            f"{str(benchmark['generator_sha256'])[:12]} of residualpose {benchmark['version']}"
        )
    text = "".join(f"<p>{escape(fact)}</p>" for fact in facts)
    return f"<header><h1>{escape(report.source)}</h1>{text}</header>"


def _lines(lines: Sequence[Line]) -> str:
    rows = []
    for line in lines:
        kind, mark = _MARK[line.reached]
        rows.append(
            f'<div class="line {kind}"><i>{mark}</i><span>{escape(line.name)}</span>'
            f"<b>{escape(line.value)}</b><small>{escape(line.detail)}</small>"
            f'<small class="goal">goal: {escape(line.goal)}</small></div>'
        )
    return f'<div class="lines">{"".join(rows)}</div>'


def _curves(report: Report, colours: Mapping[str, str]) -> str:
    everyone = {**report.stages, **report.others}
    curves = [
        Curve(100 * CURVE_M, np.array(s.pck_curve), colours[name], name in report.others)
        for name, s in everyone.items()
    ]
    ticks = {float(cm): f"{cm}" for cm in range(0, 26, 5)}
    plot = line_plot(curves, "distance, cm", ticks, "Share of joints within a distance")
    table = _stages(report, colours)
    return f"<section><h2>Joints within a distance, %</h2>{plot}{table}</section>"


def _calibration(report: Report) -> str:
    inside = np.array(report.calibration_curve)
    ideal = Curve(np.array([0.0, 100.0]), np.array([0.0, 1.0]), "#aab3c2", dashed=True)
    curve = Curve(100 * LEVELS, inside, _STAGE_COLOUR["refined"], dots=True)
    ticks = {float(share): f"{share}" for share in range(0, 101, 20)}
    plot = line_plot([ideal, curve], "promised, %", ticks, "True joints inside the ellipsoids")
    parts = {"all": report.calibration, **report.calibration_origin}
    rows = [
        (name, c.joints, _percent(c.inside68), _percent(c.inside95), _factor(c.sd_factor))
        for name, c in parts.items()
    ]
    columns = ("joints", "number", "in 68 %", "in 95 %", "sd factor")
    asked = surest(report)
    head = ("of the surest", *(f"{share:.0%}" for share, _ in asked))
    surest_table = _table(head, [("MPJPE, mm", *(_mm(mm) for _, mm in asked))])
    return (
        f"<section><h2>True joints inside the ellipsoids, %</h2>{plot}{_table(columns, rows)}"
        f"{surest_table}</section>"
    )


def _stages(report: Report, colours: Mapping[str, str]) -> str:
    rows = [
        (
            _swatch(colours[name]) + escape(name), _percent(s.pck10), _percent(s.auc),
            _percent(report.map10.get(name, math.nan)), _mm(s.mpjpe_mm), _percent(s.recall),
            _mm(s.pa_mpjpe_mm),
        )
        for name, s in {**report.stages, **report.others}.items()
    ]  # fmt: skip
    columns = ("stage", "pck10", "AUC", "3D mAP", "MPJPE", "recall", "PA-MPJPE")
    note = '<p class="note">Shares in %, distances in mm.</p>'
    return _table(columns, rows) + note


def _groups(report: Report, colours: Mapping[str, str]) -> str:
    names = list(colours)
    columns = (
        "", "people", "0 to 100 % within 10 cm", *(n for n in names if n in _first(report)),
        "mAP", "MPJPE", "recall", "PA", "in 68 %", "in 95 %",
    )  # fmt: skip
    head = "".join(f"<th>{escape(name)}</th>" for name in columns)
    rows, axis = [], ""
    for group in report.groups:
        if group.axis != axis:
            axis = group.axis
            rows.append(f'<tr class="axis"><td colspan="{len(columns)}">{escape(axis)}</td></tr>')
        rows.append(_group_row(group, colours))
    return (
        "<section><h2>Kinds of people</h2>"
        '<p class="note">Shares in %, distances in mm. Red: a stage that is no better than the one '
        "before it.</p>"
        f'<div class="scroll"><table><tr>{head}</tr>{"".join(rows)}</table></div></section>'
    )


def _first(report: Report) -> dict[str, float]:
    return report.groups[0].pck10 if report.groups else {}


def _group_row(group: Group, colours: Mapping[str, str]) -> str:
    cells, before = [], -1.0
    for name, share in group.pck10.items():
        worse = name in _STAGE_COLOUR and share <= before
        cells.append(f'<td class="bad">{_percent(share)}</td>' if worse else _cell(_percent(share)))
        before = share if name in _STAGE_COLOUR else before
    values = (
        _percent(group.map10), _mm(group.mpjpe_mm), _percent(group.recall),
        _mm(group.pa_mpjpe_mm), _percent(group.inside68), _percent(group.inside95),
    )  # fmt: skip
    return (
        f"<tr><td>{escape(group.name)}</td><td>{group.people}</td>"
        f'<td class="plot">{dot_row(group.pck10, colours)}</td>{"".join(cells)}'
        f"{''.join(_cell(value) for value in values)}</tr>"
    )


def _joints(report: Report, colours: Mapping[str, str]) -> str:
    everyone = {**report.stages, **report.others}
    joints = next(iter(everyone.values())).pck10_joint
    names = [name.replace("_", " ") for name in joints]
    values = {name: [s.pck10_joint[j] for j in joints] for name, s in everyone.items()}
    plot = bar_groups(names, values, colours, "Share within 10 cm by joint")
    return f"<section><h2>Joints within 10 cm</h2>{plot}{_legend(everyone, colours)}</section>"


def _image(report: Report) -> str:
    image = report.image
    rows = [
        ("joints within a tenth of the person's height", _percent(image.pck10)),
        ("joints within half a head (PCKh)", _percent(image.pckh)),
    ]
    if image.oks is None:
        rows.append(("OKS AP", "not computed: pip install 'residualpose[eval]'"))
    else:
        oks = image.oks
        rows += [("OKS AP", _percent(oks.ap)), ("AP50", _percent(oks.ap50)),
                 ("AP75", _percent(oks.ap75)), ("AR", _percent(oks.ar))]  # fmt: skip
    return f"<section><h2>In the image, %</h2>{_table(('', ''), rows)}</section>"


def _notes() -> str:
    items = "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in _NOTES.items())
    return f"<section><h2>What the figures mean</h2><dl>{items}</dl></section>"


def _legend(names: Mapping[str, object], colours: Mapping[str, str]) -> str:
    items = "".join(f"<li>{_swatch(colours[name])}{escape(name)}</li>" for name in names)
    return f'<ul class="legend">{items}</ul>'


def _swatch(colour: str) -> str:
    return f'<span class="swatch" style="background:{colour}"></span>'


def _table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table of cells that are HTML already."""
    head = "".join(f"<th>{escape(name)}</th>" for name in columns)
    body = "".join(f"<tr>{''.join(_cell(str(c)) for c in row)}</tr>" for row in rows)
    return f'<div class="scroll"><table><tr>{head}</tr>{body}</table></div>'


def _cell(text: str) -> str:
    return f"<td>{text}</td>"


def _factor(value: float) -> str:
    return f"{value:.2f}" if math.isfinite(value) else ""


def _percent(value: float) -> str:
    return f"{100 * value:.1f}" if math.isfinite(value) else ""


def _mm(value: float) -> str:
    return f"{value:.1f}" if math.isfinite(value) else ""
