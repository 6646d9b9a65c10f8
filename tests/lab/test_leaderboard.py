"""lab.leaderboard with runs of the tiny model on a clock that the test moves, killed and called again."""

import dataclasses
import json
import re
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from checkpoints.folder import digest_of, read_config, save_checkpoint
from checkpoints.network import arrays_of
from common.errors import InputError, UsageError
from common.files import sha256_of, write_json
from encoders.framework import paddle
from encoders.heads import SentenceClassifier
from encoders.tokenizer import Tokenizer
from glue.data import find_file
from glue.tasks import TASKS, submission_files
from lab import leaderboard_run, submitting
from lab.ensemble_selection import SINGLE
from lab.leaderboard import main, make_parser
from lab.leaderboard_plan import write_plan
from lab.plan import trials_of
from lab.plan_file import read_plan
from lab.speed import Speed, estimate_seconds
from lab.time_plan import PlannedRun
from lab.trial_config import TrialConfig
from lab.trial_run import WorkerSlot
from lab.trial_store import DONE, FAILED, STOPPED, Outcome, record_path
from lab.work_record import WorkRecord
from submission.check import check
from tests.lab.conftest import fake
from training.run_state import read_run_state

TRAINED = ("cola", "rte", "mnli")
SPEED = Speed(training=200.0, evaluation=1000.0, rows=600, dev_rows=150)


class KilledError(BaseException):
    """Stands for SIGKILL: nothing here catches it."""


class Machine:
    """A clock that only work moves, an account of the work, and a moment at which all ends."""

    def __init__(self) -> None:
        self.now, self.events, self.kill_at, self.slowness = 0.0, list[str](), "", 1.0
        self.trained, self.failing = list[str](), set[str]()

    def work(self, event: str, seconds: float) -> None:
        """Something that takes so many seconds; half of them if it is killed meanwhile."""
        self.events.append(event)
        if self.kill_at and re.fullmatch(self.kill_at, event):
            self.kill_at, self.now = "", self.now + seconds / 2
            raise KilledError(event)
        self.now += (self.slowness if event.startswith("train ") else 1.0) * seconds

    def wrap(self, event: str, seconds: float, function: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any, **settings: Any) -> Any:
            self.work(event, seconds)
            return function(*arguments, **settings)

        return wrapped


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, sample_dir: Path) -> Path:
    """The sample's tiny ConvBERT with random weights."""
    paddle.seed(1)
    folder, tiny = tmp_path_factory.mktemp("published") / "my-model", sample_dir / "tiny-convbert"
    config = read_config(tiny)
    save_checkpoint(folder, config, arrays_of(SentenceClassifier(config)), Tokenizer(tiny))
    return folder


@pytest.fixture
def data(sample_dir: Path, tmp_path: Path) -> Path:
    """The sample; of most tasks without a training file, so that three are trained."""
    folder = tmp_path / "data"
    shutil.copytree(sample_dir, folder, ignore=shutil.ignore_patterns("tiny-convbert"))
    for name, task in TASKS.items():
        if name not in TRAINED:
            (folder / task.of_kind("train")[0].file).unlink()
    return folder


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, data: Path) -> Machine:
    """Runs, made up, take as long as the speeds say; nothing else takes any time but 4 or 5 s a step."""
    machine = Machine()

    def run_trial(
        config: TrialConfig, slot: WorkerSlot, is_cancelled: object, reason_to_stop: Callable[[], str]
    ) -> Outcome:
        files = [split for kind in ("train", "dev") for split in config.task.of_kind(kind)]
        args = {
            "task_name": config.task.name, "model_name_or_path": config.run.model_name_or_path,
            "model_sha256": digest_of(config.run.model_name_or_path), "do_lower_case": None,
            "recipe": dataclasses.asdict(config.run.training),
            "data": {split.file: {"sha256": sha256_of(find_file(data, split))} for split in files},
        }  # fmt: skip
        if not read_run_state(config.folder).is_trained:
            write_json(config.folder / "args.json", args)
            if config.task.name in machine.failing:
                return Outcome(FAILED, "no luck")
            for _ in range(10):
                machine.work(f"train {config.task.name}", 0.1 * estimate_seconds(config, SPEED))
                if reason := reason_to_stop():
                    return Outcome(STOPPED, reason)
        machine.trained.append(config.name)
        fake(config.folder.parents[1], config.name, data, args=args)
        record_path(config.folder).unlink()  # the sweep writes it
        machine.work(f"trained {config.task.name}", 0.0)
        return Outcome(DONE)

    monkeypatch.setattr("lab.local.run_trial", run_trial)
    monkeypatch.setattr("lab.ensemble_io.options_for", lambda *_: [SINGLE])  # joining has its own tests
    monkeypatch.setattr("lab.leaderboard_run._SCORES", 0)  # by the real clock
    monkeypatch.setattr(leaderboard_run, "WorkRecord", partial(WorkRecord, clock=lambda: machine.now))
    for target, event, seconds, function in (
        ("lab.estimate.measure", "measure", 4.0, lambda _: SPEED),
        ("lab.leaderboard_run.write_plan", "plan", 0.0, leaderboard_run.write_plan),
        ("lab.submitting.pack", "pack", 5.0, submitting.pack),
        ("lab.report_page.page", "report", 5.0, lambda *_: "<html></html>"),
        ("lab.leaderboard_run._run_command", "verify", 5.0, lambda *_: 0),
    ):
        monkeypatch.setattr(target, machine.wrap(event, seconds, function))
    return machine


def argv(model: Path, data: Path, output: Path, hours: float, *more: object) -> list[str]:
    where = ["--data_dir", str(data), "--output", str(output), "--hours", str(hours)]
    return ["--model", str(model), *where, *map(str, more)]


def statuses(output: Path) -> dict[str, str]:
    return {report.name: report.status for report in check(output, output.parent / "data")}


def test_hours_become_a_whole_zip_and_filled_tasks_are_named(
    machine: Machine, model: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out.zip"
    main(argv(model, data, output, 0.1))
    out, err = capsys.readouterr()
    runs = tmp_path / "out.runs"
    spent = json.loads((runs / "leaderboard.json").read_text(encoding="utf-8"))["seconds"]
    assert spent == pytest.approx(machine.now, abs=0.1)
    assert 0.85 * 360 < spent <= 360
    plan = read_plan(str(runs / "plan.yaml"))
    assert set(plan.tasks) == set(TRAINED)
    assert plan.tasks["rte"].init_from == "mnli"
    assert {trial.name for trial in trials_of(plan)} == set(machine.trained)
    manifest = json.loads((tmp_path / "out.manifest.json").read_text(encoding="utf-8"))
    filled = {name for name, entry in manifest["tasks"].items() if "constant" in entry}
    assert filled == set(TASKS) - set(TRAINED)
    assert statuses(output) == {
        split.submission_file: "OK" if task.name in TRAINED else "FILLED"
        for task, split in submission_files()
    }
    assert re.search(r"plan: mnli +\d × 3 epochs\n", err)
    assert re.search(r"plan: rte +\d × 10 epochs, from mnli\n", err)
    assert "QNLI/train.tsv: no such file" in err
    assert re.search(r"runs done \d, to begin \d; ends in about \d min, at \d\d:\d\d\n", err)
    assert re.search(r"so far trained cola, dev average of all nine \d\d\.\d\d \(single runs\)\n", err)
    assert err.endswith(f"took {spent / 3600:.3f} of 0.1 hours\n")
    assert (tmp_path / "out.report.html").is_file()
    assert (tmp_path / "out.form.txt").is_file()
    assert str(tmp_path / "out.report.html") in out


MOMENTS = [
    "measure", "plan", "train cola", "trained cola", "train mnli", "train mnli", "trained rte", "pack",
    "report", "verify",
]  # fmt: skip


def test_killed_at_every_moment_it_goes_on_and_ends_as_if_it_had_been_left_alone(
    machine: Machine, model: Path, data: Path, tmp_path: Path
) -> None:
    output = tmp_path / "killed.zip"
    for moment in MOMENTS:
        machine.kill_at = moment
        with pytest.raises(KilledError):
            main(argv(model, data, output, 0.15))
    main(argv(model, data, output, 0.15))
    spent = json.loads((tmp_path / "killed.runs" / "leaderboard.json").read_text("utf-8"))["seconds"]
    assert spent == pytest.approx(machine.now, abs=0.1 * len(MOMENTS))
    assert spent <= 1.1 * 0.15 * 3600
    assert len(set(machine.trained)) == len(machine.trained)  # no training that was done is done again
    left_alone = tmp_path / "whole.zip"
    main(argv(model, data, left_alone, 0.15))
    for name in TRAINED:
        entries = [
            json.loads(zipped.with_suffix(".manifest.json").read_text("utf-8"))["tasks"][name]
            for zipped in (output, left_alone)
        ]
        assert ["constant" in entry for entry in entries] == [False, False]
    assert statuses(output) == statuses(left_alone)


def test_slow_runs_are_stopped_in_time_and_more_hours_go_on(
    machine: Machine, model: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Fifteen times as slow as measured: the zip has what there was time for, the rest is filled."""
    output, machine.slowness = tmp_path / "out.zip", 15.0
    main(argv(model, data, output, 0.1))
    err = capsys.readouterr().err
    assert re.search(r"filled, not trained: .*; the same command with more --hours goes on\n", err)
    spent = float(re.findall(r"took ([\d.]+) of 0\.1 hours", err)[0])
    assert spent <= 1.1 * 0.1
    first, machine.slowness = list(machine.trained), 1.0
    assert 1 <= len({name.partition("/")[0] for name in first}) < 3
    main(argv(model, data, output, 0.4))
    assert {name.partition("/")[0] for name in machine.trained} == set(TRAINED)
    assert not set(first) & set(machine.trained[len(first) :])
    assert set(statuses(output).values()) == {"OK", "FILLED"}


def test_a_run_that_is_far_too_slow_is_stopped_and_goes_on_with_more_hours(
    machine: Machine, model: Path, data: Path, tmp_path: Path
) -> None:
    output, machine.slowness = tmp_path / "out.zip", 40.0
    with pytest.raises(InputError, match="no run is done; the same command with more --hours goes on"):
        main(argv(model, data, output, 0.1))
    assert machine.now <= 1.1 * 360
    assert not output.exists()
    (path,) = (tmp_path / "out.runs").glob("*/*.trial.json")
    record = json.loads(path.read_text(encoding="utf-8"))
    assert (record["status"], record["message"][:14]) == (STOPPED, "the time is up")
    machine.slowness = 1.0
    main(argv(model, data, output, 0.3))
    assert record["trial"] in machine.trained
    assert {name.partition("/")[0] for name in machine.trained} == set(TRAINED)


def test_what_a_killed_run_lost_says_nothing_of_its_speed(tmp_path: Path) -> None:
    """300 s in a call that was killed before the first save; 40 s from begin to end in the next."""
    now, path = [0.0], tmp_path / "record.json"
    record = WorkRecord(path, lambda: now[0])
    record.began("a", is_anew=True)
    now[0] = 300.0
    record.save()
    record = WorkRecord(path, lambda: now[0])
    assert (record.seconds, record.trial_seconds("a")) == (300.0, 300.0)
    record.began("a", is_anew=True)
    now[0] = 340.0
    record.ended("a")
    assert record.trial_seconds("a") == 40.0
    record.began("a", is_anew=False)
    now[0] = 350.0
    assert (record.seconds, record.trial_seconds("a")) == (350.0, 50.0)


@pytest.mark.parametrize("hours", ["0", "-1", "nan", "inf", "ten", "1e9"])
def test_impossible_hours_are_wrong_usage(hours: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        make_parser().parse_args(argv(Path("m"), Path("d"), Path("o.zip"), 1, "--hours", hours))
    assert raised.value.code == 2
    assert "is not a number of hours above 0 and up to a year" in capsys.readouterr().err


def test_too_few_hours_are_refused_before_anything_is_trained(
    machine: Machine, model: Path, data: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out.zip"
    with pytest.raises(InputError, match=r"--hours 0\.001: too few; packing alone takes 30 s"):
        main(argv(model, data, output, 0.001))
    assert not (tmp_path / "out.runs").exists()
    with pytest.raises(
        InputError, match=r"too few for any run; .* the shortest, of \w+, takes about 39 s .* a short run of"
    ):
        main(argv(model, data, output, 0.011))
    assert set(machine.events) == {"measure"}
    machine.events.clear()
    main(argv(model, data, output, 0.012))  # the speeds are kept, the time does not count
    assert "measure" not in machine.events
    with pytest.raises(UsageError, match=r"give a name that ends in \.zip"):
        main(argv(model, data, tmp_path / "out", 1))


def test_another_model_and_missing_files_are_named(
    machine: Machine, model: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "out.zip"
    monkeypatch.chdir(model.parent)
    main(argv(Path(model.name), data, output, 0.02))
    monkeypatch.chdir(tmp_path)
    main(argv(model, data, output, 0.02))  # the same model by another path
    with pytest.raises(InputError, match=rf"was begun with --model {model}; take another --output"):
        main(argv(model, data, output, 0.05, "--preset", "stable"))
    (data / "diagnostic" / "diagnostic.tsv").unlink()
    with pytest.raises(InputError, match=r"diagnostic\.tsv: no such file"):
        main(argv(model, data, output, 0.05))
    for task in TRAINED:
        (data / TASKS[task].of_kind("train")[0].file).unlink()
    with pytest.raises(InputError, match="no task has all of its files there"):
        main(argv(model, data, output, 0.05))


def test_a_task_that_fails_is_named_and_the_zip_is_whole(
    machine: Machine, model: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.failing.add("mnli")
    with pytest.raises(InputError, match=r"^1 of \d+ trials failed; the same command tries them again; the"):
        main(argv(model, data, tmp_path / "out.zip", 0.1))
    err = capsys.readouterr().err
    assert re.search(r"mnli/my_model[\w.-]*: no luck\n", err)
    manifest = json.loads((tmp_path / "out.manifest.json").read_text(encoding="utf-8"))
    assert "constant" in manifest["tasks"]["mnli"]
    assert "constant" not in manifest["tasks"]["rte"]
    assert "init_from" not in (tmp_path / "out.runs" / "plan.yaml").read_text(encoding="utf-8")


def test_runs_of_several_lengths_are_written_as_a_plan_and_read_back(tmp_path: Path) -> None:
    runs = [
        PlannedRun("mnli", 0.125, 1), PlannedRun("mnli", 1.0, 1), PlannedRun("mnli", 1.0, 2),
        PlannedRun("rte", 0.5, 1, "mnli"), PlannedRun("cola", 1.0, 1),
    ]  # fmt: skip
    epochs, checkpoint = {"mnli": 3.0, "rte": 10.0, "cola": 3.0}, {"mini": "convbert-mini"}
    settings = {"mnli": {"save_steps": 3068}}
    trials = write_plan(tmp_path / "plan.yaml", checkpoint, "stable", epochs, settings, runs)
    assert [trials[run].name for run in runs] == [
        "mnli/mini-epochs0.375-seed1", "mnli/mini-seed1", "mnli/mini-seed2",
        "rte/mini-from-mnli-epochs5-seed1", "cola/mini-seed1",
    ]  # fmt: skip
    for run in runs:
        trial = trials[run]
        assert (trial.task, trial.seed, trial.init_from) == (run.task, run.seed, run.init_from)
        assert trial.settings.get("save_steps") == (3068 if run.task == "mnli" else None)
        length = epochs[run.task] * run.fraction
        assert trial.settings.get("num_train_epochs", epochs[run.task]) == length
        assert trial.preset == "stable"


def test_large_tasks_are_saved_four_times_an_epoch(
    machine: Machine, model: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    speed = Speed(training=40_000.0, evaluation=100_000.0, rows=32 * 1000, dev_rows=150)
    monkeypatch.setattr("lab.estimate.measure", lambda _: speed)
    main(argv(model, data, tmp_path / "out.zip", 0.03))
    plan = read_plan(str(tmp_path / "out.runs" / "plan.yaml"))
    assert {trial.settings["save_steps"] for trial in trials_of(plan)} == {250}
