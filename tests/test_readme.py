"""The README holds what the project has: its commands parse, its files exist. The demo runs it all."""

import importlib
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from common.command_line import CommandParser

README = (Path(__file__).parents[1] / "README.md").read_text("utf-8")
BLOCKS = re.findall(r"^```\w*\n(.*?)^```", README, re.S | re.M)
COMMANDS = [
    line.strip()
    for block in BLOCKS
    for line in block.replace("\\\n", " ").splitlines()
    if line.strip().startswith("python -m ")
]


class ParsedError(Exception):
    """The command took its words."""


def test_the_real_run_is_there() -> None:
    modules = [command.split()[2] for command in COMMANDS]
    wanted = ["glue.run_glue", "glue.run_predict", "glue.summary", "submission.pack", "submission.check"]
    first_result = wanted[:1]
    assert [module for module in modules if module in wanted] == first_result + wanted


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_takes_the_words_of_the_readme(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module, *words = shlex.split(command.replace("$task", "rte"))[2:]
    parse = CommandParser.parse_known_args

    def parse_and_stop(self: CommandParser, args: Any = None, namespace: Any = None) -> Any:
        parse(self, args, namespace)
        raise ParsedError

    monkeypatch.setattr(CommandParser, "parse_known_args", parse_and_stop)
    with pytest.raises(ParsedError):
        importlib.import_module(module).main(words)


@pytest.mark.parametrize("module", re.findall(r"^\| `python -m ([\w.]+)`", README, re.M))
def test_a_command_of_the_table_exists(module: str) -> None:
    assert callable(importlib.import_module(module).main)


def test_every_target_of_make_is_in_the_makefile(project_dir: Path) -> None:
    makefile = (project_dir / "Makefile").read_text("utf-8")
    named = set(re.findall(r"make ([a-z][a-z-]+)", "\n".join(BLOCKS)))
    assert named >= {"demo", "test", "check", "test-long"}
    assert [name for name in named if not re.search(rf"^{name}:", makefile, re.M)] == []


def test_every_file_that_the_architecture_names_exists(project_dir: Path) -> None:
    text = (project_dir / "docs/architecture.md").read_text("utf-8")
    names = re.findall(r"`([\w/]+\.\w+)`", text)
    assert len(names) > 15
    assert [name for name in names if not (project_dir / name).is_file()] == []
