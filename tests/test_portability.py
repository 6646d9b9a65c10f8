"""What works on one system only: texts read in the system's encoding, and paths joined by hand.

ruff's PLW1514 sees ``open``; methods of paths and child processes are looked for here.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]
FOLDERS = [
    folder for folder in PROJECT.iterdir() if (folder / "__init__.py").is_file() or folder.name == "tests"
]
# Name of a function or method → how many arguments come before its encoding; those that take a mode.
ENCODED = {"read_text": 0, "write_text": 1, "open": 3, "fdopen": 3, "FileHandler": 2, "TextIOWrapper": 1,
           "NamedTemporaryFile": 2, "TemporaryFile": 2, "SpooledTemporaryFile": 3}  # fmt: skip
OPENING = {"open": 1, "fdopen": 1, "NamedTemporaryFile": 0, "TemporaryFile": 0, "SpooledTemporaryFile": 1}
NO_FILE = {"os", "tarfile", "zipfile", "archive", "entry", "tar", "webbrowser", "wave", "Image", "opener"}
PATHS = {"open", "Path", "load", "loadtxt", "makedirs", "mkdir", "remove", "exists", "isfile", "isdir"}


def faults(source: str) -> Iterator[tuple[int, str]]:
    """Line and kind of every fault."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            if _lacks_encoding(node):
                yield node.lineno, "no encoding"
            if _name(node) in PATHS and node.args and _is_joined(node.args[0]):
                yield node.lineno, "joined by hand"
        if isinstance(node, ast.Attribute) and ast.unparse(node) in ("os.path.join", "os.sep"):
            yield node.lineno, "joined by hand"


def _name(call: ast.Call) -> str:
    function = call.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _lacks_encoding(call: ast.Call) -> bool:
    given = {keyword.arg: keyword.value for keyword in call.keywords}
    if "encoding" in given or None in given:  # None: `**settings`
        return False
    for flag in ("text", "universal_newlines"):
        if isinstance(value := given.get(flag), ast.Constant) and value.value is True:
            return True
    name, function = _name(call), call.func
    if name not in ENCODED or any(isinstance(argument, ast.Starred) for argument in call.args):
        return False
    of = ast.unparse(function.value) if isinstance(function, ast.Attribute) else ""
    if of.split(".")[0] in NO_FILE and name == "open":
        return False
    is_method = name == "open" and bool(of) and of not in ("io", "gzip", "bz2", "lzma")
    if len(call.args) > ENCODED[name] - is_method:
        return False
    return _is_text(call, given.get("mode"), OPENING[name] - is_method) if name in OPENING else True


def _is_text(call: ast.Call, mode: ast.expr | None, position: int) -> bool:
    """Whether a file is opened as text; what is no literal is taken for bytes."""
    mode = call.args[position] if len(call.args) > position else mode
    if mode is None:
        return "Temporary" not in _name(call) and "gzip" not in ast.unparse(call.func)
    return isinstance(mode, ast.Constant) and isinstance(mode.value, str) and "b" not in mode.value


def _is_joined(path: ast.expr) -> bool:
    if isinstance(path, ast.BinOp) and isinstance(path.op, ast.Add):
        return any(isinstance(part, ast.Constant) and "/" in str(part.value) for part in ast.walk(path))
    if not isinstance(path, ast.JoinedStr):
        return False
    return any(isinstance(part, ast.Constant) and "/" in str(part.value) for part in path.values) and any(
        isinstance(part, ast.FormattedValue) for part in path.values
    )


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_files_have_an_encoding_and_paths_are_joined_by_pathlib(folder: Path) -> None:
    wrong = [
        f"{path.relative_to(PROJECT)}:{line}: {kind}"
        for path in sorted(folder.rglob("*.py"))
        for line, kind in faults(path.read_text(encoding="utf-8"))
    ]
    assert wrong == []


@pytest.mark.parametrize(
    "code",
    [
        "open(p)",
        "open(p, 'w')",
        "open(p, mode='a')",
        "p.open()",
        "p.open('r')",
        "p.read_text()",
        "p.write_text('a')",
        "Path(p).read_text(errors='replace')",
        "gzip.open(p, 'rt')",
        "os.fdopen(1, 'w')",
        "subprocess.run(w, text=True)",
        "Popen(w, universal_newlines=True)",
        "logging.FileHandler(p)",
        "tempfile.NamedTemporaryFile('w')",
        "os.path.join(a, b)",
        "open(a + '/b')",
        "Path('a/' + b)",
        "open(f'{a}/b', 'rb')",
        "Path(f'{a}/b')",
        "a + os.sep + b",
    ],
)
def test_a_fault_is_seen(code: str) -> None:
    assert list(faults(code))


@pytest.mark.parametrize(
    "code",
    [
        "open(p, 'rb')",
        "open(p, encoding='ascii')",
        "open(p, 'w', 1, 'utf-8')",
        "p.open('rb')",
        "p.open('w', 1, 'ascii')",
        "p.read_text('utf-8')",
        "p.write_text('a', 'utf-8')",
        "gzip.open(p)",
        "os.fdopen(1, 'wb')",
        "zipfile.open(p)",
        "subprocess.run(w, text=False)",
        "subprocess.run(w, text=True, encoding='utf-8')",
        "a + 'b/c'",
        "tempfile.NamedTemporaryFile()",
        "open(f'{a}.b', 'rb')",
        "open(p, **settings)",
        "f'{a}/b'",
        "os.open(p, 0)",
    ],
)
def test_what_is_right_is_left_alone(code: str) -> None:
    assert not list(faults(code))
