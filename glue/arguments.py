"""The flags that the sentence-task commands share. No Paddle."""

import argparse
from argparse import Namespace
from pathlib import Path

from common.cache import cache_dir
from common.command_line import CommandParser, path
from common.errors import InputError
from common.flags import add_batches, add_label_map, add_lower_case, add_machine_flags
from glue.task_file import read_task_file
from glue.tasks import TASKS, Task, task_name, task_named


def add_task(parser: CommandParser) -> None:
    """Add ``--task_name`` and ``--task_file``, of which one is needed; ``chosen_task`` reads them."""
    either = parser.add_mutually_exclusive_group(required=True)
    either.add_argument(
        "--task_name",
        type=task_name,
        metavar="TASK",
        help=f"one of {', '.join(TASKS)}; other usual spellings (SST2, stsb, mnli_matched) are understood",
    )
    add_task_file(either)


def add_task_file(parser: argparse._ActionsContainer, use: str = "a task of your own") -> None:
    parser.add_argument(
        "--task_file",
        type=path,
        metavar="FILE.yaml",
        help=f"{use}: names its files (CSV, TSV, JSON lines, Parquet), columns and scores; glue/task_file.py "
        "describes it",
    )


def chosen_task(flags: Namespace) -> Task:
    """The task that the flags name; the user's own is known by its name from then on."""
    return read_task_file(flags.task_file) if flags.task_file else task_named(flags.task_name)


def add_data_dir(
    parser: CommandParser, help_text: str = "folder that holds the official CoLA/, SST-2/, …"
) -> None:
    """Add ``--data_dir``; ``data_folder`` gives the folder it means."""
    parser.add_argument(
        "--data_dir",
        type=path,
        metavar="DIR",
        help=f"{help_text} (default: what scripts.download_glue made)",
    )


def add_common(parser: CommandParser) -> None:
    add_data_dir(parser)
    add_label_map(parser)
    add_machine_flags(parser)


def add_checkpoint(parser: CommandParser) -> None:
    parser.add_argument(
        "--ckpt_path",
        required=True,
        type=path,
        metavar="FOLDER",
        help="a fine-tuned model folder, a run's folder (its best/ is taken), or what deploy.export wrote",
    )
    add_batches(parser)
    add_lower_case(parser)
    parser.add_argument(
        "--both_orders",
        action="store_true",
        help="of pairs: the mean of the logits of both orders of the texts",
    )
    parser.add_argument(
        "--engine",
        choices=("auto", "dynamic", "bfloat16", "paddle", "onnx"),
        default="auto",
        help="what runs the model: the network itself (dynamic), the same in bfloat16 on a CPU that has it, "
        "or a graph of it (paddle.inference, ONNX Runtime), which a model folder is exported to first; auto, "
        "where there are rows enough: bfloat16 on a CPU with AMX, onnx where it is installed and no C "
        "compiler is at hand; else dynamic; the labels are the same with each (default: auto)",
    )


def data_folder(given: str | None, task: Task | None = None) -> Path:
    """--data_dir, or the download cache; InputError where neither is there. A task of the user's own needs
    neither."""
    if task is not None and task.is_own:
        return Path()
    folder = Path(given) if given else cache_dir() / "glue"
    if not folder.is_dir():
        fetching = "python -m scripts.download_glue"
        remedy = f"; fetch the official files with `{fetching}`, or name their --data_dir"
        remedy = "; --data_dir names the folder that holds CoLA/, SST-2/, …" if given else remedy
        raise InputError(f"no such folder{remedy}", path=folder)
    return folder
