"""What a sweep shows while it runs: a table that renews itself on a terminal, plain lines elsewhere."""

import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from common.messages import escape_unprintable
from glue.tasks import task_named
from lab.early_stop import read_curve
from lab.plan import Trial
from lab.scheduling import KEPT
from lab.trial_store import DONE, FAILED, Outcome, readable_results


class Progress:
    """Follows all trials of a sweep, on stderr where no other console is given; for a ``with`` statement."""

    def __init__(self, trials: Sequence[Trial], runs: Path, console: Console | None = None) -> None:
        self.trials, self._runs = list(trials), runs  # they may change
        self._console = console or Console(stderr=True)
        self._running: dict[str, float] = {}  # since when
        self._outcomes: dict[str, Outcome] = {}
        self._started = time.monotonic()
        self._live = Live(
            console=self._console, get_renderable=self._table, auto_refresh=False, transient=True
        )

    def __enter__(self) -> "Progress":
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def began(self, trial: Trial) -> None:
        self._running[trial.name] = time.monotonic()
        if not self._console.is_terminal:
            self._print(f"{trial.name}: began")

    def ended(self, trial: Trial, outcome: Outcome) -> None:
        self._running.pop(trial.name, None)
        self._outcomes[trial.name] = outcome
        count = f"[{len(self._outcomes)}/{len(self.trials)}]"
        self._print(f"{count} {trial.name}: {self._describe(trial, outcome)}")

    def refresh(self) -> None:
        if self._live.is_started:
            self._live.refresh()

    def _print(self, line: str) -> None:
        self._console.print(escape_unprintable(line), soft_wrap=True, markup=False, highlight=False)

    def _describe(self, trial: Trial, outcome: Outcome) -> str:
        if outcome.status != DONE:
            return f"{outcome.status}: {outcome.message}" if outcome.message else outcome.status
        results = readable_results(self._runs, [trial.name])
        if not results or results[0].scores is None:
            return outcome.status
        step = results[0].scores["best"]["step"]
        best = f"{task_named(trial.task).main} {results[0].main:.4f} at step {step:.0f}"
        return f"{best} ({'was done before' if outcome == KEPT else f'{outcome.seconds:.0f} s'})"

    def head(self) -> str:
        """The first line of the table."""
        counts = Counter(outcome.status for outcome in self._outcomes.values())
        ended = ", ".join(f"{number} {status}" for status, number in sorted(counts.items())) or "none ended"
        minutes, seconds = divmod(int(time.monotonic() - self._started), 60)
        return f"{len(self.trials)} trials: {ended}; {minutes}:{seconds:02d} min"

    def _table(self) -> Group:
        running = Table.grid(padding=(0, 2))
        for name, since in self._running.items():
            curve = read_curve(self._runs / name)
            best = f"best {max(score for _, score in curve):.4f}" if curve else "…"
            step = f"step {curve[-1][0]}" if curve else ""
            running.add_row(Text(f"  {name}"), f"{time.monotonic() - since:5.0f} s", best, step)
        tasks = dict.fromkeys(trial.task for trial in self.trials)
        return Group(
            Text(self.head()), running, *(Text(self._task_line(task), no_wrap=True) for task in tasks)
        )

    def _task_line(self, task: str) -> str:
        names = [trial.name for trial in self.trials if trial.task == task]
        ended = [self._outcomes[name] for name in names if name in self._outcomes]
        failed = sum(outcome.status == FAILED for outcome in ended)
        results = [result for result in readable_results(self._runs, names) if result.status == DONE]
        best = max(results, key=lambda result: result.main) if results else None
        text = f"  {task:<6} {len(ended)} of {len(names)}" + (f", {failed} failed" if failed else "")
        return text + (f"; best {best.main:.4f} {best.trial}" if best else "")
