"""The report page: what it says where something is missing, unfinished or does not fit."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from common.errors import InputError
from common.files import sha256_of, write_json
from glue.tasks import TASKS
from lab import report
from lab.report_page import page as render_page
from lab.report_submission import categories
from lab.results import done_runs, results
from tests.lab.page_reader import read_page
from tests.lab.report_samples import gold_rows, write_predictions, write_run
from training.run_state import FINISHED


def test_trials_of_a_sweep_that_came_to_nothing_are_named(report_runs: Path, tmp_path: Path) -> None:
    write_run(tmp_path, "rte/base-seed1", "rte", 1, [{"accuracy": 0.5}])
    common = {"task": "rte", "configuration": "rte/base", "seconds": 1.0}
    for seed, status, message in ((1, "done", ""), (2, "failed", "the loss became nan <2>")):
        record = {**common, "trial": f"rte/base-seed{seed}", "status": status, "message": message}
        write_json(tmp_path / "rte" / f"base-seed{seed}.trial.json", record)
    page = read_page(render_page(tmp_path, None, None))
    (line,) = page.all("li", class_="trial")
    assert line.text == "rte/base-seed2 failed the loss became nan <2>"


def test_what_is_on_its_way_is_no_result(tmp_path: Path) -> None:
    """Stopped early, running within a sweep or by itself: named, and in no number."""
    for name, value in (
        ("base-lr1e-5-seed5", 0.5),
        ("base-seed2", 0.9),
        ("base-seed3", 0.8),
        ("base-seed4", 0.7),
    ):
        write_run(tmp_path, f"rte/{name}", "rte", int(name[-1]), [{"accuracy": value}])
    for name, status in (("base-lr1e-5-seed5", "done"), ("base-seed2", "stopped early")):
        record = {
            "trial": f"rte/{name}", "task": "rte", "configuration": f"rte/{name.rpartition('-')[0]}",
            "seconds": 1.0, "status": status, "message": "why",
        }  # fmt: skip
        write_json(tmp_path / "rte" / f"{name}.trial.json", record)
    for name, is_finished in (("base-seed3", False), ("base-seed4", True)):
        (tmp_path / "rte" / name / FINISHED).unlink()
        write_json(tmp_path / "rte" / name / "last" / "state.json", {"finished": is_finished})
    done = done_runs(results(tmp_path))
    assert dict(zip(done["run"], done["configuration"], strict=True)) == {
        "rte/base-lr1e-5-seed5": "rte/base-lr1e-5", "rte/base-seed4": "rte/base",
    }  # fmt: skip
    page = read_page(render_page(tmp_path, None, None))
    assert [line.text for line in page.all("li", class_="trial")] == [
        "rte/base-seed2 stopped early why",
        "rte/base-seed3 unfinished evaluated at step 10; saved, not trained",
    ]
    for name in ("base-seed4", "base-lr1e-5-seed5"):
        shutil.rmtree(tmp_path / "rte" / name)
    with pytest.raises(InputError, match="no run below it is done yet"):
        render_page(tmp_path, None, None)


def test_scores_of_other_rows_than_the_official_are_said_to_be_so(tmp_path: Path) -> None:
    for name, task, files in (
        ("a", "rte", {"RTE/dev.tsv": 277}),
        ("b", "mnli", {"MNLI/dev_matched.tsv": 9815, "MNLI/dev_mismatched.tsv": 9831}),
    ):
        write_run(tmp_path, name, task, 1, [dict.fromkeys(TASKS[task].score_keys, 0.5)])
        data = {file: {"rows": rows, "sha256": ""} for file, rows in files.items()}
        write_json(tmp_path / name / "args.json", {"recipe": {"seed": 1}, "data": data})
    (warning,) = read_page(render_page(tmp_path, None, None)).all("p", class_="WARNING")
    assert [name.text for name in warning.all(class_="name")] == ["mnli"]


def test_without_data_or_predictions_it_says_what_to_do(
    report_runs: Path, report_data: Path, tmp_path: Path
) -> None:
    assert "name the official files with --data_dir" in render_page(report_runs, None, None)
    write_run(tmp_path, "rte-1", "rte", 1, [{"accuracy": 0.5}])
    text = read_page(render_page(tmp_path, report_data, None)).text
    assert "glue.run_predict --split dev --task_name rte --ckpt_path rte-1/best" in text


def test_predictions_of_another_checkpoint_are_left_out(report_data: Path, tmp_path: Path) -> None:
    write_run(tmp_path, "rte-1", "rte", 1, [{"accuracy": 0.5}])
    rows = len(gold_rows(report_data, "RTE.tsv"))
    write_predictions(
        tmp_path / "rte-1" / "predictions" / "dev", "RTE.tsv", list(TASKS["rte"].labels), rows, 1
    )
    digests = dict.fromkeys(("model.safetensors", "config.json", "vocab.txt"), "0" * 64)
    write_json(tmp_path / "rte-1" / "best" / "manifest.json", {"sha256": digests})
    page = read_page(render_page(tmp_path, report_data, None))
    assert "the dev predictions of rte-1 are another checkpoint's than its best/" in page.text
    assert not page.all(class_="cell")


def test_predictions_of_other_rows_are_left_out(report_data: Path, sample_dir: Path, tmp_path: Path) -> None:
    """As many rows of another file: on the page they would be errors of a model that never saw them."""
    write_run(tmp_path, "rte-1", "rte", 1, [{"accuracy": 0.5}])
    folder, labels = tmp_path / "rte-1" / "predictions" / "dev", list(TASKS["rte"].labels)
    write_predictions(folder, "RTE.tsv", labels, len(gold_rows(report_data, "RTE.tsv")), 1)
    arrays = dict(np.load(folder / "RTE.npz"))
    for data, cell_count in ((sample_dir, 0), (report_data, 4)):
        np.savez(folder / "RTE.npz", **arrays, data_digest=sha256_of(report_data / "RTE" / "dev.tsv"))
        page = read_page(render_page(tmp_path, data, None))
        assert ("the dev predictions of rte-1 are of another RTE/dev.tsv than" in page.text) == (
            not cell_count
        )
        assert len(page.all(class_="cell")) == cell_count


def test_files_of_an_odd_form_leave_gaps_and_no_more(
    report_runs: Path, report_data: Path, tmp_path: Path
) -> None:
    write_run(tmp_path, "rte-1", "rte", 1, [{"accuracy": 0.5}])
    with open(tmp_path / "rte-1" / "history.jsonl", "ab") as history:
        for line in (
            b'{"evaluation": {}}',
            b'{"loss": "a", "step": 1}',
            b'{"loss": NaN, "step": 1}',
            b"5",
            b"\xff",
        ):
            history.write(line + b"\n")
        history.write(b'{"step": 30, "lo')
    archive = tmp_path / "a.zip"
    archive.write_bytes((report_runs / "submission.zip").read_bytes())
    manifest = {"sha256": sha256_of(archive)}
    tasks: list[Any] = [[], {"rte": 5}, {"rte": {"members": 5}}, {"rte": {"dev": {"main": "y"}, "seed": "x"}}]
    args = [{"recipe": 5, "data": 5}, {"data": {"RTE/dev.tsv": 5}}]
    for number, odd in enumerate(tasks):
        write_json(tmp_path / "rte-1" / "args.json", args[number % 2])
        write_json(tmp_path / "a.manifest.json", {**manifest, "tasks": odd, "expected": 5})
        assert "rte-1" in read_page(render_page(tmp_path, report_data, archive)).text


def test_a_labelled_set_that_does_not_fit_is_refused(report_data: Path, tmp_path: Path) -> None:
    lines = (report_data / "diagnostic" / "diagnostic-full.tsv").read_text(encoding="utf-8").split("\n")
    target = tmp_path / "diagnostic-full.tsv"
    for change, message in (
        (lines[:-2], r"74 rows, but 75 predictions"),
        (
            [lines[0], lines[1] + "x", *lines[2:]],
            r":2: not a row with one of contradiction, entailment, neutral",
        ),
        (["a\tb", *lines[1:]], r":1: no column 'Lexical Semantics'"),
    ):
        target.write_text("\n".join(change).rstrip("\n") + "\n", encoding="utf-8")
        with pytest.raises(InputError, match=message):
            categories(["entailment"] * 75, tmp_path)
    (tmp_path / "diagnostic").mkdir()
    official = (report_data / "diagnostic" / "diagnostic.tsv").read_bytes()
    (tmp_path / "diagnostic" / "diagnostic.tsv").write_bytes(official)
    for change, is_other in (
        (lines[1:], False),
        (lines[2:5] + lines[1:2] + lines[5:], False),
        (lines[:0:-1], True),
    ):
        target.write_text("\n".join([lines[0], *(line for line in change if line)]) + "\n", encoding="utf-8")
        if is_other:
            with pytest.raises(
                InputError, match=r"full\.tsv:2: not the texts that stand there in .*diagnostic\.tsv"
            ):
                categories(["entailment"] * 75, tmp_path)
        else:
            assert categories(["entailment"] * 75, tmp_path)


def test_the_command_writes_the_page(
    report_runs: Path, report_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report.main(
        ["--runs", str(report_runs), "--data_dir", str(report_data), "--output", str(tmp_path / "page.html")]
    )
    assert capsys.readouterr().out == f"{tmp_path / 'page.html'}\n"
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == render_page(
        report_runs, report_data, report_runs / "submission.zip"
    )
    with pytest.raises(InputError, match=r"no scores\.json of a run below it"):
        report.main(["--runs", str(report_data)])
    with pytest.raises(InputError, match="no such folder; --data_dir names"):
        report.main(["--runs", str(report_runs), "--data_dir", str(tmp_path / "none")])
