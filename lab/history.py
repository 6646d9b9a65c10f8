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
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from common.command_line import CommandParser, path, run
from common.errors import InputError, UsageError
from common.files import atomic_folder, sha256_of, write_text
from common.json_files import read_json_lines, read_json_object
from common.locks import Lock
from common.messages import say
from common.tables import add_format, render
from glue.arguments import add_data_dir, data_folder
from glue.tasks import TASKS, find_task, known_tasks

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
        "--task_scores",
        nargs="+",
        default=[],
        type=_task_score,
        metavar="TASK=N",
        help="with --answer: the site's scores of tasks, in percent",
    )
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
    value = _percent(text)
    if 0 < abs(value) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is below one percent; give it as the site does: 71.0")
    return value


def _task_score(text: str) -> tuple[str, float]:
    name, _, score = text.partition("=")
    task = find_task(name)
    if task is None:
        raise argparse.ArgumentTypeError(
            f"{name!r} is no task; write TASK=SCORE, TASK of {known_tasks(name)}"
        )
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
    if not isinstance(event, dict) or not all(
        isinstance(event.get(key), str) for key in ("event", "date", "sha256")
    ):
        return False
    if event["event"] == "answered":
        return _is_number(event.get("score"))
    return isinstance(event.get("zip"), str) and _is_expected(event.get("expected"))


def _is_expected(expected: Any) -> bool:
    """Averages as a manifest has them: fractions of 1, or none where scores are missing."""
    average = expected.get("leaderboard_average") if isinstance(expected, dict) else math.nan
    return average is None or _is_number(average)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _MOST_POINTS


def _write(folder: Path, events: Sequence[Mapping[str, Any]]) -> None:
    write_text(folder / _LINES, "".join(json.dumps(event) + "\n" for event in events))


def _add(flags: Namespace, folder: Path, events: list[dict[str, Any]]) -> None:
    from submission.manifest import manifest_path, predictions_path

    archive, digest = Path(flags.add), sha256_of(flags.add)
    manifest = read_json_object(manifest_path(archive))
    if not _is_expected(manifest.get("expected")) or not isinstance(manifest.get("dev"), dict):
        raise InputError("not the manifest of a submission", path=manifest_path(archive))
    if manifest.get("sha256") != digest:
        raise InputError(f"is of another {archive.name}; submit again", path=manifest_path(archive))
    if any(event["event"] == "handed in" and event["sha256"] == digest for event in events):
        raise InputError(f"was handed in before; {folder / _LINES} says when", path=archive)
    kept, predicted = folder / digest[:_SHORT], predictions_path(archive) / "dev"
    known = manifest.get("dev_predictions")
    names = [split.submission_file for task in TASKS.values() for split in task.of_kind("dev")]
    for name in names:
        file = predicted / name
        if not file.is_file():
            raise InputError("is missing; later ones are compared by it: submit again", path=file)
        if isinstance(known, dict) and known.get(name) != sha256_of(file):
            raise InputError(
                f"is not what {manifest_path(archive).name} says (SHA-256); submit again", path=file
            )
    with atomic_folder(kept) as copy:
        shutil.copyfile(archive, copy / "submission.zip")
        shutil.copyfile(manifest_path(archive), copy / _MANIFEST)
        for name in names:  # other files there are no part of the submission
            shutil.copyfile(predicted / name, copy / f"dev-{name}")
    before = _best(events)
    event = {"event": "handed in", "date": _now(), "sha256": digest, "zip": archive.name}
    _write(folder, [*events, {**event, "expected": manifest["expected"], "dev": manifest["dev"]}])
    print(f"{archive}: number {1 + sum(event['event'] == 'handed in' for event in events)}, kept in {kept}")
    if before is not None:
        try:
            _compare(kept, folder / before["sha256"][:_SHORT], before, data_folder(flags.data_dir))
        except InputError as error:  # it is in the history all the same
            say(f"warning: not compared with {before['zip']}: {error}")


def _best(events: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The submission with the best score by the site; the latest one if it never scored any."""
    handed_in = {event["sha256"]: event for event in events if event["event"] == "handed in"}
    answers = {event["sha256"]: event["score"] for event in events if event["event"] == "answered"}
    answered = [digest for digest in answers if digest in handed_in]  # of several answers the last counts
    if answered:
        return handed_in[max(answered, key=lambda digest: answers[digest])]
    return list(handed_in.values())[-1] if handed_in else None


def _compare(after: Path, before: Path, event: Mapping[str, Any], data: Path) -> None:
    """Print what a submission has over one before it, that of an event of the history."""
    from lab.significance import compare_submissions

    gain = compare_submissions(before, after, data)
    low, high = gain.interval
    points, source = (
        (gain.on_dev, "points on the dev files (a manifest expects nothing)")
        if gain.expected is None
        else (gain.expected, "points expected")
    )
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
    known = [event for event in events if event["event"] == "handed in" and event["sha256"] == digest]
    if not known:
        raise InputError("is not in the history; --add it first", path=flags.answer)
    event = {"event": "answered", "date": _now(), "sha256": digest, "score": flags.score}
    _write(folder, [*events, {**event, "task_scores": dict(flags.task_scores)}])
    expected = known[0]["expected"].get("leaderboard_average")
    note = f", expected were {100 * expected:.2f}" if expected is not None else ""
    print(f"{flags.answer}: {flags.score:.2f} on the test set{note}")


def _print_list(events: Sequence[Mapping[str, Any]], form: str) -> None:
    """Print a row for each zip, oldest first; averages in percent, as expected and as the site answered."""
    import pandas

    answers = {event["sha256"]: event for event in events if event["event"] == "answered"}
    rows = []
    for event in (event for event in events if event["event"] == "handed in"):
        expected, answer = event["expected"].get("leaderboard_average"), answers.get(event["sha256"], {})
        scores = answer.get("task_scores") or {}
        rows.append({
            "date": event["date"], "expected": None if expected is None else 100 * expected,
            "answered": answer.get("score"), "zip": event["zip"], "sha256": event["sha256"][:_SHORT],
            "tasks": ", ".join(f"{task} {score}" for task, score in scores.items()),
        })  # fmt: skip
    if not rows and form == "text":
        print("nothing was handed in yet")
        return
    columns = ["date", "expected", "answered", "zip", "sha256", "tasks"]
    table = pandas.DataFrame(rows, columns=columns).astype({"expected": float, "answered": float})
    print(render(table, form))


def _now() -> str:
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


if __name__ == "__main__":
    run(main)
