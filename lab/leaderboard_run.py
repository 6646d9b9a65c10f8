"""Hours → the best submission that fits into them: the work of ``lab.leaderboard``."""

import dataclasses
import math
import os
import re
import subprocess
import time
from argparse import Namespace
from collections.abc import Mapping
from contextlib import closing
from functools import partial
from pathlib import Path

from checkpoints.folder import digest_of
from common.dispatch import dispatch
from common.errors import InputError
from common.files import write_text
from common.locks import Lock
from common.messages import say
from encoders.runtime import usable_cores
from glue.arguments import data_folder
from glue.data import find_file
from glue.tasks import TASKS, Task
from lab import submit
from lab.command_chain import chain_command, chain_environment
from lab.leaderboard_plan import trials_by_run, write_plan
from lab.leaderboard_progress import LeaderboardProgress
from lab.local import LocalRunner, worker_slots
from lab.plan import PlannedCheckpoint, Trial
from lab.plan_file import read_plan
from lab.report_runs import majority_scores
from lab.scheduling import KEPT, Sweep
from lab.search import suggest
from lab.speed import START_SECONDS, count_steps, count_test_rows, duration, estimate_seconds
from lab.submit import AGAINST_TRAINING
from lab.sweeping import raise_for_failures
from lab.time_keeper import TimeKeeper
from lab.time_plan import CLOSING_SECONDS, FRACTIONS, PlannedRun, TaskCost, shortest_seconds
from lab.trial_config import TrialConfig, TrialResolver
from lab.trial_run import predict_best
from lab.trial_store import DONE, Outcome, read_results, read_status, write_record
from lab.work_record import WorkRecord
from training.run_state import Stage, read_run_state

# As in the shipped plan "leaderboard": few rows, and the same kind of question.
SOURCE, TRANSFERS = "mnli", ("rte", "mrpc", "sts-b")
_LARGE, _SAVES = 20_000, 4  # tasks of more training rows are evaluated and saved so often in an epoch
_SCORES = 10  # readings and scorings of the dev rows that take as long as the cross-validation of a run
_GRACE = 0.05  # of the hours, which the end may take longer than planned


def lead(flags: Namespace) -> None:
    """Carry out ``lab.leaderboard``."""
    output, data = Path(flags.output), data_folder(flags.data_dir).resolve()
    if output.is_dir():
        raise InputError("is a folder; name a file", path=output)
    if 3600 * flags.hours < CLOSING_SECONDS:
        raise InputError(f"--hours {flags.hours:g}: too few; packing alone takes {CLOSING_SECONDS:.0f} s")
    tasks = _trainable(data)
    runs = Path(flags.runs or output.with_suffix(".runs")).resolve()
    slots = worker_slots(flags.workers, flags.device)
    os.environ["OMP_NUM_THREADS"] = str(slots[0].threads)  # as a run has; before Paddle is imported
    runs.mkdir(parents=True, exist_ok=True)
    with Lock(runs / ".lock"), WorkRecord(runs / "leaderboard.json") as record:
        leaderboard = Leaderboard(flags, tasks, data, runs, record)
        with leaderboard.progress, closing(LocalRunner(slots, leaderboard.reason_to_stop)) as runner:
            leaderboard.begin()
            outcomes = leaderboard.sweep.run(runner, leaderboard)
        leaderboard.finish(output)
    raise_for_failures(outcomes, "the same command tries them again; the zip is whole")


def _trainable(data: Path) -> list[Task]:
    """The tasks that can be trained and answered, the smallest first; says which cannot. InputError if of a
    task only some test files are there."""
    tasks = []
    for task in TASKS.values():
        if task in AGAINST_TRAINING:
            continue
        missing = []
        for split in task.splits:
            try:
                find_file(data, split)
            except InputError as error:
                missing.append((split, error))
        tests = [split for split, _ in missing if split.kind == "test"]
        if len(tests) == len(missing) and 0 < len(tests) < len(task.of_kind("test")):
            raise missing[0][1]
        if missing:
            say(f"note: {missing[0][1]}; {task.name} is not trained")
        else:
            tasks.append(task)
    if not tasks:
        raise InputError("no task has all of its files there", path=data)
    return sorted(tasks, key=lambda task: find_file(data, task.of_kind("train")[0]).stat().st_size)


class _BestSoFar(Sweep):
    """A sweep in which a transfer begins with the best run that is done, whatever else is planned."""

    def sources(self, trial: Trial) -> list[Trial]:
        return [source for source in super().sources(trial) if source.name in self.outcomes]


class Leaderboard:
    """Plans, trains and finishes; told by the sweep what happens, as its watcher."""

    def __init__(
        self, flags: Namespace, tasks: list[Task], data: Path, runs: Path, record: WorkRecord
    ) -> None:
        self._flags, self._tasks, self._runs, self._record = flags, tasks, runs, record
        self._total, self._plan_path = 3600 * flags.hours, runs / "plan.yaml"
        self._slot = worker_slots(1, flags.device)[0]  # of what runs alone at the end
        name = re.sub(r"[^A-Za-z0-9_.]+", "_", Path(flags.model).name).strip("_.")[:40] or "model"
        model = str(Path(flags.model).resolve()) if Path(flags.model).is_dir() else flags.model
        self._checkpoint = PlannedCheckpoint(name, model)
        self._resolver = TrialResolver(runs, data, flags.device, keep_saves=False)
        self.sweep = _BestSoFar([], self._resolver, suggest)
        self._settings: dict[str, dict[str, int]] = {}  # of a task's runs, beside the preset
        self._epochs = {task.name: self._resolve(task).run.training.num_train_epochs for task in tasks}
        self._trials = self._read_trials()  # of all runs that were ever planned in this call
        costs = {task.name: self._measure(task) for task in tasks}
        begun = {run: left for run in self._trials if (left := self._seconds_left(run, costs)) is not None}
        taken = {run: record.trial_seconds(self._trials[run].name) for run, left in begun.items() if not left}
        known = {run: seconds for run, seconds in taken.items() if seconds}
        self.keeper = TimeKeeper(costs, self._total, flags.workers, begun, known)
        self._deadline = self._total
        if not begun and not self.keeper.replan(record.seconds).runs:
            message = self._too_few(costs)
            record.forget_time()
            raise InputError(message)
        majority = {task.name: majority_scores(task, data) for task in TASKS.values()}
        self.progress = LeaderboardProgress(runs, self._total, record, self.keeper, majority)

    def begin(self) -> None:
        """Make the first plan and show it; InputError if a run there is another than planned."""
        self.replan()
        self.progress.show_plan([task.name for task in self._tasks], self._epochs)
        self.sweep.check()

    def replan(self) -> None:
        """Plan again, write that down, and give the sweep what may begin now."""
        now = self._record.seconds
        plan, self._deadline = self.keeper.replan(now), self.keeper.deadline()
        trials = self._write_plan(list(dict.fromkeys([*self.keeper.begun, *plan.runs])))
        self._trials = {**{run: t for run, t in self._trials.items() if run not in trials}, **trials}
        ready = [trials[run] for run in self.keeper.ready(now)]
        kept = [trial for trial in self.sweep.trials if trial.name in self.sweep.outcomes]
        kept += [self._trials[run] for run in self.keeper.busy]
        self.sweep.trials = [*kept, *ready]
        self.progress.trials = [*kept, *(trials[run] for run in plan.runs)]

    def began(self, trial: Trial) -> None:
        """A trial begins."""
        self._record.began(trial.name, read_run_state(trial.folder(self._runs)).step is None)
        self.keeper.began(self._run_of(trial), self._record.seconds)
        self.replan()
        self.progress.began(trial)

    def ended(self, trial: Trial, outcome: Outcome) -> None:
        """A trial has ended."""
        self._record.ended(trial.name)
        taken = 0.0 if outcome == KEPT else self._record.trial_seconds(trial.name)
        self.keeper.ended(self._run_of(trial), self._record.seconds, outcome.status == DONE, taken)
        self.replan()
        self.progress.ended(trial, outcome)

    def refresh(self) -> None:
        """Time passes."""
        self.progress.refresh()

    def reason_to_stop(self) -> str:
        """Why nothing goes on; empty while there is time. Asked by the threads of the runs, so it looks at
        nothing that changes meanwhile."""
        if self._record.seconds < self._deadline:
            return ""
        return "the time is up; the same command with more --hours goes on"

    def finish(self, output: Path) -> None:
        """Predict with what was stopped on its way; join, pack, report, verify."""
        self._write_plan(self.keeper.begun)
        self._use_stopped_runs()
        names = [trial.name for trial in self._trials.values()]
        if not any(result.status == DONE for result in read_results(self._runs, names)):
            raise InputError("no run is done; the same command with more --hours goes on", path=self._runs)
        where = ["--data_dir", str(self._resolver.data_dir), "--runs", str(self._runs)]
        argv = ["--plan", str(self._plan_path), "--output", str(output), "--fill_missing", "majority"]
        say("joining and packing")
        dispatch("lab.submitting:submit", submit.make_parser().parse_args([*where, *argv]))
        page = output.with_suffix(".report.html")
        write_text(page, dispatch("lab.report_page:page", self._runs, self._resolver.data_dir, output))
        print(page, flush=True)
        self._verify(output, where)
        answered = {run.task for run in self.keeper.done}
        if filled := [task.name for task in self._tasks if task.name not in answered]:
            say(f"filled, not trained: {', '.join(filled)}; the same command with more --hours goes on")
        say(f"took {self._record.seconds / 3600:.3f} of {self._flags.hours:g} hours")

    def _use_stopped_runs(self) -> None:
        """Let runs that were stopped on their way answer tasks of which no run is done."""
        for run in [run for run in self.keeper.begun if run not in self.keeper.done]:
            trial = self._trials[run]
            if run.task in self.keeper.closed or any(run.task == done.task for done in self.keeper.done):
                continue
            if not self.keeper.can_answer(run, self._record.seconds, self._total * (1 + _GRACE)):
                continue
            outcome = predict_best(self.sweep.resolve(trial), self._slot)
            if outcome.status == DONE:
                say(f"{trial.name}: {outcome.message}; its best model so far answers")
                write_record(self._runs, trial, outcome)
                self.keeper.ended(run, self._record.seconds, True)

    def _verify(self, output: Path, where: list[str]) -> None:
        """Predict the zip again in a process of all cores, as long as there is time."""
        say("verifying: predicting the zip again from its checkpoints")
        left = self._total * (1 + _GRACE) - self._record.seconds
        command = ["submission.verify", str(output), *where]
        try:
            code = _run_command(command, max(1.0, left))
        except subprocess.TimeoutExpired:
            say(f"not verified, for want of time: python -m {' '.join(command)}")
            return
        if code:
            raise InputError("is not what its checkpoints predict; see above", path=output)

    def _read_trials(self) -> dict[PlannedRun, Trial]:
        """The trials of an earlier call; InputError if that had another model or preset."""
        if not self._plan_path.is_file():
            return {}
        trials = trials_by_run(read_plan(str(self._plan_path)), self._epochs)
        for trial in trials.values():
            if (trial.checkpoint, trial.preset) != (self._checkpoint, self._flags.preset):
                before = f"--model {trial.checkpoint.model}"
                before += f" --preset {trial.preset}" if trial.preset else ""
                raise InputError(f"was begun with {before}; take another --output", path=self._plan_path)
        return trials

    def _write_plan(self, runs: list[PlannedRun]) -> dict[PlannedRun, Trial]:
        checkpoint = {self._checkpoint.name: self._checkpoint.model}
        return write_plan(self._plan_path, checkpoint, self._flags.preset, self._epochs, self._settings, runs)

    def _run_of(self, trial: Trial) -> PlannedRun:
        return next(run for run, each in self._trials.items() if each.name == trial.name)

    def _resolve(self, task: Task, settings: Mapping[str, float] | None = None) -> TrialConfig:
        """The config of a run of a task from the model itself."""
        settings = {**self._settings.get(task.name, {}), **(settings or {})}
        trial = Trial(task.name, self._checkpoint, self._flags.preset, 1, settings)
        return self._resolver.resolve(trial)

    def _measure(self, task: Task) -> TaskCost:
        """What runs of a task cost by a short measurement, which is made once."""
        config = self._resolve(task)
        model = digest_of(config.run.model_name_or_path)
        key = f"{task.name}, {self._flags.workers} workers, {self._flags.device}, model {model[:16]}"
        if not self._record.is_measured(key):
            say(f"measuring {task.name}")
        speed = self._record.speed(key, partial(dispatch, "lab.estimate:measure", config.run))
        training = config.run.training
        if speed.rows > _LARGE and not training.save_steps:
            epoch = count_steps(dataclasses.replace(training, num_train_epochs=1.0), speed.rows)
            self._settings[task.name] = {"save_steps": math.ceil(epoch / _SAVES)}
        seconds = {}
        for fraction in FRACTIONS:
            shorter = {"num_train_epochs": fraction * self._epochs[task.name]}
            seconds[fraction] = estimate_seconds(self._resolve(task, shorter), speed)
        started = time.monotonic()
        gain = 1 - majority_scores(task, self._resolver.data_dir)["main"]
        joining = _SCORES * (time.monotonic() - started)
        verifying = 1.0 + count_test_rows(config) / speed.evaluation
        source = SOURCE if task.name in TRANSFERS else ""
        return TaskCost(task.name, seconds, joining + verifying, speed.rows, gain, source)

    def _seconds_left(self, run: PlannedRun, costs: Mapping[str, TaskCost]) -> float | None:
        """What a run still needs that was begun before: 0 if it is done; None if it was not begun."""
        folder = self._trials[run].folder(self._runs)
        state = read_run_state(folder)
        if run.task not in costs or state.stage is Stage.EMPTY:
            return None
        if read_status(folder) == DONE and state.is_trained:
            return 0.0
        whole = costs[run.task].seconds[run.fraction]
        training = self._resolve(TASKS[run.task], {"num_train_epochs": run.fraction * self._epochs[run.task]})
        steps = count_steps(training.run.training, costs[run.task].rows)
        return max(START_SECONDS, whole * (1 - (state.step or 0) / max(1, steps)))

    def _too_few(self, costs: Mapping[str, TaskCost]) -> str:
        each = {task: shortest_seconds({task: cost}) for task, cost in costs.items()}
        task = min(each, key=lambda name: each[name])
        whole = shortest_seconds(costs, self._flags.workers)
        return (
            f"--hours {self._flags.hours:g}: too few for any run; with this model and machine the shortest, "
            f"of {task}, takes about {duration(each[task])} ({each[task] / 3600:.3f} hours) with packing and "
            f"verifying, a short run of every task {duration(whole)} ({whole / 3600:.2f} hours); measuring "
            f"took {duration(self._record.seconds)} and need not be done again"
        )


def _run_command(command: list[str], seconds: float) -> int:
    """Run a command in a process of its own → its exit code; TimeoutExpired after so many seconds."""
    environment = chain_environment(usable_cores())
    return subprocess.run(chain_command([command]), env=environment, timeout=seconds).returncode
