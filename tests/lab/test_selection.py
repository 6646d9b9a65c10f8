"""Best, median, mean and deviation: hand-worked."""

import json
import math
from pathlib import Path

import pytest
from pandas import Series

from common.errors import InputError
from lab.results import summarise, trials_table
from lab.selection import main
from lab.significance import holm
from lab.trial_store import read_begun_settings, read_results


def add(runs: Path, name: str, score: float | None, status: str = "done") -> None:
    task, _, rest = name.partition("/")
    folder = runs / name
    folder.mkdir(parents=True)
    record = {
        "trial": name, "task": task, "configuration": f"{task}/{rest.rpartition('-')[0]}", "status": status,
        "message": "", "seconds": 1.5,
    }  # fmt: skip
    folder.with_name(folder.name + ".trial.json").write_text(json.dumps(record), encoding="utf-8")
    if score is not None:
        seed = int(name.rpartition("seed")[2]) if "-seed" in name else 4
        best = {"step": 9, "main": score, "accuracy": score, "matthews": score}
        (folder / "scores.json").write_text(
            json.dumps({"task": task, "best": best, "last": best}), encoding="utf-8"
        )
        (folder / "args.json").write_text(json.dumps({"recipe": {"seed": seed}}), encoding="utf-8")


def test_by_hand(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number, score in enumerate([0.60, 0.64, 0.70, 0.66]):  # mean 0.65, squares 25 + 1 + 25 + 1 = 52 e-4
        add(tmp_path, f"rte/base-seed{number}", score)
    args = {"recipe": {"seed": 3}, "model_sha256": "another MNLI run than the others'"}
    (tmp_path / "rte" / "base-seed3" / "args.json").write_text(json.dumps(args), encoding="utf-8")
    add(tmp_path, "rte/base-seed8", None, "failed")
    add(tmp_path, "rte/base-seed9", None, "stopped early")
    add(tmp_path, "rte/small-seed1", 0.59)
    add(tmp_path, "cola/base-seed1", None, "skipped")
    summary = summarise(trials_table(read_results(tmp_path))).set_index("configuration")
    assert list(summary.index) == ["cola/base", "rte/base", "rte/small"]  # tasks in the table's order
    base = summary.loc["rte/base"]
    assert base[["best", "mean", "median"]].tolist() == pytest.approx([0.70, 0.65, 0.65])
    assert base["deviation"] == pytest.approx((52e-4 / 3) ** 0.5)
    main([str(tmp_path)])
    out, err = capsys.readouterr()
    assert [" ".join(line.split()) for line in out.splitlines()] == [
        "configuration runs best best of task median mean deviation failed stopped early skipped",
        "cola/base 0 – – – – 0 0 1",
        "rte/base 4 70.00 * 65.00 65.00 4.16 1 1 0",
        "rte/small 1 59.00 59.00 59.00 – 0 0 0",
    ]
    stopped, models = err.splitlines()
    assert "stopped early" in stopped
    assert "rte/base: its runs began with 2 models" in models


def test_differences_are_paired_by_seed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for seed, plain, with_ema, with_fgm in [
        (1, 0.60, 0.61, 0.66),
        (2, 0.70, 0.72, 0.80),
        (3, 0.50, 0.53, None),
    ]:
        add(tmp_path, f"rte/base-seed{seed}", plain)
        add(tmp_path, f"rte/base-ema-seed{seed}", with_ema)
        add(tmp_path, f"rte/base-reinit-seed{seed}", plain - 0.04 - seed / 100)
        add(tmp_path, f"rte/base-fgm-seed{seed}", with_fgm, "done" if with_fgm else "failed")
    add(tmp_path, "rte/base-ema-seed4", 0.99)  # the plain recipe has no run with this seed
    add(tmp_path, "cola/base-seed1", 0.20)
    add(tmp_path, "cola/base-ema-seed1", 0.16)
    add(tmp_path, "sst-2/base-ema-seed1", 0.99)  # nor any of this task
    for seed, right in ((1, 100), (2, 101)):  # these begin with another task's best; each is 70 rows better
        add(tmp_path, f"qnli/base-from-rte-seed{seed}", right / 277)
        add(tmp_path, f"qnli/base-from-rte-fgm-seed{seed}", (right + 70) / 277)
    assert 170 / 277 - 100 / 277 != 171 / 277 - 101 / 277  # but for rounding they are equal
    main([str(tmp_path), "--against", "base"])
    # 1, 2, 3: mean 2, deviation 1; t(2) at 0.975 is 4.302653, over the root of 3 2.484138.
    # 25.27, 25.27, 6, 10: mean 16.635, squares 74.57, 74.57, 113.11 and 44.03: 306.28, over 3 and 4 5.0521².
    # 6, 10: mean 8, deviation the root of 8, over the root of 2: 2; t(1) is 12.706205.
    # -4, 1, 2, 3: mean 0.5, squares 20.25 + 0.25 + 2.25 + 6.25 = 29, over 3 and 4 1.554563²; t(3) 3.182446.
    # p with one degree of freedom 1 - 2/pi arctan t, with two 1 - t/sqrt(2 + t²): 0.00913 (t 10.39),
    # 0.0742 (3.464), 0.156 (4), times 3, 2, 1. With three, u = t/sqrt(3), 1 - 2/pi (arctan u + u/(1 + u²)):
    # 0.046 and 0.769, times 2, 1.
    out, err = capsys.readouterr()
    assert err == "sst-2: nothing to compare with base\n"
    assert [" ".join(line.split()) for line in out.partition("\n\n")[2].splitlines()] == [
        "minus base task pairs mean low high p verdict",
        "base-ema cola 1 -4.00 – – –",
        "base-ema rte 3 +2.00 -0.48 +4.48 0.148",
        "base-ema all tasks 4 +0.50 -4.45 +5.45 0.769",
        "base-fgm qnli 2 +25.27 – – –",
        "base-fgm rte 2 +8.00 -17.41 +33.41 0.156",
        "base-fgm all tasks 4 +16.64 +0.56 +32.71 0.092",
        "base-reinit rte 3 -6.00 -8.48 -3.52 0.027 worse",
    ]
    main([str(tmp_path), "--against", "base", "--format", "json"])
    reinit = json.loads(capsys.readouterr().out)[-1]
    assert (reinit["minus base"], reinit["mean"]) == ("base-reinit", pytest.approx(-6))
    with pytest.raises(
        InputError, match="--against plain: no such configuration is done; done ones: base, base-ema"
    ):
        main([str(tmp_path), "--against", "plain"])


def test_holm_by_hand() -> None:
    """0.01 · 4, 0.02 · 3; 0.025 · 2 is less than what came before it, so that stands; the last alone."""
    assert holm(Series([0.02, 0.9, 0.01, 0.025])).tolist() == pytest.approx([0.06, 0.9, 0.04, 0.06])
    assert holm(Series([0.6, math.nan, 0.7])).fillna(2).tolist() == [1.0, 2.0, 1.0]
    assert holm(Series(dtype=float)).empty


def test_damaged_records_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no trials of a sweep"):
        main([str(tmp_path)])
    add(tmp_path, "rte/base-seed1", 0.5)
    scores = tmp_path / "rte" / "base-seed1" / "scores.json"
    scores.write_text(json.dumps({"task": "rte", "best": {"main": 0.5}}), encoding="utf-8")
    with pytest.raises(InputError, match=r"base-seed1/scores\.json: not the scores of a run"):
        read_results(tmp_path)
    (tmp_path / "rte" / "base-seed1.trial.json").write_text("{}", encoding="utf-8")
    with pytest.raises(InputError, match=r"base-seed1\.trial\.json: not a trial's record"):
        read_results(tmp_path)


@pytest.mark.parametrize(
    "value", ["1e308", "-1e308", "1.01", "NaN", "Infinity", '"0.5"', "1" + "0" * 300, "[[0.5]]"]
)
def test_scores_beyond_the_possible_are_named(tmp_path: Path, value: str) -> None:
    add(tmp_path, "rte/base-seed1", 0.5)
    scores = tmp_path / "rte" / "base-seed1" / "scores.json"
    scores.write_text(
        scores.read_text(encoding="utf-8").replace('"main": 0.5', f'"main": {value}'), encoding="utf-8"
    )
    with pytest.raises(InputError, match=r"best: main is .*remove"):
        read_results(tmp_path)


@pytest.mark.parametrize("task", ["[]", "null", "NaN", '"cola"', '"x"', "{}", '"\\u001b[2J"'])
def test_scores_of_another_task_are_named(tmp_path: Path, task: str) -> None:
    add(tmp_path, "rte/base-seed1", 0.5)
    scores = tmp_path / "rte" / "base-seed1" / "scores.json"
    scores.write_text(
        scores.read_text(encoding="utf-8").replace('"task": "rte"', f'"task": {task}'), encoding="utf-8"
    )
    with pytest.raises(InputError, match="not the scores of a rte run") as error:
        read_results(tmp_path)
    assert error.value.path == scores


@pytest.mark.parametrize("value", ["1e308", "-1", "NaN", "[]"])
def test_seconds_beyond_the_possible_are_named(tmp_path: Path, value: str) -> None:
    add(tmp_path, "rte/base-seed1", 0.5)
    record = tmp_path / "rte" / "base-seed1.trial.json"
    record.write_text(
        record.read_text(encoding="utf-8").replace('"seconds": 1.5', f'"seconds": {value}'), encoding="utf-8"
    )
    with pytest.raises(InputError, match=r"base-seed1\.trial\.json: not a trial's record"):
        read_results(tmp_path)


def test_a_records_words_are_no_commands_of_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    add(tmp_path, "rte/base-seed1", 0.5)
    record = tmp_path / "rte" / "base-seed1.trial.json"
    record.write_text(
        record.read_text(encoding="utf-8").replace('"rte/base"', r'"rte/\u001b[2J\u202e\n"'), encoding="utf-8"
    )
    main([str(tmp_path)])
    out = capsys.readouterr().out
    assert "rte/\\x1b[2J\\u202e\\n" in out
    assert out.replace("\n", "").isprintable()


@pytest.mark.parametrize("seed", ["Infinity", "1e308", '"3"', "true"])
def test_a_seed_that_is_no_whole_number_is_one_line(tmp_path: Path, seed: str) -> None:
    add(tmp_path, "rte/base-seed1", 0.5)
    path = tmp_path / "rte/base-seed1/args.json"
    path.write_text(f'{{"recipe": {{"seed": {seed}}}}}', encoding="utf-8")
    with pytest.raises(InputError) as caught:
        read_begun_settings(path.parent)
    assert str(path) in str(caught.value)
    assert "seed" in str(caught.value)
