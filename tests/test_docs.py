"""The documentation: its commands parse, and the files, flags and links that it names exist."""

import importlib
import re
from pathlib import Path
from typing import Any

import pytest

from common.command_line import CommandParser
from lab.plan import trials_of
from lab.plan_file import read_plan, shipped_plans
from scripts.cli import MODULES
from tests.docs_pages import PAGES, PROJECT, command_of, commands_of, text_of
from tests.test_setup import SETTINGS

# Flags of these commands may stand in the tables without the command.
TABLES = {"docs/coming_from.md": ("glue.run_glue", "glue.run_predict", "squad.run_squad")}
MAX_README_LINES = 150
# What a block runs beside our own commands.
KNOWN_PROGRAMS = {
    "make",
    "pip",
    "python",
    "python3",
    ".",
    "curl",
    "echo",
    "printf",
    "bash",
    "FUZZ_SECONDS=600",
}


class ParsedError(Exception):
    """The command took its flags."""


LINES = list(dict.fromkeys((page, *words) for page in PAGES for words in commands_of(page)))


@pytest.mark.parametrize("line", LINES, ids=lambda line: " ".join(line)[:60])
def test_a_line_is_a_command_that_takes_its_flags(
    line: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, *words = line
    command = command_of(words)
    if command is None:
        check_other_program(words)
        return
    if command.module == "pytest":
        return
    parse = CommandParser.parse_args

    def parse_and_stop(self: CommandParser, args: Any = None, namespace: Any = None) -> Any:
        parse(self, args, namespace)
        raise ParsedError

    monkeypatch.setattr(CommandParser, "parse_args", parse_and_stop)
    with pytest.raises(ParsedError):
        importlib.import_module(command.module).main(list(command.flags))


def check_other_program(words: list[str]) -> None:
    """A target of make, an extra or a file of constraints that pip is given, or a script of the clone."""
    if words[0].endswith(".sh"):
        assert (PROJECT / words[0]).is_file()
        return
    assert words[0] in KNOWN_PROGRAMS or words[:2] == ["convbert-glue", "--help"]
    if words[0] == "make":
        assert re.search(rf"^{words[1]}:", text_of("Makefile"), re.M)
    if words[:2] == ["pip", "install"]:
        extras = {name for word in words for name in re.findall(r"^\.\[(.*)\]$", word)}
        known = SETTINGS["project"]["optional-dependencies"]
        assert all(name in known for group in extras for name in group.split(","))
        assert all((PROJECT / word).is_file() for word in words if word.endswith(".txt"))


def test_readme_is_of_one_screen_and_has_the_ways_in() -> None:
    for page in ("README.md", "README_cn.md"):
        text = text_of(page)
        assert text.count("\n") <= MAX_README_LINES
        commands = [command for words in commands_of(page) if (command := command_of(words))]
        assert [command.module for command in commands] == [
            "venv", "scripts.download_glue", "glue.run_glue", "glue.run_predict", "submission.pack",
            "submission.check", "glue.run_glue", "glue.run_predict", "submission.pack",
        ][-len(commands) :]  # fmt: skip
        assert {"demo", "test"} <= set(re.findall(r"^make (\w+)", text, re.M))


def test_both_readmes_have_the_same_examples_and_links() -> None:
    def parts(page: str) -> tuple[list[str], list[str]]:
        text = text_of(page)
        blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.S | re.M)
        links = re.findall(r"\]\(([^)]*)\)", text)
        return [re.sub(r" *#.*", "", block) for block in blocks], sorted(links)

    (english, links), (chinese, links_cn) = parts("README.md"), parts("README_cn.md")
    assert english == chinese
    assert [link for link in links if "README" not in link] == [
        link for link in links_cn if "README" not in link
    ]


@pytest.mark.parametrize("page", PAGES)
def test_modules_and_subcommands_in_the_text_exist(page: str) -> None:
    text = text_of(page)
    for module in set(re.findall(r"python -m ((?!pytest|paddle|venv)[a-z_]+\.[\w.]+)", text)):
        assert importlib.util.find_spec(module) is not None, module
    for name in set(re.findall(r"convbert-glue ([a-z][\w-]*)", text)):
        assert name in MODULES


def flags_of(module: str) -> set[str]:
    parser = importlib.import_module(module).make_parser()
    return {name for action in parser._actions for name in action.option_strings}


@pytest.mark.parametrize("page", TABLES)
def test_flags_of_the_right_column_exist(page: str) -> None:
    known = set().union(*(flags_of(module) for module in TABLES[page]))
    known |= {f"--{flag}" for flag in ("model_path", "model_dir", "save_inference_dir", "nproc_per_node")}
    rows = [line.split("|")[2] for line in text_of(page).splitlines() if line.startswith("| `")]
    flags = set(re.findall(r"--\w+", " ".join(rows)))
    assert len(flags) > 10
    assert flags <= known


def test_the_architecture_names_files() -> None:
    assert len(_source_files("docs/architecture.md")) > 30


@pytest.mark.parametrize("page", [page for page in PAGES if page not in TABLES])
def test_every_source_file_that_a_page_names_exists(page: str) -> None:
    assert [file for file in _source_files(page) if not (PROJECT / file).is_file()] == []


def _source_files(page: str) -> list[str]:
    """The paths of source files and documents that a text names in code."""
    return re.findall(
        r"(?<![\w./:-])(?:\w+/)+[\w.-]+\.(?:py|c|sh|md|svg)\b", re.sub(r"\]\([^)]*\)", "", text_of(page))
    )


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page: str) -> None:
    for path, anchor in re.findall(r"\]\((?!https?:)([^)#]*)(#[^)]*)?\)", text_of(page)):
        target = (PROJECT / page).parent / path if path else PROJECT / page
        assert target.name == "commands.md" or target.exists(), path
        if anchor:
            titles = re.findall(r"^#+ (.*)$", target.read_text("utf-8"), re.M)
            assert anchor[1:] in [re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles]


def test_every_page_is_in_the_menu_of_the_site() -> None:
    menu = set(re.findall(r": (\w+\.md)$", text_of("mkdocs.yml"), re.M))
    assert menu == {Path(page).name for page in PAGES if page.startswith("docs/")} | {"commands.md"}


def test_the_guide_counts_the_trials_of_the_shipped_plans() -> None:
    counts = re.findall(r"^\| `(\w+)` \|.*\| (\d+) \| [\w ]+ \|$", text_of("docs/many_runs.md"), re.M)
    assert {name: int(count) for name, count in counts} == {
        name: len(trials_of(read_plan(name))) for name in shipped_plans()
    }
