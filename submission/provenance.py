"""Do the prediction files still say what their checkpoints said, and is it one checkpoint a task?

A file left over from another model is an error that no look at NAME.tsv alone can find; NAME.npz beside it
(glue/predictions.py) says which model wrote both.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from common.errors import InputError
from common.provenance import Provenance, difference
from glue.predictions import SplitPredictions, npz_path
from glue.tasks import submission_files

_REGRESSION_TOLERANCE = 1e-3  # a .tsv holds three decimals at least


def check_provenance(folder: Path, predictions: Mapping[str, Sequence[str]]) -> list[str]:
    """Compare prediction files, by name as written, with the .npz beside them.

    Returns:
        Warnings, one for each file without an .npz in a task whose other files have one.

    Raises:
        InputError: A .tsv disagrees with its logits, or one task's files come from different checkpoints.
    """
    recorded: dict[str, list[SplitPredictions]] = {}
    unknown: list[tuple[str, str]] = []
    for task, split in submission_files():
        path, name = npz_path(folder, split), split.submission_file
        if name not in predictions:
            continue
        if not path.exists() and not path.is_symlink():
            unknown.append((task.name, name))
            continue
        record = SplitPredictions.read(folder, task, split)
        _compare_rows(folder / name, predictions[name], record)
        recorded.setdefault(task.name, []).append(record)
    for first, *others in recorded.values():
        for other in others:
            for line in difference(Provenance(first.provenance.model), other.provenance):
                remedy = f"python -m glue.run_predict --task_name {other.task.name}"
                message = f"{line} as in {npz_path(folder, first.split).name}; write both with one checkpoint"
                path = npz_path(folder, other.split)
                raise InputError(f"{message}: {remedy}", path=path, code="other checkpoint")
    return [
        f"{name} has no .npz beside it: is it of the checkpoint that wrote "
        f"{npz_path(folder, recorded[task][0].split).name}?"
        for task, name in unknown
        if task in recorded
    ]


def _compare_rows(path: Path, predictions: Sequence[str], record: SplitPredictions) -> None:
    import numpy as np

    task, npz = record.task, path.with_suffix(".npz").name
    if len(record.logits) != len(predictions):
        message = f"{len(predictions)} rows, but {npz} has {len(record.logits)}"
        remedy = "one of them is left over from another run: predict again"
        raise InputError(f"{message}; {remedy}", path=path, code="stale")
    if task.target_range is not None:
        expected = np.clip(record.logits[:, 0], *task.target_range)
        differs = ~(np.abs(expected - np.array(predictions, dtype=np.float64)) <= _REGRESSION_TOLERANCE)
        names = [f"{value:.3f}" for value in expected]
    else:
        names = record.values
        differs = np.array([name != cell for name, cell in zip(names, predictions, strict=True)], dtype=bool)
    if differs.any():
        row = int(differs.argmax())
        message = (
            f"the file says {predictions[row]}, but the logits in {npz} say {names[row]} "
            f"({int(differs.sum())} such rows); the .tsv was edited or is stale: predict again"
        )
        raise InputError(message, path=path, line=row + 2, code="stale")
