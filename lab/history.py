"""Keep count of what was handed in and what the site answered; say when a gain is within noise.

Examples:
  python -m lab.history --history history --add submission.zip --data_dir glue_data
  python -m lab.history --history history --answer submission.zip --score 84.1 --task_scores rte=70.2
  python -m lab.history --history history

--add takes a zip that lab.submit wrote (its manifest and its predictions lie beside it), keeps a copy, and
compares it with the best one before: the difference of the leaderboard averages on the dev files, with a 95 %
interval from a paired bootstrap over all tasks' rows (as metrics.compare does it for one task). Without
flags besides --history: the list.
"""

if not __package__:  # started by path: what is importable is the clone, not this folder
    import sys
    from pathlib import Path

    sys.path[0] = str(Path(__file__).resolve().parents[1])

import argparse
import datetime
import math
import shutil
import sys
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from commands.command_line import CommandParser, path, run
from commands.errors import InputError, UsageError
from commands.files import atomic_folder, read_json_lines, read_json_object, sha256_of, write_text
from glue.arguments import data_folder
from glue.tasks import TASKS

_LINES = "history.jsonl"
_SHORT = 12  # characters of a digest that name a folder


def make_parser() -> CommandParser:
    parser = CommandParser(prog="python -m lab.history", description=__doc__)
    parser.add_argument(
        "--history", required=True, type=path, metavar="DIR", help="where the history is kept"
    )
    parser.add_argument("--add", type=path, metavar="FILE.zip", help="a zip that is handed in now")
    parser.add_argument("--answer", type=path, metavar="FILE.zip", help="a zip that the site has answered")
    parser.add_argument(
        "--score", type=_percent, metavar="N", help="with --answer: the site's score, in percent"
    )
    parser.add_argument(
        "--task_scores",
        nargs="+",
        default=[],
        type=_task_score,
        metavar="TASK=N",
        help="with --answer: the site's scores of tasks, in percent",
    )
    parser.add_argument(
        "--data_dir", metavar="DIR", help="with --add: the official files (default: the download cache)"
    )
    return parser


def _percent(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not -100 <= value <= 100:
        raise argparse.ArgumentTypeError(f"{text!r} is not a score in percent")
    return value


def _task_score(text: str) -> tuple[str, float]:
    name, _, score = text.partition("=")
    if name.lower() not in TASKS:
        raise argparse.ArgumentTypeError(f"{name!r} is no task; write TASK=SCORE, TASK of {', '.join(TASKS)}")
    return name.lower(), _percent(score)


def main(argv: Sequence[str] | None = None) -> None:
    flags = make_parser().parse_args(argv)
    if flags.add and flags.answer:
        raise UsageError("--add and --answer exclude each other")
    if (flags.score is None) != (flags.answer is None):
        raise UsageError("--answer FILE.zip and --score N go together")
    folder = Path(flags.history)
    events = read_events(folder)
    if flags.add:
        _add(flags, folder, events)
    elif flags.answer:
        _answer(flags, folder, events)
    else:
        print("\n".join(_lines(events)))


def read_events(folder: Path) -> list[dict[str, Any]]:
    """The history's lines, oldest first: ``{"event": "handed in" or "answered", "date", "sha256", …}``."""
    path = folder / _LINES
    events = list(read_json_lines(path)) if path.is_file() else []
    for number, event in enumerate(events, 1):
        if not isinstance(event, dict) or not {"event", "date", "sha256"} <= set(event):
            raise InputError(f"{path}:{number}: not a line of a history")
    return events


def _write(folder: Path, events: Sequence[Mapping[str, Any]]) -> None:
    import json

    write_text(folder / _LINES, "".join(json.dumps(event) + "\n" for event in events))


def _add(flags: Namespace, folder: Path, events: list[dict[str, Any]]) -> None:
    from lab.submit import predictions_path
    from submission.manifest import manifest_path

    archive, digest = Path(flags.add), sha256_of(flags.add)
    manifest = read_json_object(manifest_path(archive))
    if not all(isinstance(manifest.get(key), dict) for key in ("expected", "dev")):
        raise InputError(f"{manifest_path(archive)}: not the manifest of a hand-in")
    if manifest.get("sha256") != digest:
        raise InputError(f"{manifest_path(archive)}: is of another {archive.name}; submit again")
    if any(event["event"] == "handed in" and event["sha256"] == digest for event in events):
        raise InputError(f"{archive}: was handed in before; {folder / _LINES} says when")
    kept = folder / digest[:_SHORT]
    with atomic_folder(kept) as copy:
        shutil.copyfile(archive, copy / "submission.zip")
        shutil.copyfile(manifest_path(archive), copy / "submission.manifest.json")
        for file in sorted((predictions_path(archive) / "dev").glob("*.tsv")):
            shutil.copyfile(file, copy / f"dev-{file.name}")
    before = _best(events)
    about = {"event": "handed in", "date": _now(), "sha256": digest, "zip": archive.name}
    _write(folder, [*events, {**about, "expected": manifest["expected"], "dev": manifest["dev"]}])
    print(f"{archive}: number {1 + sum(event['event'] == 'handed in' for event in events)}, kept in {kept}")
    if before is not None:
        try:
            _compare(kept, folder / before["sha256"][:_SHORT], before, data_folder(flags.data_dir))
        except InputError as error:  # it is in the history all the same
            print(f"warning: not compared with {before['zip']}: {error}", file=sys.stderr)


def _best(events: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """Of what was handed in, that with the best answer by the site, or where it never answered the latest."""
    handed_in = {event["sha256"]: event for event in events if event["event"] == "handed in"}
    answered = [event for event in events if event["event"] == "answered" and event["sha256"] in handed_in]
    if answered:
        return handed_in[max(answered, key=lambda event: float(event["score"]))["sha256"]]
    return list(handed_in.values())[-1] if handed_in else None


def _compare(after: Path, before: Path, event: Mapping[str, Any], data: Path) -> None:
    from lab.gain import average_gain

    gain = average_gain(before, after, data)
    low, high = gain.interval
    print(
        f"dev, leaderboard average: {100 * gain.difference:+.2f} points over {event['zip']}, {event['date']} "
        f"(95 % interval {100 * low:+.2f} to {100 * high:+.2f})"
    )
    if low <= 0 <= high:
        print(
            "warning: that gain is within noise; the test set may as well say the opposite", file=sys.stderr
        )
    elif high < 0:
        print("warning: that is a loss", file=sys.stderr)


def _answer(flags: Namespace, folder: Path, events: list[dict[str, Any]]) -> None:
    digest = sha256_of(flags.answer)
    known = [event for event in events if event["event"] == "handed in" and event["sha256"] == digest]
    if not known:
        raise InputError(f"{flags.answer}: is not in the history; --add it first")
    about = {"event": "answered", "date": _now(), "sha256": digest, "score": flags.score}
    _write(folder, [*events, {**about, "task_scores": dict(flags.task_scores)}])
    expected = known[0]["expected"].get("leaderboard_average")
    said = f", expected were {100 * expected:.2f}" if expected is not None else ""
    print(f"{flags.answer}: {flags.score:.2f} on the test set{said}")


def _lines(events: Sequence[Mapping[str, Any]]) -> list[str]:
    answers = {event["sha256"]: event for event in events if event["event"] == "answered"}
    lines = [f"{'date':<20} {'expected':>8} {'answered':>8}  zip"]
    for event in events:
        if event["event"] == "handed in":
            expected = event["expected"].get("leaderboard_average")
            answer = answers.get(event["sha256"])
            numbers = [None if expected is None else 100 * expected, answer and float(answer["score"])]
            said = " ".join(f"{'–' if value is None else f'{value:.2f}':>8}" for value in numbers)
            lines.append(f"{event['date']:<20} {said}  {event['zip']} ({event['sha256'][:_SHORT]})")
    return lines if len(lines) > 1 else ["nothing was handed in yet"]


def _now() -> str:
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


if __name__ == "__main__":
    run(main)
