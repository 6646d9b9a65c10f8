"""What a run that goes on takes from its own folder: its settings, and the model as last saved. No Paddle."""

from argparse import Namespace
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.command_line import CommandParser
from common.errors import InputError
from common.files import read_json_object

if TYPE_CHECKING:
    from encoders.config import EncoderConfig

_NEVER_KEPT = ("output_dir", "resume", "overwrite_output_dir", "config", "help")


def parse_flags(
    parser: CommandParser, argv: Sequence[str] | None, trains: Callable[[str], bool]
) -> Namespace:
    """The command line's flags. Those that ``--resume`` goes without are as the run was begun.

    trains: whether a run's ``task_name`` is one of this command. ``flags.begun``: what the run's args.json
    says; empty for a new run.
    """
    first = CommandParser(prog=parser.prog, add_help=False)
    first.add_switch("--resume")
    first.add_argument("--output_dir")
    known, _ = first.parse_known_args(argv)
    path = Path(known.output_dir or "") / "args.json"
    begun: dict[str, Any] = {}
    missing: list[str] = []
    if known.resume and known.output_dir:
        begun = read_json_object(path) if path.is_file() else {}
        if (task := str(begun.get("task_name") or "")) and not trains(task):
            raise InputError(f"{path}: the run is one of {task!r}: `{parser.prog}` does not resume it")
        try:
            missing = parser.fall_back_on({k: v for k, v in begun.items() if k not in _NEVER_KEPT})
        except ValueError as error:
            raise InputError(f"{path}: {error}; name the flag itself") from None
    flags = parser.parse_args(argv)
    if absent := [name for name in missing if getattr(flags, name) is None]:
        names = ", ".join(f"--{name}" for name in absent)
        reason = "is of no run" if begun else "no such file, so there is no run to resume"
        raise InputError(f"{path}: {reason}; a new one needs {names}")
    flags.begun = begun
    return flags


def find_model(flags: Namespace) -> "EncoderConfig":
    """The configuration that the run starts with, and in flags what belongs to it.

    ``flags.saved``: the run's own model folder to go on from, or None; ``flags.model_name_or_path``: the
    folder of the model that was named; ``flags.model_sha256``: that one's digest where it is known. A run
    that goes on needs no other model than its own; one that is named must be the one it was begun with,
    however its path is spelled.
    """
    from checkpoints.folder import digest_of, read_config
    from checkpoints.registry import resolve
    from training.run_state import latest_valid_checkpoint

    saved = latest_valid_checkpoint(Path(flags.output_dir)).folder if flags.begun else None
    flags.saved, flags.model_sha256 = saved and str(saved), ""
    if saved is None:
        flags.model_name_or_path = str(resolve(flags.model_name_or_path))
        return read_config(flags.model_name_or_path)
    begun, named = (flags.begun.get(key) for key in ("model_sha256", "model_name_or_path"))
    if flags.model_name_or_path != named:
        folder = resolve(flags.model_name_or_path)
        read_config(folder)
        if digest_of(folder) != begun:
            raise InputError(
                f"--model_name_or_path {flags.model_name_or_path}: this run was begun with another model, "
                f"{named}; leave the flag out, or take another --output_dir"
            )
    flags.model_name_or_path, flags.model_sha256 = str(named), str(begun)
    return read_config(saved)
