"""Tables of users: the same rows from every format, and bad rows with their lines."""

import json
from pathlib import Path

import pytest

from common.errors import InputError
from common.table_files import read_columns

ROWS = [('a, "b"', "1"), ("c", "0"), ("ü", "1")]
CSV = 'text,other,label\n"a, ""b""",x,1\nc,x,0\nü,x,1\n'
TSV = 'text\tother\tlabel\na, "b"\tx\t1\nc\tx\t0\nü\tx\t1\n'
JSON = "".join(json.dumps({"label": int(label), "text": text, "x": None}) + "\n" for text, label in ROWS)


def written(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(("suffix", "content"), [("csv", CSV), ("tsv", TSV), ("jsonl", JSON)])
@pytest.mark.parametrize("bom", [False, True])
def test_formats_give_the_same_rows(tmp_path: Path, suffix: str, content: str, bom: bool) -> None:
    path = written(tmp_path / f"a.{suffix}", (b"\xef\xbb\xbf" if bom else b"") + content.encode())
    first = 1 if suffix == "jsonl" else 2
    expected = [(first + number, list(row)) for number, row in enumerate(ROWS)]
    assert list(read_columns(path, ["text", "label"])) == expected
    assert [cells for _, cells in read_columns(path, ["text"], "absent")] == [
        [text, None] for text, _ in ROWS
    ]


def test_parquet_where_its_reader_is_installed(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    import pandas

    table = pandas.DataFrame({"text": ["a", "b", None], "label": [1, None, 0], "flag": [True, False, True]})
    table.to_parquet(tmp_path / "a.parquet")
    rows = list(read_columns(tmp_path / "a.parquet", ["text", "label", "flag"]))
    assert rows == [(1, ["a", "1", "true"]), (2, ["b", "", "false"]), (3, ["", "0", "true"])]
    with pytest.raises(InputError, match="no column 'x'"):
        list(read_columns(tmp_path / "a.parquet", ["x"]))
    written(tmp_path / "b.parquet", b"PAR1 is not enough")
    with pytest.raises(InputError, match="not a Parquet file"):
        list(read_columns(tmp_path / "b.parquet", ["x"]))


def test_parquet_without_its_reader_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pandas

    def without(_: object) -> None:
        raise ImportError("Missing optional dependency 'pyarrow'")

    monkeypatch.setattr(pandas, "read_parquet", without)
    path = written(tmp_path / "a.parquet", b"PAR1")
    with pytest.raises(InputError) as caught:
        list(read_columns(path, ["text"]))
    assert (caught.value.path, caught.value.code) == (path, "no reader")
    assert "pip install pyarrow" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "line", "code"),
    [
        ("a.csv", "", None, "empty"),
        ("a.tsv", "", None, "empty"),
        ("a.csv", "review;label\na;1\n", 1, "header"),
        ("a.csv", "text,label,text\na,1,b\n", 1, "header"),
        ("a.csv", 'text,label\n"a\nb\nc",1\nd\n', 5, "row"),  # a cell of three lines stands before it
        ("a.csv", 'text,label\na,1\n\n"b,0\nc,1\n', 4, "row"),  # a quote that is never closed
        ("a.csv", "text,label\na,b,1\n", 2, "row"),
        ("a.csv", b"text,label\na,1\n\xff,0\n", 3, "encoding"),
        ("a.tsv", "text\tlabel\na\t1\nb\n", 3, "columns"),
        ("a.jsonl", '{"text": "a", "label": 1}\n[]\n', 2, "row"),
        ("a.jsonl", '{"text": "a", "label": 1}\n{"text": "b"}\n', 2, "header"),
        ("a.jsonl", '{"text": "a", "label": 1}\n{"text": ["b"], "label": 0}\n', 2, "row"),
        ("a.jsonl", "{\n", 1, "JSON"),
        ("a.xlsx", "", None, "suffix"),
    ],
)
def test_faults(tmp_path: Path, name: str, content: str | bytes, line: int | None, code: str) -> None:
    path = written(tmp_path / name, content)
    with pytest.raises(InputError) as caught:
        list(read_columns(path, ["text", "label"]))
    assert (caught.value.path, caught.value.line, caught.value.code) == (path, line, code)
    assert "\n" not in str(caught.value)


def test_a_blank_line_is_no_row_of_csv_and_a_long_cell_is_one(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", "text\na\n\n" + "b" * 200_000 + "\n")
    assert [(line, len(text or "")) for line, (text,) in read_columns(path, ["text"])] == [
        (2, 1),
        (4, 200_000),
    ]
