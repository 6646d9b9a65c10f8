"""Small hand-ins and the test files that say how many rows they must have."""

import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from common.errors import InputError
from glue.tasks import Task, submission_files
from submission.check import FileReport, check_archive, read_submission

FILES = list(submission_files())
NAMES = [split.submission_file for _, split in FILES]
EACH_FILE = pytest.mark.parametrize(("task", "split"), FILES, ids=NAMES)
CLASSIFIED = [(task, split) for task, split in FILES if task.labels]
ROWS = {name: 6 + position for position, name in enumerate(NAMES)}  # each file another count


def predictions(task: Task, rows: int) -> list[str]:
    if task.is_regression:
        return [f"{row % 6 * 0.83:.3f}" for row in range(rows)]
    return [task.labels[row % len(task.labels)] for row in range(rows)]


def tsv(cells: list[str]) -> str:
    return "index\tprediction\n" + "".join(f"{row}\t{cell}\n" for row, cell in enumerate(cells))


def write_hand_in(folder: Path) -> Path:
    """All files, as many rows as ``ROWS`` says."""
    folder.mkdir(parents=True, exist_ok=True)
    for task, split in FILES:
        (folder / split.submission_file).write_bytes(
            tsv(predictions(task, ROWS[split.submission_file])).encode()
        )
    return folder


def write_data(folder: Path) -> Path:
    """Test files of the official layout with ``ROWS`` rows."""
    for task, split in FILES:
        path = folder / split.file
        path.parent.mkdir(parents=True, exist_ok=True)
        columns = ["index", *task.text_columns]
        rows = [
            "\t".join([str(row), *["words"] * (len(columns) - 1)])
            for row in range(ROWS[split.submission_file])
        ]
        path.write_text("\n".join(["\t".join(columns), *rows]) + "\n", encoding="utf-8")
    return folder


def write_logits(
    folder: Path, task: Task, name: str, digest: str = "d" * 64, labels: list[str] | None = None
):
    """The .npz that a prediction run leaves beside a file, agreeing with ``predictions``."""
    cells = predictions(task, ROWS[name])
    order = list(task.labels) if labels is None else labels
    if task.is_regression:
        logits = np.array([[float(cell)] for cell in cells], dtype=np.float32)
    else:
        logits = np.array(
            [[3.0 if label == cell else -1.0 for label in order] for cell in cells], dtype=np.float32
        )
    path = folder / Path(name).with_suffix(".npz")
    np.savez(path, logits=logits, labels=np.array(order, dtype=str), checkpoint_digest=np.array(digest))
    return path


def reports_of(path: Path, data_dir: Path | None) -> dict[str, FileReport]:
    """The check's reports by file name."""
    return {report.name: report for report in check_archive(read_submission(path, data_dir), data_dir)}


def problems_of(path: Path, data_dir: Path | None, name: str) -> list[tuple[int, str]]:
    """What is wrong with one file, all others being right."""
    reports = reports_of(path, data_dir)
    assert [other for other in reports if reports[other].status != "OK"] == [name]
    return [(fault.line, str(fault)) for fault in reports[name].problems]


def refused(packed: Callable[..., Path], tmp_path: Path, *flags: str) -> InputError:
    """The error of submission.pack, after which there is nothing where the zip would be."""
    with pytest.raises(InputError) as error:
        packed(*flags)
    assert not (tmp_path / "out").exists()
    return error.value


def write_zip(
    folder: Path,
    path: Path,
    rename: Callable[[str], str] = str,
    extra: Sequence[tuple[str, str]] = (),
    method: int = zipfile.ZIP_DEFLATED,
) -> Path:
    """A zip as people make it, its entries renamed and more of them added."""
    with zipfile.ZipFile(path, "w", method) as archive:
        for name in NAMES:
            archive.writestr(rename(name), (folder / name).read_bytes())
        for name, text in extra:
            archive.writestr(name, text)
    return path
