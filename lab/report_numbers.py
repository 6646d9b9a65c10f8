"""A number on the report page, with where it comes from; the tests follow every one of them back."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Number:
    """str() is what the page says. scale: of the value there; form: as in format().

    source: ``file:PATH#KEY`` (a JSON file below the runs), ``published:ROW#TASK/KEY`` (glue/published.py), or
    what it was computed from, such as ``median:rte#accuracy``.
    """

    value: float
    source: str
    form: str = ".2f"
    scale: float = 1.0

    def __str__(self) -> str:
        return f"{self.value * self.scale:{self.form}}"


def percent(value: float, source: str) -> Number:
    """A fraction of 1, shown in percent."""
    return Number(value, source, scale=100.0)


def whole(value: float, source: str) -> Number:
    """A count, a step or a seed."""
    return Number(value, source, ".0f")


def mapping(value: Any) -> dict[str, Any]:
    """A value of a JSON file where a mapping belongs; empty where something else stands there."""
    return value if isinstance(value, dict) else {}
