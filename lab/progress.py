"""What a sweep tells while it runs: a table that renews itself on a terminal, plain lines elsewhere."""

import shutil
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from common.messages import escape_unprintable
from glue.tasks import TASKS
from lab.early_stop import read_curve
from lab.scheduling import KEPT
from lab.trial_store import DONE, FAILED, Outcome, readable_results
from lab.trials import Trial

_UP_AND_CLEAR = "\x1b[{}F\x1b[J"  # cursor to the line so many above, erase from there


class Progress:
    """Follows a sweep's trials. Lines go to ``stream``, stderr by default."""

    def __init__(self, trials: Sequence[Trial], runs: Path, stream: IO[str] | None = None) -> None:
        self._trials, self._runs = list(trials), runs
        self._stream = stream or sys.stderr
        self._is_live = self._stream.isatty()
        self._running: dict[str, float] = {}  # since when
        self._outcomes: dict[str, Outcome] = {}
        self._drawn, self._started = 0, time.monotonic()

    def began(self, trial: Trial) -> None:
        self._running[trial.name] = time.monotonic()
        if not self._is_live:
            self._say(f"{trial.name}: began")

    def ended(self, trial: Trial, outcome: Outcome) -> None:
        self._running.pop(trial.name, None)
        self._outcomes[trial.name] = outcome
        self._say(f"[{len(self._outcomes)}/{len(self._trials)}] {trial.name}: {self._said(trial, outcome)}")

    def refresh(self) -> None:
        if self._is_live:
            self._erase()
            size = shutil.get_terminal_size()
            lines = [line[: size.columns - 1] for line in self._table()][: max(1, size.lines - 1)]
            self._stream.write("".join(f"{line}\n" for line in lines))
            self._stream.flush()
            self._drawn = len(lines)

    def close(self) -> None:
        """Take the table away; what follows is written below the lines."""
        self._erase()

    def _said(self, trial: Trial, outcome: Outcome) -> str:
        if outcome.status != DONE:
            return f"{outcome.status}: {outcome.message}" if outcome.message else outcome.status
        results = readable_results(self._runs, [trial.name])
        if not results or results[0].scores is None:
            return outcome.status
        step = results[0].scores["best"]["step"]
        best = f"{TASKS[trial.task].main} {results[0].main:.4f} at step {step:.0f}"
        return f"{best} ({'was done before' if outcome == KEPT else f'{outcome.seconds:.0f} s'})"

    def _table(self) -> list[str]:
        counts = Counter(outcome.status for outcome in self._outcomes.values())
        told = ", ".join(f"{number} {status}" for status, number in sorted(counts.items())) or "none ended"
        minutes, seconds = divmod(int(time.monotonic() - self._started), 60)
        lines = [f"{len(self._trials)} trials: {told}; {minutes}:{seconds:02d} min"]
        width = max((len(name) for name in self._running), default=0)
        for name, since in self._running.items():
            curve = read_curve(self._runs / name)
            best = f"best {max(score for _, score in curve):.4f}  step {curve[-1][0]}" if curve else "…"
            lines.append(f"  {name:<{width}}  {time.monotonic() - since:5.0f} s  {best}")
        for task in dict.fromkeys(trial.task for trial in self._trials):
            lines.append(self._task_line(task))
        return lines

    def _task_line(self, task: str) -> str:
        names = [trial.name for trial in self._trials if trial.task == task]
        ended = [self._outcomes[name] for name in names if name in self._outcomes]
        failed = sum(outcome.status == FAILED for outcome in ended)
        results = [result for result in readable_results(self._runs, names) if result.status == DONE]
        best = max(results, key=lambda result: result.main) if results else None
        text = f"  {task:<6} {len(ended)} of {len(names)}" + (f", {failed} failed" if failed else "")
        return text + (f"; best {best.main:.4f} {best.trial}" if best else "")

    def _say(self, line: str) -> None:
        self._erase()
        self._stream.write(f"{escape_unprintable(line)}\n")
        self._stream.flush()

    def _erase(self) -> None:
        if self._drawn:
            self._stream.write(_UP_AND_CLEAR.format(self._drawn))
            self._drawn = 0
