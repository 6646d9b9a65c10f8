"""Text files in the encodings that people have."""

import json
from pathlib import Path

import pytest

from common.errors import InputError
from common.json_files import read_json_object, read_json_objects
from common.text import TextTable, read_lines, read_text

BOM = b"\xef\xbb\xbf"


@pytest.mark.parametrize("mark", [b"", BOM, BOM + BOM])
def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path, mark: bytes) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(mark + "é\r\n\u2028b\n\nlast".encode())
    assert read_text(path) == "é\r\n\u2028b\n\nlast"
    assert list(read_lines(path)) == [(1, "é"), (2, "\u2028b"), (3, ""), (4, "last")]
    path.write_bytes(mark + b'{"a": 1}')
    assert read_json_object(path) == {"a": 1}


def test_files_with_marks_put_one_behind_the_other_are_json_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(BOM + b'{"a": 1}\r\n' + BOM + b'{"a": 2}\r\n')
    assert read_json_objects(path) == [{"a": 1}, {"a": 2}]


OTHERS = {
    "UTF-16": '{"a": "é"}'.encode("utf-16"),
    "UTF-16LE": '{"a": 1}'.encode("utf-16-le"),
    "UTF-16BE": '{"a": 1}'.encode("utf-16-be"),
    "UTF-32": '{"a": 1}'.encode("utf-32"),
    "gunzip": b"\x1f\x8b\x08\0\0\0",
    "zip archive": b"PK\x03\x04\x14\0",
    "Parquet": b"PAR1\x15\x04",
    "git lfs pull": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n",
    "web page": b"\n<!DOCTYPE html>\n<html>",
}


@pytest.mark.parametrize("form", OTHERS)
def test_what_is_no_utf8_text_is_named(tmp_path: Path, form: str) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(OTHERS[form])
    for read in (read_text, lambda path: list(read_lines(path)), read_json_object, read_json_objects):
        with pytest.raises(InputError, match=form) as caught:
            read(path)
        assert str(caught.value).startswith(f"{path}:")
        assert "\n" not in str(caught.value)


def test_a_bad_byte_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(BOM + b"a\nb\ncaf\xe9\n")
    for read in (read_text, lambda path: list(read_lines(path)), read_json_object):
        with pytest.raises(InputError, match="byte 0xe9 is not UTF-8") as caught:
            read(path)
        assert (caught.value.path, caught.value.line, caught.value.code) == (path, 3, "encoding")


def table(text: str, header: tuple[str, ...] = ()) -> TextTable:
    return TextTable.from_lines(Path("a.tsv"), enumerate(text.split("\n"), 1), header)


def rows_of(table: TextTable) -> list[list[str]]:
    table.positions(["text"])
    return [table.cells(*line) for line in table.lines]


def test_a_table_has_its_first_line_as_header_unless_that_is_known() -> None:
    result = table('Index\tText\n0\t"a"\n1\t')
    assert result.positions(["text", "INDEX"]) == [1, 0]
    assert rows_of(result) == [["0", '"a"'], ["1", ""]]
    assert rows_of(table("0\ta", ("index", "text"))) == [["0", "a"]]


@pytest.mark.parametrize(
    ("text", "line", "code"),
    [
        ("index\tlabel\n0\ta", 1, "header"),
        ("text\ttext\n0\ta", 1, "header"),
        ("index\ttext\n0\ta\tb", 2, "columns"),
        ("index\ttext\n0\ta\n", 3, "columns"),
    ],
    ids=["missing", "twice", "a cell too many", "blank line"],
)
def test_a_table_that_is_not_as_expected_is_named_with_its_line(text: str, line: int, code: str) -> None:
    with pytest.raises(InputError) as caught:
        rows_of(table(text))
    assert (caught.value.path, caught.value.line, caught.value.code) == (Path("a.tsv"), line, code)


def test_zero_bytes_alone_do_not_make_it_utf_16(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"a": "b"}) + "\0", encoding="utf-8")
    assert read_text(path).endswith("\0")
