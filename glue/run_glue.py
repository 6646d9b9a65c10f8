"""Fine-tune a model on a GLUE task.

Example:
  python -m glue.run_glue --task_name rte --model_name_or_path my-convbert-base \\
      --data_dir glue_data --output_dir runs/rte

Leaves in --output_dir: args.json, train.log, history.jsonl, scores.json, best/ and last/ (model folders).
Precedence of the settings: flag, --config file, preset of model size and task, default.
"""

if not __package__:  # started by path: what is importable is the clone, not this folder
    import sys
    from pathlib import Path

    sys.path[0] = str(Path(__file__).resolve().parents[1])

import dataclasses
from argparse import Namespace
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from commands.command_line import CommandParser, count, path, run
from commands.errors import InputError
from glue.arguments import add_common, add_task, set_workers
from glue.presets import PRESETS, GlueRecipe, preset_lines, preset_settings
from glue.tasks import Task, task_named
from training.published import default_preset
from training.recipe import add_flags, read_config_file, resolve

if TYPE_CHECKING:
    from convbert.config import EncoderConfig


def make_parser() -> CommandParser:
    parser = CommandParser(
        prog="python -m glue.run_glue", description=__doc__, epilog="\n".join(preset_lines())
    )
    add_task(parser)
    parser.add_argument(
        "--model_name_or_path",
        required=True,
        metavar="NAME_OR_FOLDER",
        help="a model folder (config.json, model.safetensors, vocab.txt; PyTorch's and PaddleNLP's files are "
        "read too), or the name of a published model, such as YituTech/conv-bert-base or convbert-base",
    )
    parser.add_argument(
        "--output_dir",
        required=True,
        type=path,
        metavar="DIR",
        help="the run's folder; must be empty or new, or go with --resume or --overwrite_output_dir",
    )
    add_common(parser)
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
    parser.add_argument(
        "--config",
        metavar="FILE.yaml",
        help="training settings (the list below) as lines 'name: value', such as 'learning_rate: 1e-4'",
    )
    parser.add_argument(
        "--eval_batch_size",
        type=count,
        default=32,
        metavar="N",
        help="rows of an evaluation batch (default: 32)",
    )
    parser.add_switch("--resume", help="go on where the run in --output_dir stopped")
    parser.add_switch("--overwrite_output_dir", help="begin anew: remove the run in --output_dir first")
    parser.add_switch("--from_scratch", help="the model folder has no weights: begin with random ones")
    add_flags(parser, GlueRecipe)
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    flags = make_parser().parse_args(argv)
    set_workers(flags.num_workers)
    from checkpoints.folder import read_config
    from checkpoints.names import resolve
    from convbert import ranks
    from glue.fine_tuning import Choices, fine_tune

    task = task_named(flags.task_name)
    flags.model_name_or_path = str(resolve(flags.model_name_or_path))
    found = read_config(flags.model_name_or_path)
    preset, recipe = choose_recipe(flags, task, found)
    flags.preset = preset
    progress = fine_tune(Choices(task=task, recipe=recipe, **_choices(flags)))
    if not ranks.is_first():
        return
    best, last = progress.best, progress.last
    print(
        f"{task.name}: {task.main} best {best['main']:.4f} at step {best['step']:.0f}, "
        f"last {last['main']:.4f}; the model is in {flags.output_dir}/best"
    )


def _choices(flags: Namespace) -> dict[str, Any]:
    """The flags that are not training settings, under the names that Choices has for them."""
    settings = {field.name for field in dataclasses.fields(GlueRecipe)} | {
        "task_name",
        "model_type",
        "config",
    }
    return {key: value for key, value in vars(flags).items() if key not in settings}


def choose_recipe(flags: Namespace, task: Task, found: "EncoderConfig") -> tuple[str, GlueRecipe]:
    """The preset's name and the settings in force."""
    if flags.model_type and flags.model_type != found.model_type:
        raise InputError(
            f"--model_type {flags.model_type}: {flags.model_name_or_path}/config.json says {found.model_type}"
        )
    names = {field.name for field in dataclasses.fields(GlueRecipe)}
    settings = read_config_file(flags.config, names)
    preset = flags.preset or default_preset(found.model_type)
    return preset, resolve(GlueRecipe, vars(flags), settings, preset_settings(preset, found, task))


if __name__ == "__main__":
    run(main)
