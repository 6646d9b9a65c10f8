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

import json
from argparse import Namespace
from collections.abc import Sequence
from typing import TYPE_CHECKING

from common.cache import cache_dir
from common.command_line import CommandParser, path, run
from common.errors import InputError, UsageError
from common.flags import add_machine_flags, set_workers
from common.messages import say
from squad.config import (
    ANSWERING,
    PRESETS,
    SquadRunConfig,
    SquadTrainingConfig,
    preset_lines,
    preset_settings,
)
from training.config import field_names, read_config_file, resolve
from training.flags import (
    add_output_flags,
    add_run_flags,
    add_training_flags,
    check_model_type,
    parse_flags,
    resolve_flags,
)

if TYPE_CHECKING:
    from squad.answers import Answers
    from training.run_result import RunResult

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


def train(flags: Namespace) -> "RunResult":
    """Fine-tune as the flags say."""
    from squad.fine_tuning import fine_tune

    return fine_tune(training_config(flags))


def answer(flags: Namespace) -> "Answers":
    """Answer --predict_file with a trained model."""
    from squad.answering import predict

    return predict(answering_config(flags))


def main(argv: Sequence[str] | None = None) -> None:
    flags = parse(make_parser(), argv)
    if flags.do_train:
        train(flags).print_outcome("{:.2f} %")
        return
    from encoders import distributed
    from squad.prediction import dev_scores

    answers = answer(flags)
    if distributed.is_first() and answers.data.has_answers:
        print(json.dumps(dev_scores(answers), indent=2))


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
            parser.error(f"{_as_flags(idle)}: of training, and --do_predict alone does not train{hint}")


def _as_flags(names: Sequence[str]) -> str:
    return ", ".join(f"--{name}" for name in names)


def training_config(flags: Namespace) -> SquadRunConfig:
    """What the flags of a training, the config file and the preset say together."""
    files = {part: official_file(flags, part) for part in ("train_file", "predict_file")}
    config = resolve_flags(SquadRunConfig, Namespace(**{**vars(flags), **files}), preset_settings)
    idle = [name for name in ("beam_size", "answerable_weight") if name in flags]
    if idle and config.training.qa_head != "joint":
        raise UsageError(f"{_as_flags(idle)}: of the joint head; give --qa_head joint")
    return config


def answering_config(flags: Namespace) -> SquadRunConfig:
    """The same without training; windows are cut as in training unless a flag says otherwise."""
    from checkpoints.folder import read_config
    from checkpoints.registry import model_folder
    from checkpoints.registry import resolve as resolve_model
    from squad.windows import saved_cutting

    folder = str(model_folder(resolve_model(flags.model_name_or_path)))
    encoder = read_config(folder)
    check_model_type(flags.model_type, encoder, folder)
    settings = read_config_file(flags.config, SquadTrainingConfig)
    idle = [name for name in settings if name not in ANSWERING]
    if idle:
        say(f"{flags.config}: of training, and has no part here: {', '.join(idle)}")
    length = encoder.max_seq_length or min(SquadTrainingConfig.max_seq_length, encoder.max_tokens)
    as_trained = {"max_seq_length": length, **saved_cutting(folder)}
    training = resolve(SquadTrainingConfig, vars(flags), settings, as_trained)
    kept = ("output_dir", "device", "eval_batch_size", "do_lower_case", "version_2_with_negative")
    return SquadRunConfig(
        training=training,
        model_name_or_path=folder,
        predict_file=official_file(flags, "predict_file"),
        **{name: getattr(flags, name) for name in kept},
    )


def official_file(flags: Namespace, part: str) -> str:
    """The file a flag names, else the official one in the download cache; InputError if it is not there."""
    if getattr(flags, part):
        return str(getattr(flags, part))
    version = "2.0" if flags.version_2_with_negative else "1.1"
    path = cache_dir() / "squad" / f"{'train' if part == 'train_file' else 'dev'}-v{version}.json"
    if not path.is_file():
        fetching = "fetch the official files with `python -m scripts.download_squad`"
        raise InputError(f"no such file; {fetching}, or name one with --{part}", path=path)
    return str(path)


if __name__ == "__main__":
    run(main)
