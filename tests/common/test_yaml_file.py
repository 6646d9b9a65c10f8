"""YAML from anybody: one line with file and line number, soon, whatever the file holds."""

import os
import threading
from pathlib import Path
from typing import Any

import pytest

from common.errors import InputError
from common.yaml_file import MAX_BYTES, Node, read_nodes

ALIASES = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n"
    for old, new in zip("abcdefghi", "bcdefghij", strict=True)
)
LONG = {
    "aliases": (ALIASES, ":1: has more than 20000 entries"),
    "aliases of mappings": (
        ALIASES.replace("[", "{? [").replace("]", "]: 1}"),
        ":1: not YAML: a key must be",
    ),
    "an alias of itself": ("a: &a [*a]\n", ": not YAML: nested too deeply"),
    "decimal digits": (f"a: 1\nb: {'9' * 5000}\n", ":2: b: expected a number of at most 50 characters"),
    "a float": (f"b: 1.{'9' * 5000}\n", ":1: b: expected a number of at most 50 characters"),
    "hexadecimal": (f"b: 0x{'f' * 5000}\n", ":1: b: expected a number of at most 50 characters"),
    "octal": (f"b: 0{'7' * 5000}\n", ":1: b: expected a number of at most 50 characters"),
    "binary": (f"b: 0b{'1' * 5000}\n", ":1: b: expected a number of at most 50 characters"),
    "base 60": (f"b: 1{':59' * 2000}\n", ":1: b: expected a number of at most 50 characters"),
    "base 60 float": (f"b: 1{':59' * 2000}.5\n", ":1: b: expected a number of at most 50 characters"),
    "underscores": (f"b: 1{'_' * 5000}1\n", ":1: b: expected a number of at most 50 characters"),
    "brackets": ("a: 1\nb: " + "[" * 3000 + "\n", ":2: not YAML: nested too deeply"),
    "closed brackets": ("b: " + "[" * 3000 + "]" * 3000 + "\n", ":1: not YAML: nested too deeply"),
    "braces": ("b: " + "{a: " * 3000 + "\n", ":1: not YAML: nested too deeply"),
    "dashes": ("- " * 3000 + "\n", ":1: not YAML: nested too deeply"),
    "steps": ("".join(f"{' ' * n}a:\n" for n in range(300)), ":50: not YAML: nested too deeply"),
    "a key": (f"{'k' * 1000}: 1\n{'k' * 1000}: 2\n", ":2: 'kkk"),
    "size": ("# " + "x" * MAX_BYTES, f": has more than {MAX_BYTES} bytes"),
    "entries": (f"a: [{'1,' * 100_000}1]\n", ":1: has more than"),
    "an undefined alias": (f"a: *{'x' * 100_000}\n", ":1: not YAML: found undefined alias"),
}
ODD = {
    "no month": ("a: 2024-13-45\n", ":1: a: '2024-13-45' is no valid timestamp"),
    "no hour": ("a: 1\nb: 2024-01-01 25:00:00\n", ":2: b: '2024-01-01 25:00:00' is no valid"),
    "no zone": ("b: 9999-12-31 23:59:59 -99:00\n", ":1: b: '9999-12-31"),
    "an empty number": ("a: !!int\n", ":1: a: '' is no valid int"),
    "an empty float": ("a: !!float ''\n", ":1: a: '' is no valid float"),
    "no number": ("a: !!int x\n", ":1: a: 'x' is no valid int"),
    "no truth": ("a: !!bool x\n", ":1: a: 'x' is no valid bool"),
    "no date": ("a: !!timestamp x\n", ":1: a: 'x' is no valid timestamp"),
    "no base 64": ("a: !!binary é\n", ":1: not YAML: "),
    "an object": ("a: !!python/object/apply:os.system ['true']\n", ":1: not YAML: no tag is known here"),
    "a name": ("a: !!python/name:os.system\n", ":1: not YAML: could not determine a constructor"),
    "an empty object": ("a: 1\nb: !!python/object:os.error {}\n", ":2: not YAML: no tag is known here"),
    "a set": ("a: !!set {b, c}\n", ":1: not YAML: no tag is known here"),
    "a list as a key": ("a: 1\n? [b]\n: 1\n", ":2: not YAML: a key must be a word"),
    "a mapping as a key": ("{b: 1}: 1\n", ":1: not YAML: a key must be a word"),
    "a key twice": ("a: 1\nb: 2\na: 3\n", ":3: 'a' stands twice"),
    "a quoted key twice": ("a: 1\n'a': 3\n", ":2: 'a' stands twice"),
    "a deep key twice": ("a:\n  b: 1\n  b: 2\n", ":3: 'b' stands twice"),
    "two documents": ("a: 1\n---\nb: 1\n", ":2: not YAML: "),
    "a control character": ("a: 1\nb: \x1b[31m\n", ":2: not YAML: the character U+001B is not allowed"),
    "no character": ('a: 1\nb: "\\UFFFFFFFF"\n', ":2: not YAML: \\U names no character"),
    "beyond characters": ('"\\U00110000": 1\n', ":1: not YAML: \\U names no character"),
    "a NUL": ("a: 1\n\nb: \0\n", ":3: not YAML: the character U+0000"),
}  # fmt: skip


def fault(path: Path, **settings: Any) -> str:
    with pytest.raises(InputError) as raised:
        read_nodes(path, **settings)
    text = str(raised.value)
    assert "\n" not in text
    assert len(text) < 500
    return text


@pytest.mark.parametrize("case", [*LONG, *ODD])
def test_one_line_names_file_and_line(case: str, tmp_path: Path) -> None:
    text, expected = {**LONG, **ODD}[case]
    path = tmp_path / "a.yaml"
    path.write_text(text, encoding="utf-8")
    message = fault(path)
    assert message.startswith(f"{path}{expected}"), message


def test_the_largest_file_of_brackets_is_refused_soon(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    for text in ("[" * (MAX_BYTES - 10), "[\n" * (MAX_BYTES // 2 - 10), "? " * (MAX_BYTES // 2 - 10)):
        path.write_text(text, encoding="utf-8")
        assert "nested too deeply" in fault(path)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"a: 1\nb: \xe9\n", ":2: byte 0xe9 is not UTF-8"),
        ("a: 1\n".encode("utf-16"), ":1: is UTF-16, not UTF-8"),
        (b"\x89PNG\r\n\x1a\n\0\0", ":1: byte 0x89 is not UTF-8"),
        (b"\x7fELF\x02\x01\x01\0", ":1: not YAML: the character U+007F"),
        (b"\xef\xbb\xbfa: 1\nb: \xff", ":2: byte 0xff is not UTF-8"),
    ],
)
def test_what_is_no_text(raw: bytes, expected: str, tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(raw)
    assert fault(path).startswith(f"{path}{expected}")


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\n")
    assert read_nodes(path).entries()["a"].value == 1


def test_honest_aliases_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("a: &rates [1e-4, 5.0e-5]\nb: *rates\n", encoding="utf-8")
    root = read_nodes(path)
    assert [item.value for item in root.entries()["b"].items()] == ["1e-4", 5e-5]


def test_keys_of_other_types_are_words(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(".nan: 1\nnull: 2\n1: 3\ntrue: 4\n2024-13-45: 5\n", encoding="utf-8")
    assert list(read_nodes(path).entries()) == [".nan", "null", "1", "true", "2024-13-45"]


def read_from(pipe: Path, content: bytes) -> Node:
    writer = threading.Thread(target=pipe.write_bytes, args=(content,))
    writer.start()
    try:
        return read_nodes(pipe, may_be_pipe=True)
    finally:
        writer.join()


def test_a_pipe_is_read_once_where_one_may_be_named(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert "is a pipe" in fault(pipe)
    root = read_from(pipe, b"a: 1\n" + b"# long\n" * 20_000 + b"b: 2\n")
    assert [node.value for node in root.entries().values()] == [1, 2]


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/null"])
def test_devices(device: str) -> None:
    assert "is a device" in fault(Path(device))
    if device == "/dev/null":
        assert read_nodes(device, may_be_pipe=True).value is None
    else:
        assert f"has more than {MAX_BYTES} bytes" in fault(Path(device), may_be_pipe=True)
