"""What the report page says of a zip, and of the diagnostic set by category where its labels are there."""

import statistics
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from common.errors import InputError
from common.files import read_json_object, sha256_of
from common.text import read_text
from glue.data import find_file, read_split
from glue.tasks import Split, Task, submission_files
from lab.report_numbers import Number, mapping, percent, whole
from metrics.prediction_file import Form, parse_predictions
from metrics.scores import accuracy, matthews
from submission.archive_reader import read_contents
from submission.check import check_contents, size_limits
from submission.manifest import manifest_path

# The labelled diagnostic set that the benchmark's authors publish: its file, and its columns of categories.
DIAGNOSTIC = ("diagnostic/diagnostic-full.tsv", "diagnostic-full.tsv")
TEXTS = ("Premise", "Hypothesis")
GROUPS = ("Lexical Semantics", "Predicate-Argument Structure", "Logic", "Knowledge")


@dataclass(frozen=True)
class ZipRow:
    """A file of the zip. answers: what its rows say, and how often; of a regression lowest, median, highest.

    origin: the run or runs that answered, where a manifest says so; seed: of a single one; dev, expected: the
    main scores, on all dev rows and as cross-validation estimates it.
    """

    file: str
    status: str
    said: str
    rows: Number | None
    answers: list[tuple[str, Number]]
    origin: str = ""
    seed: Number | None = None
    dev: Number | None = None
    expected: Number | None = None


@dataclass(frozen=True)
class Zip:
    name: str
    digest: str
    rows: list[ZipRow]
    expected: dict[str, Number]
    note: str


@dataclass(frozen=True)
class Category:
    group: str
    name: str
    rows: Number
    matthews: Number
    accuracy: Number


def read_zip(archive: Path, data_dir: Path | None) -> Zip:
    """What a zip holds, as ``submission.check`` sees it, and what its manifest, if any, says of it."""
    reports = {
        report.name: report
        for report in check_contents(read_contents(archive, size_limits(data_dir)), data_dir)
    }
    beside, manifest, note = manifest_path(archive), dict[str, Any](), "no manifest beside it"
    if beside.is_file():
        manifest = read_json_object(beside)
        note = ""
        if manifest.get("sha256") != sha256_of(archive):
            manifest, note = {}, f"{beside.name} is of another zip"
    rows = []
    for task, split in submission_files():
        report = reports.pop(split.submission_file)
        about = mapping(mapping(manifest.get("tasks")).get(task.name))
        key = f"file:{beside.name}#tasks.{task.name}"
        rows.append(
            ZipRow(
                split.submission_file,
                report.status,
                "; ".join([*map(str, [*report.faults, *report.warnings]), *report.notes]),
                None if report.rows is None else whole(report.rows, f"zip-rows:{split.submission_file}"),
                _answers(task, split, report.predictions),
                _origin(about),
                whole(about["seed"], f"{key}.seed") if isinstance(about.get("seed"), int) else None,
                *(
                    percent(main, f"{key}.{kind}.main") if isinstance(main, int | float) else None
                    for kind in ("dev", "expected")
                    for main in [mapping(about.get(kind)).get("main")]
                ),
            )
        )
    rows += [
        ZipRow(name, stray.status, "; ".join(map(str, stray.faults)), None, [])
        for name, stray in reports.items()
    ]
    expected = {
        key: percent(value, f"file:{beside.name}#expected.{key}")
        for key, value in mapping(manifest.get("expected")).items()
        if isinstance(value, float)
    }
    return Zip(archive.name, sha256_of(archive), rows, expected, note)


def _origin(about: Mapping[str, Any]) -> str:
    """The run a manifest names, those of an ensemble, or why there is none."""
    members, method = about.get("members"), mapping(about.get("ensemble")).get("method")
    if isinstance(members, list):
        return f"{method} of {', '.join(str(mapping(member).get('run')) for member in members)}"
    return str(about.get("run") or about.get("note") or "")


def _answers(task: Task, split: Split, predictions: Sequence[str]) -> list[tuple[str, Number]]:
    if not predictions:
        return []
    if task.labels:
        counts = Counter(predictions)
        return [
            (label, whole(counts[label], f"zip-count:{split.submission_file}#{label}"))
            for label in task.labels
        ]
    values = [float(prediction) for prediction in predictions]
    ends = (("lowest", min(values)), ("median", statistics.median(values)), ("highest", max(values)))
    return [(name, Number(value, f"zip-{name}:{split.submission_file}", ".3f")) for name, value in ends]


def diagnostic_split() -> tuple[Task, Split]:
    """The split of the benchmark that is handed in but has no dev file."""
    return next(
        (task, split)
        for task, split in submission_files()
        if split.part and split.part not in {dev.part for dev in task.of_kind("dev")}
    )


def diagnostic_answers(place: Path) -> list[str]:
    """The diagnostic set's answers in a zip or a folder; none if its file is not there, or faulty."""
    if not place.exists():
        return []
    task, split = diagnostic_split()
    raw = read_contents(place, size_limits()).raw.get(split.submission_file)
    if raw is None:
        return []
    file = parse_predictions(raw, Form(task.labels), raw.count(b"\n") - 1)
    return [] if file.faults else file.predictions


def categories(answers: Sequence[str], data_dir: Path) -> list[Category]:
    """Matthews correlation, the set's own score, and accuracy: of all rows, then category by category.

    Empty where the labelled file is not there; InputError if it does not fit the answers.
    """
    path = next((data_dir / name for name in DIAGNOSTIC if (data_dir / name).is_file()), None)
    if path is None:
        return []
    rows, gold = _read_diagnostic(path, len(answers))
    _check_texts(path, rows, data_dir)
    found = [_category("all", "", np.ones(len(rows), dtype=bool), gold, answers)]
    for group in GROUPS:
        tags = [{tag.strip() for tag in row[group].split(";") if tag.strip()} for row in rows]
        found.append(_category(group, "", np.array([bool(tag) for tag in tags]), gold, answers))
        for name in sorted(set().union(*tags)):
            found.append(_category(group, name, np.array([name in tag for tag in tags]), gold, answers))
    return [category for category in found if category.rows.value]


def _read_diagnostic(path: Path, expected: int) -> tuple[list[dict[str, str]], list[str]]:
    task, _ = diagnostic_split()
    header, *lines = read_text(path).rstrip("\n").split("\n")
    names = header.rstrip("\r").split("\t")
    missing = [name for name in (*GROUPS, *TEXTS, "Label") if name not in names]
    if missing:
        raise InputError(f"{path}:1: no column {missing[0]!r}; expected the labelled diagnostic set")
    if len(lines) != expected:
        raise InputError(f"{path}: {len(lines)} rows, but {expected} predictions; take both of one set")
    rows = []
    for number, line in enumerate(lines, 2):
        cells = line.rstrip("\r").split("\t")
        row = dict(zip(names, cells, strict=False))
        if len(cells) != len(names) or row["Label"] not in task.labels:
            raise InputError(f"{path}:{number}: not a row with one of {', '.join(task.labels)} as its label")
        rows.append(row)
    return rows, [row["Label"] for row in rows]


def _check_texts(path: Path, rows: Sequence[Mapping[str, str]], data_dir: Path) -> None:
    """InputError if the labelled rows stand in another order than those of the official file, which were
    predicted. A few texts may be written otherwise there."""
    task, split = diagnostic_split()
    try:
        examples = read_split(task, split, data_dir).examples
    except InputError:  # nothing to compare with
        return
    both = zip(rows, examples, strict=False)
    other = [
        number
        for number, (row, example) in enumerate(both, 2)
        if [row.get(name, "").split() for name in TEXTS] != [text.split() for text in example.texts]
    ]
    if 10 * len(other) > len(rows):
        official = find_file(data_dir, split)
        raise InputError(
            f"{path}:{other[0]}: not the texts that stand there in {official}; take both of one set"
        )


def _category(
    group: str, name: str, inside: np.ndarray, gold: Sequence[str], answers: Sequence[str]
) -> Category:
    ids = {label: number for number, label in enumerate(diagnostic_split()[0].labels)}
    truth, given = (np.array([ids[label] for label in labels])[inside] for labels in (gold, answers))
    source = f"{group}/{name}"
    rows = whole(int(inside.sum()), f"ax-rows:{source}")
    if not inside.any():
        return Category(group, name, rows, rows, rows)
    with warnings.catch_warnings():  # a small category may have one label only; its correlation is then 0
        warnings.simplefilter("ignore")
        return Category(
            group, name, rows, percent(matthews(truth, given), f"ax-matthews:{source}"),
            percent(accuracy(truth, given), f"ax-accuracy:{source}"),
        )  # fmt: skip
