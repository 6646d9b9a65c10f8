"""The history of a run, ``history.jsonl``: a line per log and per evaluation."""

from contextlib import suppress
from pathlib import Path
from typing import Any

from common.errors import InputError
from common.json_text import parse_json
from common.plain_files import read_plain

_MOST_STEPS = 10**12
LARGEST = 1 << 28  # bytes; a line takes some 200


def read_history(run: Path) -> list[dict[str, Any]]:
    """The lines of a run's history that have a step; none where there is no history.

    While a run writes it, or after a kill, the last line may be a half: what is no such line is left out.
    """
    try:
        raw = read_plain(run / "history.jsonl", LARGEST)
    except FileNotFoundError:
        return []
    found = []
    for line in raw.decode("utf-8-sig", errors="replace").splitlines():
        with suppress(InputError):
            value = parse_json(line, "")
            step = value.get("step") if isinstance(value, dict) else None
            if type(step) is int and 0 <= step <= _MOST_STEPS:
                found.append(value)
    return found
