"""The clone's own files agree with one another: package lists, locked versions, Makefile."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PROJECT = Path(__file__).resolve().parents[1]
SETTINGS = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
PACKAGES = SETTINGS["tool"]["setuptools"]["packages"]
LOCKS = {
    # file: (Python versions, extras, what is required besides)
    "constraints.txt": (
        ["3.10", "3.11", "3.12", "3.13"],
        ["cpu", "test", "visualdl", "plots", "onnx", "serve", "cluster"],
        [],
    ),
    "constraints-paddle26.txt": (
        ["3.10", "3.11", "3.12"],
        ["test", "visualdl"],
        ["paddlepaddle==2.6.2", "numpy==1.26.4"],
    ),
}


def test_every_package_is_listed_everywhere():
    folders = [file.parent.relative_to(PROJECT) for file in PROJECT.glob("[a-z]*/**/__init__.py")]
    assert sorted(PACKAGES) == sorted(".".join(folder.parts) for folder in folders)
    roots = [name for name in PACKAGES if "." not in name]
    assert SETTINGS["tool"]["mypy"]["packages"] == roots
    assert SETTINGS["tool"]["importlinter"]["root_packages"] == roots
    for line in SETTINGS["tool"]["pytest"]["ini_options"]["filterwarnings"]:
        assert re.search(r"\((.*)\)", line)[1].split("|") == [*roots, "tests"]


@pytest.mark.parametrize("folder", sorted(path.parent.name for path in PROJECT.glob("[a-z]*/__init__.py")))
def test_no_module_hides_another_when_its_neighbour_is_started_by_path(folder):
    modules = {path.stem for path in (PROJECT / folder).iterdir() if path.suffix in ("", ".py")}
    assert not modules & (sys.stdlib_module_names | set(PACKAGES))


@pytest.mark.parametrize("file", LOCKS)
def test_locked_lines_are_names_and_versions_only(file):
    for line in (PROJECT / file).read_text(encoding="ascii").splitlines():
        assert re.fullmatch(r"[a-z0-9-]+==[0-9][0-9a-z.]*( ; [^#]+)?", line), line


@pytest.mark.parametrize(
    ("file", "python"), [(file, python) for file, (pythons, _, _) in LOCKS.items() for python in pythons]
)
def test_every_requirement_is_locked_once_and_within_its_bounds(file, python):
    _, extras, besides = LOCKS[file]
    environment = {
        "python_version": python, "python_full_version": f"{python}.5", "sys_platform": "linux",
        "platform_machine": "x86_64", "platform_system": "Linux", "extra": "",
    }  # fmt: skip
    locked: dict[str, str] = {}
    for line in (PROJECT / file).read_text(encoding="ascii").splitlines():
        entry = Requirement(line)
        if entry.marker is None or entry.marker.evaluate(environment):
            assert entry.name not in locked
            locked[entry.name] = str(entry.specifier).removeprefix("==")
    project = SETTINGS["project"]
    wanted = project["dependencies"] + besides
    wanted += [line for extra in extras for line in project["optional-dependencies"][extra]]
    for requirement in map(Requirement, wanted):
        name = requirement.name.lower().replace("_", "-")
        assert name in locked, f"{name} is not locked: make lock"
        assert Version(locked[name]) in requirement.specifier


def test_make_names_an_unsuitable_python(tmp_path):
    old = tmp_path / "old-python"
    old.write_text(
        '#!/bin/sh\ncase "$1" in --version) echo Python 3.9.1;; *) exit 1;; esac\n', encoding="utf-8"
    )
    old.chmod(0o755)
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        (tmp_path / name).write_bytes((PROJECT / name).read_bytes())
    done = subprocess.run(
        ["make", "test", f"PYTHON={old}"], cwd=tmp_path, capture_output=True, encoding="utf-8", timeout=60
    )
    assert done.returncode == 2
    assert f"{old} is not Python 3.10 to 3.13 (it says: Python 3.9.1)" in done.stderr
    assert not (tmp_path / ".venv").exists()
