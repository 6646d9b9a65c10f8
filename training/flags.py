"""The command-line flags of training, and what a resumed run takes from its own folder. No Paddle."""

import argparse
import dataclasses
from argparse import Namespace
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from common.command_line import SWITCH, CommandParser, count, path
from common.errors import InputError
from common.flags import add_lower_case
from common.json_files import read_json_object
from encoders.model_types import MODEL_TYPES
from training.config import TrainingConfig, check_value, field_names, type_of
from training.run_state import ARGS

_NEVER_KEPT = ("output_dir", "resume", "overwrite_output_dir", "config", "help")


def add_training_flags(
    parser: CommandParser,
    config: type[TrainingConfig],
    title: str = "training settings",
    without: type[TrainingConfig] | None = None,
    presets: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
) -> None:
    """Add a flag for every training setting, but for those of the class ``without``.

    Of what every preset sets, the default is named as that of no preset.

    One that is not given leaves no trace in the namespace.
    """
    group = parser.add_argument_group(title)
    known = field_names(without) if without else ()
    for setting in dataclasses.fields(config):
        if setting.name in known:
            continue
        default = str(setting.default).lower() if isinstance(setting.default, bool) else setting.default
        preset = "the preset's, else " if any(setting.name in values for values in presets.values()) else ""
        options: dict[str, Any] = {
            "help": f"{setting.metadata['help']} (default: {preset}{default})".replace("%", "%%"),
            "default": argparse.SUPPRESS,
        }
        if isinstance(setting.default, bool):
            options |= SWITCH
        elif setting.metadata["choices"]:
            options["choices"] = setting.metadata["choices"]
        else:
            options |= {"type": _parser_of(setting), "metavar": type_of(setting).__name__.upper()}
        group.add_argument(f"--{setting.name}", **options)
    if "use_amp" in field_names(config) and "use_amp" not in known:
        group.add_argument(
            "--bf16", action=_BothAmpFlags, nargs=0, help="the same as --use_amp --amp_dtype bfloat16"
        )


class _BothAmpFlags(argparse.Action):
    """``--bf16``: sets two settings."""

    def __init__(self, option_strings: Sequence[str], dest: str, **settings: Any) -> None:
        super().__init__(option_strings, dest, default=argparse.SUPPRESS, **settings)

    def __call__(self, parser: Any, namespace: Namespace, values: Any, option: str | None = None) -> None:
        namespace.use_amp, namespace.amp_dtype = True, "bfloat16"


def _parser_of(setting: Any) -> Callable[[str], Any]:
    """Text → the checked value of a setting; one out of range is a usage error."""

    def parse(text: str) -> Any:
        value = type_of(setting)(text)
        try:
            check_value(setting, value)
        except InputError as error:
            raise argparse.ArgumentTypeError(str(error).partition(": ")[2]) from None
        return value

    parse.__name__ = type_of(setting).__name__  # argparse says "invalid int value"
    return parse


def add_output_flags(parser: CommandParser, use: str = "the run's folder; it") -> None:
    """Add ``--output_dir`` and what to do where a run is in it already."""
    parser.add_argument(
        "--output_dir",
        required=True,
        type=path,
        metavar="DIR",
        help=f"{use} must be empty or new, or go with --resume or --overwrite_output_dir",
    )
    parser.add_switch("--resume", help="go on where the run in --output_dir stopped; no other flag is needed")
    parser.add_switch("--overwrite_output_dir", help="begin anew: remove the run in --output_dir first")


def add_config_flags(parser: CommandParser) -> None:
    """Add ``--model_type``, ``--config`` and ``--report_to``."""
    parser.add_argument(
        "--report_to",
        nargs="+",
        choices=("none", "visualdl", "tensorboard", "wandb"),
        default=(),
        help="where the curves go, one or several; what fails there stops no run (default: visualdl where it "
        "is installed)",
    )
    parser.add_argument(
        "--model_type",
        choices=MODEL_TYPES,
        help="what config.json should say; a contradiction is an error",
    )
    parser.add_argument(
        "--config",
        type=path,
        metavar="FILE.yaml",
        help="training settings (listed below) as lines 'name: value', such as 'learning_rate: 1e-4'; may be "
        "a pipe",
    )


def add_run_flags(parser: CommandParser, presets: Iterable[str]) -> None:
    """Add the flags that every fine-tuning command has beside its training settings."""
    add_config_flags(parser)
    parser.add_argument(
        "--preset",
        choices=tuple(presets),
        help="a published recipe (default: authors for convbert and electra, else none)",
    )
    parser.add_argument(
        "--eval_batch_size",
        type=count,
        default=32,
        metavar="N",
        help="rows of an evaluation batch; of shorter rows more fill it (default: 32)",
    )
    parser.add_switch("--from_scratch", help="the model folder has no weights: begin with random ones")
    add_lower_case(parser)


# transformers' names, where ours are others.
FLAGS_ELSEWHERE = {
    "--per_device_train_batch_size": "--batch_size",
    "--per_device_eval_batch_size": "--eval_batch_size",
    "--fp16": "--use_amp",
    "--lr": "--learning_rate",
    "--epochs": "--num_train_epochs",
    "--warmup_ratio": "--warmup_proportion",
    "--lr_scheduler_type": "--scheduler_type",
    "--eval_steps": "--save_steps (it evaluates and saves)",
    "--resume_from_checkpoint": "--resume",
    "--do_eval": "not needed",
    "--load_best_model_at_end": "not needed (the best model is in best/)",
}


def parse_flags(
    parser: CommandParser, argv: Sequence[str] | None, is_known: Callable[[Mapping[str, Any]], bool]
) -> Namespace:
    """Parse a training command's flags; those that ``--resume`` goes without are as the run was begun.

    ``begun`` among the flags is what the run's ``args.json`` says; empty for a new run.
    """
    first = CommandParser(prog=parser.prog, add_help=False)
    first.exits = parser.exits
    first.add_switch("--resume")
    first.add_argument("--output_dir")
    known, _ = first.parse_known_args(argv)
    args_file = Path(known.output_dir or "") / ARGS
    begun: dict[str, Any] = {}
    missing: list[str] = []
    if known.resume and known.output_dir:
        begun = read_json_object(args_file) if args_file.is_file() else {}
        if (task := str(begun.get("task_name") or "")) and not is_known(begun):
            message = f"the run is one of {task!r}: `{parser.prog}` does not resume it"
            raise InputError(message, path=args_file)
        try:
            missing = parser.fall_back_on({k: v for k, v in begun.items() if k not in _NEVER_KEPT})
        except ValueError as error:
            raise InputError(f"{error}; name the flag itself", path=args_file) from None
    flags = parser.parse_args(argv)
    if absent := [name for name in missing if all(getattr(flags, n) is None for n in name.split("|"))]:
        names = ", ".join(f"--{name.replace('|', ' or --')}" for name in absent)
        reason = "is of no run" if begun else "no such file, so there is no run to resume"
        raise InputError(f"{reason}; a new one needs {names}", path=args_file)
    flags.begun = begun
    return flags
