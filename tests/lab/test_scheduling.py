"""Which trial is begun when, and which is done, by a runner that trains nothing but keeps account."""

import json
import shutil
from concurrent.futures import Future
from pathlib import Path

import pytest

from checkpoints.folder import digest_of
from common.errors import InputError
from common.files import sha256_of
from lab.trial_config import TrialConfig
from lab.trial_store import DONE, SKIPPED, STOPPED, Outcome, read_results
from tests.lab.fake_runner import PLAN, FakeRunner, Silent, make_sweep, model_of, real_args


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


def test_a_trained_trial_that_was_called_stopped_is_finished(tmp_path: Path, sample_dir: Path) -> None:
    text = PLAN + "stop_early: median\n"
    sweep = make_sweep(tmp_path, sample_dir, text)
    sweep.run(FakeRunner(lambda config: 0.5, args_of=real_args(sweep)), Silent())
    record = tmp_path / "runs" / "cola" / "tiny-seed1.trial.json"
    record.write_text(record.read_text(encoding="utf-8").replace('"done"', f'"{STOPPED}"'), encoding="utf-8")
    outcomes = make_sweep(tmp_path, sample_dir, text).run(FakeRunner(lambda config: 0.5), Silent())
    assert outcomes["cola/tiny-seed1"].status == DONE


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
