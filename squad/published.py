"""Published SQuAD scores of ConvBERT on the dev files, to stand beside measured ones. Percent. No Paddle."""

from typing import NamedTuple


class Row(NamedTuple):
    name: str
    size: str
    version: str
    exact: float
    f1: float


ROWS = (
    # arXiv:2008.02496 and the README of yitu-opensource/ConvBert.
    Row("ConvBERT paper", "base", "1.1", 84.7, 90.9),
    Row("ConvBERT paper", "base", "2.0", 80.6, 83.1),
    Row("ConvBERT paper", "medium-small", "1.1", 79.4, 86.0),
    Row("ConvBERT paper", "medium-small", "2.0", 71.7, 74.3),
    Row("ConvBERT paper", "small", "1.1", 77.1, 84.1),
    Row("ConvBERT paper", "small", "2.0", 68.7, 70.5),
    # JunnYu/paddle_convbert, README.
    Row("reference project", "base", "1.1", 84.82, 91.29),
    Row("reference project", "base", "2.0", 80.91, 83.90),
)


def rows_of(size: str, version: str) -> list[Row]:
    """The rows of a model size and a SQuAD version."""
    return [row for row in ROWS if (row.size, row.version) == (size, version)]
