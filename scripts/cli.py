"""convbert-glue: every command of the project by one name.

Example:
  convbert-glue --help
  convbert-glue finetune --task_name mrpc --model_name_or_path convbert-mini --output_dir runs/mrpc

A subcommand is the module of the same row, so `convbert-glue check` and `python -m submission.check` take the
same flags and have the same exit codes. To complete names with the tab key in bash (or in zsh, after
`autoload bashcompinit && bashcompinit`):
  complete -o default -C 'convbert-glue --complete' convbert-glue
"""

import ast
import os
import runpy
import sys
from collections.abc import Iterable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NoReturn

from common import command_line
from common.dispatch import dispatch
from common.errors import UsageError
from common.messages import did_you_mean
from glue.tasks import TASKS

NAME = "convbert-glue"
SUBCOMMANDS: dict[str, dict[str, str]] = {
    "fine-tune": {
        "finetune": "glue.run_glue", "evaluate": "glue.run_eval", "predict": "glue.run_predict",
        "summary": "glue.summary", "score": "glue.score", "compare-predictions": "glue.compare",
    },
    "submission files": {
        "check": "submission.check", "pack": "submission.pack", "verify": "submission.verify",
        "diff": "submission.diff",
    },
    "many runs": {
        "leaderboard": "lab.leaderboard", "sweep": "lab.sweep", "results": "lab.selection",
        "ensemble": "lab.ensemble", "submit": "lab.submit",
        "history": "lab.history", "report": "lab.report",
    },
    "SQuAD": {"squad-train": "squad.run_squad", "squad-evaluate": "squad.evaluate"},
    "pre-training": {"pretrain": "pretraining.run_pretrain", "pretrain-curves": "pretraining.curves"},
    "models": {
        "convert": "checkpoints.convert", "compare": "scripts.compare", "export": "deploy.export",
        "push": "checkpoints.push",
    },
    "serve": {"infer": "deploy.infer", "serve": "deploy.serve", "ask": "deploy.client"},
    "data": {
        "download-glue": "scripts.download_glue", "download-squad": "scripts.download_squad",
        "make-sample": "scripts.make_sample",
    },
}  # fmt: skip
MODULES = {name: module for group in SUBCOMMANDS.values() for name, module in group.items()}
_PROJECT = Path(__file__).resolve().parents[1]
_PACKAGES = ("paddlepaddle", "paddlepaddle-gpu", "numpy", "tokenizers", "safetensors", "onnxruntime")


def main(argv: Sequence[str] | None = None) -> None:
    """Run a subcommand, or print the list of them or the versions.

    Args:
        argv: what stands behind ``convbert-glue`` (default: the process's).
    """
    name, *rest = list(sys.argv[1:] if argv is None else argv) or ["--help"]
    name = name if name.startswith("-") else name.replace("_", "-")
    if name in ("-h", "--help"):
        print(overview())
    elif name == "--version":
        print("\n".join(versions()))
    elif name == "--complete":  # bash asks so, with the line up to the cursor in its environment
        print("\n".join(completions(os.environ.get("COMP_LINE", ""))))
    elif name in MODULES:
        command_line.program_name = f"{NAME} {name}"
        sys.argv = [f"{NAME} {name}", *rest]
        runpy.run_module(MODULES[name], run_name="__main__")
    else:
        meant = did_you_mean(name, MODULES)
        raise UsageError(f"{name!r} is no subcommand{meant}; {NAME} --help lists them")


def completions(line: str) -> list[str]:
    """What may stand at the end of a command line: a subcommand, a flag, a flag's choice; else none, and the
    shell completes names of files."""
    words = line.split()[1:]
    begun = "" if line[-1:].isspace() or not words else words.pop()
    candidates: Iterable[str] = [*MODULES, "--help", "--version"]
    if words:
        if words[0] not in MODULES:
            return []
        actions = dispatch(f"{MODULES[words[0]]}:make_parser")._option_string_actions
        flag = next((word for word in reversed(words) if word.startswith("-")), "")
        action, candidates = actions.get(flag), actions
        if flag == words[-1] == "--task_name":
            candidates = TASKS
        elif action is not None and (action.nargs == "+" or (flag == words[-1] and action.nargs is None)):
            candidates = action.choices or ()
    return [candidate for candidate in candidates if candidate.startswith(begun)]


def overview() -> str:
    """The subcommands by what a person wants, each with the first line of its module's docstring."""
    usage = (f"{NAME} SUBCOMMAND [flags]", f"{NAME} SUBCOMMAND --help", f"{NAME} --version")
    lines = ["usage: " + "\n       ".join(usage)]
    width = max(map(len, MODULES)) + 2
    for group, rows in SUBCOMMANDS.items():
        lines += ["", f"{group}:"]
        lines += [f"  {name:{width}}{summary(module)}" for name, module in rows.items()]
    return "\n".join(lines)


def summary(module: str) -> str:
    """The first line of a module's docstring, read without importing the module."""
    source = _PROJECT.joinpath(*module.split(".")).with_suffix(".py").read_text(encoding="utf-8")
    return (ast.get_docstring(ast.parse(source)) or "").splitlines()[0].rstrip(".")


def versions() -> list[str]:
    """This project's version, those of the packages that decide results, and the processor."""
    lines = [f"{NAME} {dispatch('common.provenance:code_version')}"]
    for package in _PACKAGES:
        try:
            lines.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    chip, python = dispatch("encoders.runtime:processor"), sys.version.split()[0]
    return [*lines, f"Python {python}", f"processor {chip['model']}", f"features {chip['features']}"]


def entry() -> NoReturn:
    """The console script: ``main`` with the exit codes of every command."""
    command_line.run(main)


if __name__ == "__main__":
    entry()
