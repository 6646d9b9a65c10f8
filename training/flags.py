"""The flags that the fine-tuning commands share beside the recipe's, and what they come to. No Paddle."""

import dataclasses
from argparse import Namespace
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from common.command_line import CommandParser, count, path
from common.errors import InputError
from common.model_flags import add_lower_case
from training.config import RecipeType, read_config_file, resolve
from training.published import default_preset

if TYPE_CHECKING:
    from encoders.config import EncoderConfig


@dataclass(frozen=True, kw_only=True)
class RunChoices:
    """What a user chose, besides recipe and data: the values of these flags, by their names.

    model_sha256, saved: as ``resuming.find_model`` found them.
    """

    model_name_or_path: str
    output_dir: str
    preset: str = ""
    device: str = "cpu"
    eval_batch_size: int = 32
    num_workers: int = 0
    model_sha256: str = ""
    saved: str | None = None
    resume: bool = False
    overwrite_output_dir: bool = False
    from_scratch: bool = False
    do_lower_case: bool | None = None


def add_run_flags(parser: CommandParser, presets: Iterable[str]) -> None:
    parser.add_argument(
        "--model_type",
        choices=("convbert", "bert", "electra", "ernie"),
        help="what config.json should say; a contradiction is an error",
    )
    parser.add_argument(
        "--preset",
        choices=tuple(presets),
        help="a published recipe (default: authors for convbert and electra, else none)",
    )
    parser.add_argument(
        "--config",
        type=path,
        metavar="FILE.yaml",
        help="training settings (the list below) as lines 'name: value', such as 'learning_rate: 1e-4'; "
        "may be a pipe",
    )
    parser.add_argument(
        "--eval_batch_size",
        type=count,
        default=32,
        metavar="N",
        help="rows of an evaluation batch; of shorter rows more fill it (default: 32)",
    )
    parser.add_switch("--resume", help="go on where the run in --output_dir stopped; no other flag is needed")
    parser.add_switch("--overwrite_output_dir", help="begin anew: remove the run in --output_dir first")
    parser.add_switch("--from_scratch", help="the model folder has no weights: begin with random ones")
    add_lower_case(parser)


def check_model_type(flags: Namespace, found: "EncoderConfig") -> None:
    """InputError if --model_type is not what the model folder says."""
    if flags.model_type and flags.model_type != found.model_type:
        raise InputError(
            f"--model_type {flags.model_type}: {flags.model_name_or_path}/config.json says {found.model_type}"
        )


def choose_recipe(
    recipe: type[RecipeType],
    flags: Namespace,
    found: "EncoderConfig",
    settings_of: Callable[[str], dict[str, Any]],
) -> tuple[str, RecipeType]:
    """The preset's name, empty for none, and the settings in force. settings_of: a preset's settings.

    A run that goes on has the settings that it was begun with in the preset's place.
    """
    settings = read_config_file(flags.config, {field.name for field in dataclasses.fields(recipe)})
    preset = flags.preset or default_preset(found.model_type)
    if not getattr(flags, "begun", None):
        return preset, resolve(recipe, vars(flags), settings, settings_of(preset))
    if preset != flags.begun.get("preset"):
        raise InputError(
            f"--preset {preset}: this run was begun with {flags.begun.get('preset') or 'none'}; "
            "leave the flag out, or take another --output_dir"
        )
    return preset, resolve(recipe, vars(flags), settings, begun_with(recipe, flags))


def begun_with(recipe: type[RecipeType], flags: Namespace) -> dict[str, Any]:
    """The settings that a run was begun with, of what its args.json says."""
    place = f"{flags.output_dir}/args.json"
    try:
        return dataclasses.asdict(recipe(**flags.begun["recipe"]))
    except InputError as error:
        raise InputError(f"{place}: recipe: {error}") from None
    except (KeyError, TypeError):
        raise InputError(f"{place}: holds no settings of this version; this run cannot be resumed") from None


def chosen(flags: Namespace, choices: type[Any]) -> dict[str, Any]:
    """The flags that a class of choices has a field for."""
    names = {field.name for field in dataclasses.fields(choices)}
    return {name: value for name, value in vars(flags).items() if name in names}
