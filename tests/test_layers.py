"""What loads what when it runs; the import contracts in pyproject.toml look at the source alone."""

import ast
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]
PACKAGES = sorted(folder.parent.name for folder in PROJECT.glob("*/__init__.py"))
SOURCES = [path for package in PACKAGES for path in sorted((PROJECT / package).rglob("*.py"))]
COMMANDS = [path for path in SOURCES if "\n    run(main)\n" in path.read_text(encoding="utf-8")]
HEAVY = {"paddle", "numpy", "scipy", "sklearn", "pandas"}  # what takes --help beyond half a second

SHOW_HELP = """
import runpy, sys
sys.path.insert(0, "")
sys.argv = [sys.argv[1], "--help"]
try:
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
finally:
    print(*sys.modules, file=sys.stderr)
"""
IMPORT_ALL = """
import importlib, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
    if "paddle" in sys.modules:
        sys.exit(name + " loads paddle")
"""


def _run(*words: str | Path, cwd: Path = PROJECT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words], cwd=cwd, capture_output=True, encoding="utf-8", timeout=60
    )


def _name(path: Path) -> str:
    return ".".join(path.relative_to(PROJECT).with_suffix("").parts)


def test_paddle_free_modules_leave_paddle_unloaded():
    names = ["glue.tasks", "glue.data"]
    names += [f"squad.{name}" for name in ("data", "windows", "answers", "official", "curves", "evaluate")]
    for package in ("common", "metrics", "submission"):
        names += [
            package,
            *(f"{package}.{entry.name}" for entry in pkgutil.iter_modules([str(PROJECT / package)])),
        ]
    done = _run("-c", IMPORT_ALL, *names)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", COMMANDS, ids=_name)
def test_help_of_every_command_loads_nothing_heavy(path):
    done = _run("-c", SHOW_HELP, _name(path))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("usage: ")
    assert not HEAVY & set(done.stderr.split())


@pytest.mark.parametrize("path", COMMANDS, ids=_name)
def test_every_command_starts_by_path_from_its_own_folder(path):
    done = _run(path.name, "--help", cwd=path.parent)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("usage: ")


@pytest.mark.parametrize("path", COMMANDS, ids=_name)
def test_wrong_usage_of_every_command_leaves_with_2(path):
    done = _run("-m", _name(path), "--no_such_flag")
    assert (done.returncode, done.stdout) == (2, "")
    usage, reason = done.stderr.splitlines()
    assert usage.startswith(f"usage: python -m {_name(path)}")
    assert reason.startswith("error: ")


def test_paddle_enters_in_one_place():
    importers = set()
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            if any(name.split(".")[0] == "paddle" for name in names):
                importers.add(_name(path))
    # All but the first run in PaddleNLP's own environment, where nothing of this project is.
    others = {"scripts.hidden_states_paddlenlp", "bench.worker_paddlenlp"}
    assert importers <= {"encoders.framework", *others}
