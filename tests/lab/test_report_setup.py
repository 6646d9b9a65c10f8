"""The report page: what runs were made of, and tasks of one's own."""

from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy

from common.files import write_json
from common.json_files import read_json_object
from glue.predictions import SplitPredictions, write_predictions
from glue.task_file import make_task, record_of
from glue.tasks import TASKS
from lab.report_page import page as render_page
from lab.report_rows import dev_rows
from lab.report_setup import setup_of
from lab.results import done_runs, results
from tests.lab.page_reader import read_page
from tests.lab.report_samples import write_run


def add_args(run: Path, **values: Any) -> None:
    write_json(run / "args.json", {**read_json_object(run / "args.json"), **values})


def test_models_recipes_and_data_by_hand(tmp_path: Path) -> None:
    digest = "ab" * 32
    for name, rate in (("cola", 1e-4), ("rte", 3e-4)):
        scores = dict.fromkeys(TASKS[name].score_keys, 0.5)
        write_run(tmp_path, name, name, 1, [scores])
        add_args(
            tmp_path / name, model_name_or_path="/somewhere/mini", model_sha256=digest, preset="authors",
            model={"model_type": "convbert", "num_hidden_layers": 6, "hidden_size": 128},
            recipe={"seed": 1, "learning_rate": rate, "batch_size": 32},
            data={f"{name}/train.tsv": {"rows": 7, "sha256": "c" * 64}},
            versions={"convbert-glue": "1.0", "commit": "abc", "paddle": "3.3.1"},
        )  # fmt: skip
        (tmp_path / name / "best").mkdir()
        arrays = {"a": np.zeros((3, 4), np.float32), "b": np.zeros(5, np.float32)}
        safetensors.numpy.save_file(arrays, tmp_path / name / "best" / "model.safetensors")
    setup = setup_of(done_runs(results(tmp_path)))
    (model,) = setup.models
    assert (model.name, model.size, model.shape) == ("mini", 17, "convbert, 6 layers, width 128")
    assert digest.startswith(model.digest)
    assert setup.common_settings == {"preset": "authors", "seed": 1, "batch_size": 32}
    assert (setup.tasks, setup.settings) == (["CoLA", "RTE"], [("learning_rate", [1e-4, 3e-4])])
    assert setup.files == [("cola/train.tsv", 7, "c" * 64), ("rte/train.tsv", 7, "c" * 64)]
    assert setup.program == "convbert-glue 1.0, commit abc, paddle 3.3.1"
    page = read_page(render_page(tmp_path, None, None))
    rows = [[cell.text for cell in row.all("td")] for row in page.all("tr")]
    assert ["mini", "17", model.shape, model.digest] in rows
    assert ["learning_rate", "0.0001", "0.0003"] in rows
    assert ["rte/train.tsv", "7", "c" * 64] in rows


def test_a_task_of_ones_own_is_shown_and_counts_in_no_average(tmp_path: Path) -> None:
    numbers = [0.0, 30.0, 60.0, 100.0]
    rows = "".join(f"text {number},{number:g}\n" for number in numbers)
    for kind in ("train", "dev"):
        (tmp_path / f"{kind}.csv").write_text(f"text,label\n{rows}", encoding="utf-8")
    task = make_task(
        "minutes", "text", train=tmp_path / "train.csv", dev=tmp_path / "dev.csv", regression=True
    )
    runs = tmp_path / "runs"
    write_run(runs, "minutes", "sts-b", 1, [{"pearson": 0.75, "spearman": 0.25}])
    add_args(runs / "minutes", task_name="minutes", own_task=record_of(task))
    write_json(
        runs / "minutes" / "scores.json",
        {**read_json_object(runs / "minutes" / "scores.json"), "task": "minutes"},
    )
    page = read_page(render_page(runs, None, None))
    (tile,) = page.all("div", class_="tile")  # no average of the benchmark's
    assert "1 run of 1 task" in tile.text
    lines = [[cell.text for cell in row.all("td")] for row in page.all("tr")]
    assert ["minutes", "pearson", "75.00"] in [line[:3] for line in lines]
    assert any("--task_file" in element.text for element in page.all("p"))
    (dev,) = task.of_kind("dev")
    logits = np.array([[4.0], [41.0], [58.0], [99.0]], dtype=np.float32)
    write_predictions(
        runs / "minutes" / "predictions" / "dev", [SplitPredictions(task, dev, logits, ["score"])]
    )
    (panel,) = dev_rows(task, done_runs(results(runs)), None)
    assert panel.labels == ["0", "20", "40", "60", "80", "100"]
    assert np.argwhere(panel.counts).tolist() == [
        [0, 0],
        [2, 2],
        [3, 3],
        [5, 5],
    ]  # 30 is nearer to 40: half up
