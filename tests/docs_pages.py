"""The pages of the documentation: their blocks of code, and the commands in these."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from scripts.cli import MODULES

PROJECT = Path(__file__).resolve().parents[1]
PAGES = [
    "README.md", "README_cn.md", "CONTRIBUTING.md", "checkpoints/convbert-mini/README.md",
    *sorted(f"docs/{path.name}" for path in (PROJECT / "docs").glob("*.md") if path.name != "commands.md"),
]  # fmt: skip
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.S | re.M)


@dataclass(frozen=True)
class Command:
    """A command of ours: its module, and what stands behind it."""

    module: str
    flags: tuple[str, ...]


def text_of(page: str) -> str:
    return (PROJECT / page).read_text(encoding="utf-8")


def blocks_of(text: str) -> list[tuple[str, str]]:
    """(language, code) of every block of a page, in order."""
    return _BLOCK.findall(text)


def shell_lines(code: str) -> list[list[str]]:
    """The simple commands of a shell block as words; of a loop over tasks its body for RTE."""
    lines = []
    for line in (
        code.replace("\\\n", " ")
        .replace("$task", "rte")
        .replace(" TASK ", " rte ")
        .replace(" EPOCHS", " 1")
        .replace(" SEED ", " 1 ")
        .splitlines()
    ):
        if not re.match(r"\s*(for .*; do|done)$", line):
            words = shlex.split(line, comments=True)
            while "&&" in words:
                lines.append(words[: words.index("&&")])
                words = words[words.index("&&") + 1 :]
            lines.append(words)
    return [words for words in lines if words]


def command_of(words: list[str]) -> Command | None:
    """The command of ours that a line runs, by either of its names or through Paddle's launcher."""
    if words[:3] == ["python", "-m", "paddle.distributed.launch"]:
        number = next(position for position, word in enumerate(words) if word.endswith(".py"))
        return Command(words[number].removesuffix(".py").replace("/", "."), tuple(words[number + 1 :]))
    if words[0] == "convbert-glue" and len(words) > 1 and not words[1].startswith("-"):
        return Command(MODULES[words[1]], tuple(words[2:]))
    if words[:2] == ["python", "-m"]:
        return Command(words[2], tuple(words[3:]))
    return None


def commands_of(page: str) -> list[list[str]]:
    """Every line of the shell blocks of a page."""
    return [line for kind, code in blocks_of(text_of(page)) if kind == "sh" for line in shell_lines(code)]
