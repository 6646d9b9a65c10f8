"""Check a folder of prediction files and write the leaderboard's zip.

The zip is flat, its entries stored in the order of the task table with a fixed date: the same
predictions give the same bytes anywhere. Nothing is written unless every file passes
submission.check. A missing file is an error; --fill_missing majority writes the most frequent training
label in its place and says so.
"""

import sys
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from common.command_line import CommandParser, path, run
from common.errors import InputError, UsageError
from common.files import atomic_write
from common.messages import say
from common.python_api import make_callable
from glue.tasks import Task, submission_files
from metrics.prediction_file import HEADER
from submission.check import (
    FileReport,
    check_archive,
    expected_rows,
    first_error,
    read_submission,
    submission_names,
)
from submission.manifest import data_digests, manifest_path, provenance_of, write_manifest
from submission.provenance import check_provenance

_DATE = (1980, 1, 1, 0, 0, 0)  # the first that a zip can say
_UNIX = 3
_PLAIN_FILE = 0o100644 << 16


def pack(
    predictions: str | Path,
    output: str | Path,
    data_dir: str | Path | None = None,
    fill_missing: bool = False,
    manifest: bool = False,
    runs: str | Path | None = None,
) -> list[FileReport]:
    """Check a folder of prediction files and write the zip; on any error nothing is written.

    As ``python -m submission.pack`` does.

    Args:
        predictions: The folder.
        output: The zip to write.
        data_dir: The folder of the official files whose test rows count; None: the official row counts.
        fill_missing: Write the most frequent training label for files that are missing.
        manifest: Write ``FILE.manifest.json`` too: digests, checkpoints, with ``runs`` runs and dev scores.
        runs: Where the runs are that predicted the files.

    Returns:
        A report for each file in the zip.

    Raises:
        InputError: ``submission.check`` calls something an error, a file disagrees with its logits, or the
            files of one task come from different checkpoints.
        UsageError: The output is not named as a zip, or ``runs`` is given without ``manifest``.

    >>> import submission
    >>> reports = submission.pack("predictions", "submission.zip", data_dir="glue_data", fill_missing=True)
    >>> len(reports)
    11
    """
    if runs and not manifest:
        raise UsageError("--runs: says where the manifest's runs are; add --manifest")
    if Path(output).suffix.lower() != ".zip":  # so that it never takes the place of a prediction file
        raise UsageError(f"--output {output}: give a name that ends in .zip")
    folder = Path(predictions)
    if not folder.is_dir():
        message = "no such folder; --predictions names what run_predict wrote into"
        raise InputError(message, path=folder, code="missing")
    archive = read_submission(folder, data_dir)
    reports = check_archive(archive, data_dir)
    _refuse_problems(folder, reports, fill_missing)
    for warning in check_provenance(folder, {r.name: r.predictions for r in reports if not r.is_missing}):
        say(f"warning: {warning}")
    for report, (task, split) in zip(reports, submission_files(), strict=True):
        if report.is_missing:
            archive.files[report.name] = _fill(task, expected_rows(split, data_dir)[0], report)
    write_zip(output, archive.files)
    if manifest:
        write_manifest(output, reports, provenance_of(predictions, runs), {"data": data_digests(folder)})
    return reports


def _refuse_problems(folder: Path, reports: Sequence[FileReport], fill_missing: bool) -> None:
    faulty = [report for report in reports if report.problems and not report.is_missing]
    for report in faulty:
        print(report.line(), file=sys.stderr)
    if faulty:
        raise first_error(folder, faulty, remark="; nothing was written")
    missing = [report.name for report in reports if report.is_missing]
    if missing and not fill_missing:
        tasks = dict.fromkeys(
            task.name for task, split in submission_files() if split.submission_file in missing
        )
        writing = f"write them with python -m glue.run_predict (tasks: {' '.join(tasks)})"
        message = f"missing: {', '.join(missing)}; {writing} or add --fill_missing majority"
        raise InputError(f"{message}; nothing was written", path=folder, code="missing")


def write_zip(output: str | Path, files: Mapping[str, bytes]) -> None:
    """Write the submission files, by name, as a zip whose bytes depend on nothing else."""
    output = Path(output)
    remedy = "name another file with --output"
    if output.is_symlink() and not output.exists():
        raise InputError(f"is a link to nothing; {remedy}", path=output, code="link")
    try:
        with atomic_write(output) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            for name in submission_names():
                entry = zipfile.ZipInfo(name, _DATE)
                entry.create_system = _UNIX
                entry.external_attr = _PLAIN_FILE
                archive.writestr(entry, files[name])
    except OSError as error:
        message = f"cannot be written ({error.strerror or error}); {remedy}"
        raise InputError(message, path=output, code="unwritable") from None


def _fill(task: Task, rows: int, report: FileReport) -> bytes:
    report.problems.clear()
    report.rows = rows
    report.filled = task.majority
    report.notes.append(f"was missing: every row filled with {task.majority}")
    return filled_content(task, rows)


def filled_content(task: Task, rows: int) -> bytes:
    """A submission file whose every row is the task's most frequent training label."""
    lines = (f"{row}\t{task.majority}\n" for row in range(rows))
    return f"{HEADER}\n{''.join(lines)}".encode()


def make_parser() -> CommandParser:
    parser = CommandParser(prog="python -m submission.pack", description=__doc__)
    wanted: dict[str, Any] = {"required": True, "type": path}
    parser.add_argument("--predictions", **wanted, metavar="DIR", help="folder of prediction files")
    parser.add_argument("--output", **wanted, metavar="FILE.zip", help="the zip to write")
    parser.add_argument("--data_dir", type=path, metavar="DIR", help="the GLUE files whose test rows count")
    parser.add_argument("--fill_missing", choices=["majority"], help="what to write for a missing file")
    help_text = "write FILE.manifest.json too: digests, checkpoints, with --runs runs and dev scores"
    parser.add_switch("--manifest", help=help_text)
    help_text = "with --manifest: where the runs are that predicted the files"
    parser.add_argument("--runs", type=path, metavar="DIR", help=help_text)
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    args = make_parser().parse_args(argv)
    fill_missing = bool(args.fill_missing)
    reports = pack(args.predictions, args.output, args.data_dir, fill_missing, args.manifest, args.runs)
    print(args.output)
    if args.manifest:
        print(manifest_path(args.output))
    print("\n".join(report.line() for report in reports))


make_callable(__name__, pack)

if __name__ == "__main__":
    run(main)
