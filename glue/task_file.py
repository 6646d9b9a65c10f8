"""A task of the user's own, from a YAML file or from Python: a row beside the table's, in the same form.

A task file:
  name: reviews                  # default: the file's name
  train: train.csv               # CSV, TSV, JSON lines (.jsonl) or Parquet, beside this file
  dev: dev.csv
  test: test.csv                 # may be missing; so may its labels
  text: review                   # a column, or two for pairs: [question, answer]
  label: stars                   # the column of labels (default: label)
  labels: [bad, good]            # in id order (default: those of the training file, sorted)
  scores: [accuracy]             # accuracy, matthews, f1 (of the second of two labels); pearson, spearman
  regression: false              # true: the labels are numbers
  range: [1, 5]                  # of these numbers (default: that of the training file)
"""

import math
import re
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from common.errors import InputError
from common.messages import note_once, shortened
from common.table_files import read_columns
from common.yaml_file import Node, read_nodes
from glue.tasks import Split, Task, is_reserved, register

File = str | PathLike[str]
_KINDS = ("train", "dev", "test")
_KEYS = ("name", *_KINDS, "text", "label", "labels", "scores", "regression", "range")
_SCORES = {True: ("pearson", "spearman"), False: ("accuracy", "f1", "matthews")}
_MAX_LABELS = 1000
_MAX_NAME = 200  # characters of a label
_NAME = re.compile(r"\w[\w.-]{,60}")
_NUMBER = re.compile(r"-?\d+(\.\d+)?", re.ASCII)


def read_task_file(path: str | Path) -> Task:
    """Read a task file; afterwards ``find_task`` knows the task by its name.

    Raises:
        InputError: With file and line, what is wrong in it or in the training file.
    """
    root = read_nodes(path, may_be_pipe=True)
    fields = root.fields(_KEYS)
    values: dict[str, Any] = {"name": Path(path).stem}
    for key, node in fields.items():
        if key in ("text", "scores") and isinstance(node.value, list):
            values[key] = tuple(item.text() for item in node.items())
        elif key == "labels":
            values[key] = tuple(_label_text(item) for item in node.items())
        elif key == "range":
            values["target_range"] = tuple(_number(item) for item in node.items())
        else:
            values[key] = node.truth() if key == "regression" else node.text()
    values |= {kind: Path(path).parent / values[kind] for kind in _KINDS if kind in values}
    names = {kind: fields[kind].text() for kind in _KINDS if kind in fields}
    if "text" not in values:
        raise InputError("no 'text:'; name the column of the texts, or two", path=path, code="value")
    try:
        return make_task(**values, names=names)
    except InputError as error:
        wrong = fields.get(error.code) if error.path is None else None
        raise (wrong.refused(error.message) if wrong else error) from None


def _label_text(node: Node) -> str:
    if isinstance(node.value, bool | list | dict | None):
        raise node.wrong("a label; quotes make it a text")
    return str(node.value)


def _number(node: Node) -> float:
    if isinstance(node.value, bool) or not isinstance(node.value, int | float):
        raise node.wrong("a number")
    return float(node.value)


def make_task(
    name: str,
    text: str | Sequence[str],
    label: str = "label",
    train: File | None = None,
    dev: File | None = None,
    test: File | None = None,
    labels: Sequence[str] = (),
    scores: str | Sequence[str] = (),
    regression: bool = False,
    target_range: Sequence[float] = (),
    names: Mapping[str, str] | None = None,
    has_given_range: bool = True,
) -> Task:
    """Make a task of the user's own and register it; see ``Task.from_files``.

    names: What the files are called in records, by kind; None: as their paths say. has_given_range: False if
    the range is only that of the training labels.
    """
    columns = (text,) if isinstance(text, str) else tuple(text)
    labels = [str(name) for name in labels]
    metrics = (scores,) if isinstance(scores, str) else tuple(scores)
    metrics = metrics or (_SCORES[True] if regression else ("accuracy",))
    files = {kind: path for kind, path in zip(_KINDS, (train, dev, test), strict=True) if path is not None}
    _check(name, columns, metrics, labels, regression)
    if target_range and not regression:
        raise InputError("labels have no range; regression: true takes numbers", code="range")
    if not regression and not labels:
        if train is None:
            raise InputError("name the train file, or list the labels", code="labels")
        labels = _labels_in(Path(train), label)
    if "f1" in metrics and len(labels) != 2:
        raise InputError(f"f1 is of two labels, and there are {len(labels)}", code="scores")
    parts = [_split(name, kind, path, (names or {}).get(kind)) for kind, path in files.items()]
    limits = _limits(target_range, train, label, name) if regression else None
    return register(
        Task(
            name, name, columns, label, tuple(labels), metrics, tuple(parts), "", "",
            target_range=limits, has_given_range=has_given_range and bool(target_range),
        )
    )  # fmt: skip


def _split(task: str, kind: str, path: File, file: str | None) -> Split:
    """A file of a task; file: what it is called in records."""
    submission_file = f"{task}.tsv" if kind != "train" else ""
    absolute = str(Path(path).absolute())
    return Split(kind, file or str(path), 0, path=absolute, submission_file=submission_file)


def record_of(task: Task) -> dict[str, Any]:
    """What ``args.json`` keeps of a task of the user's own: enough to know it without its file."""
    record = {
        "name": task.name, "text": list(task.text_columns), "label": task.label_column,
        "labels": list(task.labels), "scores": list(task.metrics), "regression": task.is_regression,
        "names": {split.kind: split.file for split in task.splits},
    }  # fmt: skip
    if task.target_range:
        record |= {"target_range": list(task.target_range), "has_given_range": task.has_given_range}
    return {**record, **{split.kind: split.path for split in task.splits}}


def read_record(record: dict[str, Any]) -> Task | None:
    """The task of such a record; None if it is none."""
    if record.get("regression") is True:
        record = {"target_range": (-math.inf, math.inf), **record}  # an older version knew no range
    try:
        return make_task(**record)
    except (InputError, TypeError, ValueError, AttributeError):
        return None


def _check(
    name: str, columns: Sequence[str], metrics: Sequence[str], labels: Sequence[str], regression: bool
) -> None:
    """InputError whose code is the key that is wrong."""
    if not _NAME.fullmatch(name) or is_reserved(name):
        message = f"{shortened(name, 60)}: a task of your own has a name of letters, digits, '_', '.' and '-'"
        raise InputError(f"{message}, and none of the benchmark's", code="name")
    if len(columns) not in (1, 2) or len(set(columns)) < len(columns):
        raise InputError("expected a column of texts, or two", code="text")
    for metric in metrics:
        if metric not in _SCORES[regression]:
            kind = "a regression" if regression else "labels"
            message = (
                f"{shortened(metric, 60)} is no score of {kind}: choose from {', '.join(_SCORES[regression])}"
            )
            raise InputError(message, code="scores")
    if labels and (regression or len(set(labels)) < max(2, len(labels))):
        raise InputError("a regression has no labels; a classifier two or more, each once", code="labels")
    for label in labels:
        if fault := _fault_of(label):
            raise InputError(fault, code="labels")


def _limits(given: Sequence[float], train: File | None, column: str, name: str) -> tuple[float, float]:
    """The range of a regression: the one given, else that of the training file, if there is one."""
    if given:
        if len(given) != 2 or not given[0] < given[1]:
            raise InputError("expected the lowest number and the highest", code="range")
        return float(given[0]), float(given[1])
    return (-math.inf, math.inf) if train is None else _range_in(Path(train), column, name)


def _range_in(path: Path, column: str, name: str) -> tuple[float, float]:
    """The least and the greatest number of a training file."""
    numbers = []
    for line, (cell,) in read_columns(path, [column]):
        try:
            numbers.append(float(cell or ""))
        except ValueError:
            message = f"expected a number in column {column!r}, found {shortened(cell or '', 60)}"
            raise InputError(message, path=path, line=line, code="label") from None
    low, high = min(numbers, default=0.0), max(numbers, default=0.0)
    if low == high:
        message = (
            f"its numbers in column {column!r} are all the same; a regression learns from different ones"
        )
        raise InputError(message, path=path, code="label")
    note_once(
        f"{name}: predictions are kept within {low:g} to {high:g}, as the training labels are; "
        "'range: [LOW, HIGH]' in the task file says otherwise"
    )
    return low, high


def _labels_in(path: Path, column: str) -> list[str]:
    """The labels of a training file, sorted: by value where all are numbers."""
    lines: dict[str, int] = {}  # label → where it stands first
    spellings: dict[str, str] = {}  # label without case → label
    for line, (label,) in read_columns(path, [column]):
        label = label or ""
        if label in lines:
            continue
        if fault := _fault_of(label):
            raise InputError(fault, path=path, line=line, code="label")
        other = spellings.setdefault(label.strip().casefold(), label)
        if other != label:
            message = (
                f"the labels {label!r} and {other!r} (line {lines[other]}) differ in case or spaces only"
            )
            raise InputError(f"{message}: write them alike", path=path, line=line, code="label")
        lines[label] = line
        if len(lines) > _MAX_LABELS:
            message = (
                f"column {column!r} has more than {_MAX_LABELS} labels; are they numbers? regression: true"
            )
            raise InputError(message, path=path, line=line, code="label")
    if len(lines) < 2:
        has = f"every row has the label {next(iter(lines))!r}" if lines else "no rows"
        raise InputError(f"{has}; a classifier learns from two labels or more", path=path, code="labels")
    numbers = all(_NUMBER.fullmatch(label) for label in lines)
    return sorted(lines, key=lambda label: (float(label) if numbers else 0.0, label))


def _fault_of(label: str) -> str:
    if not label.strip():
        return "expected a label, found none"
    is_plain = label.isprintable() and len(label) <= _MAX_NAME
    return "" if is_plain else f"{shortened(label, 60)} is no label: expected one short line"
