"""Pre-train a network on plain text.

Example, a small ConvBERT that learns from a larger network:
  python -m pretraining.run_pretrain --objective distill --teacher my-bert \\
      --model_name_or_path convbert-mini --input_dir corpus --output_dir runs/mini

--input_dir holds train.data: UTF-8, one passage a line; two texts with a TAB between them are a pair.
Leaves in --output_dir: args.json, train.log, history.jsonl, scores.json, best/ and last/: model folders
that glue.run_glue and squad.run_squad take.
Precedence of the settings: flag, --config file, what the objective sets, default.
"""

if not __package__:  # started by path: what is importable is the clone, not this folder
    import sys
    from pathlib import Path

    sys.path[0] = str(Path(__file__).resolve().parents[1])

import argparse
import dataclasses
from collections.abc import Sequence

from commands.command_line import CommandParser, path, run
from commands.errors import UsageError
from pretraining.recipe import OBJECTIVES, PretrainRecipe
from training.recipe import add_flags, read_config_file, resolve


def make_parser() -> CommandParser:
    said = [
        f"{name} sets: {', '.join(f'{k} {v}' for k, v in row.items())}" for name, row in OBJECTIVES.items()
    ]
    parser = CommandParser(
        prog="python -m pretraining.run_pretrain", description=__doc__, epilog="\n".join(said)
    )
    parser.add_argument(
        "--model_name_or_path",
        required=True,
        metavar="NAME_OR_FOLDER",
        help="the network: convbert-small, -medium-small, -base or -mini, electra-mini, or a model folder, "
        "of which config.json and vocab.txt are taken; its weights only with --init_from_ckpt",
    )
    parser.add_argument("--input_dir", required=True, type=path, metavar="DIR", help="folder of train.data")
    parser.add_argument(
        "--output_dir",
        required=True,
        type=path,
        metavar="DIR",
        help="the run's folder; must be empty or new, or go with --resume or --overwrite_output_dir",
    )
    parser.add_argument(
        "--objective",
        choices=tuple(OBJECTIVES),
        default="distill",
        help="distill: match --teacher's hidden states and the geometry of its sentences (default: distill)",
    )
    parser.add_argument("--teacher", metavar="FOLDER", help="distill: a model folder with weights")
    parser.add_argument(
        "--embeddings",
        choices=("teacher", "random"),
        default="teacher",
        help="distill: what the embeddings begin with; teacher: the principal components of the teacher's "
        "(default: teacher)",
    )
    parser.add_argument(
        "--init_from_ckpt",
        nargs="?",
        const=True,
        default="",
        metavar="FOLDER",
        help="begin with weights instead of random ones: the folder's, or bare those of --model_name_or_path",
    )
    parser.add_argument(
        "--device", choices=("cpu", "gpu", "xpu"), default="cpu", help="where to compute (default: cpu)"
    )
    parser.add_argument(
        "--config", metavar="FILE.yaml", help="training settings (the list below) as lines 'name: value'"
    )
    parser.add_switch("--resume", help="go on where the run in --output_dir stopped")
    parser.add_switch("--overwrite_output_dir", help="begin anew: remove the run in --output_dir first")
    add_flags(parser, PretrainRecipe)
    parser.add_argument(
        "--train_batch_size",
        dest="batch_size",
        type=int,
        default=argparse.SUPPRESS,
        metavar="INT",
        help="the same as --batch_size: examples of --max_seq_length; of shorter ones a batch holds more",
    )
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    flags = vars(make_parser().parse_args(argv))
    if flags["objective"] == "distill" and not flags["teacher"]:
        raise UsageError("--objective distill: name the --teacher's model folder")
    names = {field.name for field in dataclasses.fields(PretrainRecipe)}
    settings = read_config_file(flags.pop("config"), names)
    recipe = resolve(PretrainRecipe, flags, settings, OBJECTIVES[flags["objective"]])
    from convbert import ranks
    from pretraining.pre_training import Choices, pre_train

    if flags["init_from_ckpt"] is True:
        flags["init_from_ckpt"] = flags["model_name_or_path"]
    choices = {key: value for key, value in flags.items() if key not in names}
    progress = pre_train(Choices(recipe=recipe, **choices))
    if ranks.is_first():
        best, last = progress.best, progress.last
        print(
            f"{flags['objective']}: token_cosine best {best['main']:.4f} at step {best['step']:.0f}, "
            f"last {last['main']:.4f}; the encoder is in {flags['output_dir']}/best"
        )


if __name__ == "__main__":
    run(main)
