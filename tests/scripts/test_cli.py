"""convbert-glue: one command, the same modules, the same exit codes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from scripts import cli
from scripts.cli import MODULES, SUBCOMMANDS, completions, overview, summary

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


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("convbert-glue", {"finetune", "check", "--version"}),
        ("convbert-glue squad-", {"squad-train", "squad-evaluate"}),
        ("convbert-glue nothing ", set()),
        ("convbert-glue check --data", {"--data_dir"}),
        ("convbert-glue finetune --preset ", {"authors", "reference", "stable"}),
        ("convbert-glue finetune --task_name m", {"mrpc", "mnli"}),
        ("convbert-glue finetune --output_dir ", set()),  # the shell completes files
        ("convbert-glue finetune --task_name rte --resu", {"--resume"}),
        ("convbert-glue finetune --report_to wandb v", {"visualdl"}),
    ],
)
def test_completions(line: str, expected: set[str]) -> None:
    found_ones = set(completions(line))
    assert expected <= found_ones
    assert bool(found_ones) == bool(expected)
    assert len(found_ones) == len(expected) or line.endswith(("convbert-glue", "--preset "))


def test_bash_asks_by_the_line_in_the_documentation(project_dir: Path) -> None:
    assert "  complete -o default -C 'convbert-glue --complete' convbert-glue\n" in (cli.__doc__ or "")
    # bash's manual, "Programmable Completion": the line is in the environment; command, word and the word
    # before it are arguments.
    done = subprocess.run(
        [sys.executable, "-m", "scripts.cli", "--complete", "convbert-glue", "fine", "convbert-glue"],
        cwd=project_dir, env={**os.environ, "COMP_LINE": "convbert-glue fine", "COMP_POINT": "18"},
        capture_output=True, encoding="utf-8", timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "finetune\n", "")
