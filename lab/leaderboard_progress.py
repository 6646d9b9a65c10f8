"""What lab.leaderboard shows while it runs: what is done, what it gave so far, when it ends."""

import datetime
from collections.abc import Iterable, Mapping
from pathlib import Path

from rich.console import Console

from glue.tasks import TASKS
from lab.plan import Trial
from lab.progress import Progress
from lab.speed import duration
from lab.time_keeper import TimeKeeper
from lab.trial_store import DONE, Outcome, readable_results
from lab.work_record import WorkRecord
from metrics.averages import leaderboard_average


class LeaderboardProgress(Progress):
    """A sweep's progress with its hours. majority: of each task the dev scores of its majority answer."""

    def __init__(
        self,
        runs: Path,
        total: float,
        record: WorkRecord,
        keeper: TimeKeeper,
        majority: Mapping[str, Mapping[str, float]],
        console: Console | None = None,
    ) -> None:
        self._total, self._record, self._keeper, self._majority = total, record, keeper, majority
        super().__init__([], runs, console)

    def began(self, trial: Trial) -> None:
        """Show that a trial begins, and on a terminal nothing but the table."""
        super().began(trial)
        if not self._console.is_terminal:
            self._print(f"  {self.head()}")

    def ended(self, trial: Trial, outcome: Outcome) -> None:
        """Show how a trial ended, and what all have given so far."""
        super().ended(trial, outcome)
        self._print(f"  so far {self.scores_so_far()}")

    def head(self) -> str:
        """How much time is spent, what is still to come, and when all of it ends."""
        spent = self._record.seconds
        left = min(self._keeper.plan.seconds, max(0.0, self._total - spent))
        end = datetime.datetime.now() + datetime.timedelta(seconds=left)
        counts = f"runs done {len(self._keeper.done)}, to begin {len(self._keeper.plan.runs)}"
        return (
            f"{duration(spent)} of {duration(self._total)}: {counts}; ends in about {duration(left)}, "
            f"at {end:%H:%M}"
        )

    def scores_so_far(self) -> str:
        """The average over nine tasks of the best single runs, the others answered by the majority."""
        names = [trial.name for trial in self.trials]
        best: dict[str, Mapping[str, float]] = {}
        for result in sorted(readable_results(self._runs, names), key=lambda result: result.trial):
            if result.status == DONE and result.scores:
                scores = result.scores["best"]
                if result.task not in best or scores["main"] > best[result.task]["main"]:
                    best[result.task] = scores
        average = leaderboard_average({**self._majority, **best}, TASKS)
        text = "" if average is None else f", dev average of all nine {100 * average:.2f} (single runs)"
        return f"trained {', '.join(best) or 'nothing'}{text}"

    def show_plan(self, tasks: Iterable[str], epochs: Mapping[str, float]) -> None:
        """Print what of each task is done or planned now; the plan changes with every run that ends."""
        for task in tasks:
            runs = [run for run in (*self._keeper.done, *self._keeper.plan.runs) if run.task == task]
            lengths = sorted({run.fraction for run in runs}, reverse=True)
            parts = [
                f"{sum(run.fraction == length for run in runs)} × {epochs[task] * length:g} epochs"
                for length in lengths
            ]
            source = f", from {runs[0].init_from}" if runs and runs[0].init_from else ""
            self._print(f"plan: {task:<6} {', '.join(parts) or 'no time: filled'}{source}")
        self._print(f"plan: {self.head()}")
