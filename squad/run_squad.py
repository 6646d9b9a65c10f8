"""Fine-tune a model on SQuAD 1.1 or 2.0, and answer questions with it.

Example:
  python -m squad.run_squad --do_train --do_predict --model_name_or_path my-convbert-base \\
      --train_file train-v1.1.json --predict_file dev-v1.1.json --output_dir runs/squad
  python -m squad.run_squad --do_predict --model_name_or_path runs/squad/best \\
      --predict_file dev-v1.1.json --output_dir answers

Which SQuAD it is, the files tell; a file without answers is answered and not scored. Training is scored on
--predict_file by the official numbers. Leaves in --output_dir: args.json, train.log, history.jsonl,
scores.json, best/ and last/ (model folders); with --do_predict the best model's predictions.json,
nbest_predictions.json and for SQuAD 2.0 null_odds.json and predictions_not_null.json. Precedence of the
settings: flag, --config file, preset, default.
"""

import sys

if not __package__:  # started by path: import from this clone
    sys.path[0] = sys.path[0].rpartition("/")[0]

from argparse import Namespace
from collections.abc import Sequence

from common.command_line import CommandParser, path, run
from common.dispatch import dispatch
from common.flags import add_machine_flags, set_workers
from squad.config import ANSWERING, PRESETS, SquadTrainingConfig, flag_names, preset_lines
from training.config import field_names
from training.flags import add_output_flags, add_run_flags, add_training_flags, parse_flags

_OF_TRAINING = ("train_file", "preset", "resume", "overwrite_output_dir", "from_scratch")


def make_parser() -> CommandParser:
    parser = CommandParser(
        prog="python -m squad.run_squad", description=__doc__, epilog="\n".join(preset_lines())
    )
    parser.add_argument(
        "--model_name_or_path",
        required=True,
        type=path,
        metavar="NAME_OR_FOLDER",
        help="a model folder or a published model's name; for answering also a run's folder, for its best/",
    )
    add_output_flags(parser, "where results go; for training it")
    parser.add_switch("--do_train", help="fine-tune, and score on --predict_file meanwhile")
    parser.add_switch("--do_predict", help="answer --predict_file, after training with the best checkpoint")
    for part in ("train", "predict"):
        parser.add_argument(
            f"--{part}_file",
            type=path,
            metavar="FILE",
            help="official JSON, or rows with id, context, question and answers as the datasets library has "
            "them, one a line or in a list (default: the download cache's official file)",
        )
    parser.add_switch(
        "--version_2_with_negative",
        default=None,
        help="the files are SQuAD 2.0; they tell by themselves, and a contradiction is an error",
    )
    add_machine_flags(parser)
    add_run_flags(parser, PRESETS)
    add_training_flags(parser, SquadTrainingConfig)
    return parser


def parse(parser: CommandParser, argv: Sequence[str] | None) -> Namespace:
    """The flags of a command line, checked."""
    flags = parse_flags(parser, argv, lambda run: str(run["task_name"]).startswith("squad_"))
    flags.do_train = flags.do_train or bool(flags.begun)  # only training leaves what can be resumed
    _check_usage(parser, flags)
    set_workers(flags.num_workers)
    return flags


def main(argv: Sequence[str] | None = None) -> None:
    flags = parse(make_parser(), argv)
    if flags.do_train:
        dispatch("squad.fine_tuning:train", flags).print_outcome("{:.2f} %")
    else:
        dispatch("squad.answering:print_scores", flags)


def _check_usage(parser: CommandParser, flags: Namespace) -> None:
    """Exit with 2 where flags would do nothing."""
    if not (flags.do_train or flags.do_predict):
        parser.error("nothing to do: give --do_train, --do_predict or both")
    if not flags.do_train:
        idle = [name for name in _OF_TRAINING if getattr(flags, name)]
        # A training flag that was not given is not in the namespace.
        idle += [n for n in field_names(SquadTrainingConfig) if n in flags and n not in ANSWERING]
        if idle:
            hint = "; --eval_batch_size is for answering" if "batch_size" in idle else ""
            parser.error(f"{flag_names(idle)}: of training, and --do_predict alone does not train{hint}")


if __name__ == "__main__":
    run(main)
