"""Which trial is begun when, and with what: a runner that trains nothing but keeps account."""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from checkpoints.folder import digest_of
from common.errors import InputError
from common.files import sha256_of, write_manifest
from glue.tasks import TASKS
from lab.plan import Trial, trials_of
from lab.plan_file import read_plan
from lab.scheduling import Sweep
from lab.trial_config import TrialConfig, TrialResolver
from lab.trial_store import DONE, FAILED, SKIPPED, STOPPED, Outcome, TrialResult, read_results, read_status
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


def test_a_transfer_waits_for_all_its_sources_and_takes_the_best(tmp_path: Path, sample_dir: Path) -> None:
    best = "mnli/tiny-lr2e-3-seed1"
    runner = FakeRunner(lambda config: 0.9 if config.name == best else 0.5, workers=2)
    outcomes = make_sweep(tmp_path, sample_dir).run(runner, Silent())
    assert {outcome.status for outcome in outcomes.values()} == {DONE}
    first = max(runner.names.index(name) for name in runner.names if name.startswith("mnli/"))
    for config in runner.configs:
        if config.task.name == "rte":
            assert runner.names.index(config.name) > first
            assert model_of(config) == str(tmp_path / "runs" / best / "best")
            assert not config.run.from_scratch
        else:
            assert model_of(config) == str((sample_dir / "tiny-convbert").resolve())
            assert config.run.from_scratch


def test_a_failure_stops_nobody_but_those_who_need_it(tmp_path: Path, sample_dir: Path) -> None:
    one = FakeRunner(lambda config: None if config.name == "mnli/tiny-lr1e-3-seed1" else 0.5)
    outcomes = make_sweep(tmp_path, sample_dir).run(one, Silent())
    assert [name for name, outcome in outcomes.items() if outcome.status != DONE] == [
        "mnli/tiny-lr1e-3-seed1"
    ]

    (tmp_path / "b").mkdir()
    all_of_them = FakeRunner(lambda config: None if config.task.name == "mnli" else 0.5)
    outcomes = make_sweep(tmp_path / "b", sample_dir).run(all_of_them, Silent())
    assert [outcomes[f"rte/tiny-from-mnli-seed{n}"] for n in (1, 2)] == [
        Outcome(SKIPPED, "no mnli run to begin with is done")
    ] * 2
    assert outcomes["cola/tiny-seed1"].status == DONE
    assert {name.split("/")[0] for name in all_of_them.names} == {"mnli", "cola"}
    statuses = {result.trial: result.status for result in read_results(tmp_path / "b" / "runs")}
    assert statuses == {name: outcome.status for name, outcome in outcomes.items()}


def test_no_more_at_a_time_than_there_are_workers(tmp_path: Path, sample_dir: Path) -> None:
    class Slow(FakeRunner):
        """Gives its first result when the last place is taken."""

        def __init__(self, workers: int) -> None:
            super().__init__(lambda config: 0.5, workers)
            self.open: list[tuple[Future[Outcome], Outcome]] = []
            self.most = 0

        def submit(self, config: TrialConfig) -> "Future[Outcome]":
            outcome, future = super().submit(config).result(), Future[Outcome]()
            self.open.append((future, outcome))
            self.most = max(self.most, len(self.open))
            if len(self.open) == self.workers or config.task.name == "cola":
                for waiting, result in self.open:
                    waiting.set_result(result)
                self.open.clear()
            return future

    plan = PLAN.replace("  rte: {init_from: best of mnli}\n", "")
    runner = Slow(workers=3)
    make_sweep(tmp_path, sample_dir, plan).run(runner, Silent())
    assert runner.most == 3
    assert len(runner.configs) == 5


def test_a_trial_that_was_stopped_early_stays_so(tmp_path: Path, sample_dir: Path) -> None:
    for rule, becomes in (("stop_early: median\n", STOPPED), ("", DONE)):  # without the rule it goes on
        folder = tmp_path / becomes
        record = folder / "runs" / "cola" / "tiny-seed1.trial.json"
        record.parent.mkdir(parents=True)
        details = {"trial": "cola/tiny-seed1", "task": "cola", "configuration": "cola/tiny", "seconds": 3.0}
        record.write_text(
            json.dumps({**details, "status": STOPPED, "message": "below the median"}), encoding="utf-8"
        )
        runner = FakeRunner(lambda config: 0.5)
        outcomes = make_sweep(folder, sample_dir, PLAN + rule).run(runner, Silent())
        assert outcomes["cola/tiny-seed1"].status == becomes
        assert ("cola/tiny-seed1" in runner.names) == (becomes == DONE)


def test_the_median_rule_compares_with_the_other_trials_of_the_task(tmp_path: Path, sample_dir: Path) -> None:
    runner = FakeRunner(lambda config: 0.5)
    make_sweep(tmp_path, sample_dir, PLAN + "stop_early: median\n").run(runner, Silent())
    peers = {
        config.name: [str(Path(p).relative_to(tmp_path / "runs")) for p in config.peers]
        for config in runner.configs
    }
    assert peers["rte/tiny-from-mnli-seed1"] == ["rte/tiny-from-mnli-seed2"]
    assert peers["cola/tiny-seed1"] == []


def test_a_run_of_other_settings_is_never_taken_for_the_trials(tmp_path: Path, sample_dir: Path) -> None:
    sweep = make_sweep(tmp_path, sample_dir)
    (trial,) = [trial for trial in sweep.trials if trial.task == "cola"]
    folder = trial.folder(tmp_path / "runs")
    folder.mkdir(parents=True)
    config = sweep.resolver.resolve(trial)
    recipe = {**vars(config.run.training), "learning_rate": 0.5}
    data = {file: {"sha256": sha256_of(sample_dir / file)} for file in ("CoLA/train.tsv", "CoLA/dev.tsv")}
    args = {"task_name": "cola", "model_sha256": digest_of(model_of(config)), "recipe": recipe, "data": data}
    (folder / "args.json").write_text(json.dumps(args), encoding="utf-8")
    with pytest.raises(InputError) as raised:
        sweep.check()
    message = str(raised.value)
    assert message.startswith(
        f"{folder}/args.json: was made with recipe.learning_rate 0.5, expected 0.0003; "
    )


def test_a_transfer_that_has_begun_goes_on_from_what_it_began_with(tmp_path: Path, sample_dir: Path) -> None:
    best = "tiny-lr2e-3-seed1"
    runner = FakeRunner(lambda config: 0.9 if config.name.endswith(best) else 0.5)
    make_sweep(tmp_path, sample_dir, PLAN.replace("  rte: {init_from: best of mnli}\n", "")).run(
        runner, Silent()
    )
    sweep, mnli = make_sweep(tmp_path, sample_dir), tmp_path / "runs" / "mnli"
    (trial, _) = [trial for trial in sweep.trials if trial.task == "rte"]
    (mnli / "then" / "best").mkdir(parents=True)
    folder = trial.folder(tmp_path / "runs")
    folder.mkdir(parents=True)
    for began_with, goes_on_with in (("then", "then"), ("removed", best)):
        args = {"model_name_or_path": str(mnli / began_with / "best")}
        (folder / "args.json").write_text(json.dumps(args), encoding="utf-8")
        config = sweep.resolve(trial)
        assert model_of(config) == str(mnli / goes_on_with / "best")
        assert config.is_model_known == (began_with == goes_on_with)


SEARCH = """
checkpoints: {tiny: {model: MODEL, from_scratch: true}}
seeds: [1, 2]
tasks: {cola: {search: {trials: 4, at_once: 2, space: {batch_size: [8, 16]}}}}
"""


def test_a_suggestion_knows_what_its_place_entitles_it_to(tmp_path: Path, sample_dir: Path) -> None:
    known: dict[str, dict[str, float | None]] = {}

    def suggest(trial: Trial, earlier: Sequence[tuple[Trial, TrialResult | None]]) -> Mapping[str, Any]:
        known[trial.name] = {other.name: result.main if result else None for other, result in earlier}
        return {"batch_size": trial.number}

    bad = "cola/tiny-search1-seed2"
    runner = FakeRunner(lambda config: None if config.name == bad else 0.5, workers=8)
    make_sweep(tmp_path, sample_dir, SEARCH, suggest).run(runner, Silent())
    first = {"cola/tiny-search1-seed1": 0.5, bad: None}
    second = {"cola/tiny-search2-seed1": 0.5, "cola/tiny-search2-seed2": 0.5}
    assert known["cola/tiny-search2-seed1"] == {}  # two at once: it does not know the first
    assert known["cola/tiny-search3-seed2"] == first
    assert known["cola/tiny-search4-seed1"] == {**first, **second}
    assert {config.run.training.batch_size for config in runner.configs if "search3" in config.name} == {3}
    assert read_status(tmp_path / "runs" / bad) == FAILED


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


def test_what_a_searchs_trials_have_begun_with_stays_theirs(tmp_path: Path, sample_dir: Path) -> None:
    """One that failed is done at last: what is suggested now is otherwise, for those that have not begun."""
    settings = {"batch_size": 8}

    def suggest(trial: Trial, earlier: Sequence[tuple[Trial, TrialResult | None]]) -> Mapping[str, Any]:
        return dict(settings)

    def swept(bad: set[str]) -> FakeRunner:
        sweep = make_sweep(tmp_path, sample_dir, SEARCH, suggest)
        runner = FakeRunner(lambda config: None if config.name in bad else 0.5, args_of=real_args(sweep))
        outcomes = sweep.run(runner, Silent())
        assert {name for name, outcome in outcomes.items() if outcome.status != DONE} == bad
        return runner

    first = {"cola/tiny-search1-seed1"}
    both = {"cola/tiny-search4-seed1", "cola/tiny-search4-seed2"}
    swept(first | both)
    settings["batch_size"] = 16
    again = swept(set())
    sizes = {
        config.name: config.run.training.batch_size for config in again.configs if config.name in first | both
    }
    assert sizes == dict.fromkeys(first, 8) | dict.fromkeys(both, 16)  # its other seed had begun with 8


def test_a_transfer_outlives_the_run_it_began_with(tmp_path: Path, sample_dir: Path) -> None:
    """That run is trained again, and the transfer kept; but not if its own settings are other ones."""
    sweep = make_sweep(tmp_path, sample_dir)
    best = "mnli/tiny-lr1e-3-seed1"
    score = lambda config: 0.9 if config.name == best else 0.5  # noqa: E731
    sweep.run(FakeRunner(score, args_of=real_args(sweep)), Silent())
    shutil.rmtree(tmp_path / "runs" / best)
    sweep = make_sweep(tmp_path, sample_dir)
    sweep.check()
    runner = FakeRunner(score, args_of=real_args(sweep))
    outcomes = sweep.run(runner, Silent())
    assert best in runner.names
    assert {outcome.status for outcome in outcomes.values()} == {DONE}
    shutil.rmtree(tmp_path / "runs" / "mnli")
    other = make_sweep(tmp_path, sample_dir, PLAN + "settings: {batch_size: 5}\n")
    with pytest.raises(InputError, match=r"rte/.*was made with recipe.batch_size 32, expected 5"):
        other.check()


def test_a_trained_trial_that_was_called_stopped_is_finished(tmp_path: Path, sample_dir: Path) -> None:
    text = PLAN + "stop_early: median\n"
    sweep = make_sweep(tmp_path, sample_dir, text)
    sweep.run(FakeRunner(lambda config: 0.5, args_of=real_args(sweep)), Silent())
    record = tmp_path / "runs" / "cola" / "tiny-seed1.trial.json"
    record.write_text(record.read_text(encoding="utf-8").replace('"done"', f'"{STOPPED}"'), encoding="utf-8")
    outcomes = make_sweep(tmp_path, sample_dir, text).run(FakeRunner(lambda config: 0.5), Silent())
    assert outcomes["cola/tiny-seed1"].status == DONE


def test_a_done_transfer_outlives_its_source(tmp_path: Path, sample_dir: Path) -> None:
    """MNLI's trials fail when swept again: what began with them and is trained is not skipped."""
    sweep = make_sweep(tmp_path, sample_dir)
    sweep.run(FakeRunner(lambda config: 0.5, args_of=real_args(sweep)), Silent())
    for folder in (tmp_path / "runs" / "mnli").glob("tiny*[0-9]"):
        shutil.rmtree(folder)
    runner = FakeRunner(lambda config: None if config.task.name == "mnli" else 0.5)
    outcomes = make_sweep(tmp_path, sample_dir).run(runner, Silent())
    assert {outcome.status for name, outcome in outcomes.items() if "mnli/" in name} == {FAILED}
    assert {outcome.status for name, outcome in outcomes.items() if "rte/" in name} == {DONE}


def test_a_source_whose_predictions_failed_is_a_source(tmp_path: Path, sample_dir: Path) -> None:
    class Unpredicted(FakeRunner):
        def submit(self, config: TrialConfig) -> "Future[Outcome]":
            future = super().submit(config)
            if config.task != "mnli":
                return future
            failed = Future[Outcome]()
            failed.set_result(Outcome(FAILED, "glue.run_predict: no test file"))
            return failed

    runner = Unpredicted(lambda config: 0.9 if config.name == "mnli/tiny-lr2e-3-seed2" else 0.5)
    outcomes = make_sweep(tmp_path, sample_dir).run(runner, Silent())
    assert outcomes["rte/tiny-from-mnli-seed1"].status == DONE
    (config, _) = [config for config in runner.configs if config.task.name == "rte"]
    assert model_of(config) == str(tmp_path / "runs/mnli/tiny-lr2e-3-seed2/best")


def test_a_run_that_was_removed_is_not_done_while_it_runs_again(tmp_path: Path, sample_dir: Path) -> None:
    make_sweep(tmp_path, sample_dir).run(FakeRunner(lambda config: 0.5), Silent())
    shutil.rmtree(tmp_path / "runs" / "cola" / "tiny-seed1")
    seen = []

    def score(config: TrialConfig) -> float:
        if config.name == "cola/tiny-seed1":
            config.folder.mkdir(parents=True)
            seen.extend(result.trial for result in read_results(tmp_path / "runs"))
        return 0.5

    make_sweep(tmp_path, sample_dir).run(FakeRunner(score), Silent())
    assert len(seen) == 6
    assert "cola/tiny-seed1" not in seen


def test_a_checkpoint_of_a_plan_says_how_its_texts_are_read(tmp_path: Path, sample_dir: Path) -> None:
    text = """
checkpoints:
  cased: {model: MODEL, from_scratch: true, do_lower_case: false}
  tiny: {model: MODEL, from_scratch: true}
seeds: [1]
tasks: {rte: }
"""
    runner = FakeRunner(lambda config: 0.5)
    make_sweep(tmp_path, sample_dir, text).run(runner, Silent())
    cased, tiny = runner.configs
    assert cased.run.do_lower_case is False
    assert tiny.run.do_lower_case is None
