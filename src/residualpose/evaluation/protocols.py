"""The scores that a data set's papers give, with the published figures beside ours.

ITOP: valid frames, all 15 joints whether hidden or not, share strictly within 10 cm, no boxes.
Panoptic: 3D mAP within 10 cm, MPJPE with the recall it holds for, PCKh at half a head in 2D.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from residualpose.evaluation.report import Report, StageScores

_KINDS = ("head", "neck", "shoulders", "elbows", "hands", "torso", "hips", "knees", "feet")
_JOINTS_OF = ((0,), (1,), (2, 3), (4, 5), (6, 7), (8,), (9, 10), (11, 12), (13, 14))
"""Joints of the 15 in each kind, whatever a skeleton calls them."""


@dataclass(frozen=True, slots=True)
class Published:
    """What a paper says of its method, in percent and millimetres."""

    method: str
    pck10: float
    mpjpe_mm: float = math.nan
    kinds: tuple[float, ...] = (math.nan,) * len(_KINDS)
    """pck10 of each of the nine kinds of joint."""
    note: str = ""


@dataclass(frozen=True, slots=True)
class ProtocolTable:
    """A table for people to read."""

    title: str
    note: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


_ITOP: dict[str, tuple[Published, ...]] = {
    "itop-side": (
        Published("random forest", 65.8),
        Published("Haque 2016", 77.4),
        Published(
            "A2J", 88.0, 58.5, (98.5, 99.2, 96.2, 78.9, 68.4, 98.5, 90.9, 90.8, 86.9)
        ),
        Published(
            "V2V-PoseNet", 88.7, kinds=(98.3, 99.1, 97.2, 80.4, 67.3, 98.7, 93.2, 91.8, 87.6),
            note="10 models together",
        ),
        Published("SPiKE 2024", 89.2, note="3 frames"),
        Published("best claimed", 93.4, 39.0, note="several frames"),
    ),
    "itop-top": (Published("A2J", 80.5), Published("V2V-PoseNet", 83.4)),
}  # fmt: skip


PROTOCOLS = (*_ITOP, "panoptic")
"""The kinds of data set that have a table."""


def protocol_table(kind: str, report: Report, model: str, convention: str | None) -> ProtocolTable:
    """Our row, and those of the papers.

    Args:
        kind: of the data set.
        report: of all its frames.
        model: name of ours.
        convention: in which its joints were placed, or None.
    """
    placed = f"{model}, {convention} convention" if convention else model
    if kind in _ITOP:
        return _itop(kind, report.stages["refined"], placed, report.frames)
    return _panoptic(kind, report, placed)


def _itop(kind: str, ours: StageScores, name: str, frames: int) -> ProtocolTable:
    joints = list(ours.pck10_joint.values())
    kinds = tuple(100 * sum(joints[j] for j in members) / len(members) for members in _JOINTS_OF)
    row = Published(f"ours: {name}", 100 * ours.pck10, ours.mpjpe_mm, kinds)
    return ProtocolTable(
        f"{kind}, {frames} valid frames: % of 15 joints strictly within 10 cm, no boxes given",
        "The others are trained on ITOP; their figures are those of their papers, on all 4863 "
        "valid test frames. MPJPE of ours is that of the joints found "
        f"({ours.recall:.1%}); a joint that was not found is wrong.",
        ("method", "all", "mm", *_KINDS, ""),
        tuple(
            (p.method, _number(p.pck10), _number(p.mpjpe_mm), *map(_number, p.kinds), p.note)
            for p in (row, *_ITOP[kind])
        ),
    )


def _panoptic(kind: str, report: Report, name: str) -> ProtocolTable:
    ours = report.stages["refined"]
    values = (
        100 * report.map10["refined"], ours.mpjpe_mm, 100 * ours.recall, 100 * report.image.pckh,
    )  # fmt: skip
    return ProtocolTable(
        f"{kind}, {report.frames} frames: 3D mAP at 10 cm, MPJPE with recall, PCKh at 0.5 in 2D",
        "Everyone with at least 8 joints in sight is to be found. No published figures on these "
        "frames under these rules are known to us: papers choose their own views.",
        ("method", "mAP", "MPJPE mm", "recall", "PCKh"),
        ((f"ours: {name}", *map(_number, values)),),
    )


def _number(value: float) -> str:
    return f"{value:.1f}" if math.isfinite(value) else ""
