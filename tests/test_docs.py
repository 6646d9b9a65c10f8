"""docs/: every command and flag of ours that a page names exists."""

import importlib.util
import re
from pathlib import Path

import pytest

DOCS = sorted((Path(__file__).parents[1] / "docs").glob("*.md"))
SOURCES = {  # flags of these commands may stand in the tables without the command
    "coming_from.md": ("glue.run_glue", "glue.run_predict", "squad.run_squad"),
}


def _id(path: Path) -> str:
    return path.name


def flags_of(module: str) -> set[str]:
    parser = importlib.import_module(module).make_parser()
    return {name for action in parser._actions for name in action.option_strings}


@pytest.mark.parametrize("page", DOCS, ids=_id)
def test_commands_exist(page: Path) -> None:
    for module in set(re.findall(r"python -m ((?!pytest|paddle)[a-z_]+\.[\w.]+)", page.read_text("utf-8"))):
        assert importlib.util.find_spec(module) is not None, module


@pytest.mark.parametrize("name", SOURCES)
def test_flags_of_the_right_column_exist(project_dir: Path, name: str) -> None:
    known = set().union(*(flags_of(module) for module in SOURCES[name]))
    known |= {f"--{flag}" for flag in ("model_path", "model_dir", "save_inference_dir", "nproc_per_node")}
    rows = [
        line.split("|")[2]
        for line in (project_dir / "docs" / name).read_text("utf-8").splitlines()
        if line.startswith("| `")
    ]
    flags = set(re.findall(r"--\w+", " ".join(rows)))
    assert len(flags) > 10
    assert flags <= known
