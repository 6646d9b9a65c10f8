"""Score a prediction file against an official dev file.

Prints one JSON object: the scores (fractions of 1), main (what the leaderboard counts), and the
signature that says how they were computed. A task with two dev files takes both at once
(--predictions A B --gold A B); with one of them there is no main.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.command_line import CommandParser, path, run
from common.errors import InputError, UsageError
from common.messages import say
from glue.arguments import add_task, chosen_task
from glue.data import read_gold
from glue.tasks import Split, Task
from metrics.prediction_file import Form, read_predictions

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]


# What a flag takes that names a file for each dev file.
FILES: dict[str, Any] = {"required": True, "nargs": "+", "type": path, "metavar": "FILE.tsv"}


@dataclass(frozen=True)
class ScoredSplits:
    """Part of a task, as scoring sees it: the dev files that were given, not all it has."""

    name: str
    metrics: tuple[str, ...]
    score_keys: tuple[str, ...]
    main: str
    split: str  # for the signature


@dataclass(frozen=True)
class Gold:
    """A gold file."""

    position: int  # which of the files on the command line it is
    split: Split | None  # the dev file that it is taken for; None if that cannot be told
    values: "Array"  # (N,) label ids or numbers


def read_golds(task: Task, paths: Sequence[str]) -> list[Gold]:
    """Read gold files and bring them into the table's order; InputError for two of the same split."""
    golds = [_read_gold(task, path, position) for position, path in enumerate(paths)]
    splits = task.of_kind("dev")
    known = [gold.split for gold in golds if gold.split]
    if len(golds) > 1 and (len(known) < len(golds) or len(set(known)) < len(known)):
        names = " ".join(Path(split.file).name for split in splits)
        raise InputError(f"{' '.join(paths)}: not {task.name}'s dev files, one of each; give {names}")
    return sorted(golds, key=lambda gold: splits.index(gold.split) if gold.split else 0)


def splits_scored(task: Task, golds: Sequence[Gold]) -> ScoredSplits:
    """What of the task these gold files cover: all of it, or one of two dev files (no ``main`` then)."""
    splits = task.of_kind("dev")
    if len(golds) == len(splits):
        name = "+".join(_split_name(split) for split in splits)
        return ScoredSplits(task.name, task.metrics, task.score_keys, task.main, name)
    split = golds[0].split
    keys = tuple(f"{metric}_{split.part}" if split else metric for metric in task.metrics)
    return ScoredSplits(task.name, task.metrics, keys, "", _split_name(split) if split else "dev_unknown")


def read_predicted(task: Task, golds: Sequence[Gold], paths: Sequence[str]) -> list["Array"]:
    """Prediction files, given in the order the gold files were, as ids or numbers in ``golds``' order."""
    if len(paths) != len(golds):
        raise UsageError(f"{len(paths)} prediction files but {len(golds)} gold files; give one for each")
    form = Form(task.labels, task.target_range, task.label_meant)
    return [task.values_of(read_predictions(paths[gold.position], form, len(gold.values))) for gold in golds]


def _read_gold(task: Task, path: str, position: int) -> Gold:
    splits = task.of_kind("dev")
    if not Path(path).is_file():
        message = f"no such file; --gold names an official dev file, e.g. {splits[0].file}"
        raise InputError(message, path=path, code="missing")
    by_name = [split for split in splits if Path(path).name == Path(split.file).name]
    values = task.values_of([str(label) for label in read_gold(task, (by_name or splits)[0], path)])
    by_rows = [split for split in splits if split.rows == len(values)]
    for candidates, how in ((by_name, "its name"), (by_rows, "its row count"), (splits, "")):
        if len(candidates) == 1:
            if len(splits) > 1:
                say(f"{path}: taken for the {candidates[0].part} dev file by {how}")
            return Gold(position, candidates[0], values)
    names = " or ".join(Path(split.file).name for split in splits)
    say(f"{path}: neither name nor row count tells whether this is {names}")
    return Gold(position, None, values)


def _split_name(split: Split) -> str:
    return f"{split.kind}_{split.part}" if split.part else split.kind


def make_parser() -> CommandParser:
    parser = CommandParser(prog="python -m glue.score", description=__doc__)
    add_task(parser)
    parser.add_argument("--predictions", **FILES, help="index, prediction")
    parser.add_argument("--gold", **FILES, help="official dev file")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    args = make_parser().parse_args(argv)
    from metrics.task_scores import score_task, signature

    task = chosen_task(args)
    golds = read_golds(task, args.gold)
    scored = splits_scored(task, golds)
    predicted = read_predicted(task, golds, args.predictions)
    parts = [(gold.values, values) for gold, values in zip(golds, predicted, strict=True)]
    scores = score_task(scored, parts)
    if not scored.main:
        del scores["main"]
    line = signature(scored, scored.split, [gold.values for gold in golds])
    print(json.dumps({"task": task.name, **scores, "signature": line}, indent=2))


if __name__ == "__main__":
    run(main)
