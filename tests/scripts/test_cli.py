"""convbert-glue: one command, the same modules, the same exit codes."""

import subprocess
import sys
from pathlib import Path

import pytest

from scripts.cli import MODULES, SUBCOMMANDS, overview, summary

HEAVY = {"paddle", "numpy", "scipy", "sklearn", "pandas"}
RUN = "import sys; from scripts.cli import entry; sys.argv[0] = 'convbert-glue'; entry()"
RUN_AND_LIST_MODULES = f"""
import atexit, sys
atexit.register(lambda: print(*sys.modules, file=sys.stderr))
{RUN}
"""


def convbert_glue(project: Path, *argv: str, code: str = RUN) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *argv], cwd=project, capture_output=True, encoding="utf-8", timeout=60
    )


def test_every_subcommand_is_a_command_of_the_project(project_dir: Path) -> None:
    names = [name for group in SUBCOMMANDS.values() for name in group]
    assert len(set(names)) == len(names)
    for module in MODULES.values():
        source = project_dir.joinpath(*module.split(".")).with_suffix(".py").read_text(encoding="utf-8")
        assert "\n    run(main)\n" in source


@pytest.mark.parametrize("argv", [[], ["--help"]])
def test_the_list_shows_each_with_its_first_line(project_dir: Path, argv: list[str]) -> None:
    done = convbert_glue(project_dir, *argv, code=RUN_AND_LIST_MODULES)
    assert (done.returncode, done.stdout) == (0, overview() + "\n")
    assert not HEAVY & set(done.stderr.split())
    for name, module in MODULES.items():
        assert f"  {name} " in done.stdout
        assert summary(module) in done.stdout


def test_a_subcommand_has_the_flags_of_its_module(project_dir: Path) -> None:
    done = convbert_glue(project_dir, "check", "--help", code=RUN_AND_LIST_MODULES)
    assert done.returncode == 0
    assert done.stdout.startswith("usage: convbert-glue check ")
    assert not HEAVY & set(done.stderr.split())


def test_exit_codes_are_the_modules(project_dir: Path, tmp_path: Path) -> None:
    done = convbert_glue(project_dir, "check", str(tmp_path / "absent.zip"))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: ")
    done = convbert_glue(project_dir, "check", "--no_such_flag")
    assert done.returncode == 2
    assert done.stderr.startswith("usage: convbert-glue check ")


def test_an_unknown_subcommand_names_the_nearest(project_dir: Path) -> None:
    done = convbert_glue(project_dir, "fine_tune")
    assert (done.returncode, done.stdout) == (2, "")
    assert "did you mean finetune?" in done.stderr


def test_versions_name_what_decides_results(project_dir: Path) -> None:
    done = convbert_glue(project_dir, "--version", code=RUN_AND_LIST_MODULES)
    assert done.returncode == 0
    for word in ("convbert-glue ", "numpy ", "tokenizers ", "Python ", "processor "):
        assert f"\n{word}" in "\n" + done.stdout
    assert "paddle" not in done.stderr.split()
