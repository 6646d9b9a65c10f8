"""Keep a history of submissions and of the site's answers; say when a gain is within noise.

Examples:
  python -m lab.history --history history --add submission.zip --data_dir glue_data
  python -m lab.history --history history --answer submission.zip --score 84.1 --task_scores rte=70.2
  python -m lab.history --history history

--add takes a zip that lab.submit wrote, with its manifest and predictions beside it, keeps a copy, and
compares it with the best one before. The gain is the difference of the leaderboard averages that the
manifests expect; dev scores would include the luck of the choice that was made on them. Its 95 % interval
is as wide as that of a paired bootstrap over the dev rows of all tasks (glue.compare does the same for one
task). It says nothing about other training seeds. Without --add and --answer the history is printed.
"""

import argparse
import datetime
import json
import math
import shutil
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from common.command_line import CommandParser, count, path, run
from common.dispatch import dispatch
from common.errors import InputError, UsageError
from common.files import atomic_folder, sha256_of, write_text
from common.json_files import read_json_lines, read_json_object
from common.locks import Lock
from common.messages import say
from common.tables import add_format, render
from glue.arguments import add_data_dir, data_folder
from glue.tasks import TASKS, find_task, known_tasks
from submission.manifest import manifest_path, predictions_path

_LINES, _MANIFEST = "history.jsonl", "submission.manifest.json"
_MOST_POINTS = 100  # of a score; averages are fractions
_SHORT = 12  # characters of a digest that name a folder


def make_parser() -> CommandParser:
    parser = CommandParser(prog="python -m lab.history", description=__doc__)
    parser.add_argument("--history", required=True, type=path, metavar="DIR", help="folder of the history")
    parser.add_argument("--add", type=path, metavar="FILE.zip", help="a zip that is submitted now")
    parser.add_argument("--answer", type=path, metavar="FILE.zip", help="a zip that the site has scored")
    parser.add_argument(
        "--score", type=_average, metavar="N", help="with --answer: the site's score, in percent"
    )
    parser.add_argument(
        "--task_scores", nargs="+", default=[], type=_task_score, metavar="TASK=N",
        help="with --answer: the site's scores of tasks, in percent",
    )  # fmt: skip
    for period, most in (("day", 2), ("month", 6)):
        parser.add_argument(
            f"--per_{period}", type=count, default=most, metavar="N",
            help=f"with --add: warn of more zips a {period}; look up the site's limit (default: {most})",
        )  # fmt: skip
    add_data_dir(parser, "with --add: the folder of the official files")
    add_format(parser)
    return parser


def _percent(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not -100 <= value <= 100:
        raise argparse.ArgumentTypeError(f"{text!r} is not a score in percent")
    return value


def _average(text: str) -> float:
    if 0 < abs(value := _percent(text)) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is below one percent; give it as the site does: 71.0")
    return value


def _task_score(text: str) -> tuple[str, float]:
    name, _, score = text.partition("=")
    task = find_task(name)
    if task is None:
        message = f"{name!r} is no task; write TASK=SCORE, TASK of {known_tasks(name)}"
        raise argparse.ArgumentTypeError(message)
    return task.name, _percent(score)


def main(argv: Sequence[str] | None = None) -> None:
    flags = make_parser().parse_args(argv)
    if flags.add and flags.answer:
        raise UsageError("--add and --answer exclude each other")
    if (flags.score is None) != (flags.answer is None):
        raise UsageError("--answer FILE.zip and --score N go together")
    if flags.task_scores and not flags.answer:
        raise UsageError("--task_scores belong to --answer FILE.zip")
    folder = Path(flags.history)
    if folder.exists() and not folder.is_dir():
        raise InputError("is no folder; --history names the one where the history is kept", path=folder)
    if not flags.add and not flags.answer:
        _print_list(read_events(folder), flags.format)
        return
    if not Path(flags.add or flags.answer).is_file():
        raise InputError("no such file; lab.submit writes it", path=flags.add or flags.answer)
    folder.mkdir(parents=True, exist_ok=True)
    with Lock(folder / ".lock"):  # two at once would forget one of them
        (_add if flags.add else _answer)(flags, folder, read_events(folder))


def read_events(folder: Path) -> list[dict[str, Any]]:
    """The history's lines, oldest first: ``{"event": "handed in" or "answered", "date", "sha256", …}``."""
    path = folder / _LINES
    if path.exists() and not path.is_file():
        raise InputError("is no file; move it away", path=path)
    events = list(read_json_lines(path)) if path.is_file() else []
    for number, event in enumerate(events, 1):
        if not _is_event(event):
            raise InputError("not a line of a history; mend or remove it", path=path, line=number)
    return events


def _is_event(event: Any) -> bool:
    is_answer = isinstance(event, dict) and event.get("event") == "answered"
    texts = ("event", "date", "sha256") if is_answer else ("event", "date", "sha256", "zip")
    if not isinstance(event, dict) or not all(isinstance(event.get(key), str) for key in texts):
        return False
    return _is_score(event.get("score")) if is_answer else _is_expected(event.get("expected"))


def _is_expected(expected: Any) -> bool:
    """Averages as a manifest has them: fractions of 1, or none where scores are missing."""
    average = expected.get("leaderboard_average") if isinstance(expected, dict) else math.nan
    return average is None or _is_score(average)


def _is_score(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _MOST_POINTS


def _write(folder: Path, events: Sequence[Mapping[str, Any]], kind: str, digest: str, **more: Any) -> None:
    """Write the history with one more event, of now."""
    new = {"event": kind, "date": _now(), "sha256": digest, **more}
    write_text(folder / _LINES, "".join(json.dumps(event) + "\n" for event in [*events, new]))


def _now() -> str:
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def limit_warnings(
    events: Sequence[Mapping[str, Any]], now: str, per_day: int, per_month: int
) -> Iterator[str]:
    """Say which limits a history exceeds: of the zips submitted on the day, and in the month (UTC),."""
    for period, letters, most in (("day", 10, per_day), ("month", 7, per_month)):
        dates = [event["date"] for event in _submissions(events).values()]
        number = sum(date[:letters] == now[:letters] for date in dates)
        if number > most:
            yield f"{number} submissions this {period}; --per_{period} is {most}: look up the site's limit"


def _add(flags: Namespace, folder: Path, events: list[dict[str, Any]]) -> None:
    archive, digest = Path(flags.add), sha256_of(flags.add)
    beside = manifest_path(archive)
    manifest = read_json_object(beside)
    if not _is_expected(manifest.get("expected")) or not isinstance(manifest.get("dev"), dict):
        raise InputError("not the manifest of a submission", path=beside)
    if manifest.get("sha256") != digest:
        raise InputError(f"is of another {archive.name}; submit again", path=beside)
    if digest in _submissions(events):
        raise InputError(f"was submitted before; {folder / _LINES} says when", path=archive)
    kept, predicted = folder / digest[:_SHORT], predictions_path(archive) / "dev"
    known = manifest.get("dev_predictions")
    names = [split.submission_file for task in TASKS.values() for split in task.of_kind("dev")]
    for name in names:
        file = predicted / name
        if not file.is_file():
            raise InputError("is missing; later ones are compared by it: submit again", path=file)
        if isinstance(known, dict) and known.get(name) != sha256_of(file):
            raise InputError(f"is not what {beside.name} says (SHA-256); submit again", path=file)
    with atomic_folder(kept) as copy:
        shutil.copyfile(archive, copy / "submission.zip")
        shutil.copyfile(beside, copy / _MANIFEST)
        for name in names:  # other files there are no part of the submission
            shutil.copyfile(predicted / name, copy / f"dev-{name}")
    parts = {"zip": archive.name, "expected": manifest["expected"], "dev": manifest["dev"]}
    _write(folder, events, "handed in", digest, **parts)
    print(f"{archive}: number {1 + len(_submissions(events))}, kept in {kept}")
    for warning in limit_warnings(read_events(folder), _now(), flags.per_day, flags.per_month):
        say(f"warning: {warning}")
    if (before := _best(events)) is not None:
        try:
            _compare(kept, folder / before["sha256"][:_SHORT], before, data_folder(flags.data_dir))
        except InputError as error:  # it is in the history all the same
            say(f"warning: not compared with {before['zip']}: {error}")


def _best(events: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The submission with the best score by the site; the latest one if it never scored any."""
    submissions, answers = _submissions(events), _answers(events)
    answered = [digest for digest in answers if digest in submissions]
    if answered:
        return submissions[max(answered, key=lambda digest: answers[digest]["score"])]
    return list(submissions.values())[-1] if submissions else None


def _submissions(events: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Digest → the event of each zip that was submitted, oldest first."""
    return {event["sha256"]: event for event in events if event["event"] == "handed in"}


def _answers(events: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Digest → the site's last answer."""
    return {event["sha256"]: event for event in events if event["event"] == "answered"}


def _compare(after: Path, before: Path, event: Mapping[str, Any], data: Path) -> None:
    """Print what a submission has over one before it, that of an event of the history."""
    gain = dispatch("lab.significance:compare_submissions", before, after, data)
    low, high = gain.interval
    points, source = gain.expected, "points expected"
    if points is None:
        points, source = gain.on_dev, "points on the dev files (a manifest expects nothing)"
    print(
        f"leaderboard average: {100 * points:+.2f} {source} over {event['zip']}, {event['date']} "
        f"(95 % interval {100 * low:+.2f} to {100 * high:+.2f}); on the dev rows that chose "
        f"{100 * gain.on_dev:+.2f}"
    )
    if gain.is_same:
        say("warning: no dev row is answered otherwise")
    elif low <= 0 <= high:
        say("warning: that gain is within noise; the test set may as well say the opposite")
    elif high < 0:
        say("warning: that is a loss")


def _answer(flags: Namespace, folder: Path, events: list[dict[str, Any]]) -> None:
    digest = sha256_of(flags.answer)
    submission = _submissions(events).get(digest)
    if submission is None:
        raise InputError("is not in the history; --add it first", path=flags.answer)
    _write(folder, events, "answered", digest, score=flags.score, task_scores=dict(flags.task_scores))
    expected = submission["expected"].get("leaderboard_average")
    note = f", expected were {100 * expected:.2f}" if expected is not None else ""
    print(f"{flags.answer}: {flags.score:.2f} on the test set{note}")


def _print_list(events: Sequence[Mapping[str, Any]], form: str) -> None:
    """Print a row for each zip, oldest first; averages in percent, as expected and as the site answered."""
    import pandas

    rows, answers = [], _answers(events)
    for digest, event in _submissions(events).items():
        expected, answer = event["expected"].get("leaderboard_average"), answers.get(digest, {})
        tasks = ", ".join(f"{task} {score}" for task, score in (answer.get("task_scores") or {}).items())
        percent = None if expected is None else 100 * expected
        rows.append((event["date"], percent, answer.get("score"), event["zip"], digest[:_SHORT], tasks))
    if not rows and form == "text":
        print("nothing was submitted yet")
        return
    columns = ["date", "expected", "answered", "zip", "sha256", "tasks"]
    table = pandas.DataFrame(rows, columns=columns).astype({"expected": float, "answered": float})
    print(render(table, form))


if __name__ == "__main__":
    run(main)
