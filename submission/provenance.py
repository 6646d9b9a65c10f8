"""Do the prediction files still say what their checkpoints said, and is it one checkpoint a task?

Beside NAME.tsv may lie NAME.npz, written by the same prediction run: ``logits`` (rows × labels),
``labels`` (names in column order, empty for a regression), ``checkpoint_digest`` and mostly ``data_digest``,
the SHA-256 of the official file. A file left over from another model is the fault that no look at the .tsv
alone can find.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.errors import InputError
from common.npz_file import DAMAGED, read_arrays
from common.printable import escape_unprintable
from glue.tasks import Task, submission_files
from submission.archive_reader import reason

if TYPE_CHECKING:
    import numpy as np

_REGRESSION_TOLERANCE = 1e-3  # a .tsv holds three decimals at least
_REMEDY = "predict again, or remove it"
_OPTIONAL = ("data_digest",)  # other tools' files, and older ones, have none
# Array → its most bytes, with room: the largest official file has 390 965 rows.
_LIMITS = {"logits": 64 << 20, "labels": 1 << 20, "checkpoint_digest": 1 << 16, "data_digest": 1 << 16}


@dataclass(frozen=True)
class Logits:
    """One .npz: what the model gave for the file beside it. logits: (rows, labels), or (rows, 1).

    data_digest: empty where it does not say.
    """

    path: Path
    logits: "np.ndarray[Any, Any]"
    labels: list[str]
    checkpoint_digest: str
    data_digest: str = ""


def check_origins(folder: Path, predictions: dict[str, list[str]]) -> list[str]:
    """Compare hand-in files (name → predictions as written) with the .npz beside them.

    Returns warnings. InputError if a .tsv disagrees with its logits, or if the files of one task come
    from different checkpoints.
    """
    digests: dict[str, dict[str, str]] = {}
    unknown: dict[str, list[str]] = {}
    for task, split in submission_files():
        path = folder / Path(split.submission_file).with_suffix(".npz")
        if split.submission_file not in predictions:
            continue
        if not path.exists() and not path.is_symlink():
            unknown.setdefault(task.name, []).append(split.submission_file)
            continue
        logits = read_logits(path)
        _compare_rows(task, folder / split.submission_file, predictions[split.submission_file], logits)
        digests.setdefault(task.name, {})[path.name] = logits.checkpoint_digest
    for name, found in digests.items():
        _compare_digests(folder, name, found)
    return [
        f"{file} has no .npz beside it: is it of the checkpoint that wrote {min(digests[name])}?"
        for name, files in unknown.items()
        for file in files
        if name in digests
    ]


def read_logits(path: Path) -> Logits:
    """What an .npz holds; InputError unless it is whole and its shapes fit one another."""
    import numpy as np

    if not path.is_file():
        raise InputError(f"{path}: not a file; remove it, or predict again")
    logits, labels, digest, data = _read_arrays(path)
    if labels.ndim != 1 or (labels.size and labels.dtype.kind != "U"):
        found = f"shape {labels.shape} and type {labels.dtype}"
        raise InputError(f"{path}: expected labels as a row of words, found {found}; {_REMEDY}")
    for name, word in (("checkpoint_digest", digest), ("data_digest", data)):
        if word.ndim or word.dtype.kind != "U":
            found = f"shape {word.shape} and type {word.dtype}"
            raise InputError(f"{path}: expected one word as {name}, found {found}; {_REMEDY}")
    if logits.ndim != 2 or logits.shape[1] != max(1, len(labels)) or logits.dtype.kind != "f":
        found = f"logits of shape {logits.shape} and type {logits.dtype}"
        raise InputError(f"{path}: {found} do not fit {len(labels)} labels; {_REMEDY}")
    odd = ~np.isfinite(logits).all(axis=1)
    if odd.any():
        found = f"the logits of row {odd.argmax()} are not finite ({odd.sum()} such rows)"
        raise InputError(f"{path}: {found}; train and predict again")
    return Logits(path, logits, [str(label) for label in labels], str(digest), str(data))


def _read_arrays(path: Path) -> "list[np.ndarray[Any, Any]]":
    """The arrays of an .npz in the order of _LIMITS, for a missing _OPTIONAL one an empty word."""
    import numpy as np

    try:
        arrays = read_arrays(path, _LIMITS)
        if missing := [name for name in _LIMITS if name not in arrays and name not in _OPTIONAL]:
            raise ValueError(f"it holds no {missing[0]}")
        for array in arrays.values():
            if array.dtype.kind == "U":
                array.tolist()  # fails here if a word is made of no characters
    except DAMAGED as error:
        raise InputError(f"{path}: not a whole .npz ({reason(error)}); {_REMEDY}") from None
    return [arrays.get(name, np.array("")) for name in _LIMITS]


def _compare_rows(task: Task, tsv: Path, predictions: Sequence[str], logits: Logits) -> None:
    import numpy as np

    if len(logits.logits) != len(predictions):
        found = f"{len(predictions)} rows, but {logits.path.name} has {len(logits.logits)}"
        raise InputError(f"{tsv}: {found}; one of them is left over from another run: predict again")
    if sorted(logits.labels) != sorted(task.labels) and not task.is_regression:
        found, wanted = (
            ", ".join(map(escape_unprintable, labels)) or "none" for labels in (logits.labels, task.labels)
        )
        raise InputError(f"{logits.path}: expected the labels {wanted}, found {found}; predict again")
    if task.target_range is not None:
        expected = np.clip(logits.logits[:, 0], *task.target_range)
        differs = ~(np.abs(expected - np.array(predictions, dtype=np.float64)) <= _REGRESSION_TOLERANCE)
        names = [f"{value:.3f}" for value in expected]
    else:
        names = [logits.labels[best] for best in logits.logits.argmax(axis=1)]
        differs = np.array([name != cell for name, cell in zip(names, predictions, strict=True)], dtype=bool)
    if differs.any():
        row = int(differs.argmax())
        raise InputError(
            f"{tsv}:{row + 2}: the file says {predictions[row]}, but the logits in {logits.path.name} say "
            f"{names[row]} ({int(differs.sum())} such rows); the .tsv was edited or is stale: predict again"
        )


def _compare_digests(folder: Path, task_name: str, digests: dict[str, str]) -> None:
    (first, digest), *others = digests.items()
    for name, other in others:
        if other != digest:
            raise InputError(
                f"{folder / name}: predicted by checkpoint {escape_unprintable(other[:12])}, "
                f"but {first} by {escape_unprintable(digest[:12])}; "
                f"write both with one checkpoint: python -m glue.run_predict --task_name {task_name}"
            )
