"""Trial → the ordinary commands that make it, and whether what stands in its folder is already that."""

import dataclasses
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from common.errors import InputError
from common.files import sha256_of
from common.json_files import read_json_object
from glue.config import GlueTrainingConfig, resolve_glue_run
from glue.data import find_file
from glue.tasks import TASKS
from lab.trial_run import Job
from lab.trials import Trial
from submission.check import count_lines


@dataclass(frozen=True)
class Jobs:
    """Makes the jobs of a sweep. runs, data_dir: absolute. stop_early: the median rule is on."""

    runs: Path
    data_dir: Path
    device: str = "cpu"
    stop_early: bool = False
    keep_last: bool = True

    @cached_property
    def _models(self) -> dict[str, str]:
        return {}

    @cached_property
    def _digests(self) -> dict[Path, str]:
        return {}

    @cached_property
    def _model_digests(self) -> dict[str, str]:
        return {}

    @cached_property
    def _files(self) -> dict[tuple[str, str], tuple[tuple[str, int], ...]]:
        return {}

    def model_of(self, trial: Trial) -> str:
        """The folder that a trial's checkpoint names; fetched if it is a published one."""
        from checkpoints.registry import resolve

        name = trial.checkpoint.model
        if name not in self._models:
            self._models[name] = str(Path(resolve(name)).resolve())
        return self._models[name]

    def job(self, trial: Trial, source: Path | None, drawn: Mapping[str, Any], peers: Sequence[Trial]) -> Job:
        """source: the run a trial begins with, or None for its checkpoint. drawn: what a search says."""
        folder = trial.folder(self.runs)
        common = ["--task_name", trial.task, "--data_dir", str(self.data_dir), "--device", self.device]
        words = [*common, "--output_dir", str(folder)]
        words += ["--model_name_or_path", str(self.source_of(folder, source)[0] or self.model_of(trial))]
        words += ["--preset", trial.preset] if trial.preset else []
        words += ["--from_scratch"] if trial.checkpoint.from_scratch and source is None else []
        lower_case = trial.checkpoint.do_lower_case
        words += [] if lower_case is None else ["--do_lower_case", str(lower_case).lower()]
        words += [] if trial.seed is None else ["--seed", str(trial.seed)]
        for key, value in {**trial.settings, **drawn}.items():
            words += [f"--{key}", str(value)]
        return Job(
            name=trial.name,
            task=trial.task,
            folder=str(folder),
            training=tuple(words),
            predicting=(*common, "--ckpt_path", str(folder / "best")),
            splits=self.splits(trial.task),
            peers=tuple(str(p.folder(self.runs)) for p in peers if p != trial) if self.stop_early else (),
            keep_last=self.keep_last,
        )

    def source_of(self, folder: Path, source: Path | None) -> tuple[Path | None, bool]:
        """The model that a transfer begins with: of the best run so far, but of a trial that has begun still
        the one that it began with. And whether that one is gone, so that nothing can be compared with it."""
        if source is None or not (folder / "args.json").is_file():
            return source and source / "best", source is None
        before = Path(str(read_json_object(folder / "args.json").get("model_name_or_path")))
        if before.name != "best" or not before.parent.name:
            return source / "best", False
        still = source.with_name(before.parent.name) / "best"  # all runs may have been moved together
        return (still, False) if still.is_dir() else (source / "best", True)

    def splits(self, task: str) -> dict[str, tuple[tuple[str, int], ...]]:
        """SHA-256 and rows of each file of ``dev``, and of ``test`` where all of that are there."""
        found = {"dev": self._about(task, "dev")}
        with suppress(InputError):
            found["test"] = self._about(task, "test")
        return found

    def _about(self, task: str, kind: str) -> tuple[tuple[str, int], ...]:
        if (task, kind) not in self._files:
            files = [(split, find_file(self.data_dir, split)) for split in TASKS[task].of_kind(kind)]
            self._files[task, kind] = tuple(
                (self.digest(file), count_lines(file) - (not split.headless)) for split, file in files
            )
        return self._files[task, kind]

    def recipe(self, trial: Trial, job: Job | None = None) -> GlueTrainingConfig:
        """The settings in force in a trial, as ``run_glue`` will find them."""
        from checkpoints.folder import read_config
        from glue.run_glue import make_parser

        flags = make_parser().parse_args((job or self.job(trial, None, {}, [])).training)
        return resolve_glue_run(vars(flags), read_config(self.model_of(trial))).training

    def difference(self, trial: Trial, job: Job, of_model: bool = True) -> str:
        """How the run in a job's folder was made otherwise than the job would make it; empty if it was not,
        or if there is none. of_model: what it began with is compared too."""
        path, task = Path(job.folder) / "args.json", TASKS[job.task]
        if not path.is_file():
            return ""
        found = _flat("", read_json_object(path))
        model = job.training[job.training.index("--model_name_or_path") + 1]
        wanted = {
            "task_name": job.task,
            **({"model_sha256": self._model_digest(model)} if of_model else {}),
            "do_lower_case": trial.checkpoint.do_lower_case,
            **_flat("recipe", dataclasses.asdict(self.recipe(trial, job))),
        }
        for split in [*task.of_kind("train"), *task.of_kind("dev")]:
            wanted[f"data.{split.file}.sha256"] = self.digest(find_file(self.data_dir, split))
        for key, value in wanted.items():
            if found.get(key) != value:
                said = f"the plan says {value}" + (f" ({model})" if key == "model_sha256" else "")
                return f"{path}: was made with {key} {found.get(key)}, {said}"
        return ""

    def _model_digest(self, folder: str) -> str:
        from checkpoints.folder import digest_of

        if folder not in self._model_digests:
            self._model_digests[folder] = digest_of(folder)
        return self._model_digests[folder]

    def digest(self, path: Path) -> str:
        """The SHA-256 of a file, read once."""
        if path not in self._digests:
            self._digests[path] = sha256_of(path)
        return self._digests[path]


def _flat(prefix: str, value: Any) -> dict[str, Any]:
    """Nested mappings as one, keys joined by dots."""
    if not isinstance(value, dict):
        return {prefix: value}
    flat: dict[str, Any] = {}
    for key, inner in value.items():
        flat |= _flat(f"{prefix}.{key}" if prefix else key, inner)
    return flat
