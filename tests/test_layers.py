"""What loads what when it runs; the import contracts in pyproject.toml look at the source alone."""

import ast
import functools
import json
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

# Every command in one process: what it prints and loads with these flags.
RUN_ALL = """
import contextlib, io, json, runpy, sys
flags, *names = sys.argv[1:]
results = {}
for name in names:
    sys.argv, code = [name, flags], 0
    sys.modules.pop(name, None)  # another may have imported it
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        try:
            runpy.run_module(name, run_name="__main__", alter_sys=True)
        except SystemExit as left:
            code = left.code or 0
    results[name] = [code, out.getvalue(), err.getvalue(), list(sys.modules)]
print(json.dumps(results))
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


@functools.cache
def _run_all(flags: str) -> dict[str, tuple[int, str, str, list[str]]]:
    """Command → exit code, stdout, stderr, and what was loaded up to then."""
    done = _run("-c", RUN_ALL, flags, *map(_name, COMMANDS))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("path", COMMANDS, ids=_name)
def test_help_of_every_command_loads_nothing_heavy(path):
    code, out, err, loaded = _run_all("--help")[_name(path)]
    assert (code, err) == (0, "")
    assert out.startswith("usage: ")
    assert not HEAVY & set(loaded)


@pytest.mark.parametrize("path", COMMANDS, ids=_name)
def test_every_command_starts_by_path_from_its_own_folder(path):
    done = _run(path.name, "--help", cwd=path.parent)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("usage: ")


@pytest.mark.parametrize("path", COMMANDS, ids=_name)
def test_wrong_usage_of_every_command_leaves_with_2(path):
    code, out, err, _ = _run_all("--no_such_flag")[_name(path)]
    assert (code, out) == (2, "")
    usage, reason = err.splitlines()
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
