"""The one reader of ``scores.json``, in which a run keeps the scores of its best and its last evaluation."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from common.errors import InputError
from common.json_files import read_json_object
from common.messages import shortened

SCORES = "scores.json"
_MAX_STEPS = 10**12


def find_scores(folder: Path) -> Iterator[Path]:
    """Every ``scores.json`` below a folder, but those in folders whose names begin with a dot.

    Raises:
        InputError: There is no such folder.
    """
    if not folder.is_dir():
        raise InputError("no such folder", path=folder, code="missing")
    paths = sorted(folder.glob(f"**/{SCORES}"))
    return (path for path in paths if not any(p.startswith(".") for p in path.relative_to(folder).parts))


def read_scores(
    path: Path,
    keys_of: Callable[[str], Sequence[str] | None],
    limit: float = 1.0,
    kinds: Sequence[str] = ("best", "last"),
) -> dict[str, Any] | None:
    """Read the scores of a run.

    Args:
        path: The file.
        keys_of: Name of a task → the scores that each evaluation must have besides its ``step``; None for a
            task that the caller does not know.
        limit: Every score lies between the negative of this and this; 1 for fractions, 100 for percent.
        kinds: The evaluations that must be there.

    Returns:
        The file's object; None if it is of a task that the caller does not know.

    Raises:
        InputError: It is not the scores of a run.
    """
    scores = read_json_object(path)
    task = scores.get("task")
    keys = keys_of(task) if isinstance(task, str) else None
    if keys is None:
        return None
    for kind in kinds:
        evaluation = scores.get(kind)
        if not isinstance(evaluation, dict):
            raise _wrong(path, f"{kind} is {shortened(evaluation, 60)}, not an evaluation")
        for key, low, high in [("step", 0.0, _MAX_STEPS), *((key, -limit, limit) for key in keys)]:
            value = evaluation.get(key)
            if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
                actual = shortened(value, 60)
                raise _wrong(path, f"{kind}: {key} is {actual}, not a number from {low:g} to {high:g}")
    return scores


def _wrong(path: Path, message: str) -> InputError:
    return InputError(f"not the scores of a run: {message}", path=path, code="scores")
