"""JSON from anybody: nesting, numbers and repeated keys are refused in one line, whatever the text holds."""

import json
from collections import Counter
from typing import Any

from common.errors import InputError
from common.printable import shortened

_MAX_DIGITS = 308  # a longer whole number may fit no float, and of thousands Python reads none


def parse_json(text: str, where: str) -> Any:
    """The value of a JSON text; InputError, which begins with ``where``, for anything else.

    A key that stands twice in one object is refused too: which of the two is meant, nobody can tell.
    """
    try:
        return json.loads(text, parse_int=_whole_number, object_pairs_hook=_each_key_once)
    except RecursionError:
        raise InputError(f"{where}: not JSON: nested too deeply") from None
    except ValueError as error:
        raise InputError(f"{where}: not JSON: {error}") from None


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
