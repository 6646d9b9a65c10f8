"""bench.compare_outputs says whether files of answers are the same; scripts/chain.sh ends by it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.compare_outputs import main as compare
from common.errors import InputError

ROW = {"index": 0, "label_id": 1, "label": "1", "prob": 0.75, "probabilities": {"0": 0.25, "1": 0.75}}


def write(path: Path, *rows: dict[str, Any]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def changed(**changes: Any) -> dict[str, Any]:
    return {**ROW, **changes}


@pytest.mark.parametrize(
    "other", [ROW, changed(prob=0.75009), changed(probabilities={"0": 0.25, "1": 0.74991})]
)
def test_the_same_answers_agree(
    tmp_path: Path, other: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    first = write(tmp_path / "a", ROW)
    compare([first, write(tmp_path / "b", other), first])
    assert capsys.readouterr().out.count("1 rows as in") == 2


@pytest.mark.parametrize(
    ("others", "message"),
    [
        ([ROW, changed(prob=0.7502)], "b:2: prob is 0.7502, in"),
        ([ROW, changed(probabilities={"0": 0.25, "1": 0.7})], "b:2: probabilities.1 is 0.7"),
        ([ROW, changed(label="0")], "b:2: label is '0'"),
        ([ROW, changed(label_id=0)], "b:2: label_id is 0"),
        ([ROW, changed(prob=float("nan"))], "b:2: prob is nan"),
        ([ROW, changed(more=1)], "b:2: more is 1, in"),
        ([ROW], "b:2: one file has fewer rows"),
        ([ROW, ROW, ROW], "b:3: one file has fewer rows"),
    ],
)
def test_a_difference_is_named(tmp_path: Path, others: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(InputError) as caught:
        compare([write(tmp_path / "a", ROW, ROW), write(tmp_path / "b", *others)])
    assert message in str(caught.value)


def answer(first: float) -> dict[str, Any]:
    chances = {"0": first, "1": 1 - first}
    best = "0" if first > 0.5 else "1"
    return {"label_id": int(best), "label": best, "prob": chances[best], "probabilities": chances}


def test_of_two_labels_in_a_near_tie_either_may_be_the_answer(tmp_path: Path) -> None:
    compare([write(tmp_path / "a", answer(0.50004)), write(tmp_path / "b", answer(0.49996))])
    with pytest.raises(InputError, match="b:1: label_id is 1"):
        compare([write(tmp_path / "a", answer(0.5002)), write(tmp_path / "b", answer(0.4998))])
    with pytest.raises(InputError, match="b:1: label is"):  # of equal chances, but not the one they name
        compare([write(tmp_path / "a", answer(0.7)), write(tmp_path / "b", {**answer(0.7), "label": "1"})])


@pytest.mark.parametrize("value", ["nan", "-1", "inf", "much"])
def test_a_tolerance_is_a_number_of_at_least_0(
    tmp_path: Path, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        compare([write(tmp_path / "a", ROW), write(tmp_path / "b", ROW), f"--tolerance={value}"])
    assert f"'{value}' is not a number of at least 0" in capsys.readouterr().err


def test_no_rows_do_not_agree(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no rows"):
        compare([write(tmp_path / "a"), write(tmp_path / "b")])


def run_chain(project: Path, folder: Path, *argv: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", str(project / "scripts" / "chain.sh"), *argv, str(folder)],
        env={**os.environ, "PYTHON": sys.executable, "OMP_NUM_THREADS": "1", **env},
        capture_output=True,
        encoding="utf-8",
        timeout=900,
    )


@pytest.mark.long
@pytest.mark.parametrize("mode", ["lite_train_lite_infer", "lite_train_whole_infer"])
def test_the_chain(project_dir: Path, tmp_path: Path, mode: str) -> None:
    pytest.importorskip("onnx")
    pytest.importorskip("fastapi")
    done = run_chain(project_dir, tmp_path, mode)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = (tmp_path / "results_python.log").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 11
    assert all(line.startswith("Run successfully with command - ") for line in lines)
    rows = len((tmp_path / "served.jsonl").read_text(encoding="utf-8").splitlines())
    assert rows == {"lite_train_lite_infer": 64, "lite_train_whole_infer": 150}[mode]


def test_a_chain_that_fails_says_where(project_dir: Path, tmp_path: Path) -> None:
    done = run_chain(project_dir, tmp_path, "lite_train_lite_infer", DATA_DIR=str(tmp_path), MODEL="nothing")
    assert done.returncode == 1
    (line,) = (tmp_path / "results_python.log").read_text(encoding="utf-8").splitlines()
    assert line.startswith("Run failed with command - ")
    assert "glue.run_glue" in line


def test_a_mode_that_there_is_not_is_wrong_usage(project_dir: Path, tmp_path: Path) -> None:
    assert run_chain(project_dir, tmp_path, "all").returncode == 2
