"""Tables in every form: hand-written."""

import csv
import io
import json
import math

import pytest
from pandas import DataFrame

from common.tables import FORMATS, render, render_rows

TABLE = DataFrame({
    "run": ["a_b", "c|d\x1b[2J"], "n": [1, 20], "score": [71.005, None], "p": [0.0123, math.nan]
})  # fmt: skip


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("text", ["run            n  score      p", "a_b            1  71.00  0.012",
                  "c|d\\x1b[2J  20      –      –"]),
        ("markdown", ["| run          |  n | score |     p |", "| ---------- | -: | ----: | ----: |",
                      "| a_b          |  1 | 71.00 | 0.012 |", "| c\\|d\\x1b[2J  | 20 |     – |     – |"]),
    ],
)  # fmt: skip
def test_for_people(form: str, expected: list[str]) -> None:
    lines = render(TABLE, form, {"p": ".3f"}).split("\n")
    assert [line.split() for line in lines] == [line.split() for line in expected]
    assert len({len(line.replace("\\|", "|")) for line in lines if form == "markdown"}) <= 1


def test_latex_escapes() -> None:
    text = render(TABLE, "latex")
    assert r"a\_b & 1 & 71.00 & 0.01 \\" in text
    assert text.startswith(r"\begin{tabular}")


def test_for_programs_numbers_keep_their_digits() -> None:
    rows = list(csv.reader(io.StringIO(render(TABLE, "csv"))))
    assert rows == [
        ["run", "n", "score", "p"],
        ["a_b", "1", "71.005", "0.0123"],
        ["c|d\\x1b[2J", "20", "", ""],
    ]
    first, second = json.loads(render(TABLE, "json"))
    assert first == {"run": "a_b", "n": 1, "score": 71.005, "p": 0.0123}
    assert (second["run"], second["score"], second["p"]) == ("c|d\\x1b[2J", None, None)


@pytest.mark.parametrize("form", FORMATS)
def test_nothing_is_a_command_of_the_terminal(form: str) -> None:
    assert render(TABLE, form).replace("\n", "").isprintable()


def test_rows_are_rendered_as_a_table_is() -> None:
    assert render_rows([{"a": 1, "b": "x"}, {"a": 2, "b": "y"}], "csv") == "a,b\n1,x\n2,y"
