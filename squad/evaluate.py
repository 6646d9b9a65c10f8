"""The official SQuAD numbers of a prediction file, with the official scripts' keys in their order.

Example:
  python -m squad.evaluate dev-v2.0.json predictions_not_null.json --na-prob-file null_odds.json \\
      --na-prob-thresh 0

Prints one JSON object. --script v2.0 (default) also takes 1.1 data. With no-answer scores it adds the best
thresholds, which are right only for predictions that were not emptied before, and with --out-image-dir
the precision-recall analysis. On stderr: what answering nothing, always, would score.
"""

import sys

if not __package__:  # started by path: import from this clone
    sys.path[0] = sys.path[0].rpartition("/")[0]

import json
import math
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from common.command_line import CommandParser, path, run
from common.errors import InputError
from common.files import write_text
from common.json_files import read_json_object
from common.messages import say
from common.python_api import arguments, make_callable, raising
from squad.curves import draw, precision_recall
from squad.data import read_golds
from squad.official import Golds, always_null, need_all, score_v11, score_v20


def make_parser() -> CommandParser:
    parser = CommandParser(prog="python -m squad.evaluate", description=__doc__)
    parser.add_argument(
        "data_file",
        type=path,
        metavar="DATA.json",
        help="official SQuAD file, or rows as run_squad reads them",
    )
    parser.add_argument("pred_file", type=path, metavar="PREDICTIONS.json", help="question id → answer")
    parser.add_argument(
        "--out-file", "-o", type=path, metavar="FILE", help="write the numbers here, not to stdout"
    )
    parser.add_argument(
        "--na-prob-file",
        "-n",
        type=path,
        metavar="FILE",
        help="question id → how likely there is no answer: a probability, or odds as in null_odds.json",
    )
    parser.add_argument(
        "--na-prob-thresh",
        "-t",
        type=float,
        metavar="T",
        help="above it a prediction counts as empty (default: 1.0); of odds 0 is the even one",
    )
    parser.add_argument(
        "--out-image-dir",
        "-p",
        type=path,
        metavar="DIR",
        help="draw curves and histograms here (needs matplotlib)",
    )
    parser.add_argument(
        "--script", choices=("v2.0", "v1.1"), default="v2.0", help="which official script (default: v2.0)"
    )
    return parser


def evaluate(data_file: str | Path, pred_file: str | Path, **settings: Any) -> dict[str, float]:
    """The official numbers of a prediction file, as ``python -m squad.evaluate`` prints them.

    Args:
        data_file: An official SQuAD file, or rows as run_squad reads them.
        pred_file: Question id → answer, as JSON.
        **settings: Other flags of the command: ``na_prob_file``, ``na_prob_thresh``, ``out_image_dir``,
            ``script``.

    Returns:
        The official script's keys in its order, in percent.

    Raises:
        InputError: A file or a setting is wrong.

    >>> import squad
    >>> squad.evaluate("dev.json", "perfect.json")["exact"]
    100.0
    """
    return _evaluate(raising(make_parser()), [str(data_file), str(pred_file), *arguments(settings)])[0]


def main(argv: Sequence[str] | None = None) -> None:
    scores, flags = _evaluate(make_parser(), argv)
    if flags.out_file:
        write_text(flags.out_file, json.dumps(scores))
    else:
        print(json.dumps(scores, indent=None if flags.script == "v1.1" else 2))


def _evaluate(parser: CommandParser, argv: Sequence[str] | None) -> tuple[dict[str, float], Namespace]:
    flags = parser.parse_args(argv)
    _check_usage(parser, flags)
    golds = read_golds(flags.data_file)
    if not any(answers for _, answers in golds):
        say(
            f"{flags.data_file}: no question has an answer; are they withheld? "
            "The official script counts every question as unanswerable (NoAns)"
        )
    empty = [name for name, answers in golds if answers and not any(map(str.strip, answers))]
    if empty:
        say(
            f"{flags.data_file}: {len(empty)} questions have an empty text as answer, first {empty[0]!r}; "
            "the official script counts them as answerable (HasAns), and nothing as their right answer"
        )
    predictions = read_predictions(flags.pred_file)
    no_answer = read_no_answer_scores(flags.na_prob_file, golds) if flags.na_prob_file else None
    _say_what_is_ignored(golds, flags.pred_file, predictions)
    if no_answer is not None and not flags.out_image_dir:  # else it is an error
        _say_what_is_ignored(golds, flags.na_prob_file, no_answer)
    try:
        scores = _score(golds, predictions, no_answer, flags)
    except InputError as error:
        raise InputError(f"{flags.pred_file} against {flags.data_file}: {error}") from None
    if no_answer is not None and flags.out_image_dir:
        scores |= _draw(golds, predictions, no_answer, flags, scores)
    return scores, flags


def _check_usage(parser: CommandParser, flags: Namespace) -> None:
    """Exit with 2 where a flag would do nothing, or harm."""
    if flags.script == "v1.1":
        for name in ("na_prob_file", "na_prob_thresh", "out_image_dir"):
            if getattr(flags, name) is not None:
                parser.error(f"--{name.replace('_', '-')}: --script v1.1 does not know it")
    if flags.out_image_dir and not flags.na_prob_file:
        parser.error("--out-image-dir draws the no-answer scores: name them with --na-prob-file")
    if flags.na_prob_thresh is not None and math.isnan(flags.na_prob_thresh):
        parser.error("--na-prob-thresh: NaN is no threshold")
    inputs = [name for name in (flags.data_file, flags.pred_file, flags.na_prob_file) if name]
    if flags.out_file and Path(flags.out_file).resolve() in [Path(name).resolve() for name in inputs]:
        parser.error(f"--out-file {flags.out_file}: would be written over what is read")


def _say_what_is_ignored(golds: Golds, file: str, given: Mapping[str, object]) -> None:
    asked = {name for name, _ in golds}
    others = [name for name in given if name not in asked]
    if others:
        say(
            f"{file}: {len(others)} of {len(given)} are for no question of the data and do not count, "
            f"first {others[0]!r}"
        )


def _draw(
    golds: Golds,
    predictions: dict[str, str],
    no_answer: dict[str, float],
    flags: Namespace,
    scores: Mapping[str, float],
) -> dict[str, float]:
    """Write the pictures, with the thresholds of the scores → the average precisions."""
    try:
        curves = precision_recall(golds, predictions, no_answer)
    except InputError as error:
        raise InputError(f"{error}", path=flags.na_prob_file) from None
    thresholds = {"in force": _threshold(flags)}
    thresholds |= {f"best {key}": scores[f"best_{key}_thresh"] for key in ("exact", "f1")}
    draw(Path(flags.out_image_dir), golds, curves, no_answer, thresholds)
    return {f"{name}_ap": curve.average_precision for name, curve in curves.items()}


def _score(
    golds: Golds, predictions: dict[str, str], no_answer: dict[str, float] | None, flags: Namespace
) -> dict[str, float]:
    if flags.script == "v1.1":
        scores = score_v11(golds, predictions)
        if missing := [name for name, _ in golds if name not in predictions]:
            say(f"{len(missing)} of {len(golds)} questions are unanswered and score 0, first {missing[0]!r}")
        return scores
    scores, null = score_v20(golds, predictions, no_answer, _threshold(flags)), always_null(golds)
    are_odds = any(not 0 <= value <= 1 for value in (no_answer or {}).values())
    if flags.na_prob_thresh is None and are_odds:
        say(
            f"warning: {flags.na_prob_file}: these are odds, not probabilities, and the threshold is 1; even "
            "odds are --na-prob-thresh 0"
        )
    if null["exact"]:  # some question has no answer
        say(f"answering nothing, always: exact {null['exact']:.2f}, f1 {null['f1']:.2f} (percent)")
    if scores["exact"] < null["exact"]:
        say(f"warning: exact {scores['exact']:.2f} is worse than answering nothing, always")
    return scores


def _threshold(flags: Namespace) -> float:
    return 1.0 if flags.na_prob_thresh is None else float(flags.na_prob_thresh)


def read_predictions(path: str | Path) -> dict[str, str]:
    """Question id → answer; anything but a text is an InputError with its id."""
    return _checked(path, "text", lambda value: isinstance(value, str))


def read_no_answer_scores(path: str | Path, golds: Golds) -> dict[str, float]:
    """Question id → no-answer score; anything but a finite number, and a question without one, is an
    InputError with the id."""
    scores = _checked(
        path, "finite number", lambda value: type(value) in (int, float) and abs(value) <= sys.float_info.max
    )
    need_all(dict(golds), scores, "no-answer score", path)
    return scores


def _checked(path: str | Path, what: str, is_right: Callable[[Any], bool]) -> dict[str, Any]:
    try:
        values = read_json_object(path)
    except InputError as error:
        raise InputError(f"{error}; expected one object: question id → {what}") from None
    for name, value in values.items():
        if not is_right(value):
            text = json.dumps(value)
            text = text if len(text) <= 80 else f"{text[:80]}…"
            raise InputError(f"question {name!r}: expected a {what}, found {text}", path=path)
    return values


make_callable(__name__, evaluate)

if __name__ == "__main__":
    run(main)
