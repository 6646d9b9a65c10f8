"""Trial → TrialConfig: every setting resolved once, the official files named by their digests."""

import dataclasses
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from common.errors import InputError
from common.files import sha256_of
from common.json_files import read_json_object
from common.provenance import Provenance, difference, of_run
from glue.config import GlueRunConfig, resolve_glue_run
from glue.data import find_file
from glue.tasks import TASKS, Task
from lab.plan import Trial
from submission.check import count_lines
from training.run_state import ARGS

_T = TypeVar("_T")


@dataclass(frozen=True)
class TrialConfig:
    """A trial with everything decided: what a worker runs, wherever it is.

    Attributes:
        name: The trial's name.
        run: What ``run_glue`` is asked to do; its paths are absolute.
        splits: ``dev``, and ``test`` where all of its files are there → SHA-256 and rows of each file.
        peers: Run folders of the trials that the median rule compares with; empty without that rule.
        keep_saves: Leave the run's saves when all is done.
        is_model_known: False for a transfer whose source is gone: with what it began cannot be compared.
    """

    name: str
    run: GlueRunConfig
    splits: Mapping[str, tuple[tuple[str, int], ...]]
    peers: tuple[Path, ...] = ()
    keep_saves: bool = True
    is_model_known: bool = True

    @property
    def task(self) -> Task:
        return self.run.task

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return Path(self.run.output_dir)


class TrialResolver:
    """Resolves the trials of a sweep. Each file is read and hashed once.

    Args:
        runs: The folder of all runs, absolute.
        data_dir: The folder of the official files, absolute.
        device: Where to compute.
        stop_early: The median rule is on.
        keep_saves: Leave the saves of finished runs.
    """

    def __init__(
        self,
        runs: Path,
        data_dir: Path,
        device: str = "cpu",
        stop_early: bool = False,
        keep_saves: bool = True,
    ) -> None:
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

        Args:
            trial: The trial.
            source: The model that a transfer begins with; None for the trial's checkpoint.
            suggested: The settings that a search suggests.
            peers: The trials of the task.
            is_model_known: Whether the model it began with can be compared.
        """
        from checkpoints.folder import read_config

        model, seed = self.checkpoint_folder(trial), {} if trial.seed is None else {"seed": trial.seed}
        values = {
            **trial.settings, **suggested, **seed, "task_name": trial.task, "preset": trial.preset,
            "model_name_or_path": str(source or model), "data_dir": str(self.data_dir),
            "output_dir": str(trial.folder(self.runs)), "device": self.device, "resume": True,
            "do_lower_case": trial.checkpoint.do_lower_case,
            "from_scratch": trial.checkpoint.from_scratch and not trial.init_from,
        }  # fmt: skip
        others = [peer.folder(self.runs) for peer in peers if peer != trial] if self.stop_early else []
        return TrialConfig(
            name=trial.name,
            run=resolve_glue_run(values, self._once(("encoder", model), lambda: read_config(model))),
            splits=self._splits(trial.task),
            peers=tuple(others),
            keep_saves=self._keep_saves,
            is_model_known=is_model_known,
        )

    def checkpoint_folder(self, trial: Trial) -> Path:
        """The folder that a trial's checkpoint names; fetched if it is a published one."""
        from checkpoints.registry import resolve

        name = trial.checkpoint.model
        return self._once(("checkpoint", name), lambda: Path(resolve(name)).resolve())

    def difference(self, config: TrialConfig) -> str:
        """Say how the run in a trial's folder was made otherwise than the trial asks; empty if it was not.

        Raises:
            InputError: Its ``args.json``, the model or an official file cannot be read.
        """
        path = config.folder / ARGS
        if not path.is_file():
            return ""
        differences = difference(self._provenance(config), of_run(read_json_object(path)))
        model = (
            f" ({config.run.model_name_or_path})"
            if differences[:1] and "model " in differences[0][:6]
            else ""
        )
        return f"{path}: was made with {differences[0]}{model}" if differences else ""

    def _provenance(self, config: TrialConfig) -> Provenance:
        """What the run of a trial is to be made from."""
        from checkpoints.folder import digest_of

        model, run, task = config.run.model_name_or_path, config.run, config.task
        files = [split for kind in ("train", "dev") for split in task.of_kind(kind)]
        return Provenance(
            model=self._once(("model", model), lambda: digest_of(model)) if config.is_model_known else "",
            data={split.file: self._sha256(find_file(self.data_dir, split)) for split in files},
            settings={
                "task_name": task.name, "do_lower_case": run.do_lower_case,
                "recipe": dataclasses.asdict(run.training),
            },
        )  # fmt: skip

    def _splits(self, task: str) -> dict[str, tuple[tuple[str, int], ...]]:
        splits = {"dev": self._files(task, "dev")}
        with suppress(InputError):
            splits["test"] = self._files(task, "test")
        return splits

    def _files(self, task: str, kind: str) -> tuple[tuple[str, int], ...]:
        files = [(split, find_file(self.data_dir, split)) for split in TASKS[task].of_kind(kind)]
        return tuple((self._sha256(file), self._rows(file) - (not split.headless)) for split, file in files)

    def _rows(self, file: Path) -> int:
        return self._once(("lines", file), lambda: count_lines(file))

    def _sha256(self, file: Path) -> str:
        return self._once(("sha256", file), lambda: sha256_of(file))

    def _once(self, key: Hashable, compute: Callable[[], _T]) -> _T:
        """What was computed for a key before, or is computed now."""
        if key not in self._memory:
            self._memory[key] = compute()
        value: _T = self._memory[key]
        return value
