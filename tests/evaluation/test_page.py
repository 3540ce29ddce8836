"""The page: whole, offline, and with the numbers of the report."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from residualpose.evaluation.headline import headline
from residualpose.evaluation.observe import STAGES, observe
from residualpose.evaluation.page import render_page, write_page
from residualpose.evaluation.plots import Curve, dot_row, line_plot
from residualpose.evaluation.report import Report, summarise

MADE = {
    "model": {"name": "<small>", "sha256": "ab" * 32},
    "convention": None,
    "benchmark": {"name": "b", "recipe_sha256": "1" * 64, "generator_sha256": "2" * 64,
                  "version": "9.9"},
}  # fmt: skip
VOID = {"meta", "circle", "path", "rect", "polyline"}


class Balanced(HTMLParser):
    """Fails where an element is closed that is not the open one."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in VOID

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture
def report(tmp_path: Path, standing_m: np.ndarray) -> Report:
    from residualpose.evaluation.labelled import open_labelled

    truth = np.stack([standing_m, standing_m + np.array([0, 0, 1.5])])
    np.savez(
        tmp_path / "set.npz", depth_mm=np.full((2, 48, 64), 3000, np.uint16),
        K=np.array([[60.0, 0, 32], [0, 60, 24], [0, 0, 1]]), joints_m=truth, net_m=truth + 0.01,
    )  # fmt: skip
    from types import SimpleNamespace

    from residualpose import Camera, Poses

    none = np.zeros((0, 15, 3))
    poses = Poses.empty(Camera(300, 300, 160, 120))
    told = SimpleNamespace(lifted_m=none, completed_m=none, refined_m=none, poses=poses)
    nobody = SimpleNamespace(explain=lambda frame: told)
    seen = observe(nobody, open_labelled(tmp_path / "set.npz"), lambda: None)  # type: ignore[arg-type]
    return summarise("<set>", seen)


def test_the_page_is_whole_and_loads_nothing(report: Report) -> None:
    page = render_page(report, headline(report), MADE)
    parser = Balanced()
    parser.feed(page)
    assert not parser.open
    assert not re.search(r"(?:src|href)=|url\(|@import|https?://", page)
    assert "<set>" not in page and "&lt;set&gt;" in page and "&lt;small&gt;" in page
    assert all(stage in page for stage in (*STAGES, "net"))
    assert "111111111111" in page and "residualpose 9.9" in page
    assert page.count('class="line ') == 5
    assert "nan" not in page.replace("&nbsp;", "").lower().split("</style>")[1]


def test_pixels_alone_make_a_page_without_curves(report: Report) -> None:
    from dataclasses import replace

    page = render_page(replace(report, stages={}, others={}, groups=[]), [], MADE)
    assert "<svg" not in page and "tenth of the person" in page


def test_writing_replaces_the_page_whole(report: Report, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text("before")
    write_page(path, report, [], MADE)
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert not list(tmp_path.glob(".*"))


def test_curves_go_up_and_to_the_right() -> None:
    curve = Curve(np.array([0.0, 5, 10]), np.array([0.0, np.nan, 1.0]), "#123456", dots=True)
    plot = line_plot([curve], "cm", {0.0: "0", 10.0: "10"}, "title & more")
    points = re.search(r'polyline points="([^"]*)"', plot)
    assert points is not None and "title &amp; more" in plot
    (x0, y0), (x1, y1) = (map(float, p.split(",")) for p in points[1].split())
    assert x1 > x0 and y1 < y0
    assert plot.count("<circle") == 2


def test_dots_stand_where_their_shares_are() -> None:
    row = dot_row({"a": 0.0, "b": 1.0, "c": float("nan")}, {"a": "#111", "b": "#222", "c": "#333"})
    assert re.findall(r'cx="([\d.]+)"', row) == ["4.0", "216.0"]
