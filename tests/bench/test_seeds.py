import json
import math

import pytest

from bench import seeds
from bench.seeds import table, welch


def _row(side, seed, value):
    return {"side": side, "task": "rte", "seed": seed, "scores": {"accuracy": value, "main": value}}


def test_the_interval_is_welchs():
    # Worked by hand: means 2 and 5, variances 1 and 4, n 3 each; standard error √(5/3), and by
    # Satterthwaite (5/3)² / ((1/3)²/2 + (4/3)²/2) = 2.9412 degrees of freedom; t at 97.5 % is 3.2179.
    difference, low, high = welch([1, 2, 3], [3, 5, 7])
    assert difference == -3
    assert low == pytest.approx(-3 - 3.2179 * math.sqrt(5 / 3), abs=2e-3)
    assert high == pytest.approx(-3 + 3.2179 * math.sqrt(5 / 3), abs=2e-3)


def test_one_run_says_nothing_of_the_difference():
    assert welch([1.0], [2.0, 3.0]) == (-1.5, -math.inf, math.inf)


def test_the_table_compares_the_sides_in_percent():
    rows = [
        _row("ours", 1, 0.5),
        _row("ours", 2, 0.7),
        _row("transformers", 1, 0.59),
        _row("transformers", 2, 0.61),
    ]
    *_, line = table(rows)
    assert line.startswith("| rte | accuracy | 2: 60.00 ± 14.14 | 2: 60.00 ± 1.41 | +0.00 |")


def test_what_one_side_lacks_is_not_compared():
    assert len(list(table([_row("ours", 1, 0.5)]))) == 2  # the head of the table alone


def test_a_finished_run_is_not_run_again(tmp_path, capsys, monkeypatch):
    output = tmp_path / "seeds.jsonl"
    rows = [_row(side, seed, seed / 100) for side in seeds.SIDES for seed in (42, 43)]
    output.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    monkeypatch.setenv("HUGGINGFACE_PYTHON", "/nowhere")  # which a run would stumble over
    seeds.main(
        ["--model", "none", "--data_dir", "none", "--output", str(output), "--tasks", "rte", "--seeds", "2"]
    )
    assert "| 2: 42.50 ± 0.71 | 2: 42.50 ± 0.71 |" in capsys.readouterr().out
    assert len(output.read_text(encoding="utf-8").splitlines()) == 4


def test_a_regression_is_scored_within_its_range(tmp_path):
    folder = tmp_path / "STS-B"
    folder.mkdir()
    header = "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2\tscore\n"
    gold = [0.0, 1.0, 4.0, 5.0]
    lines = [f"{i}\tg\tf\ty\t{i}\ts\ts\ta\tb\t{score}\n" for i, score in enumerate(gold)]
    (folder / "dev.tsv").write_text(header + "".join(lines), encoding="utf-8")
    scores = seeds._scored("sts-b", [[-3.0], [1.0], [4.0], [9.0]], str(tmp_path))
    assert scores["pearson"] == pytest.approx(1.0)
