"""Which trial is begun when, and with what: an engine that trains nothing but keeps account."""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from checkpoints.folder import digest_of
from common.errors import InputError
from common.files import write_manifest
from glue.tasks import TASKS
from lab.jobs import Jobs
from lab.plan import read_plan
from lab.scheduling import Sweep
from lab.trial_run import Job
from lab.trial_store import DONE, FAILED, SKIPPED, STOPPED, Outcome, Result, read_results, read_status
from lab.trials import Trial, trials_of
from training.run_state import FINISHED

PLAN = """
checkpoints: {tiny: {model: MODEL, from_scratch: true}}
seeds: [1, 2]
tasks:
  mnli: {grid: {learning_rate: [1e-3, 2e-3]}}
  rte: {init_from: best of mnli}
  cola: {seeds: [1]}
"""


class FakeEngine:
    """Settles a job at once: score says how well it went, or that it failed."""

    def __init__(
        self,
        score: Callable[[Job], float | None],
        workers: int = 1,
        args_of: Callable[[Job], Mapping[str, Any]] = lambda job: {"recipe": {"seed": 1}},
    ) -> None:
        self.score, self.workers, self.jobs, self.args_of = score, workers, list[Job](), args_of

    def submit(self, job: Job) -> "Future[Outcome]":
        self.jobs.append(job)
        main, future = self.score(job), Future[Outcome]()
        if main is not None:
            keys = ("accuracy", "accuracy_matched", "accuracy_mismatched", "matthews")
            best = {"step": 1, "main": main, **dict.fromkeys(keys, main)}
            folder = Path(job.folder)
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "scores.json").write_text(
                json.dumps({"task": job.task, "best": best, "last": best}), encoding="utf-8"
            )
            (folder / "args.json").write_text(json.dumps(self.args_of(job)), encoding="utf-8")
            (folder / FINISHED).touch()
        future.set_result(Outcome(DONE) if main is not None else Outcome(FAILED, "no luck"))
        return future

    def close(self) -> None: ...

    @property
    def names(self) -> list[str]:
        return [job.name for job in self.jobs]


class Silent:
    def began(self, trial: Trial) -> None: ...

    def ended(self, trial: Trial, outcome: Outcome) -> None: ...

    def refresh(self) -> None: ...


def no_search(trial: Trial, earlier: Sequence[tuple[Trial, Result | None]]) -> Mapping[str, Any]:
    raise AssertionError


def make_sweep(folder: Path, sample: Path, text: str = PLAN, suggest: Any = no_search) -> Sweep:
    plan = folder / "plan.yaml"
    plan.write_text(text.replace("MODEL", str(sample / "tiny-convbert")), encoding="utf-8")
    read = read_plan(str(plan))
    return Sweep(
        trials_of(read), Jobs(folder / "runs", sample, stop_early=read.stop_early), Silent(), suggest
    )


def flag(job: Job, name: str) -> str:
    return job.training[job.training.index(name) + 1]


def test_a_transfer_waits_for_all_its_sources_and_takes_the_best(tmp_path: Path, sample_dir: Path) -> None:
    best = "mnli/tiny-lr2e-3-seed1"
    engine = FakeEngine(lambda job: 0.9 if job.name == best else 0.5, workers=2)
    outcomes = make_sweep(tmp_path, sample_dir).run(engine)
    assert {outcome.status for outcome in outcomes.values()} == {DONE}
    first = max(engine.names.index(name) for name in engine.names if name.startswith("mnli/"))
    for job in engine.jobs:
        if job.task == "rte":
            assert engine.names.index(job.name) > first
            assert flag(job, "--model_name_or_path") == str(tmp_path / "runs" / best / "best")
            assert "--from_scratch" not in job.training
        else:
            assert flag(job, "--model_name_or_path") == str((sample_dir / "tiny-convbert").resolve())
            assert "--from_scratch" in job.training


def test_a_failure_stops_nobody_but_those_who_need_it(tmp_path: Path, sample_dir: Path) -> None:
    one = FakeEngine(lambda job: None if job.name == "mnli/tiny-lr1e-3-seed1" else 0.5)
    outcomes = make_sweep(tmp_path, sample_dir).run(one)
    assert [name for name, outcome in outcomes.items() if outcome.status != DONE] == [
        "mnli/tiny-lr1e-3-seed1"
    ]

    (tmp_path / "b").mkdir()
    all_of_them = FakeEngine(lambda job: None if job.task == "mnli" else 0.5)
    outcomes = make_sweep(tmp_path / "b", sample_dir).run(all_of_them)
    assert [outcomes[f"rte/tiny-from-mnli-seed{n}"] for n in (1, 2)] == [
        Outcome(SKIPPED, "no mnli run to begin with is done")
    ] * 2
    assert outcomes["cola/tiny-seed1"].status == DONE
    assert {name.split("/")[0] for name in all_of_them.names} == {"mnli", "cola"}
    statuses = {result.trial: result.status for result in read_results(tmp_path / "b" / "runs")}
    assert statuses == {name: outcome.status for name, outcome in outcomes.items()}


def test_no_more_at_a_time_than_there_are_workers(tmp_path: Path, sample_dir: Path) -> None:
    class Slow(FakeEngine):
        """Gives its first result when the last place is taken."""

        def __init__(self, workers: int) -> None:
            super().__init__(lambda job: 0.5, workers)
            self.open: list[tuple[Future[Outcome], Outcome]] = []
            self.most = 0

        def submit(self, job: Job) -> "Future[Outcome]":
            outcome, future = super().submit(job).result(), Future[Outcome]()
            self.open.append((future, outcome))
            self.most = max(self.most, len(self.open))
            if len(self.open) == self.workers or job.task == "cola":
                for waiting, result in self.open:
                    waiting.set_result(result)
                self.open.clear()
            return future

    plan = PLAN.replace("  rte: {init_from: best of mnli}\n", "")
    engine = Slow(workers=3)
    make_sweep(tmp_path, sample_dir, plan).run(engine)
    assert engine.most == 3
    assert len(engine.jobs) == 5


def test_a_trial_that_was_stopped_early_stays_so(tmp_path: Path, sample_dir: Path) -> None:
    for rule, becomes in (("stop_early: median\n", STOPPED), ("", DONE)):  # without the rule it goes on
        folder = tmp_path / becomes
        record = folder / "runs" / "cola" / "tiny-seed1.trial.json"
        record.parent.mkdir(parents=True)
        about = {"trial": "cola/tiny-seed1", "task": "cola", "configuration": "cola/tiny", "seconds": 3.0}
        record.write_text(
            json.dumps({**about, "status": STOPPED, "message": "below the median"}), encoding="utf-8"
        )
        engine = FakeEngine(lambda job: 0.5)
        outcomes = make_sweep(folder, sample_dir, PLAN + rule).run(engine)
        assert outcomes["cola/tiny-seed1"].status == becomes
        assert ("cola/tiny-seed1" in engine.names) == (becomes == DONE)


def test_the_median_rule_compares_with_the_other_trials_of_the_task(tmp_path: Path, sample_dir: Path) -> None:
    engine = FakeEngine(lambda job: 0.5)
    make_sweep(tmp_path, sample_dir, PLAN + "stop_early: median\n").run(engine)
    peers = {
        job.name: [str(Path(p).relative_to(tmp_path / "runs")) for p in job.peers] for job in engine.jobs
    }
    assert peers["rte/tiny-from-mnli-seed1"] == ["rte/tiny-from-mnli-seed2"]
    assert peers["cola/tiny-seed1"] == []


def test_a_run_of_other_settings_is_never_taken_for_the_trials(tmp_path: Path, sample_dir: Path) -> None:
    sweep = make_sweep(tmp_path, sample_dir)
    (trial,) = [trial for trial in sweep.trials if trial.task == "cola"]
    folder = trial.folder(tmp_path / "runs")
    folder.mkdir(parents=True)
    recipe = {**vars(sweep.jobs.recipe(trial)), "learning_rate": 0.5}
    job = sweep.jobs.job(trial, None, {}, [])
    model = flag(job, "--model_name_or_path")
    args = {"task_name": "cola", "model_sha256": digest_of(model), "recipe": recipe}
    (folder / "args.json").write_text(json.dumps(args), encoding="utf-8")
    with pytest.raises(InputError) as raised:
        sweep.check()
    said = str(raised.value).removeprefix(f"{folder}/")
    wanted = "args.json: was made with recipe.learning_rate 0.5, the plan says 0.0003; "
    assert said == wanted + "take another --runs, or remove that run"


def test_a_transfer_that_has_begun_goes_on_from_what_it_began_with(tmp_path: Path, sample_dir: Path) -> None:
    sweep = make_sweep(tmp_path, sample_dir)
    (trial, _) = [trial for trial in sweep.trials if trial.task == "rte"]
    mnli = tmp_path / "runs" / "mnli"
    (mnli / "then" / "best").mkdir(parents=True)
    folder = trial.folder(tmp_path / "runs")
    folder.mkdir(parents=True)
    for began_with, goes_on_with in (("then", "then"), ("removed", "now")):
        args = {"model_name_or_path": str(mnli / began_with / "best")}
        (folder / "args.json").write_text(json.dumps(args), encoding="utf-8")
        job = sweep.jobs.job(trial, mnli / "now", {}, [])
        assert flag(job, "--model_name_or_path") == str(mnli / goes_on_with / "best")


SEARCH = """
checkpoints: {tiny: {model: MODEL, from_scratch: true}}
seeds: [1, 2]
tasks: {cola: {search: {trials: 4, at_once: 2, space: {batch_size: [8, 16]}}}}
"""


def test_a_suggestion_knows_what_its_place_entitles_it_to(tmp_path: Path, sample_dir: Path) -> None:
    known: dict[str, dict[str, float | None]] = {}

    def suggest(trial: Trial, earlier: Sequence[tuple[Trial, Result | None]]) -> Mapping[str, Any]:
        known[trial.name] = {other.name: result.main if result else None for other, result in earlier}
        return {"batch_size": trial.number}

    bad = "cola/tiny-search1-seed2"
    engine = FakeEngine(lambda job: None if job.name == bad else 0.5, workers=8)
    make_sweep(tmp_path, sample_dir, SEARCH, suggest).run(engine)
    first = {"cola/tiny-search1-seed1": 0.5, bad: None}
    second = {"cola/tiny-search2-seed1": 0.5, "cola/tiny-search2-seed2": 0.5}
    assert known["cola/tiny-search2-seed1"] == {}  # two at once: it does not know the first
    assert known["cola/tiny-search3-seed2"] == first
    assert known["cola/tiny-search4-seed1"] == {**first, **second}
    assert {flag(job, "--batch_size") for job in engine.jobs if "search3" in job.name} == {"3"}
    assert read_status(tmp_path / "runs" / bad) == FAILED


def real_args(sweep: Sweep) -> Callable[[Job], Mapping[str, Any]]:
    """What args.json would say of a job of this sweep; its ``best/`` is made too."""

    def args_of(job: Job) -> Mapping[str, Any]:
        (trial,) = [trial for trial in sweep.trials if trial.name == job.name]
        best, model = Path(job.folder) / "best", flag(job, "--model_name_or_path")
        best.mkdir(exist_ok=True)
        for name in ("model.safetensors", "config.json", "vocab.txt"):
            (best / name).write_text(f"{name} of {job.name}", encoding="utf-8")
        write_manifest(best)
        splits = [split for kind in ("train", "dev") for split in TASKS[trial.task].of_kind(kind)]
        data = sweep.jobs.data_dir
        return {
            "task_name": trial.task, "model_name_or_path": model, "model_sha256": digest_of(model),
            "recipe": vars(sweep.jobs.recipe(trial, job)),
            "data": {split.file: {"sha256": sweep.jobs.digest(data / split.file)} for split in splits},
        }  # fmt: skip

    return args_of


def test_what_a_searchs_trials_have_begun_with_stays_theirs(tmp_path: Path, sample_dir: Path) -> None:
    """One that failed is done at last: what is suggested now is otherwise, for those that have not begun."""
    said = {"batch_size": 8}

    def suggest(trial: Trial, earlier: Sequence[tuple[Trial, Result | None]]) -> Mapping[str, Any]:
        return dict(said)

    def swept(bad: set[str]) -> FakeEngine:
        sweep = make_sweep(tmp_path, sample_dir, SEARCH, suggest)
        engine = FakeEngine(lambda job: None if job.name in bad else 0.5, args_of=real_args(sweep))
        outcomes = sweep.run(engine)
        assert {name for name, outcome in outcomes.items() if outcome.status != DONE} == bad
        return engine

    first = {"cola/tiny-search1-seed1"}
    both = {"cola/tiny-search4-seed1", "cola/tiny-search4-seed2"}
    swept(first | both)
    said["batch_size"] = 16
    again = swept(set())
    sizes = {job.name: flag(job, "--batch_size") for job in again.jobs if job.name in first | both}
    assert sizes == dict.fromkeys(first, "8") | dict.fromkeys(both, "16")  # its other seed had begun with 8


def test_a_transfer_outlives_the_run_it_began_with(tmp_path: Path, sample_dir: Path) -> None:
    """That run is trained again, and the transfer kept; but not if its own settings are other ones."""
    sweep = make_sweep(tmp_path, sample_dir)
    best = "mnli/tiny-lr1e-3-seed1"
    score = lambda job: 0.9 if job.name == best else 0.5  # noqa: E731
    sweep.run(FakeEngine(score, args_of=real_args(sweep)))
    shutil.rmtree(tmp_path / "runs" / best)
    sweep = make_sweep(tmp_path, sample_dir)
    sweep.check()
    engine = FakeEngine(score, args_of=real_args(sweep))
    outcomes = sweep.run(engine)
    assert best in engine.names
    assert {outcome.status for outcome in outcomes.values()} == {DONE}
    shutil.rmtree(tmp_path / "runs" / "mnli")
    other = make_sweep(tmp_path, sample_dir, PLAN + "settings: {batch_size: 5}\n")
    with pytest.raises(InputError, match=r"rte/.*was made with recipe.batch_size 32, the plan says 5"):
        other.check()


def test_a_trained_trial_that_was_called_stopped_is_finished(tmp_path: Path, sample_dir: Path) -> None:
    text = PLAN + "stop_early: median\n"
    sweep = make_sweep(tmp_path, sample_dir, text)
    sweep.run(FakeEngine(lambda job: 0.5, args_of=real_args(sweep)))
    record = tmp_path / "runs" / "cola" / "tiny-seed1.trial.json"
    record.write_text(record.read_text(encoding="utf-8").replace('"done"', f'"{STOPPED}"'), encoding="utf-8")
    outcomes = make_sweep(tmp_path, sample_dir, text).run(FakeEngine(lambda job: 0.5))
    assert outcomes["cola/tiny-seed1"].status == DONE


def test_a_done_transfer_outlives_its_source(tmp_path: Path, sample_dir: Path) -> None:
    """MNLI's trials fail when swept again: what began with them and is trained is not skipped."""
    sweep = make_sweep(tmp_path, sample_dir)
    sweep.run(FakeEngine(lambda job: 0.5, args_of=real_args(sweep)))
    for folder in (tmp_path / "runs" / "mnli").glob("tiny*[0-9]"):
        shutil.rmtree(folder)
    engine = FakeEngine(lambda job: None if job.task == "mnli" else 0.5)
    outcomes = make_sweep(tmp_path, sample_dir).run(engine)
    assert {outcome.status for name, outcome in outcomes.items() if "mnli/" in name} == {FAILED}
    assert {outcome.status for name, outcome in outcomes.items() if "rte/" in name} == {DONE}


def test_a_source_whose_predictions_failed_is_a_source(tmp_path: Path, sample_dir: Path) -> None:
    class Unpredicted(FakeEngine):
        def submit(self, job: Job) -> "Future[Outcome]":
            future = super().submit(job)
            if job.task != "mnli":
                return future
            failed = Future[Outcome]()
            failed.set_result(Outcome(FAILED, "glue.run_predict: no test file"))
            return failed

    engine = Unpredicted(lambda job: 0.9 if job.name == "mnli/tiny-lr2e-3-seed2" else 0.5)
    outcomes = make_sweep(tmp_path, sample_dir).run(engine)
    assert outcomes["rte/tiny-from-mnli-seed1"].status == DONE
    (job, _) = [job for job in engine.jobs if job.task == "rte"]
    assert flag(job, "--model_name_or_path") == str(tmp_path / "runs/mnli/tiny-lr2e-3-seed2/best")


def test_a_run_that_was_removed_is_not_done_while_it_runs_again(tmp_path: Path, sample_dir: Path) -> None:
    make_sweep(tmp_path, sample_dir).run(FakeEngine(lambda job: 0.5))
    shutil.rmtree(tmp_path / "runs" / "cola" / "tiny-seed1")
    seen = []

    def score(job: Job) -> float:
        if job.name == "cola/tiny-seed1":
            Path(job.folder).mkdir(parents=True)
            seen.extend(result.trial for result in read_results(tmp_path / "runs"))
        return 0.5

    make_sweep(tmp_path, sample_dir).run(FakeEngine(score))
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
    engine = FakeEngine(lambda job: 0.5)
    make_sweep(tmp_path, sample_dir, text).run(engine)
    cased, tiny = engine.jobs
    assert flag(cased, "--do_lower_case") == "false"
    assert "--do_lower_case" not in tiny.training
