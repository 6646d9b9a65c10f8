"""Predict a submission again from the checkpoints that its manifest names, and compare byte for byte.

Example:
  python -m submission.verify submission.zip --runs runs --data_dir glue_data

A checkpoint is known by its digest, wherever below --runs it is. Prints a line for each file: SAME;
ROUNDING, where only rows differ whose two best answers nearly tie, or numbers in their last digits, as on
another machine; DIFFERS; or UNKNOWN, where nothing says what predicted it. Then what is wrong with the
manifest, and what could not be verified. Exit 0 only if every file is SAME or ROUNDING and the manifest is
right.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from common.command_line import CommandParser, path, run
from common.dispatch import dispatch
from common.errors import InputError
from common.python_api import make_callable

SAME, ROUNDING, DIFFERS, UNKNOWN = "SAME", "ROUNDING", "DIFFERS", "UNKNOWN"


@dataclass(frozen=True)
class FileVerdict:
    """Whether a submission file is what its checkpoints predict."""

    name: str  # the submission file
    status: str  # SAME, ROUNDING, DIFFERS or UNKNOWN
    rows: int | None = None  # how many there are; None where it could not be read
    note: str = ""  # what differs, or why nobody knows

    def line(self) -> str:
        rows = "" if self.rows is None else f"{self.rows} rows"
        return f"{self.status:<8}  {self.name:<11}  {rows:>11}  {self.note}".rstrip()


@dataclass
class Verification:
    """What came of verifying a submission."""

    files: list[FileVerdict] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)  # with the manifest, or the zip as a whole
    unverified: list[str] = field(default_factory=list)  # what the manifest says and nothing here can tell

    @property
    def is_verified(self) -> bool:
        """Whether every file is what its checkpoints predict, and the manifest says so."""
        return not self.problems and all(file.status in (SAME, ROUNDING) for file in self.files)


def verify(
    archive: str | Path,
    manifest: str | Path | None = None,
    data_dir: str | Path | None = None,
    runs: str | Path | None = None,
) -> Verification:
    """Predict a submission again and compare, as ``python -m submission.verify`` does.

    Args:
        archive: The zip.
        manifest: Its manifest; None: the one beside it.
        data_dir: The folder of the official files; None: the download cache.
        runs: The folder below which the checkpoints are; None: the zip's own.

    Returns:
        A verdict for each file, what is wrong with the manifest, and what could not be verified. A
        difference is no exception.

    Raises:
        InputError: The zip or the manifest cannot be read, or a folder is not there.

    >>> import submission
    >>> data, settings = "glue_data", {"fill_missing": True, "manifest": True, "runs": "runs"}
    >>> reports = submission.pack("predictions", "proven.zip", data_dir=data, **settings)
    >>> result = submission.verify("proven.zip", data_dir=data, runs="runs")
    >>> result.is_verified, {file.status for file in result.files}
    (True, {'SAME'})
    """
    # What predicts needs Paddle and stands above this package, which does without.
    result: Verification = dispatch("lab.verification:verify", archive, manifest, data_dir, runs)
    return result


def make_parser() -> CommandParser:
    parser = CommandParser(prog="python -m submission.verify", description=__doc__)
    parser.add_argument("archive", type=path, metavar="FILE.zip", help="the submission")
    help_text = "what it was made of (default: FILE.manifest.json beside it)"
    parser.add_argument("--manifest", type=path, metavar="FILE", help=help_text)
    help_text = "the GLUE files to predict (default: the download cache)"
    parser.add_argument("--data_dir", type=path, metavar="DIR", help=help_text)
    help_text = "folder below which the checkpoints are (default: the zip's own)"
    parser.add_argument("--runs", type=path, metavar="DIR", help=help_text)
    parser.add_switch("--json", help="print one JSON object instead of lines")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    flags = make_parser().parse_args(argv)
    result = verify(flags.archive, flags.manifest, flags.data_dir, flags.runs)
    if flags.json:
        values: dict[str, Any] = {"zip": flags.archive, "ok": result.is_verified, **vars(result)}
        print(json.dumps({**values, "files": [vars(file) for file in result.files]}, indent=2))
    else:
        print("\n".join(file.line() for file in result.files))
        for problem in result.problems:
            print(f"manifest: {problem}")
        for statement in result.unverified:
            print(f"not verified: {statement}")
    if not result.is_verified:
        others = [f"{file.name} {file.note}" for file in result.files if file.status in (DIFFERS, UNKNOWN)]
        problems = [*others, *result.problems]
        more = f" (further problems: {len(problems) - 1})" if len(problems) > 1 else ""
        raise InputError(f"not verified: {problems[0]}{more}", path=flags.archive, code="not verified")


make_callable(__name__, verify)

if __name__ == "__main__":
    run(main)
