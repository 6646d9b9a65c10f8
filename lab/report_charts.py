"""Charts as inline SVG: no script, no font, nothing fetched; colours come from the page's style.

Every line and dot carries the values it stands for (``data-points``, ``data-value``), and every chart the
values at its edges (``data-x``, ``data-y``), so that the drawing can be checked against them.
"""

import json
import math
from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup

_WIDTH, _HEIGHT = 360, 150
_LEFT, _RIGHT, _TOP, _BOTTOM = 42, 14, 8, 22
_FEW = 12  # points that are still marked one by one
_ROW = 30


class Line(NamedTuple):
    """A run's values over the steps. is_best: drawn in the accent colour."""

    run: str
    points: Sequence[tuple[int, float]]
    is_best: bool


class Dot(NamedTuple):
    """A run's score, a fraction of 1, in the row of its configuration."""

    row: str
    run: str
    value: float
    is_best: bool


class _Axis(NamedTuple):
    """Values from low to high at the places from begin to end."""

    low: float
    high: float
    begin: float
    end: float

    def place(self, value: float) -> float:
        return self.begin + (value - self.low) / (self.high - self.low) * (self.end - self.begin)


def line_chart(lines: Sequence[Line], scale: float) -> Markup:
    """Values times scale over steps; empty if no line has a point."""
    lines = [line for line in lines if line.points]
    if not lines:
        return Markup()
    values = [value * scale for line in lines for _, value in line.points]
    steps = max(1, *(step for line in lines for step, _ in line.points))
    x = _Axis(0, steps, _LEFT, _WIDTH - _RIGHT)
    y = _padded(values, _HEIGHT - _BOTTOM, _TOP)
    parts = [_grid(x, y, _HEIGHT)]
    for line in lines:
        points = [(x.place(step), y.place(value * scale)) for step, value in line.points]
        shape = " ".join(f"{left:.1f},{top:.1f}" for left, top in points)
        kind = "line best" if line.is_best else "line"
        drawn = Markup('<polyline class="{}" data-run="{}" data-points="{}" points="{}">{}</polyline>')
        parts.append(drawn.format(kind, line.run, json.dumps(line.points), shape, _title(line.run)))
        if len(points) == 1 or (line.is_best and len(points) <= _FEW):
            mark = Markup('<circle class="{}" cx="{:.1f}" cy="{:.1f}" r="2.5"/>')
            parts += [mark.format(kind.replace("line", "dot"), left, top) for left, top in points]
    return _svg(x, y, _HEIGHT, parts)


def dot_chart(dots: Sequence[Dot]) -> Markup:
    """Scores in percent along x, a row for each configuration."""
    rows = list(dict.fromkeys(dot.row for dot in dots))
    height = _TOP + _ROW * len(rows) + _BOTTOM
    x = _padded([100 * dot.value for dot in dots], _RIGHT, _WIDTH - _RIGHT)
    parts = [_grid(x, None, height)]
    for number, row in enumerate(rows):
        top = _TOP + _ROW * number
        parts.append(Markup('<text class="name" x="{}" y="{}">{}</text>').format(_RIGHT, top + 9, row))
        for dot in (dot for dot in dots if dot.row == row):
            kind, left = "dot best" if dot.is_best else "dot", x.place(100 * dot.value)
            drawn = Markup(
                '<circle class="{}" data-run="{}" data-value="{}" cx="{:.1f}" cy="{}" r="4.5">{}</circle>'
            )
            parts.append(drawn.format(kind, dot.run, dot.value, left, top + 20, _title(dot.run)))
    return _svg(x, None, height, parts)


def _title(run: str) -> Markup:
    """What a browser shows when the pointer rests on a line or a dot."""
    return Markup("<title>{}</title>").format(run)


def _padded(values: Sequence[float], begin: float, end: float) -> _Axis:
    """An axis with a twentieth of room at both ends; one value alone stands in the middle."""
    low, high = min(values), max(values)
    room = (high - low) / 20 or max(abs(low) / 20, 0.5)
    return _Axis(low - room, high + room, begin, end)


def ticks(low: float, high: float) -> list[float]:
    """Three to eight round values within: multiples of 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10((high - low) / 3))
    step = next(power * factor for factor in (5, 2, 1) if (high - low) / (power * factor) >= 3)
    first = math.ceil(low / step)
    return [round(step * number, 10) for number in range(first, math.floor(high / step) + 1)]


def _grid(x: _Axis, y: _Axis | None, height: int) -> Markup:
    """Values at the axes, and a thin line for each value of y (of x, if there is no y)."""
    parts = []
    for value in ticks(x.low, x.high):
        place = x.place(value)
        if y is None:
            parts.append(Markup('<line class="grid" x1="{0:.1f}" x2="{0:.1f}" y1="{1}" y2="{2}"/>').format(
                place, _TOP, height - _BOTTOM + 4))  # fmt: skip
        parts.append(
            Markup('<text class="tick x" x="{:.1f}" y="{}">{:g}</text>').format(place, height - 6, value)
        )
    for value in ticks(y.low, y.high) if y else []:
        place = y.place(value) if y else 0.0
        parts.append(Markup('<line class="grid" x1="{0}" x2="{1}" y1="{2:.1f}" y2="{2:.1f}"/>').format(
            _LEFT, _WIDTH - _RIGHT, place))  # fmt: skip
        parts.append(
            Markup('<text class="tick y" x="{}" y="{:.1f}">{:g}</text>').format(_LEFT - 6, place + 3.5, value)
        )
    return Markup("").join(parts)


def _svg(x: _Axis, y: _Axis | None, height: int, parts: Sequence[Markup]) -> Markup:
    edges = Markup(' data-x="{}"').format(json.dumps(x)) + (
        Markup(' data-y="{}"').format(json.dumps(y)) if y else ""
    )
    head = Markup('<svg viewBox="0 0 {} {}" role="img"{}>').format(_WIDTH, height, edges)
    return head + Markup("").join(parts) + Markup("</svg>")
