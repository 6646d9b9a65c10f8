"""The habits of the code that no linter checks: lengths, names, one class a noun."""

import ast
from collections import defaultdict
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]
PACKAGES = sorted(file.parent.name for file in PROJECT.glob("[a-z]*/__init__.py"))
SOURCES = [path for package in PACKAGES for path in sorted((PROJECT / package).rglob("*.py"))]
VAGUE = {"found", "place", "said", "told", "about", "own", "drawn", "shown"}
MAX_FILE_LINES = 350
MAX_FUNCTION_LINES = 40  # without the docstring


def _name(path: Path) -> str:
    return str(path.relative_to(PROJECT))


def _lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    has_docstring = ast.get_docstring(node) is not None and len(node.body) > 1
    docstring = (node.body[0].end_lineno or 0) - node.body[0].lineno + 1 if has_docstring else 0
    return (node.end_lineno or 0) - node.lineno + 1 - docstring


@pytest.mark.parametrize("path", SOURCES, ids=_name)
def test_files_and_functions_are_short_and_names_say_what_they_hold(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= MAX_FILE_LINES
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert _lines(node) <= MAX_FUNCTION_LINES, node.name
            names = {argument.arg for argument in (*node.args.args, *node.args.kwonlyargs)}
            assert not names & VAGUE, node.name
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            assert node.id not in VAGUE


def test_no_two_classes_have_the_same_name() -> None:
    modules = defaultdict(list)
    for path in SOURCES:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef):
                modules[node.name.lstrip("_")].append(_name(path))
    assert {name: paths for name, paths in modules.items() if len(paths) > 1} == {}
