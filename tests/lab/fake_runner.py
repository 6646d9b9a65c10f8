"""Sweeps whose runner trains nothing but keeps account."""

import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from checkpoints.folder import digest_of
from common.files import sha256_of, write_manifest
from glue.tasks import TASKS
from lab.plan import Trial, trials_of
from lab.plan_file import read_plan
from lab.scheduling import Sweep
from lab.trial_config import TrialConfig, TrialResolver
from lab.trial_store import DONE, FAILED, Outcome, TrialResult
from training.run_state import FINISHED

PLAN = """
checkpoints: {tiny: {model: MODEL, from_scratch: true}}
seeds: [1, 2]
tasks:
  mnli: {grid: {learning_rate: [1e-3, 2e-3]}}
  rte: {init_from: best of mnli}
  cola: {seeds: [1]}
"""


class FakeRunner:
    """Settles a config at once: score says how well it went, or that it failed."""

    def __init__(
        self,
        score: Callable[[TrialConfig], float | None],
        workers: int = 1,
        args_of: Callable[[TrialConfig], Mapping[str, Any]] = lambda config: {"recipe": {"seed": 1}},
    ) -> None:
        self.score, self.workers, self.configs, self.args_of = score, workers, list[TrialConfig](), args_of

    def submit(self, config: TrialConfig) -> "Future[Outcome]":
        self.configs.append(config)
        main, future = self.score(config), Future[Outcome]()
        if main is not None:
            keys = ("accuracy", "accuracy_matched", "accuracy_mismatched", "matthews")
            best = {"step": 1, "main": main, **dict.fromkeys(keys, main)}
            folder = config.folder
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "scores.json").write_text(
                json.dumps({"task": config.task.name, "best": best, "last": best}), encoding="utf-8"
            )
            (folder / "args.json").write_text(json.dumps(self.args_of(config)), encoding="utf-8")
            (folder / FINISHED).touch()
        future.set_result(Outcome(DONE) if main is not None else Outcome(FAILED, "no luck"))
        return future

    def close(self) -> None: ...

    @property
    def names(self) -> list[str]:
        return [config.name for config in self.configs]


class Silent:
    def began(self, trial: Trial) -> None: ...

    def ended(self, trial: Trial, outcome: Outcome) -> None: ...

    def refresh(self) -> None: ...


def no_search(trial: Trial, earlier: Sequence[tuple[Trial, TrialResult | None]]) -> Mapping[str, Any]:
    raise AssertionError


def make_sweep(folder: Path, sample: Path, text: str = PLAN, suggest: Any = no_search) -> Sweep:
    plan = folder / "plan.yaml"
    plan.write_text(text.replace("MODEL", str(sample / "tiny-convbert")), encoding="utf-8")
    read = read_plan(str(plan))
    return Sweep(trials_of(read), TrialResolver(folder / "runs", sample, stop_early=read.stop_early), suggest)


def model_of(config: TrialConfig) -> str:
    return config.run.model_name_or_path


def real_args(sweep: Sweep) -> Callable[[TrialConfig], Mapping[str, Any]]:
    """What args.json would say of a config of this sweep; its ``best/`` is made too."""

    def args_of(config: TrialConfig) -> Mapping[str, Any]:
        (trial,) = [trial for trial in sweep.trials if trial.name == config.name]
        best, model = config.folder / "best", model_of(config)
        best.mkdir(exist_ok=True)
        for name in ("model.safetensors", "config.json", "vocab.txt"):
            (best / name).write_text(f"{name} of {config.name}", encoding="utf-8")
        write_manifest(best)
        splits = [split for kind in ("train", "dev") for split in TASKS[trial.task].of_kind(kind)]
        data = sweep.resolver.data_dir
        return {
            "task_name": trial.task, "model_name_or_path": model, "model_sha256": digest_of(model),
            "recipe": vars(config.run.training),
            "data": {split.file: {"sha256": sha256_of(data / split.file)} for split in splits},
        }  # fmt: skip

    return args_of
