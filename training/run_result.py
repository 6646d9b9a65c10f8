"""What a training leaves to who called it."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from common.messages import say
from encoders import distributed
from training.run_folder import Scores
from training.run_state import read_history

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass(frozen=True)
class RunResult:
    """A run that is trained."""

    folder: Path  # the run's folder; the best model is in ``best/`` below it
    task: str
    metric: str  # the name of the score that ``main`` is
    best: Scores  # of the best evaluation on the dev files, with its ``step``
    last: Scores  # of the last one

    @property
    def scores(self) -> Scores:
        """The scores of the best evaluation; ``main`` is the one that chose it."""
        return {name: value for name, value in self.best.items() if name != "step"}

    @property
    def history(self) -> "DataFrame":
        """A row for each step that was logged or evaluated.

        ``loss`` (of training, since the row before), ``learning_rate``, ``epoch``, and ``dev_…`` for each
        score of an evaluation; NaN where there is none.
        """
        import pandas

        rows: dict[int, dict[str, float]] = {}
        for line in read_history(self.folder):
            scores = line.pop("evaluation", {})
            row = {**line, **{f"dev_{name}": value for name, value in scores.items() if name != "step"}}
            rows.setdefault(line["step"], {}).update(row)
        return pandas.DataFrame([rows[step] for step in sorted(rows)])

    def print_outcome(self, form: str = "{:.4f}", part: str = "model", following: str = "") -> None:
        """Print in one line what the run reached, and the command that follows; from the first process."""
        if distributed.is_first():
            best, last = (form.format(scores["main"]) for scores in (self.best, self.last))
            print(
                f"{self.task}: {self.metric} best {best} at step {self.best['step']:.0f}, last {last}; "
                f"the {part} is in {self.folder}/best"
            )
            if following:
                say(f"next: {following}")
