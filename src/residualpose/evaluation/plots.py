"""Plots as SVG text, small enough to stand inside a page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

Place = Callable[[float, float], tuple[float, float]]
"""From values to the place in the picture."""

INK, SOFT, GRID = "#161a26", "#5a6275", "#dde1e8"
WIDTH, HEIGHT = 560, 330
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 14, 12, 42
DOTS_WIDTH, DOTS_HEIGHT = 220, 22


@dataclass(frozen=True, slots=True)
class Curve:
    """One line of a plot."""

    x: np.ndarray
    y: np.ndarray
    """Shares, 0 to 1."""
    colour: str
    dashed: bool = False
    dots: bool = False


def line_plot(
    curves: Sequence[Curve], x_label: str, x_ticks: Mapping[float, str], title: str
) -> str:
    """Shares (0 to 100 % upwards) over something, with ticks of given text."""
    left, right = min(x_ticks), max(x_ticks)

    def at(x: float, y: float) -> tuple[float, float]:
        across = _LEFT + (x - left) / (right - left) * (WIDTH - _LEFT - _RIGHT)
        return across, _TOP + (1 - y) * (HEIGHT - _TOP - _BOTTOM)

    parts = [_grid(at, left, right, x_ticks)]
    middle = (_LEFT + WIDTH - _RIGHT) / 2
    parts.append(_text(middle, HEIGHT - 6, x_label, SOFT, "middle"))
    for curve in curves:
        known = np.isfinite(curve.y)
        points = [at(x, y) for x, y in zip(curve.x[known], curve.y[known], strict=True)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        dash = ' stroke-dasharray="5 5"' if curve.dashed else ""
        parts.append(
            f'<polyline points="{path}" fill="none" stroke="{curve.colour}" stroke-width="2.2" '
            f'stroke-linejoin="round"{dash}/>'
        )
        if curve.dots:
            parts += [_dot(x, y, 3.2, curve.colour) for x, y in points]
    return _svg(WIDTH, HEIGHT, title, parts)


def bar_groups(
    names: Sequence[str], values: Mapping[str, Sequence[float]], colours: Mapping[str, str],
    title: str,
) -> str:  # fmt: skip
    """Horizontal bars, one group a name and one bar a key, of shares 0 to 1."""
    bar, gap, left, width = 5, 9, 104, 2 * WIDTH
    step = bar * len(values) + gap
    height = step * len(names) + 26
    scale = width - left - 60
    parts = []
    for tick in range(0, 101, 20):
        x = left + scale * tick / 100
        parts.append(f'<path d="M{x:.1f} 0V{height - 22}" stroke="{GRID}"/>')
        parts.append(_text(x, height - 6, f"{tick} %", SOFT, "middle"))
    for row, name in enumerate(names):
        top = row * step + gap / 2
        parts.append(_text(left - 8, top + step / 2, name, INK, "end"))
        for k, (key, series) in enumerate(values.items()):
            length = scale * float(np.nan_to_num(series[row]))
            parts.append(
                f'<rect x="{left}" y="{top + k * bar:.1f}" width="{length:.1f}" '
                f'height="{bar - 1}" rx="1" fill="{colours[key]}"/>'
            )
    return _svg(width, height, title, parts)


def dot_row(values: Mapping[str, float], colours: Mapping[str, str]) -> str:
    """Shares of one table row as dots on a line from 0 to 100 %."""
    y = DOTS_HEIGHT / 2
    parts = [f'<path d="M4 {y}H{DOTS_WIDTH - 4}" stroke="{GRID}" stroke-width="2"/>']
    parts += [
        _dot(4 + value * (DOTS_WIDTH - 8), y, 4.2, colours[name])
        for name, value in values.items()
        if np.isfinite(value)
    ]
    title = ", ".join(f"{name} {value:.1%}" for name, value in values.items())
    return _svg(DOTS_WIDTH, DOTS_HEIGHT, title, parts)


def _grid(at: Place, left: float, right: float, x_ticks: Mapping[float, str]) -> str:
    lines = []
    for tick in range(0, 101, 20):
        x, y = at(left, tick / 100)
        end, _ = at(right, 0)
        lines.append(f'<path d="M{x:.1f} {y:.1f}H{end:.1f}" stroke="{GRID}"/>')
        lines.append(_text(x - 7, y + 4, f"{tick}", SOFT, "end"))
    for value, text in x_ticks.items():
        x, y = at(value, 0)
        _, top = at(value, 1)
        lines.append(f'<path d="M{x:.1f} {top:.1f}V{y:.1f}" stroke="{GRID}"/>')
        lines.append(_text(x, y + 16, text, SOFT, "middle"))
    return "".join(lines)


def _dot(x: float, y: float, radius: float, colour: str) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" fill="{colour}"/>'


def _text(x: float, y: float, text: str, colour: str, anchor: str) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}" text-anchor="{anchor}">'
        f"{escape(text)}</text>"
    )


def _svg(width: float, height: float, title: str, parts: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {width} {height}" role="img"><title>{escape(title)}</title>'
        f"{''.join(parts)}</svg>"
    )
