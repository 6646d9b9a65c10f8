"""Charts of runs as inline SVG, drawn by matplotlib, which is an extra; their colours are the page's.

The same values give the same bytes. Nothing in a chart names a file or an address outside the page.
"""

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any, NamedTuple

from markupsafe import Markup, escape

from common.figures import new_figure

# What is drawn in these colours gets those of the page, which knows a light and a dark theme.
_OTHER, _BEST, _TEXT, _RULE = "#000001", "#000002", "#000003", "#000004"
_VARIABLES = {_OTHER: "--other", _BEST: "--accent", _TEXT: "--soft", _RULE: "--rule"}
_STYLE: Any = {
    "svg.fonttype": "none", "svg.hashsalt": "report", "font.size": 8, "font.sans-serif": ["DejaVu Sans"],
    "axes.edgecolor": _RULE, "axes.grid": True, "axes.spines.top": False, "axes.spines.right": False,
    "grid.color": _RULE, "grid.linewidth": 0.6, "xtick.color": _TEXT, "xtick.major.size": 0,
    "ytick.color": _TEXT, "ytick.major.size": 0,
}  # fmt: skip
_WIDTH = 4.2  # inches
_LEAST_SPAN = 6.0  # of an axis of percent
_MOST_NAMED = 12
_METADATA = dict.fromkeys(("Creator", "Date", "Format", "Type"))
_SIZE = re.compile(r'(<svg [^>]*?) width="[^"]*"')
_HEAD = re.compile(r"<metadata>.*?</metadata>| xmlns(:\w+)?=\"[^\"]*\"| height=\"[\d.]+pt\"", re.DOTALL)
_ID = re.compile(r' id="[a-zA-Z0-9.]+_\d+"')
_RUN = re.compile(r'<g id="run:(\d+)">')


class ChartLine(NamedTuple):
    """Values of a run over its steps, the best run's to be drawn in the accent colour."""

    run: str
    points: Sequence[tuple[int, float]]
    is_best: bool


def are_available() -> bool:
    """Whether charts can be drawn here."""
    return find_spec("matplotlib") is not None


def line_chart(
    curves: Sequence[ChartLine], baseline: float | None = None, are_scores: bool = False
) -> Markup:
    """Draw values over steps, the best run's on top; empty if there is no point.

    baseline: a value to draw a dashed line at. are_scores: they are percent, of which a few are noise.
    """
    curves = sorted((curve for curve in curves if curve.points), key=lambda curve: curve.is_best)
    if not curves or not are_available():
        return Markup()
    with _axes(1.8) as axes:
        for number, curve in enumerate(curves):
            axes.plot(
                *zip(*curve.points, strict=True), color=_BEST if curve.is_best else _OTHER, clip_on=False,
                linewidth=1.5 if curve.is_best else 1, marker="o" if len(curve.points) < 12 else "",
                markersize=2.5, gid=f"run:{number}",
            )  # fmt: skip
        if baseline is not None:
            axes.axhline(baseline, color=_TEXT, linewidth=0.8, linestyle="--")
        if are_scores:
            axes.set_ylim(*_widened(*axes.get_ylim()))
        return _inline(axes.figure, [curve.run for curve in curves])


def _widened(low: float, high: float) -> tuple[float, float]:
    """An axis of percent that shows at least so much that a difference within noise looks small."""
    missing = max(0.0, _LEAST_SPAN - (high - low)) / 2
    return (low - missing, high + missing)


def dot_chart(dots: Sequence[tuple[str, str, float, bool]], baseline: float | None = None) -> Markup:
    """Draw a dot for each (configuration, run, value, is it the best), in the row of its configuration.

    Of few runs the dots are named by the seed at the end of the run's name. baseline: as in line_chart.
    """
    if not are_available():
        return Markup()
    rows = list(dict.fromkeys(configuration for configuration, *_ in reversed(dots)))
    with _axes(0.5 + 0.3 * len(rows)) as axes:
        for number, (configuration, run, value, is_best) in enumerate(dots):
            axes.plot(
                [value], [rows.index(configuration)], "o", color=_BEST if is_best else _OTHER, markersize=6,
                clip_on=False, gid=f"run:{number}",
            )  # fmt: skip
            if (seed := re.search(r"-(?:seed)?(\d+)$", run)) and len(dots) <= _MOST_NAMED:
                dot = (value, rows.index(configuration))
                axes.annotate(seed[1], dot, (0, 5), textcoords="offset points", ha="center", color=_TEXT)
        if baseline is not None:
            axes.axvline(baseline, color=_TEXT, linewidth=0.8, linestyle="--")
        axes.set_xlim(*_widened(*axes.get_xlim()))
        axes.set_yticks(range(len(rows)), [name.replace("$", r"\$") for name in rows])
        axes.set_ylim(-0.5, len(rows) - 0.5)
        return _inline(axes.figure, [run for _, run, *_ in dots])


@contextmanager
def _axes(height: float) -> Iterator[Any]:
    from matplotlib import rc_context

    with rc_context(_STYLE):
        yield new_figure("lab.report", figsize=(_WIDTH, height), layout="constrained").add_subplot()


def _inline(figure: Any, runs: Sequence[str]) -> Markup:
    """A figure as an element of the page; a pointer on a line or a dot shows the run's name."""
    file = io.StringIO()
    figure.savefig(file, format="svg", transparent=True, metadata=_METADATA)
    svg = file.getvalue()
    svg = _ID.sub("", _HEAD.sub("", _SIZE.sub(r"\1", svg[svg.index("<svg") :])))
    svg = _RUN.sub(lambda match: f"<g><title>{escape(runs[int(match[1])])}</title>", svg)
    for colour, variable in _VARIABLES.items():
        svg = svg.replace(colour, f"var({variable})")
    return Markup(svg)
