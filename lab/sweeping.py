"""Running all trials of a plan, or printing what they would be: the work of ``lab.sweep``."""

import os
from argparse import Namespace
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

from pandas import DataFrame

from common.dispatch import dispatch
from common.errors import InputError
from common.locks import Lock
from common.messages import say
from glue.arguments import data_folder
from glue.data import find_file
from glue.tasks import task_named
from lab.cluster import RayRunner
from lab.local import LocalRunner, worker_slots
from lab.plan import trials_of
from lab.plan_file import read_plan
from lab.progress import Progress
from lab.results import print_summary, trials_table
from lab.scheduling import Runner, Sweep
from lab.search import suggest
from lab.trial_config import TrialResolver
from lab.trial_store import FAILED, SKIPPED, Outcome, readable_results


def sweep_plan(flags: Namespace, is_printed: bool = False) -> DataFrame:
    """Carry out ``lab.sweep`` → the table of the trials, printed before an error about those that failed."""
    table, outcomes = _run(flags)
    if is_printed and len(table):
        print_summary(table, flags.format)
    raise_for_failures(outcomes)
    return table


def _run(flags: Namespace) -> tuple[DataFrame, Mapping[str, Outcome]]:
    """The table of the trials and what became of each now; empty after a dry run, which prints its table."""
    plan = read_plan(flags.plan)
    trials = trials_of(plan)
    official = [task for task in map(task_named, plan.tasks) if not task.is_own]
    data = data_folder(flags.data_dir).resolve() if official else Path()
    runs = Path(flags.runs).resolve()
    resolver = TrialResolver(runs, data, flags.device, plan.stop_early, flags.keep == "all")
    planned = Sweep(trials, resolver, suggest)
    _report_missing_files([trial.task for trial in trials], data)
    if flags.dry_run:
        planned.check()
        _set_threads(flags)  # as a trial will have; before Paddle is imported, which reads them once
        lines, failed = dispatch("lab.estimate:dry_run_lines", planned, flags.workers or 1)
        print("\n".join(lines))
        if failed:
            raise InputError(f"{failed} of {len(trials)} trials cannot be run", path=flags.plan)
        return trials_table([]), {}
    runs.mkdir(parents=True, exist_ok=True)
    with Lock(runs / ".lock"), Progress(trials, runs) as progress, closing(_runner(flags)) as runner:
        planned.check()
        outcomes = planned.run(runner, progress)
    return trials_table(readable_results(runs, [trial.name for trial in trials])), outcomes


def _set_threads(flags: Namespace) -> None:
    threads = worker_slots(flags.workers or 1, flags.device)[0].threads
    os.environ["OMP_NUM_THREADS"] = str(flags.threads if flags.engine == "ray" else threads)


def _report_missing_files(tasks: Sequence[str], data: Path) -> None:
    """Say which test files are missing; a sweep goes on without them."""
    for task in dict.fromkeys(tasks) if data.is_dir() else []:
        for split in filter(lambda split: split.kind == "test", task_named(task).splits):
            try:
                find_file(data, split)
            except InputError as error:
                say(f"note: {error}; no test rows of {task} are predicted")


def _runner(flags: Namespace) -> Runner:
    if flags.engine == "ray":
        return RayRunner(flags.ray_address, flags.workers, flags.threads, flags.device)
    return LocalRunner(worker_slots(flags.workers or 1, flags.device))


def raise_for_failures(
    outcomes: Mapping[str, Outcome], remedy: str = "sweep again to try them again"
) -> None:
    """InputError if a trial failed, and a line for each that did."""
    failed = {name: outcome for name, outcome in outcomes.items() if outcome.status == FAILED}
    skipped = sum(outcome.status == SKIPPED for outcome in outcomes.values())
    for name, outcome in failed.items():
        say(f"{name}: {outcome.message}")
    if failed:
        counts = f"{len(failed)} of {len(outcomes)} trials failed"
        counts += f", and {skipped} skipped for want of them" if skipped else ""
        raise InputError(f"{counts}; {remedy}")
