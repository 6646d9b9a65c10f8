"""Print what came of a sweep: per configuration best, median, mean ± deviation over its seeds, and failures.

Examples:
  python -m lab.selection runs
  python -m lab.selection runs --against mini     # does what the grid varies help, or is it chance?

Scores are each run's best dev score (main), in percent; the deviation is that of a sample (n - 1). The
best run of many flatters: its score is partly the luck of the draw, which lab.ensemble guards against.

With --against: each configuration's scores minus that one's of the same task and seed; their mean, and the
95 % interval of Student's t over these differences, within each task and over all together. Of many
intervals some miss 0 by chance, so p is corrected for their number (Holm 1979, A Simple Sequentially
Rejective Multiple Test Procedure), once for the lines of tasks and once for those of all tasks; "better"
and "worse" stand where it is below 0.05.
"""

if not __package__:  # started by path: what is importable is the clone, not this folder
    import sys
    from pathlib import Path

    sys.path[0] = str(Path(__file__).resolve().parents[1])

import re
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from common.command_line import CommandParser, path, run
from common.errors import InputError
from glue.tasks import TASKS
from lab.trial_store import DONE, FAILED, SKIPPED, STOPPED, Result, read_results

_ALL, _LEVEL, _ROUNDING = "all tasks", 0.05, 1e-9
_FROM_TASK = re.compile(rf"-from-({'|'.join(TASKS)})(?=-|$)")


@dataclass(frozen=True)
class Summary:
    """The runs of one configuration: their scores (fractions of 1) and what became of the others.

    best, median, mean: None where no run is done; deviation: of a sample, None below two. models: how many
    they began with.
    """

    task: str
    configuration: str
    scores: tuple[float, ...]
    failed: int
    stopped: int
    skipped: int
    best_run: Result | None
    models: int = 1

    @property
    def best(self) -> float | None:
        return max(self.scores, default=None)

    @property
    def median(self) -> float | None:
        return statistics.median(self.scores) if self.scores else None

    @property
    def mean(self) -> float | None:
        return statistics.fmean(self.scores) if self.scores else None

    @property
    def deviation(self) -> float | None:
        return statistics.stdev(self.scores) if len(self.scores) > 1 else None


def summaries(results: Sequence[Result]) -> list[Summary]:
    """A summary for every configuration, in the order of the results."""
    groups: dict[str, list[Result]] = {}
    for result in results:
        groups.setdefault(result.configuration, []).append(result)
    return [_summary(name, group) for name, group in groups.items()]


def _summary(configuration: str, group: Sequence[Result]) -> Summary:
    done = [result for result in group if result.status == DONE]
    counts = {status: sum(r.status == status for r in group) for status in (FAILED, STOPPED, SKIPPED)}
    return Summary(
        task=group[0].task,
        configuration=configuration,
        scores=tuple(result.main for result in done),
        failed=counts[FAILED],
        stopped=counts[STOPPED],
        skipped=counts[SKIPPED],
        best_run=max(done, key=lambda result: result.main) if done else None,
        models=len({result.model for result in done}),
    )


def table(results: Sequence[Result]) -> list[str]:
    """The lines to print, scores in percent; the best configuration of a task is marked."""
    found = summaries(results)
    width = max(len(summary.configuration) for summary in found)
    lines = [f"{'configuration':<{width}}  {'runs':>4} {'best':>6} {'median':>6} {'mean ± deviation':>16}"]
    for summary in found:
        rivals = [other.best for other in found if other.task == summary.task and other.best is not None]
        mark = " *" if summary.best is not None and summary.best == max(rivals) else ""
        spread = f"{_percent(summary.mean)} ± {_percent(summary.deviation)}"
        others = [
            f"{number} {word}"
            for number, word in (
                (summary.failed, "failed"), (summary.stopped, "stopped early"), (summary.skipped, "skipped")
            )
            if number
        ]  # fmt: skip
        lines.append(
            f"{summary.configuration:<{width}}  {len(summary.scores):>4} "
            f"{_percent(summary.best):>6} {_percent(summary.median):>6} {spread:>16}{mark}"
            + (f"  {', '.join(others)}" if others else "")
        )
    if any(summary.scores and summary.stopped for summary in found):
        lines.append("Trials that were stopped early were below the median: without them the others flatter.")
    for summary in found:
        if summary.models > 1:
            said = f"began with {summary.models} different models, which their deviation includes"
            lines.append(f"{summary.configuration}: its runs {said}.")
    return lines


def differences(results: Sequence[Result], against: str) -> dict[str, dict[str, list[float]]]:
    """Configuration (without its task) → task → main score minus the plain one's, of each seed that both ran.

    against: the plain configuration, without its task, and without the ``-from-TASK`` of those tasks whose
    trials all begin with another one's best run. InputError if no task has done trials of it.
    """
    scores: dict[tuple[str, str], dict[int | None, float]] = {}
    for task in dict.fromkeys(result.task for result in results):
        done = [result for result in results if result.task == task and result.status == DONE]
        names = {result.configuration: result.configuration.partition("/")[2] for result in done}
        if against not in names.values():
            short = {key: _FROM_TASK.sub("", name) for key, name in names.items()}
            names = short if len(set(short.values())) == len(short) else names
        for result in done:
            scores.setdefault((task, names[result.configuration]), {})[result.seed] = result.main
    plain = {task: found for (task, name), found in scores.items() if name == against}
    if not plain:
        known = ", ".join(sorted({name for _, name in scores})) or "none"
        raise InputError(f"--against {against}: no such configuration is done; done ones: {known}")
    found: dict[str, dict[str, list[float]]] = {}
    for (task, name), own in scores.items():
        shared = sorted(own.keys() & plain.get(task, {}).keys(), key=str)
        if name != against and shared:
            found.setdefault(name, {})[task] = [own[seed] - plain[task][seed] for seed in shared]
    return found


def difference_table(found: Mapping[str, Mapping[str, Sequence[float]]], against: str) -> list[str]:
    """The lines to print, in points of percent: a line a configuration and task, and one for all tasks."""
    from scipy.stats import ttest_1samp

    width = max([len(f"minus {against}"), *map(len, found)])
    head = f"{'minus ' + against:<{width}}  {'task':<9} {'pairs':>5} {'mean':>7}"
    lines, rows = [f"{head}  {'95 % interval':<17}  p"], []
    for name, of_tasks in found.items():
        rows += [(name, task, values) for task, values in of_tasks.items()]
        if len(of_tasks) > 1:
            rows.append((name, _ALL, [value for values in of_tasks.values() for value in values]))
    tests = {number: ttest_1samp(row[2], 0.0) for number, row in enumerate(rows) if _varies(row[2])}
    chances: dict[int, float] = {}
    for is_all in (False, True):
        own = {at: float(test.pvalue) for at, test in tests.items() if (rows[at][1] == _ALL) == is_all}
        chances |= holm(own)
    for number, (name, task, values) in enumerate(rows):
        mean, said = statistics.fmean(values), "–"
        if number in tests:
            low, high = tests[number].confidence_interval()
            said = f"{f'{100 * low:+.2f} to {100 * high:+.2f}':<17}  {chances[number]:.3f}"
            said += f"  {'better' if mean > 0 else 'worse'}" if chances[number] < _LEVEL else ""
        lines.append(f"{name:<{width}}  {task:<9} {len(values):>5} {100 * mean:>+7.2f}  {said}")
    return lines


def holm(chances: Mapping[int, float]) -> dict[int, float]:
    """p values, by any key, corrected for how many they are."""
    found, largest = {}, 0.0
    for rank, key in enumerate(sorted(chances, key=lambda key: chances[key])):
        largest = max(largest, min(1.0, (len(chances) - rank) * chances[key]))
        found[key] = largest
    return found


def _varies(values: Sequence[float]) -> bool:
    """Whether differences are a measure of chance: equal ones are not, but for rounding."""
    return max(values) - min(values) > _ROUNDING


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.2f}"


def make_parser() -> CommandParser:
    parser = CommandParser(prog="python -m lab.selection", description=__doc__)
    parser.add_argument("runs", type=path, metavar="RUNS_DIR", help="what lab.sweep wrote into (--runs)")
    parser.add_argument(
        "--against",
        metavar="NAME",
        help="print differences to this configuration too (its name without TASK/)",
    )
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    flags = make_parser().parse_args(argv)
    folder = flags.runs
    results = read_results(folder)
    if not results:
        raise InputError(f"{folder}: no trials of a sweep; python -m lab.sweep makes some")
    compared = {} if flags.against is None else differences(results, flags.against)
    print("\n".join(table(results)))
    if flags.against is not None:
        print("\n" + "\n".join(difference_table(compared, flags.against)))
        covered = {task for of_tasks in compared.values() for task in of_tasks}
        for task in dict.fromkeys(result.task for result in results):
            if task not in covered:
                print(f"{task}: nothing to compare with {flags.against}", file=sys.stderr)


if __name__ == "__main__":
    run(main)
