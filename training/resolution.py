"""The flags of a training command → its run config: the model that is named, the config file, the preset."""

from argparse import Namespace
from pathlib import Path
from typing import Any

from checkpoints.folder import digest_of, read_config
from checkpoints.registry import resolve
from common.errors import InputError
from encoders.config import EncoderConfig
from training.run_config import PresetSettings, RunConfigType, resolve_run
from training.run_state import latest_valid_checkpoint


def resolve_flags(
    config: type[RunConfigType], flags: Namespace, preset_settings: PresetSettings
) -> RunConfigType:
    """Resolve the flags that ``parse_flags`` gave, the config file and the preset to one config."""
    encoder, model = find_model(flags)
    check_model_type(flags.model_type, encoder, model["model_name_or_path"])
    return resolve_run(config, {**vars(flags), **model}, encoder, preset_settings, flags.begun)


def find_model(flags: Namespace) -> tuple[EncoderConfig, dict[str, Any]]:
    """Find the model that a run starts with: its configuration, and the fields of ``FineTuningRunConfig`` for
    it. A run that goes on needs no other model than its own last save; if one is named, it must be the one it
    was begun with, however its path is spelled."""
    saved = latest_valid_checkpoint(Path(flags.output_dir)).folder if flags.begun else None
    if saved is None:
        folder = str(resolve(flags.model_name_or_path))
        return read_config(folder), {"model_name_or_path": folder}
    begun, named = (flags.begun.get(key) for key in ("model_sha256", "model_name_or_path"))
    if flags.model_name_or_path != named:
        model = resolve(flags.model_name_or_path)
        read_config(model)
        if digest_of(model) != begun:
            raise InputError(
                f"--model_name_or_path {flags.model_name_or_path}: this run was begun with another model, "
                f"{named}; leave the flag out, or take another --output_dir"
            )
    return read_config(saved), {
        "model_name_or_path": str(named), "model_sha256": str(begun), "saved": str(saved)
    }  # fmt: skip


def check_model_type(model_type: str | None, encoder: EncoderConfig, folder: str) -> None:
    """Raise InputError if --model_type is given and is not what the model folder says."""
    if model_type and model_type != encoder.model_type:
        raise InputError(f"--model_type {model_type}: {folder}/config.json says {encoder.model_type}")
