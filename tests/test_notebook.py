"""notebooks/quickstart.ipynb: its cells run in order and end with a zip that passes the check."""

import json
import re
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.pyplot
import pytest

NOTEBOOK = Path(__file__).parents[1] / "notebooks" / "quickstart.ipynb"


def code_cells() -> list[str]:
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


@pytest.mark.long
def test_the_cells_run_and_the_scores_are_learned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matplotlib.pyplot, "show", lambda: None)
    values: dict[str, Any] = {}
    with matplotlib.rc_context({"backend": "agg"}):
        for cell in code_cells():
            exec(compile(cell, "quickstart.ipynb", "exec"), values)
    assert values["run"].scores["accuracy"] > 0.8
    statuses = {report.name: report.status for report in values["checked"]}
    assert statuses.pop("SST-2.tsv") == "OK"
    assert set(statuses.values()) == {"FILLED"}


def test_without_the_extra_it_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SystemExit, match="paddle, matplotlib, glue not found: pip install"):
        exec(code_cells()[0], {})


def test_it_holds_no_path_of_a_machine() -> None:
    text = re.sub('"image/png": "[^"]*"', "", NOTEBOOK.read_text(encoding="utf-8"))
    assert len(text) < 150_000
    assert not re.search(r"(?<![\w.:/])(?:/\w+){2}", text)
