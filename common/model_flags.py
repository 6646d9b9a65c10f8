"""The flags of how a model folder is read, which commands of several packages share."""

from common.command_line import CommandParser


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
