"""The habits of the code that no linter checks: lengths, names, one class a noun, imports."""

import ast
import functools
import re
from collections import defaultdict
from collections.abc import Iterator
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


@functools.cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", SOURCES, ids=_name)
def test_files_and_functions_are_short_and_names_say_what_they_hold(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= MAX_FILE_LINES
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert _lines(node) <= MAX_FUNCTION_LINES, node.name
            names = {argument.arg for argument in (*node.args.args, *node.args.kwonlyargs)}
            assert not names & VAGUE, node.name
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            assert node.id not in VAGUE


def test_no_two_classes_have_the_same_name() -> None:
    modules = defaultdict(list)
    for path in SOURCES:
        for node in _tree(path).body:
            if isinstance(node, ast.ClassDef):
                modules[node.name.lstrip("_")].append(_name(path))
    assert {name: paths for name, paths in modules.items() if len(paths) > 1} == {}


def test_own_modules_are_imported_at_the_top_of_a_file_or_by_the_dispatcher() -> None:
    late, importing = set(), set()
    for path in SOURCES:
        text = path.read_text(encoding="utf-8")
        if re.search(r"import_module\([^\"]", text):  # of no library that is named
            importing.add(_name(path))
        for function in ast.walk(_tree(path)):
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                for node in ast.walk(function):
                    names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                    names += [node.module or "."] if isinstance(node, ast.ImportFrom) else []
                    late |= {_name(path) for name in names if name.split(".")[0] in PACKAGES}
    assert importing == {"common/dispatch.py"}
    # The workers of the benchmark run in environments of other toolkits, each importing what is there.
    assert {name for name in late if not name.startswith("bench/")} == set()


def _dispatched() -> Iterator[tuple[Path, str]]:
    """Each name that is given to the dispatcher as it stands, and where."""
    for path in SOURCES:
        for node in ast.walk(_tree(path)):
            is_call = isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
            if is_call and node.func.id == "dispatch" and isinstance(node.args[0], ast.Constant):
                yield path, str(node.args[0].value)


def test_what_is_dispatched_is_there_and_in_no_higher_layer() -> None:
    contracts = (PROJECT / "pyproject.toml").read_text(encoding="utf-8")
    layers = re.search(r'layers = \[("bench.*common")\]', contracts)
    assert layers
    rank = {
        package: number
        for number, layer in enumerate(layers[1].split('", "'))
        for package in layer.strip('"').split(" | ")
    }
    above = {"lab.verification:verify"}  # submission.verify needs Paddle, its package does without
    for path, work in _dispatched():
        module, _, name = work.partition(":")
        target = (PROJECT / module.replace(".", "/")).with_suffix(".py")
        defined = [getattr(node, "name", "") for node in _tree(target).body]
        assert name in defined, f"{_name(path)}: {work}"
        ours, theirs = path.relative_to(PROJECT).parts[0], module.split(".")[0]
        assert ours == theirs or work in above or rank[ours] < rank[theirs], f"{_name(path)}: {work}"


def test_tests_leave_the_import_path_alone() -> None:
    """With tests/golden in it, the folder of torch's files would be the package torch."""
    changed = {
        _name(path)
        for path in sorted((PROJECT / "tests").rglob("*.py"))
        if not path.name.startswith("make_")  # run by hand
        and re.search(r"^sys\.path\b", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert changed == set()
