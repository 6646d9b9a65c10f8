"""Fine-tune a model on SQuAD 1.1 or 2.0, and answer questions with it.

Example:
  python -m squad.run_squad --do_train --do_predict --model_name_or_path my-convbert-base \\
      --train_file train-v1.1.json --predict_file dev-v1.1.json --output_dir runs/squad
  python -m squad.run_squad --do_predict --model_name_or_path runs/squad/best \\
      --predict_file dev-v1.1.json --output_dir answers

Which SQuAD it is, the files tell. Training is scored on --predict_file by the official numbers. Leaves in
--output_dir: args.json, train.log, history.jsonl, scores.json, best/ and last/ (model folders); with
--do_predict the best model's predictions.json, nbest_predictions.json and for SQuAD 2.0 null_odds.json and
predictions_not_null.json. Precedence of the settings: flag, --config file, preset, default.
"""

if not __package__:  # started by path: what is importable is the clone, not this folder
    import sys
    from pathlib import Path

    sys.path[0] = str(Path(__file__).resolve().parents[1])

import dataclasses
import json
import os
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from commands.cache import cache_dir
from commands.command_line import CommandParser, count, count_or_0, run
from commands.errors import InputError
from squad.presets import PRESETS, SquadRecipe, preset_settings
from training.published import default_preset
from training.recipe import add_flags, read_config_file, resolve

if TYPE_CHECKING:
    from convbert.config import EncoderConfig
    from squad.fine_tuning import Choices


def make_parser() -> CommandParser:
    parser = CommandParser(prog="python -m squad.run_squad", description=__doc__)
    parser.add_argument(
        "--model_name_or_path", required=True, metavar="FOLDER", help="model folder, or for answering a run's"
    )
    parser.add_argument("--output_dir", required=True, metavar="DIR", help="where results go")
    parser.add_switch("--do_train", help="fine-tune; --output_dir must be empty or new")
    parser.add_switch("--do_predict", help="answer --predict_file, after training with the best checkpoint")
    parser.add_argument("--train_file", metavar="FILE", help="official JSON (default: the download cache's)")
    parser.add_argument(
        "--predict_file", metavar="FILE", help="official JSON (default: the download cache's)"
    )
    parser.add_switch(
        "--version_2_with_negative",
        default=None,
        help="the files are SQuAD 2.0; they tell by themselves, and a contradiction is an error",
    )
    parser.add_switch(
        "--do_lower_case", default=None, help="lower-case texts (default: as the model folder says)"
    )
    parser.add_argument(
        "--model_type",
        choices=("convbert", "bert", "electra", "ernie"),
        help="what config.json should say; a contradiction is an error",
    )
    parser.add_argument(
        "--preset",
        choices=tuple(PRESETS),
        help="a published recipe (default: authors for convbert and electra, else none)",
    )
    parser.add_argument("--config", metavar="FILE.yaml", help="settings as lines 'name: value'")
    parser.add_argument(
        "--eval_batch_size", type=count, default=32, metavar="N", help="windows of a batch (default: 32)"
    )
    parser.add_argument(
        "--device", choices=("cpu", "gpu", "xpu"), default="cpu", help="where to compute (default: cpu)"
    )
    parser.add_argument(
        "--num_workers", type=count_or_0, default=0, metavar="N", help="threads that tokenise; 0: one a core"
    )
    parser.add_switch("--resume", help="go on where the run in --output_dir stopped")
    parser.add_switch("--overwrite_output_dir", help="begin anew: remove the run in --output_dir first")
    parser.add_switch("--from_scratch", help="the model folder has no weights: begin with random ones")
    add_flags(parser, SquadRecipe)
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    parser = make_parser()
    flags = parser.parse_args(argv)
    if not (flags.do_train or flags.do_predict):
        parser.error("nothing to do: give --do_train, --do_predict or both")
    if flags.num_workers:
        os.environ["RAYON_NUM_THREADS"] = str(flags.num_workers)
    from convbert import ranks
    from squad.fine_tuning import fine_tune, predict
    from squad.prediction import dev_scores

    choices = make_choices(flags)
    if not flags.do_train:
        answers = predict(choices)
        if ranks.is_first():
            print(json.dumps(dev_scores(answers), indent=2))
        return
    progress, _ = fine_tune(choices)
    if ranks.is_first():
        best, last = progress.best, progress.last
        print(
            f"f1 best {best['main']:.2f} % at step {best['step']:.0f}, last {last['main']:.2f} %; "
            f"the model is in {flags.output_dir}/best"
        )


def make_choices(flags: Namespace) -> "Choices":
    """What the flags, the config file and the preset say together."""
    from checkpoints.folder import read_config
    from checkpoints.names import resolve as folder_of
    from checkpoints.opening import model_folder
    from squad.fine_tuning import Choices

    folder = folder_of(flags.model_name_or_path)
    found = read_config(folder if flags.do_train else model_folder(folder))
    if flags.model_type and flags.model_type != found.model_type:
        raise InputError(f"--model_type {flags.model_type}: {folder}/config.json says {found.model_type}")
    preset, recipe = choose_recipe(flags, found)
    names = {field.name for field in dataclasses.fields(Choices)}
    taken = {key: value for key, value in vars(flags).items() if key in names}
    return Choices(**{
        **taken,
        "recipe": recipe,
        "preset": preset,
        "model_name_or_path": str(folder),
        "train_file": official_file(flags, "train") if flags.do_train else None,
        "predict_file": official_file(flags, "predict"),
    })  # fmt: skip


def choose_recipe(flags: Namespace, found: "EncoderConfig") -> tuple[str, SquadRecipe]:
    """The preset's name and the settings in force; answering takes the length the model was trained with."""
    names = {field.name for field in dataclasses.fields(SquadRecipe)}
    settings = read_config_file(flags.config, names)
    if not flags.do_train:
        length = found.max_seq_length or min(SquadRecipe.max_seq_length, found.max_position_embeddings)
        return "", resolve(SquadRecipe, vars(flags), settings, {"max_seq_length": length})
    preset = flags.preset or default_preset(found.model_type)
    return preset, resolve(SquadRecipe, vars(flags), settings, preset_settings(preset, found))


def official_file(flags: Namespace, part: str) -> Path:
    """The file a flag names, else the official one in the download cache; InputError if it is not there."""
    given = getattr(flags, f"{part}_file")
    if given:
        return Path(given)
    version = "2.0" if flags.version_2_with_negative else "1.1"
    path = cache_dir() / "squad" / f"{'train' if part == 'train' else 'dev'}-v{version}.json"
    if not path.is_file():
        raise InputError(f"{path}: no such file; name an official SQuAD file with --{part}_file")
    return path


if __name__ == "__main__":
    run(main)
