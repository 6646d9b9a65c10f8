"""A model's predictions for one file of a task, and the two files that hold them. No Paddle.

``NAME.tsv`` is what the leaderboard takes. ``NAME.npz`` beside it holds what the labels were made from:
``logits`` (rows × labels), ``labels`` (their names in column order), ``checkpoint_digest``, and mostly
``data_digest``, of the file that was predicted, and ``code_version``.
"""

import io
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.archives import DAMAGED, read_arrays
from common.errors import InputError
from common.files import atomic_write, write_through
from common.messages import escape_unprintable
from common.provenance import Provenance, code_version
from glue.tasks import Split, Task

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

# Array → its most bytes, with room: the largest official file has 390 965 rows.
_MAX_BYTES = {
    "logits": 64 << 20, "labels": 1 << 20, "checkpoint_digest": 1 << 16, "data_digest": 1 << 16,
    "code_version": 1 << 16,
}  # fmt: skip
_WORDS = ("checkpoint_digest", "data_digest", "code_version")
_OPTIONAL = ("data_digest", "code_version")  # the files of other tools, and older ones, lack them
_REMEDY = "predict again, or remove it"
_MAX_REASON = 120  # characters


@dataclass(frozen=True)
class SplitPredictions:
    """What a model says of every row of one file of a task.

    Attributes:
        task: The task.
        split: The file of the task that was predicted.
        logits: (N, L) float32; for a regression (N, 1), in the task's own range.
        labels: The L names of the columns, in the model's own order; a regression's have no meaning.
        provenance: The digests of the model and of the file, where they are known.
    """

    task: Task
    split: Split
    logits: "Array"
    labels: Sequence[str]
    provenance: Provenance = field(default_factory=Provenance)

    @cached_property
    def values(self) -> list[str]:
        """What the submission file says: each row's label, or a number with five decimals."""
        if self.task.target_range is None:
            return [self.labels[best] for best in self.logits.argmax(axis=1)]
        clipped = self.logits[:, 0].astype(float).clip(*self.task.target_range)
        return [f"{score:.5f}" for score in clipped]

    @property
    def content(self) -> bytes:
        """The submission file."""
        lines = [f"{row}\t{value}\n" for row, value in enumerate(self.values)]
        return ("index\tprediction\n" + "".join(lines)).encode()

    def made_by(self, model: str) -> "SplitPredictions":
        """The same, with the digest of the model, or of all those that predicted together."""
        return replace(self, provenance=replace(self.provenance, model=model))

    @classmethod
    def read(cls, folder: Path, task: Task, split: Split) -> "SplitPredictions":
        """Read the .npz of a file's predictions; InputError where it is damaged or of another task."""
        path = npz_path(folder, split)
        if not path.is_file():
            raise InputError("is not a file; remove it, or predict again", path=path, code="missing")
        arrays = _read_arrays(path)
        logits, labels = arrays["logits"], arrays["labels"]
        _check_forms(path, arrays)
        names = [str(label) for label in labels]
        if not task.is_regression and sorted(names) != sorted(task.labels):
            wanted, present = (
                ", ".join(map(escape_unprintable, some)) or "none" for some in (task.labels, names)
            )
            message = f"expected the labels {wanted}, found {present}; predict again"
            raise InputError(message, path=path, code="labels")
        model, data, code = (str(arrays[name]) if name in arrays else "" for name in _WORDS)
        return cls(
            task, split, logits, names, Provenance(model, {split.file: data} if data else {}, {}, code)
        )


def npz_path(folder: Path, split: Split) -> Path:
    """Where the logits of a file's predictions are, beside ``NAME.tsv``."""
    return (folder / split.submission_file).with_suffix(".npz")


def write_predictions(folder: Path, parts: Sequence[SplitPredictions]) -> None:
    """Write a task's submission files and the .npz beside each: all of them, or none."""
    import numpy as np

    with ExitStack() as files:  # they take their names when every byte of all is on the disk
        for part in parts:
            target = files.enter_context(atomic_write(folder / part.split.submission_file))
            write_through(target, part.content)
            content, record = io.BytesIO(), part.provenance
            np.savez(
                content, logits=part.logits, labels=np.array(part.labels),
                checkpoint_digest=np.array(record.model),
                data_digest=np.array(record.data.get(part.split.file, "")),
                code_version=np.array(record.code or code_version()),
            )  # fmt: skip
            write_through(files.enter_context(atomic_write(npz_path(folder, part.split))), content.getvalue())


def _read_arrays(path: Path) -> "dict[str, Array]":
    try:
        arrays = read_arrays(path, _MAX_BYTES)
        if missing := [name for name in _MAX_BYTES if name not in arrays and name not in _OPTIONAL]:
            raise ValueError(f"it holds no {missing[0]}")
        for array in arrays.values():
            if array.dtype.kind == "U":
                array.tolist()  # fails here if a word is made of no characters
    except DAMAGED as error:
        reason = escape_unprintable((str(error) or type(error).__name__).splitlines()[0][:_MAX_REASON])
        raise InputError(f"not a whole .npz ({reason}); {_REMEDY}", path=path, code="damaged") from None
    return arrays


def _check_forms(path: Path, arrays: "dict[str, Array]") -> None:
    """InputError unless types and shapes are as they should be, and every logit is finite."""
    import numpy as np

    def wrong(expected: str, name: str) -> InputError:
        form = f"{name} of shape {arrays[name].shape} and type {arrays[name].dtype}"
        return InputError(f"expected {expected}, found {form}; {_REMEDY}", path=path, code="form")

    logits, labels = arrays["logits"], arrays["labels"]
    if labels.ndim != 1 or (labels.size and labels.dtype.kind != "U"):
        raise wrong("a row of names", "labels")
    for name in _WORDS:
        if name in arrays and (arrays[name].ndim or arrays[name].dtype.kind != "U"):
            raise wrong("one word", name)
    if logits.ndim != 2 or logits.shape[1] != max(1, len(labels)) or logits.dtype.kind != "f":
        raise wrong(f"numbers for {len(labels)} labels", "logits")
    is_odd = ~np.isfinite(logits).all(axis=1)
    if is_odd.any():
        message = f"the logits of row {is_odd.argmax()} are not finite ({is_odd.sum()} such rows)"
        raise InputError(f"{message}; train and predict again", path=path, code="not finite")
