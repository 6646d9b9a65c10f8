"""The history of a run, ``history.jsonl``: a line per log and per evaluation."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any


def read_history(run: Path) -> list[dict[str, Any]]:
    """The lines of a run's history that have a step; none where there is no history.

    While a run writes it, or after a kill, the last line may be a half: what is no such line is left out.
    """
    try:
        text = (run / "history.jsonl").read_text(encoding="utf-8-sig", errors="replace")
    except FileNotFoundError:
        return []
    found = []
    for line in text.splitlines():
        with suppress(ValueError, RecursionError):
            value = json.loads(line)
            if isinstance(value, dict) and type(value.get("step")) is int:
                found.append(value)
    return found
