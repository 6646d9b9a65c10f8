"""Is system A better than system B? Difference of their dev scores, interval, and p.

Prints one JSON object: for every score of the task and for main, the values of A and B, the
difference A - B, its 95 % interval and a two-sided p, all as fractions of 1.

Method: paired bootstrap over the rows of the gold file (Koehn 2004, Statistical Significance Tests
for Machine Translation Evaluation). The interval runs from the 2.5th to the 97.5th percentile of the
resampled differences. p is the share of resamples whose difference lies at least as far from A - B
as A - B lies from 0, that is: at 0 or beyond, or as far out on the other side (the shift to the null
hypothesis of Efron & Tibshirani 1993, An Introduction to the Bootstrap, chapter 16), with one added
above and below the fraction line. Riezler & Maxwell 2005 and sacreBLEU shift by the mean of the
resampled differences instead; on a few dozen rows its noise decides how ties at 0 count, so not here.
For tasks with labels there is also McNemar's test (McNemar 1947, Psychometrika 12; the exact form) of
accuracy: of the rows that only one of the two has right, over all dev files, would half be A's?
Both speak of these checkpoints on other rows of the same kind, not of other training seeds.
"""

import argparse
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from common.command_line import CommandParser, count, count_or_0, run
from common.messages import say
from glue.arguments import add_task, chosen_task
from glue.score import FILES, ScoredSplits, read_golds, read_predicted, splits_scored

if TYPE_CHECKING:
    import numpy as np

    from metrics.task_scores import ScoredTask

    Array = np.ndarray[Any, np.dtype[Any]]
    Triple = tuple[Array, Array, Array]  # gold, A, B of one dev file

_FEWEST, _MOST = 100, 1_000_000  # resamples; the most leave p uncertain by some 0.0002 at 0.05
_DISCERNIBLE = 0.05


def compare(
    scored: ScoredSplits, parts: Sequence["Triple"], resamples: int, seed: int
) -> dict[str, dict[str, Any]]:
    """Score key → ``a``, ``b``, ``difference``, ``interval_95``, ``p``; one (gold, A, B) per dev file.

    Dev files are resampled each on its own; ``main`` is the mean of all scores in every resample.
    """
    import numpy as np

    from metrics.bootstrap import compare_scores
    from metrics.task_scores import score_task

    observed_a = score_task(scored, [(gold, a) for gold, a, _ in parts])
    observed_b = score_task(scored, [(gold, b) for gold, _, b in parts])
    resampled = resample(scored, parts, resamples, np.random.default_rng(seed))
    return {
        key: compare_scores(observed_a[key], observed_b[key], pairs[:, 0] - pairs[:, 1])
        for key, pairs in resampled.items()
    }


def resample(
    scored: "ScoredTask", parts: Sequence["Triple"], resamples: int, generator: "np.random.Generator"
) -> dict[str, "Array"]:
    """Score key, and ``main`` where there is one → (resamples, 2): each resample's score of A and of B."""
    import numpy as np

    from metrics.bootstrap import resampled_scores

    draws = [
        part_draws[metric]
        for gold, a, b in parts
        for part_draws in [resampled_scores(scored.metrics, gold, (a, b), resamples, generator)]
        for metric in scored.metrics
    ]
    resampled = dict(zip(scored.score_keys, draws, strict=True))
    return {**resampled, **({"main": np.mean(draws, axis=0)} if scored.main else {})}


def mcnemar(parts: Sequence["Triple"]) -> dict[str, Any]:
    """``only_a``, ``only_b``: rows that only A, or only B, has right; ``p``: two-sided, of the exact test.

    p is the chance that a fair coin, tossed once for each of these rows, falls as unevenly; 1 without any.
    """
    from scipy.stats import binomtest

    only_a = sum(int(((a == gold) & (b != gold)).sum()) for gold, a, b in parts)
    only_b = sum(int(((a != gold) & (b == gold)).sum()) for gold, a, b in parts)
    p = float(binomtest(only_a, only_a + only_b).pvalue) if only_a + only_b else 1.0
    return {"only_a": only_a, "only_b": only_b, "p": p}


def _resamples(text: str) -> int:
    number = count(text, _FEWEST)
    if number > _MOST:
        raise argparse.ArgumentTypeError(f"{text!r} is more than {_MOST}; more would not tell more")
    return number


def make_parser() -> CommandParser:
    parser = CommandParser(prog="python -m glue.compare", description=__doc__)
    add_task(parser)
    parser.add_argument("--a", **FILES, help="predictions of A")
    parser.add_argument("--b", **FILES, help="predictions of B")
    parser.add_argument("--gold", **FILES, help="official dev file")
    parser.add_argument(
        "--resamples",
        type=_resamples,
        default=10_000,
        metavar="N",
        help=f"how many resamples, {_FEWEST} to {_MOST} (default 10000)",
    )
    parser.add_argument(
        "--seed", type=count_or_0, default=42, metavar="N", help="of the resampling (default 42)"
    )
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    args = make_parser().parse_args(argv)
    import numpy as np

    from metrics.task_scores import signature

    task = chosen_task(args)
    golds = read_golds(task, args.gold)
    scored = splits_scored(task, golds)
    systems = [read_predicted(task, golds, paths) for paths in (args.a, args.b)]
    parts = [(gold.values, a, b) for gold, a, b in zip(golds, *systems, strict=True)]
    result = compare(scored, parts, args.resamples, args.seed)
    tests = {} if task.is_regression else {"mcnemar": mcnemar(parts)}
    line = signature(scored, scored.split, [gold.values for gold in golds])
    line += f"|bootstrap:paired|resamples:{args.resamples}|seed:{args.seed}|numpy:{np.__version__}"
    print(json.dumps({"task": task.name, **result, **tests, "signature": line}, indent=2))
    say(_verdict(result))


def _verdict(result: dict[str, dict[str, Any]]) -> str:
    key = "main" if "main" in result else next(iter(result))
    difference, p = result[key]["difference"], result[key]["p"]
    if p >= _DISCERNIBLE:
        return f"{key}: no difference shown (p {p:.3g})"
    better, worse = ("A", "B") if difference > 0 else ("B", "A")
    return f"{key}: {better} is better than {worse} by {abs(difference):.4f} (p {p:.3g})"


if __name__ == "__main__":
    run(main)
