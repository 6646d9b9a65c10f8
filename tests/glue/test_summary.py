"""The table of dev scores and both averages, worked out by hand."""

import json
from pathlib import Path

import pytest

from common.errors import InputError
from glue import summary
from glue.tasks import TASKS
from training.run_state import FINISHED


def write_run(folder: Path, task: str, main: float, step: int = 10) -> None:
    """A run whose every score is ``main``, and whose last evaluation is 0.1 lower."""
    keys = TASKS[task].score_keys
    best = {"step": step, **dict.fromkeys(keys, main), "main": main}
    last = {"step": 2 * step, **dict.fromkeys(keys, main - 0.1), "main": main - 0.1}
    folder.mkdir(parents=True)
    values = {"task": task, "main": TASKS[task].main, "best": best, "last": last}
    (folder / "scores.json").write_text(json.dumps(values), encoding="utf-8")
    (folder / FINISHED).touch()


def printed(capsys: pytest.CaptureFixture[str], folder: Path) -> list[str]:
    summary.main([str(folder)])
    return capsys.readouterr().out.splitlines()


def test_both_averages_by_hand(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number, task in enumerate(TASKS):
        write_run(tmp_path / task, task, 0.5 + number / 100)
    lines = printed(capsys, tmp_path)
    # 50 … 58: the mean of nine is 54; without WNLI, the last, the mean of 50 … 57 is 53.5.
    assert lines[-2] == "leaderboard average (nine tasks, dev): 54.00"
    assert lines[-1] == "ConvBERT paper's average (eight tasks, dev): 53.50"
    assert [line.split()[0] for line in lines[1:-2]] == list(TASKS)


def test_of_several_runs_the_best_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for task in TASKS:
        write_run(tmp_path / "a" / task, task, 0.5)
    write_run(tmp_path / "b" / "cola", "cola", 0.95, step=70)
    lines = printed(capsys, tmp_path)
    assert lines[-2].endswith(f": {100 * (8 * 0.5 + 0.95) / 9:.2f}")
    (row,) = [line for line in lines if line.endswith("b/cola")]
    assert row.split()[:4] == ["cola", "95.00", "85.00", "70"]


def test_an_average_over_fewer_tasks_is_never_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for task in list(TASKS)[:-1]:
        write_run(tmp_path / task, task, 0.5)
    lines = printed(capsys, tmp_path)
    assert lines[-2] == "leaderboard average (nine tasks, dev): none, for lack of wnli"
    assert lines[-1].endswith(": 50.00")


RTE = {"step": 1, "accuracy": 0.5, "main": 0.5}


def with_best(**values: object) -> str:
    return json.dumps({"task": "rte", "best": {**RTE, **values}, "last": RTE})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "scores.json: not JSON"),
        ("[]", "scores.json: expected a JSON object, found a list"),
        ('{"task": "rte"}', "best is None, not an evaluation"),
        ('{"task": "rte", "best": [], "last": {}}', "best is [], not an evaluation"),
        ('{"task": "rte", "best": {}, "last": {}}', "best: step is None, not a number"),
        (json.dumps({"task": "rte", "best": RTE, "last": {**RTE, "main": None}}), "last: main is None"),
        (json.dumps({"task": "rte", "best": {**RTE, "accuracy": "x"}, "last": RTE}), "best: accuracy is 'x'"),
        (
            json.dumps({"task": "rte", "best": {**RTE, "main": float("nan")}, "last": RTE}),
            "best: main is nan",
        ),
        (json.dumps({"task": "rte", "best": {**RTE, "step": True}, "last": RTE}), "best: step is True"),
        (with_best(main=1e308), "best: main is 1e+308"),
        (with_best(accuracy=-1.01), "best: accuracy is -1.01"),
        (with_best(main=10**300), "best: main is a number of some 301 digits"),
        (with_best(main=10**4000), "not JSON: a whole number of 4001 digits"),
        (with_best(step=1e308), "best: step is 1e+308"),
        (with_best(step=-1), "best: step is -1"),
        (with_best(main="x" * 10**6), "best: main is 'xxx"),
        (with_best(main=[[1e308]]), "best: main is [[1e+308]]"),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "scores.json").write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as raised:
        summary.main([str(tmp_path)])
    assert str(raised.value).startswith(str(tmp_path / "scores.json"))
    assert message in str(raised.value)
    assert len(str(raised.value)) < 500


def test_a_runs_name_is_no_command_of_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(tmp_path / "\x1b[2J\nrte 99.00\u202e", "rte", 0.5)
    lines = printed(capsys, tmp_path)
    assert len(lines) == 4
    assert lines[1].endswith("\\x1b[2J\\nrte 99.00\\u202e")
    assert all(line.isprintable() for line in lines)


@pytest.mark.parametrize("task", ['["rte"]', '{"rte": 1}', "1e308", "null", '"\\u001b[2J"'])
def test_scores_of_no_task_do_not_count(tmp_path: Path, task: str) -> None:
    (tmp_path / "scores.json").write_text(f'{{"task": {task}}}', encoding="utf-8")
    with pytest.raises(InputError, match=r"no scores\.json of a run"):
        summary.main([str(tmp_path)])


def test_folders_put_aside_and_foreign_scores_do_not_count(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(tmp_path / "rte", "rte", 0.5)
    write_run(tmp_path / ".old" / "rte", "rte", 0.9)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "scores.json").write_text('{"task": "squad"}', encoding="utf-8")
    lines = printed(capsys, tmp_path)
    assert len(lines) == 4
    assert lines[1].endswith(" rte")


def test_a_run_that_goes_on_is_marked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, saved, finished in (("a", "last", False), ("b", "last", True), ("c", "previous", False)):
        write_run(tmp_path / name, "rte", 0.5)
        (tmp_path / name / FINISHED).unlink()
        (tmp_path / name / saved).mkdir()  # killed between two saves, it has the one before alone
        (tmp_path / name / saved / "state.json").write_text(
            json.dumps({"finished": finished}), encoding="utf-8"
        )
    write_run(tmp_path / "d", "rte", 0.5)
    (tmp_path / "d" / FINISHED).unlink()
    lines = printed(capsys, tmp_path)
    assert lines[4].endswith(" d (last/ is missing: perhaps unfinished)")
    assert lines[3].endswith(" c (unfinished)")
    assert lines[1].endswith(" a (unfinished)")
    assert lines[2].endswith(" b")


def test_an_empty_folder_and_a_missing_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no scores\.json"):
        summary.main([str(tmp_path)])
    with pytest.raises(InputError, match="no such folder"):
        summary.main([str(tmp_path / "absent")])
