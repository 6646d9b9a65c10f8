"""The official SQuAD numbers of a prediction file, with the official scripts' keys in their order.

Example:
  python -m squad.evaluate dev-v2.0.json predictions_not_null.json --na-prob-file null_odds.json

Prints one JSON object. --script v2.0 (default) also takes 1.1 data. With no-answer scores it adds the best
thresholds, which are right only for predictions that were not emptied before, and with --out-image-dir
the precision-recall analysis. On stderr: what answering nothing, always, would score.
"""

if not __package__:  # started by path: what is importable is the clone, not this folder
    import sys
    from pathlib import Path

    sys.path[0] = str(Path(__file__).resolve().parents[1])

import json
import math
import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from commands.command_line import CommandParser, run
from commands.errors import InputError
from commands.files import read_json_object, write_text
from squad.data import read_golds
from squad.official import Golds, always_null, score_v11, score_v20


def make_parser() -> CommandParser:
    parser = CommandParser(prog="python -m squad.evaluate", description=__doc__)
    parser.add_argument("data_file", metavar="DATA.json", help="official SQuAD file")
    parser.add_argument("pred_file", metavar="PREDICTIONS.json", help="question id → answer")
    parser.add_argument("--out-file", "-o", metavar="FILE", help="write the numbers here, not to stdout")
    parser.add_argument(
        "--na-prob-file", "-n", metavar="FILE", help="question id → how likely there is no answer"
    )
    parser.add_argument(
        "--na-prob-thresh",
        "-t",
        type=float,
        default=1.0,
        metavar="T",
        help="above it a prediction counts as empty (default: 1.0)",
    )
    parser.add_argument(
        "--out-image-dir", "-p", metavar="DIR", help="draw curves and histograms here (needs matplotlib)"
    )
    parser.add_argument(
        "--script", choices=("v2.0", "v1.1"), default="v2.0", help="which official script (default: v2.0)"
    )
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    parser = make_parser()
    flags = parser.parse_args(argv)
    if flags.script == "v1.1" and (flags.na_prob_file or flags.out_image_dir):
        parser.error("--script v1.1 knows neither --na-prob-file nor --out-image-dir")
    if flags.out_image_dir and not flags.na_prob_file:
        parser.error("--out-image-dir draws the no-answer scores: name them with --na-prob-file")
    inputs = [name for name in (flags.data_file, flags.pred_file, flags.na_prob_file) if name]
    if flags.out_file and Path(flags.out_file).resolve() in [Path(name).resolve() for name in inputs]:
        parser.error(f"--out-file {flags.out_file}: would be written over what is read")
    if math.isnan(flags.na_prob_thresh):
        parser.error("--na-prob-thresh nan: is not a number")
    golds = read_golds(flags.data_file)
    predictions = read_predictions(flags.pred_file)
    try:
        scores = _v11(golds, predictions) if flags.script == "v1.1" else _v20(golds, predictions, flags)
    except InputError as error:
        raise InputError(f"{flags.pred_file} against {flags.data_file}: {error}") from None
    if flags.out_file:
        write_text(flags.out_file, json.dumps(scores))
    else:
        print(json.dumps(scores, indent=None if flags.script == "v1.1" else 2))


def _v11(golds: Golds, predictions: dict[str, str]) -> dict[str, float]:
    scores = score_v11(golds, predictions)
    missing = [name for name, _ in golds if name not in predictions]
    if missing:
        print(
            f"{len(missing)} of {len(golds)} questions are unanswered and score 0, first {missing[0]!r}",
            file=sys.stderr,
        )
    return scores


def _v20(golds: Golds, predictions: dict[str, str], flags: Namespace) -> dict[str, float]:
    no_answer = read_no_answer_scores(flags.na_prob_file) if flags.na_prob_file else None
    scores = score_v20(golds, predictions, no_answer, flags.na_prob_thresh)
    if no_answer is not None and flags.out_image_dir:
        from squad.curves import draw, precision_recall

        curves = precision_recall(golds, predictions, no_answer)
        draw(Path(flags.out_image_dir), golds, curves, no_answer)
        scores.update({f"{name}_ap": curve.average_precision for name, curve in curves.items()})
    null = always_null(golds)
    print(
        f"answering nothing, always: exact {null['exact']:.2f}, f1 {null['f1']:.2f}",
        file=sys.stderr,
    )
    return scores


def read_predictions(path: str | Path) -> dict[str, str]:
    """Question id → answer; anything but a text is an InputError with its id."""
    return _checked(path, str, "text")


def read_no_answer_scores(path: str | Path) -> dict[str, float]:
    """Question id → no-answer score; anything but a number, NaN too, is an InputError with its id."""
    return _checked(path, (int, float), "number")


def _checked(path: str | Path, kind: type | tuple[type, ...], what: str) -> dict[str, Any]:
    values = read_json_object(path)
    for name, value in values.items():
        if not isinstance(value, kind) or isinstance(value, bool) or value != value:
            shown = "NaN" if isinstance(value, float) and math.isnan(value) else repr(value)
            raise InputError(f"{path}: question {name!r}: expected a {what}, found {shown[:80]}")
    return values


if __name__ == "__main__":
    run(main)
