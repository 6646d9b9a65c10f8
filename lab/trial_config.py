"""Trial → TrialConfig: every setting resolved once, the official files named by their digests."""

import dataclasses
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from checkpoints.folder import digest_of, read_config
from checkpoints.registry import resolve
from common.errors import InputError
from common.files import sha256_of
from common.json_files import read_json_object
from common.provenance import Provenance, difference, of_run
from glue.config import GlueRunConfig, resolve_glue_run
from glue.data import find_file, read_split
from glue.tasks import Split, Task, task_named
from lab.plan import Trial
from submission.check import count_lines
from training.config import with_added_settings
from training.run_state import ARGS

_T = TypeVar("_T")


@dataclass(frozen=True)
class TrialConfig:
    """A trial with everything decided: what a worker runs, wherever it is."""

    name: str
    run: GlueRunConfig  # what ``run_glue`` is asked to do; its paths are absolute
    # ``dev``, and ``test`` where all of its files are there → SHA-256 and rows of each file
    splits: Mapping[str, tuple[tuple[str, int], ...]]
    peers: tuple[Path, ...] = ()  # run folders that the median rule compares with; empty without that rule
    keep_saves: bool = True  # leave the run's saves when all is done
    is_model_known: bool = True  # False for a transfer whose source is gone: it cannot be compared

    @property
    def task(self) -> Task:
        return self.run.task

    @property
    def folder(self) -> Path:
        return Path(self.run.output_dir)


class TrialResolver:
    """Resolves the trials of a sweep, from absolute folders of runs and of the official files. Each file is
    read and hashed once. stop_early: by the median rule. keep_saves: leave the saves of finished runs."""

    def __init__(
        self, runs: Path, data_dir: Path, device: str = "cpu", stop_early: bool = False,
        keep_saves: bool = True,
    ) -> None:  # fmt: skip
        self.runs, self.data_dir, self.device = runs, data_dir, device
        self.stop_early, self._keep_saves = stop_early, keep_saves
        self._memory: dict[Hashable, Any] = {}

    def resolve(
        self,
        trial: Trial,
        source: Path | None = None,
        suggested: Mapping[str, Any] = MappingProxyType({}),
        peers: Sequence[Trial] = (),
        is_model_known: bool = True,
    ) -> TrialConfig:
        """Resolve a trial.

        source: the model that a transfer begins with; None for the trial's checkpoint. suggested: the
        settings that a search suggests. peers: the trials of the task.
        """
        model, seed = self.checkpoint_folder(trial), {} if trial.seed is None else {"seed": trial.seed}
        values = {
            **trial.settings, **suggested, **seed, "task_name": trial.task, "preset": trial.preset,
            "task_file": trial.task_file or None,
            "model_name_or_path": str(source or model), "data_dir": str(self.data_dir),
            "output_dir": str(trial.folder(self.runs)), "device": self.device, "resume": True,
            "do_lower_case": trial.checkpoint.do_lower_case,
            "from_scratch": trial.checkpoint.from_scratch and not trial.init_from,
        }  # fmt: skip
        others = [peer.folder(self.runs) for peer in peers if peer != trial] if self.stop_early else []
        run, splits = resolve_glue_run(values, self._once(read_config, model)), {}
        splits["dev"] = self._files(trial.task, "dev")
        with suppress(InputError):
            splits["test"] = self._files(trial.task, "test")
        return TrialConfig(trial.name, run, splits, tuple(others), self._keep_saves, is_model_known)

    def checkpoint_folder(self, trial: Trial) -> Path:
        """The folder that a trial's checkpoint names; fetched if it is a published one."""
        return Path(self._once(resolve, trial.checkpoint.model)).resolve()

    def difference(self, config: TrialConfig) -> str:
        """Say how the run in a trial's folder was made otherwise than the trial asks; empty if it was not.

        Raises:
            InputError: Its ``args.json``, the model or an official file cannot be read.
        """
        path, run, task = config.folder / ARGS, config.run, config.task
        if not path.is_file():
            return ""
        model, recipe = run.model_name_or_path, dataclasses.asdict(run.training)
        files = [split for kind in ("train", "dev") for split in task.of_kind(kind)]
        expected = Provenance(
            model=self._once(digest_of, model) if config.is_model_known else "",
            data={split.file: self._once(sha256_of, find_file(self.data_dir, split)) for split in files},
            settings={"task_name": task.name, "do_lower_case": run.do_lower_case, "recipe": recipe},
        )
        args = read_json_object(path)
        begun = {**args, "recipe": with_added_settings(args.get("recipe"), recipe)}
        differences = difference(expected, of_run(begun))
        if not differences:
            return ""
        name = f" ({model})" if differences[0].startswith("model ") else ""
        return f"was made with {differences[0]}{name}"

    def _files(self, task: str, kind: str) -> tuple[tuple[str, int], ...]:
        """SHA-256 and rows of each file of a kind; InputError if one is missing."""
        files = [(split, find_file(self.data_dir, split)) for split in task_named(task).of_kind(kind)]
        return tuple((self._once(sha256_of, file), self._rows(task, split, file)) for split, file in files)

    def _rows(self, task: str, split: Split, file: Path) -> int:
        if split.path:  # a row may have several lines there
            return self._once(_count_examples, (task, split))
        return self._once(count_lines, file) - (not split.headless)

    def _once(self, compute: Callable[[Any], _T], argument: Hashable) -> _T:
        """A function's value, computed at its first call with that argument."""
        key = (compute, argument)
        if key not in self._memory:
            self._memory[key] = compute(argument)
        value: _T = self._memory[key]
        return value


def _count_examples(task_and_split: tuple[str, Split]) -> int:
    task, split = task_and_split
    return len(read_split(task_named(task), split, "").examples)
