"""Do the prediction files still say what their checkpoints said, and is it one checkpoint a task?

Beside NAME.tsv may lie NAME.npz, written by the same prediction run: ``logits`` (rows × labels),
``labels`` (names in column order, empty for a regression) and ``checkpoint_digest``. A file left over
from another model is the fault that no look at the .tsv alone can find.
"""

import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from commands.errors import InputError
from glue.tasks import Task, hand_in_files

if TYPE_CHECKING:
    import numpy as np

_REGRESSION_TOLERANCE = 1e-3  # a .tsv holds three decimals at least


@dataclass(frozen=True)
class Logits:
    """One .npz: what the model gave for the file beside it."""

    path: Path
    logits: "np.ndarray[Any, Any]"
    labels: list[str]
    checkpoint_digest: str


def check_origins(folder: Path, predictions: dict[str, list[str]]) -> list[str]:
    """Compare hand-in files (name → predictions as written) with the .npz beside them.

    Returns warnings. InputError if a .tsv disagrees with its logits, or if the files of one task come
    from different checkpoints.
    """
    digests: dict[str, dict[str, str]] = {}
    unknown: dict[str, list[str]] = {}
    for task, split in hand_in_files():
        path = folder / Path(split.hand_in).with_suffix(".npz")
        if split.hand_in not in predictions:
            continue
        if not path.is_file():
            unknown.setdefault(task.name, []).append(split.hand_in)
            continue
        logits = _read_logits(path)
        _compare_rows(task, folder / split.hand_in, predictions[split.hand_in], logits)
        digests.setdefault(task.name, {})[path.name] = logits.checkpoint_digest
    for name, found in digests.items():
        _compare_digests(folder, name, found)
    return [
        f"{file} has no .npz beside it: is it of the checkpoint that wrote {min(digests[name])}?"
        for name, files in unknown.items()
        for file in files
        if name in digests
    ]


def _read_logits(path: Path) -> Logits:
    import numpy as np

    try:
        with np.load(path, allow_pickle=False) as arrays:
            logits = np.asarray(arrays["logits"])
            labels = [str(label) for label in arrays["labels"].ravel()]
            digest = str(arrays["checkpoint_digest"].item())
    except KeyError as error:
        raise InputError(f"{path}: {error.args[0]}; predict again, or remove this file") from None
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"{path}: not a whole .npz ({error}); predict again, or remove it") from None
    if logits.ndim != 2 or logits.shape[1] != max(1, len(labels)) or logits.dtype.kind != "f":
        found = f"logits of shape {logits.shape} and type {logits.dtype}"
        raise InputError(f"{path}: {found} do not fit {len(labels)} labels; predict again")
    return Logits(path, logits, labels, digest)


def _compare_rows(task: Task, tsv: Path, predictions: Sequence[str], logits: Logits) -> None:
    import numpy as np

    if len(logits.logits) != len(predictions):
        found = f"{len(predictions)} rows, but {logits.path.name} has {len(logits.logits)}"
        raise InputError(f"{tsv}: {found}; one of them is left over from another run: predict again")
    if sorted(logits.labels) != sorted(task.labels) and not task.is_regression:
        found, wanted = ", ".join(logits.labels) or "none", ", ".join(task.labels)
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
                f"{folder / name}: predicted by checkpoint {other[:12]}, but {first} by {digest[:12]}; "
                f"write both with one checkpoint: python -m glue.run_predict --task_name {task_name}"
            )
