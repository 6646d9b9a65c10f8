"""Flags that commands of several packages share: where and how rows are run, how a model folder is read."""

import os
from functools import partial

from common.command_line import CommandParser, count, count_or_0

DEVICES = ("cpu", "gpu", "xpu")


def add_device(parser: CommandParser, *devices: str) -> None:
    parser.add_argument(
        "--device",
        choices=devices or DEVICES,
        default="cpu",
        help="where to compute (default: cpu)",
    )


def add_machine_flags(parser: CommandParser, *devices: str) -> None:
    """--device, of which all are meant where none is named, and --num_workers."""
    add_device(parser, *devices)
    parser.add_argument(
        "--num_workers",
        type=count_or_0,
        default=0,
        metavar="N",
        help="threads that tokenise; 0: one a core (default)",
    )


def set_workers(count: int) -> None:
    """Take the given number of threads for tokenising; before the first text is tokenised."""
    if count:
        os.environ["RAYON_NUM_THREADS"] = str(count)


def add_batches(parser: CommandParser) -> None:
    """Of rows that are answered, not trained on."""
    parser.add_argument(
        "--batch_size",
        type=count,
        default=64,
        metavar="N",
        help="rows of a batch; of shorter rows more fill it (default: 64)",
    )
    add_length(parser)


def add_length(parser: CommandParser) -> None:
    parser.add_argument(
        "--max_seq_length",
        type=partial(count, least=3),
        metavar="N",
        help="longest input in tokens, [CLS] and [SEP] included (default: as in training)",
    )


def add_lower_case(parser: CommandParser) -> None:
    parser.add_switch(
        "--do_lower_case",
        default=None,
        help="lower-case texts before they are cut into tokens; false: keep their case (default: as the "
        "folder's tokenizer.json or tokenizer_config.json says, or as its vocabulary shows)",
    )


def add_label_map(parser: CommandParser) -> None:
    parser.add_argument(
        "--label_map",
        metavar="A,B,…",
        help="the labels' names in the order of their ids, for a foreign checkpoint that only says LABEL_0, "
        "LABEL_1, … or nothing; for RTE entailment,not_entailment where id 0 means entailment",
    )
