"""The README and the documents: their commands parse, and the files and links that they name exist."""

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


PROJECT = Path(__file__).parents[1]
DOCUMENTS = ["README.md", "CONTRIBUTING.md", "checkpoints/convbert-mini/README.md"]
DOCUMENTS += sorted(str(page.relative_to(PROJECT)) for page in (PROJECT / "docs").glob("*.md"))


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


def test_the_architecture_names_files(project_dir: Path) -> None:
    assert len(_source_files(project_dir / "docs/architecture.md")) > 30


@pytest.mark.parametrize("name", [name for name in DOCUMENTS if name != "docs/coming_from.md"])
def test_every_source_file_that_a_document_names_exists(project_dir: Path, name: str) -> None:
    names = _source_files(project_dir / name)
    assert [file for file in names if not (project_dir / file).is_file()] == []


def _source_files(document: Path) -> list[str]:
    """The paths of source files and documents that a text names."""
    return re.findall(r"(?<![\w./:-])(?:\w+/)+[\w.-]+\.(?:py|c|sh|md|svg)\b", document.read_text("utf-8"))


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_link_within_the_documents_leads_somewhere(project_dir: Path, name: str) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]*)(#[^)]*)?\)", (project_dir / name).read_text("utf-8"))
    for path, anchor in links:
        target = (project_dir / name).parent / path if path else project_dir / name
        assert target.exists(), path
        if anchor:
            titles = re.findall(r"^#+ (.*)$", target.read_text("utf-8"), re.M)
            assert anchor[1:] in [re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles]
