"""Tables as commands print them, from a pandas DataFrame: as text, Markdown, LaTeX, CSV or JSON."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from common.command_line import CommandParser
from common.messages import escape_unprintable

if TYPE_CHECKING:
    from pandas import DataFrame

_DECIMALS = 10
FORMATS = ("text", "markdown", "latex", "csv", "json")


def add_format(parser: CommandParser) -> None:
    """Add the flag that says in which form a table is printed."""
    parser.add_argument(
        "--format", choices=FORMATS, default="text", help="form of the table on stdout (default: text)"
    )


def render_rows(rows: Sequence[Mapping[str, Any]], form: str) -> str:
    """Render rows, each column → value, as ``render`` does a table."""
    import pandas

    return render(pandas.DataFrame(rows), form)


def render(table: "DataFrame", form: str = "text", formats: Mapping[str, str] = MappingProxyType({})) -> str:
    """Render a table without its index.

    Args:
        table: The table; numbers are numbers, None or NaN stands for no value.
        form: One of ``FORMATS``. In CSV and JSON numbers have up to ten decimals.
        formats: How the other forms write floats, by column, as for ``format``; ``.2f`` where not named.
    """
    if form in ("csv", "json"):
        plain = table.map(lambda value: escape_unprintable(value) if isinstance(value, str) else value)
        if form == "json":
            return str(plain.to_json(orient="records", indent=2, double_precision=_DECIMALS))
        return str(plain.round(_DECIMALS).to_csv(index=False)).rstrip("\n")
    cells = table.astype(object).apply(
        lambda column: column.map(lambda value: _cell(value, formats.get(str(column.name), ".2f")))
    )
    if form == "latex":
        return str(cells.to_latex(index=False, escape=True)).rstrip("\n")
    is_number = [kind.kind in "fi" for kind in table.dtypes]
    rows = [[escape_unprintable(str(name)) for name in table.columns], *cells.to_numpy().tolist()]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    padded = [
        [cell.rjust(width) if right else cell.ljust(width) for cell, width, right in
         zip(row, widths, is_number, strict=True)]
        for row in rows
    ]  # fmt: skip
    if form == "text":
        return "\n".join("  ".join(row).rstrip() for row in padded)
    rule = ["-" * (size - 1) + (":" if right else "-") for size, right in zip(widths, is_number, strict=True)]
    escaped = [[cell.replace("|", r"\|") for cell in row] for row in padded]
    return "\n".join(f"| {' | '.join(row)} |" for row in (escaped[0], rule, *escaped[1:]))


def _cell(value: Any, form: str) -> str:
    """A cell as text; ``–`` stands for no value."""
    if value is None or value != value:
        return "–"
    return f"{value:{form}}" if isinstance(value, float) else escape_unprintable(str(value))
