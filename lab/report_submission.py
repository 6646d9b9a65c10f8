"""A zip on the report page, and the diagnostic set by category where its labels are there."""

import statistics
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from common.errors import InputError
from common.files import sha256_of
from common.json_files import read_json_object
from common.text import TextTable, read_lines
from glue.data import find_file, read_split
from glue.tasks import Split, Task, submission_files
from metrics.prediction_file import Form, parse_predictions
from metrics.scores import accuracy, matthews
from submission.check import FileReport, check, mapping_of, read_submission
from submission.manifest import manifest_path

# The labelled diagnostic set that the benchmark's authors publish: its file, and its columns of categories.
DIAGNOSTIC = ("diagnostic/diagnostic-full.tsv", "diagnostic-full.tsv")
TEXTS = ("Premise", "Hypothesis")
GROUPS = ("Lexical Semantics", "Predicate-Argument Structure", "Logic", "Knowledge")


@dataclass(frozen=True)
class PackedFile:
    """A file of a zip; from ``origin`` on it is what a manifest says."""

    check: FileReport
    # How often each label is answered; of a regression the lowest, median and highest number.
    answers: list[tuple[str, str]] = field(default_factory=list)
    origin: str = ""  # the run or runs that answered
    seed: int | None = None  # of a single run
    dev: float | None = None  # main score on all dev rows
    expected: float | None = None  # the main score that cross-validation estimates

    @property
    def filled_task(self) -> str:
        """The task that was filled; empty if it was predicted."""
        names = {split.submission_file: task.name for task, split in submission_files()}
        return names[self.check.name] if self.check.filled else ""

    @property
    def problems(self) -> str:
        return "; ".join([*map(str, [*self.check.problems, *self.check.warnings]), *self.check.notes])


@dataclass(frozen=True)
class PackedZip:
    """A zip. expected: the averages that its manifest expects; note: why it has none."""

    name: str
    digest: str
    files: list[PackedFile]
    expected: dict[str, float]
    note: str

    @property
    def filled(self) -> list[str]:
        """The tasks that were filled, not predicted."""
        return list(dict.fromkeys(file.filled_task for file in self.files if file.filled_task))


@dataclass(frozen=True)
class Category:
    """Rows of the diagnostic set that carry a tag, or, where ``name`` is empty, any tag of a group."""

    group: str
    name: str
    rows: int
    matthews: float
    accuracy: float


def read_zip(archive: Path, data_dir: Path | None) -> PackedZip:
    """Read what a zip holds, as ``submission.check`` sees it, and what its manifest, if any, says of it."""
    beside, digest = manifest_path(archive), sha256_of(archive)
    manifest, note = {}, "no manifest beside it"
    if beside.is_file():
        manifest, note = read_json_object(beside), ""
        if manifest.get("sha256") != digest:
            manifest, note = {}, f"{beside.name} is of another zip"
    known = {split.submission_file: task for task, split in submission_files()}
    tasks = mapping_of(manifest.get("tasks"))
    files = [
        _packed_file(report, known[report.name], tasks) if report.name in known else PackedFile(report)
        for report in check(archive, data_dir)
    ]
    expected = mapping_of(manifest.get("expected")).items()
    averages = {key: value for key, value in expected if isinstance(value, float)}
    return PackedZip(archive.name, digest, files, averages, note)


def _packed_file(check: FileReport, task: Task, tasks: Mapping[str, Any]) -> PackedFile:
    entry = mapping_of(tasks.get(task.name))
    mains = [mapping_of(entry.get(kind)).get("main") for kind in ("dev", "expected")]
    dev, expected = (main if isinstance(main, int | float) else None for main in mains)
    seed = entry.get("seed") if isinstance(entry.get("seed"), int) else None
    members, method = entry.get("members"), mapping_of(entry.get("ensemble")).get("method")
    origin = str(entry.get("run") or entry.get("note") or "")
    if isinstance(members, list):
        origin = f"{method} of {', '.join(str(mapping_of(member).get('run')) for member in members)}"
    return PackedFile(check, _answers(task, check.predictions), origin, seed, dev, expected)


def _answers(task: Task, predictions: Sequence[str]) -> list[tuple[str, str]]:
    if not predictions:
        return []
    if task.labels:
        counts = Counter(predictions)
        return [(label, str(counts[label])) for label in task.labels]
    values = [float(prediction) for prediction in predictions]
    ends = {"lowest": min(values), "median": statistics.median(values), "highest": max(values)}
    return [(name, f"{value:.3f}") for name, value in ends.items()]


def diagnostic_split() -> tuple[Task, Split]:
    """The split of the benchmark that is submitted but has no dev file."""
    return next(
        (task, split)
        for task, split in submission_files()
        if split.part and split.part not in {dev.part for dev in task.of_kind("dev")}
    )


def diagnostic_answers(path: Path) -> list[str]:
    """The diagnostic set's answers in a zip or a folder; none if its file is not there, or faulty."""
    if not path.exists():
        return []
    task, split = diagnostic_split()
    raw = read_submission(path).files.get(split.submission_file)
    if raw is None:
        return []
    file = parse_predictions(raw, Form(task.labels), raw.count(b"\n") - 1)
    return [] if file.problems else file.predictions


def categories(answers: Sequence[str], data_dir: Path) -> list[Category]:
    """Score the diagnostic set, all rows, then category by category: Matthews correlation, its own score, and
    accuracy. Empty where the labelled file is not there, InputError where it does not fit the answers."""
    path = next((data_dir / name for name in DIAGNOSTIC if (data_dir / name).is_file()), None)
    if path is None:
        return []
    rows = _read_diagnostic(path, len(answers))
    _check_texts(path, rows, data_dir)
    golds, given = map(diagnostic_split()[0].values_of, ([row["Label"] for row in rows], answers))
    chosen = {("all", ""): np.ones(len(rows), dtype=bool)}
    for group in GROUPS:
        tags = [{tag.strip() for tag in row[group].split(";") if tag.strip()} for row in rows]
        chosen[group, ""] = np.array([bool(tag) for tag in tags])
        for name in sorted(set().union(*tags)):
            chosen[group, name] = np.array([name in tag for tag in tags])
    with warnings.catch_warnings():  # a small category may have one label only; its correlation is then 0
        warnings.simplefilter("ignore")
        return [
            Category(*key, int(inside.sum()), matthews(golds[inside], given[inside]),
                     accuracy(golds[inside], given[inside]))
            for key, inside in chosen.items() if inside.any()
        ]  # fmt: skip


def _read_diagnostic(path: Path, expected: int) -> list[dict[str, str]]:
    labels, table = diagnostic_split()[0].labels, TextTable.from_lines(path, read_lines(path))
    names = (*GROUPS, *TEXTS, "Label")
    columns, rows = table.positions(names, "; expected the labelled diagnostic set"), []
    for number, line in table.lines:
        cells = table.cells(number, line)
        rows.append({name: cells[column] for name, column in zip(names, columns, strict=True)})
        if rows[-1]["Label"] not in labels:
            message = f"not a row with one of {', '.join(labels)} as its label"
            raise InputError(message, path=path, line=number)
    if len(rows) != expected:
        raise InputError(f"{len(rows)} rows, but {expected} predictions; take both of one set", path=path)
    return rows


def _check_texts(path: Path, rows: Sequence[Mapping[str, str]], data_dir: Path) -> None:
    """InputError if the labelled rows stand in another order than those of the official file, which were
    predicted. A few texts may be written otherwise there."""
    task, split = diagnostic_split()
    try:
        examples = read_split(task, split, data_dir).examples
    except InputError:  # nothing to compare with
        return
    other = [
        number
        for number, (row, example) in enumerate(zip(rows, examples, strict=False), 2)
        if [row.get(name, "").split() for name in TEXTS] != [text.split() for text in example.texts]
    ]
    if 10 * len(other) > len(rows):
        official = find_file(data_dir, split)
        raise InputError(
            f"not the texts that stand there in {official}; take both of one set", path=path, line=other[0]
        )
