"""What a trial begins with: the best run of another task, or settings from earlier results."""

import json
import shutil
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from common.errors import InputError
from lab.plan import Trial
from lab.trial_config import TrialConfig
from lab.trial_store import DONE, FAILED, Outcome, TrialResult, read_status
from tests.lab.fake_runner import PLAN, FakeRunner, Silent, make_sweep, model_of, real_args


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
