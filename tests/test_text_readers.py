"""Every reader of text takes a byte order mark, as files saved on Windows have it, and names UTF-16."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from common.errors import InputError
from common.json_files import read_json_object, read_json_objects
from deploy.rows import read_rows
from glue.data import read_gold, read_split
from glue.tasks import TASKS
from lab.plan_file import read_plan
from metrics.prediction_file import Form, read_predictions
from pretraining.corpus import read_passages
from squad.data import read_squad
from squad.evaluate import read_predictions as read_squad_predictions
from training.config import TrainingConfig, read_config_file
from training.run_state import read_history

RTE = "index\tsentence1\tsentence2\tlabel\n0\tA cat sat.\tA cat.\tentailment\n"
SQUAD = (
    '{"data": [{"paragraphs": [{"context": "nine goats", "qas": [{"id": "a", "question": "How many?", '
    '"answers": [{"text": "nine", "answer_start": 0}]}]}]}]}'
)
PLAN = "checkpoints: {mini: convbert-mini}\ntasks:\n  rte:\n"


def _split(path: Path) -> Any:
    task = TASKS["rte"]
    return read_split(task, task.of_kind("train")[0], path.parent.parent).examples


def _gold(path: Path) -> Any:
    task = TASKS["rte"]
    return read_gold(task, task.of_kind("dev")[0], path)


READERS: dict[str, tuple[str, str, Callable[[Path], Any]]] = {
    "task file": ("RTE/train.tsv", RTE, _split),
    "gold file": ("dev.tsv", RTE, _gold),
    "predictions": (
        "RTE.tsv", "index\tprediction\n0\t1\n", lambda path: read_predictions(path, Form(("0", "1")), 1)
    ),
    "settings": ("config.yaml", "seed: 7\n", lambda path: dict(read_config_file(path, TrainingConfig))),
    "plan": ("plan.yaml", PLAN, lambda path: read_plan(str(path)).tasks),
    "JSON": ("args.json", '{"a": "b"}', read_json_object),
    "JSON lines": ("rows.jsonl", '{"a": "b"}\n', read_json_objects),
    "texts to answer": ("rows.txt", "A fine film .\n", lambda path: list(read_rows(path, [("text",)]))),
    "columns to answer": ("rows.tsv", "text\nFine .\n", lambda path: list(read_rows(path, [("text",)]))),
    "corpus": ("train.data", "A fine film .\n", lambda path: list(read_passages(path))),
    "questions": ("dev.json", SQUAD, lambda path: read_squad(path).questions),
    "answers": ("predictions.json", '{"a": "nine"}', read_squad_predictions),
}  # fmt: skip


@pytest.mark.parametrize("name", READERS)
def test_a_byte_order_mark_changes_nothing(tmp_path: Path, name: str) -> None:
    file, text, read = READERS[name]
    path = tmp_path / file
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(text.encode())
    expected = read(path)
    path.write_bytes(text.encode("utf-8-sig"))
    assert read(path) == expected


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le"])
def test_utf_16_is_named(tmp_path: Path, name: str, encoding: str) -> None:
    file, text, read = READERS[name]
    path = tmp_path / file
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(text.encode(encoding))
    with pytest.raises(InputError, match=r"UTF-16.*UTF-8") as caught:
        read(path)
    assert str(caught.value).startswith(str(path))


def test_a_history_is_read_behind_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "history.jsonl").write_bytes(b'\xef\xbb\xbf{"step": 1}\n')
    assert read_history(tmp_path) == [{"step": 1}]
