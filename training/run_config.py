"""RunConfig: what a run is asked to do, resolved once; and the same as command-line flags. No Paddle."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar, cast

from common.errors import InputError
from common.python_api import arguments
from encoders.config import EncoderConfig
from training.config import FineTuningConfig, TrainingConfig, read_config_file, resolve
from training.published import default_preset


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """What any run is asked to do. Each field but ``training`` is a flag's value, by the flag's name."""

    model_name_or_path: str
    output_dir: str
    training: TrainingConfig  # the training settings, each of which is a flag too
    # The names of the fields that are paths, which a run records as absolute ones.
    PATHS: ClassVar[tuple[str, ...]] = ()
    device: str = "cpu"
    report_to: Sequence[str] = ()  # where curves go; empty: VisualDL where it is installed
    do_lower_case: bool | None = None
    resume: bool = False
    overwrite_output_dir: bool = False


@dataclass(frozen=True, kw_only=True)
class FineTuningRunConfig(RunConfig):
    """What a run that fine-tunes is asked to do."""

    training: FineTuningConfig  # the training settings
    PATHS: ClassVar[tuple[str, ...]] = ("model_name_or_path",)
    preset: str = ""  # the name of the preset that filled in what nobody set; empty: none
    eval_batch_size: int = 32
    num_workers: int = 0
    from_scratch: bool = False
    model_sha256: str = ""  # the digest of the model it starts with; empty: not computed yet
    saved: str | None = None  # the save of the run itself to go on from; None: it starts with the named model


RunConfigType = TypeVar("RunConfigType", bound=RunConfig)
# Preset's name, empty for none, and network's shape → the settings that the preset sets.
PresetSettings = Callable[[str, EncoderConfig], Mapping[str, Any]]
_NOT_FLAGS = ("training", "model_sha256", "saved")


def resolve_run(
    config: type[RunConfigType],
    values: Mapping[str, Any],
    encoder: EncoderConfig,
    preset_settings: PresetSettings,
    begun: Mapping[str, Any] | None = None,
    training: type[TrainingConfig] | None = None,
) -> RunConfigType:
    """Resolve everything a run is asked to do: flag over config file over preset over default.

    ``values`` are the flags that were given, ``config``, the path of a config file, among them; ``begun`` is
    a resumed run's ``args.json``, whose settings take the place of the preset's; ``training`` is the class of
    the training settings where it is narrower than the field's.
    """
    fields = {field.name: field for field in dataclasses.fields(config)}
    training = training or cast("type[TrainingConfig]", fields["training"].type)
    config_file = read_config_file(values.get("config"), training)
    preset = values.get("preset") or default_preset(encoder.model_type)
    if begun and "preset" in fields and preset != begun.get("preset"):
        raise InputError(
            f"--preset {preset}: this run was begun with {begun.get('preset') or 'none'}; "
            "leave the flag out, or take another --output_dir"
        )
    base = _settings_begun_with(training, begun, values) if begun else preset_settings(preset, encoder)
    resolved = {**values, "preset": preset, "training": resolve(training, values, config_file, base)}
    return config(**{name: value for name, value in resolved.items() if name in fields})


def _settings_begun_with(
    training: type[TrainingConfig], begun: Mapping[str, Any], values: Mapping[str, Any]
) -> dict[str, Any]:
    """The training settings that a run was begun with, of what its ``args.json`` says."""
    path = f"{values['output_dir']}/args.json"
    try:
        return dataclasses.asdict(training(**begun["recipe"]))
    except InputError as error:
        raise InputError(f"recipe: {error}", path=path) from None
    except (KeyError, TypeError):
        raise InputError("holds no settings of this version; this run cannot be resumed", path=path) from None


def as_flags(config: RunConfig) -> list[str]:
    """Render a config as the flags that resolve to it again, for a child process.

    >>> as_flags(RunConfig(model_name_or_path="m", output_dir="o", training=TrainingConfig()))[:3]
    ['--model_name_or_path=m', '--output_dir=o', '--device=cpu']
    """
    fields = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    values = {name: value for name, value in fields.items() if name not in _NOT_FLAGS}
    return arguments({k: v for k, v in {**values, **vars(config.training)}.items() if v != ""})
