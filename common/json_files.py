"""Untrusted JSON: what is nested too deeply, too long a number or a repeated key is an InputError."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from common.errors import InputError
from common.messages import shortened
from common.plain_files import read_plain
from common.text import decode_text, read_lines

_MAX_BYTES = 1 << 30  # SQuAD 2.0 has 42 million
_MAX_DIGITS = 308  # a longer whole number may fit no float, and of thousands Python reads none


def parse_json(text: str, path: str | Path | None = None, line: int | None = None) -> Any:
    """The value of a JSON text; a byte order mark before it is passed over, as where files were joined.

    InputError where it is not JSON, or a key stands twice in one object: nobody can tell which is meant.
    """
    try:
        return json.loads(text.lstrip("\ufeff"), parse_int=_whole_number, object_pairs_hook=_each_key_once)
    except RecursionError:
        raise InputError("not JSON: nested too deeply", path=path, line=line, code="JSON") from None
    except ValueError as error:
        raise InputError(f"not JSON: {error}", path=path, line=line, code="JSON") from None


def read_json_object(path: str | Path, most: int = _MAX_BYTES) -> dict[str, Any]:
    """The JSON object in a plain file of at most ``most`` bytes; InputError says what is wrong with it."""
    try:
        text = decode_text(read_plain(path, most), path)
    except FileNotFoundError:
        raise InputError("no such file", path=path, code="missing") from None
    return _object(parse_json(text, path), path)


def read_json_lines(path: str | Path) -> Iterator[Any]:
    """The value of each line of a .jsonl file, blank ones left out; InputError names what is not JSON."""
    return (parse_json(line, path, number) for number, line in read_lines(path) if line.strip())


def read_json_objects(path: str | Path) -> list[dict[str, Any]]:
    """The objects of a .jsonl file; InputError where there are none, or something else."""
    lines = [(number, line) for number, line in read_lines(path) if line.strip()]
    if not lines:
        raise InputError("holds no rows", path=path, code="empty")
    return [_object(parse_json(line, path, number), path, number) for number, line in lines]


def _object(value: Any, path: str | Path, line: int | None = None) -> dict[str, Any]:
    if not isinstance(value, dict):
        message = f"expected a JSON object, found a {type(value).__name__}"
        raise InputError(message, path=path, line=line, code="no object")
    return value


def _whole_number(digits: str) -> int:
    if len(digits) > _MAX_DIGITS:
        raise ValueError(f"a whole number of {len(digits)} digits")
    return int(digits)


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        twice = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"the key {shortened(twice, 60)} stands twice in one object")
    return values
