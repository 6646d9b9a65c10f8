"""Figures where matplotlib, an extra, is installed."""

from pathlib import Path
from typing import Any

from common.errors import InputError
from common.files import atomic_write


def new_figure(flag: str, **settings: Any) -> Any:
    """A matplotlib Figure, which needs no display; InputError that names the flag where there is none."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise InputError(f"{flag}: matplotlib is not installed: pip install -e '.[plots]'") from None
    return Figure(**settings)


def save_figure(figure: Any, path: str | Path) -> None:
    """Write it in the format of the file's ending; the same figure gives the same bytes."""
    from matplotlib import rc_context

    kind = Path(path).suffix.lower().lstrip(".")
    undated = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(kind)
    with rc_context({"svg.hashsalt": "figure"}), atomic_write(path) as file:
        figure.savefig(file, format=kind, metadata=undated)
