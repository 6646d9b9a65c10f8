"""TrainingConfig: every training setting once, with its default, help text and check. No Paddle.

The flags, the config file's keys and ``args.json`` all come from these fields. Precedence: flag, config file,
preset of (model size, task), default.
"""

import dataclasses
import math
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from common.errors import InputError, UsageError
from common.messages import did_you_mean, shortened
from common.yaml_file import read_nodes


def field(
    default: Any,
    help_text: str,
    *,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
) -> Any:
    """Declare a setting: its default, its ``--help`` text, and its inclusive range or its choices."""
    return dataclasses.field(
        default=default, metadata={"help": help_text, "low": low, "high": high, "choices": choices}
    )


@dataclass(frozen=True)
class TrainingConfig:
    """How to train, whatever the task."""

    batch_size: int = field(32, "rows of a training batch, of each process where there are several", low=1)
    learning_rate: float = field(5e-5, "peak learning rate", low=0)
    scheduler_type: str = field("linear", "decay after the warm-up, to 0", choices=("linear", "cosine"))
    warmup_steps: int = field(0, "warm-up in steps; 0: by --warmup_proportion", low=0)
    warmup_proportion: float = field(0.1, "warm-up as a share of all steps", low=0, high=1)
    layer_lr_decay: float = field(1.0, "factor of the rate from a layer to the one below", low=0, high=1)
    layer_lr_decay_mode: str = field(
        "published",
        "published: the last layer gets decay squared, as ELECTRA and ConvBERT were tuned; fixed: decay",
        choices=("published", "fixed"),
    )
    weight_decay: float = field(0.01, "decoupled weight decay; LayerNorm and biases are exempt", low=0)
    # At 1 and at 0 Adam would divide by zero.
    adam_beta1: float = field(0.9, "Adam's decay of the mean gradient", low=0, high=0.999999)
    adam_beta2: float = field(0.999, "Adam's decay of the mean squared gradient", low=0, high=0.999999)
    adam_epsilon: float = field(1e-6, "Adam's epsilon", low=1e-30)
    bias_correction: bool = field(True, "Adam's bias correction; off in the ConvBERT authors' recipe")
    max_grad_norm: float = field(1.0, "clip the gradients' global norm; 0: no clipping", low=0)
    gradient_accumulation_steps: int = field(1, "batches that make one step", low=1)
    num_train_epochs: float = field(3.0, "passes over the training rows; fractions count", low=0)
    max_steps: int = field(0, "stop after this many steps; 0: by --num_train_epochs", low=0)
    logging_steps: int = field(50, "log the mean loss every so many steps", low=1)
    save_steps: int = field(0, "evaluate and save every so many steps; 0: after every epoch", low=0)
    early_stopping_patience: int = field(
        0, "stop after so many evaluations without a better one; 0: never", low=0
    )
    seed: int = field(42, "seed of initialisation, order and dropout", low=0, high=2**32 - 1)
    use_amp: bool = field(
        False, "mixed precision: products in fewer bits; a CPU without bfloat16 trains in float32 and says so"
    )
    amp_dtype: str = field(
        "auto",
        "what --use_amp computes in; auto: bfloat16 where the device has it",
        choices=("auto", "bfloat16", "float16"),
    )

    def __post_init__(self) -> None:
        for setting in dataclasses.fields(self):
            check_value(setting, getattr(self, setting.name))
        if not (self.max_steps or self.num_train_epochs):
            raise UsageError("no steps to take: --num_train_epochs and --max_steps are both 0")


@dataclass(frozen=True)
class FineTuningConfig(TrainingConfig):
    """The order of rows, and the published aids to fine-tuning on few of them; each is off at 0."""

    length_pool: int = field(
        1,
        "sort rows by length among so many random batches: fewer padded tokens, but rows of one length "
        "meet again and again in small tasks; 1: plain random batches",
        low=1,
    )
    r_drop: float = field(
        0.0, "R-Drop: weight of the disagreement of two passes with different dropout; 0: one pass", low=0
    )
    fgm: float = field(
        0.0, "adversarial training (FGM): size of a row's word-embedding perturbation; 0: none", low=0
    )
    ema: float = field(
        0.0, "evaluate and save a moving average of the weights with this decay; 0: none",
        low=0, high=0.999999,
    )  # fmt: skip
    reinit_layers: int = field(0, "so many top layers, and the head, begin new at random", low=0)


# Settings that runs of an older version do not record → what these runs did.
_ADDED_SETTINGS = {"amp_dtype": "auto", "head_seed": 0, "mean_of_saves": 0}
ConfigType = TypeVar("ConfigType", bound=TrainingConfig)


def field_names(config: type[TrainingConfig]) -> tuple[str, ...]:
    """The names of a config's settings, in order."""
    return tuple(setting.name for setting in dataclasses.fields(config))


def with_added_settings(recipe: Any, known: Collection[str]) -> Any:
    """A run's recorded settings, with those of the known ones that its version did not have yet."""
    added = {name: value for name, value in _ADDED_SETTINGS.items() if name in known}
    return {**added, **recipe} if isinstance(recipe, dict) else recipe


def check_value(setting: Any, value: Any) -> None:
    """Raise InputError unless a value is of a setting's type and within its range or choices."""
    low, high, choices = (setting.metadata[key] for key in ("low", "high", "choices"))
    value_type = type_of(setting)
    is_of_type = isinstance(value, (int, float) if value_type is float else value_type)
    if not is_of_type or isinstance(value, bool) != (value_type is bool):
        raise InputError(f"{setting.name}: expected {value_type.__name__}, found {shortened(value)}")
    if choices and value not in choices:
        raise InputError(f"{setting.name}: expected one of {', '.join(choices)}, found {shortened(value)}")
    is_outside = (low is not None and value < low) or (high is not None and value > high)
    if is_outside or (isinstance(value, float) and not math.isfinite(value)):
        raise InputError(f"{setting.name}: expected {_range_text(low, high)}, found {shortened(value)}")


def _range_text(low: float | None, high: float | None) -> str:
    if low is None:
        return "a finite number"
    return f"a number at least {low:g}" if high is None else f"a number from {low:.10g} to {high:.10g}"


def type_of(setting: Any) -> type:
    """The Python type of a setting's values: int, float, str or bool."""
    return type(setting.default)


def resolve(
    config: type[ConfigType],
    flags: Mapping[str, Any],
    config_file: Mapping[str, Any],
    preset: Mapping[str, Any],
) -> ConfigType:
    """Put the settings together: flag over config file over preset over default."""
    given = {name: value for name, value in flags.items() if name in field_names(config)}
    return config(**{**preset, **config_file, **given})


def read_config_file(path: str | Path | None, config: type[TrainingConfig]) -> dict[str, Any]:
    """Read and check the settings of a YAML file of lines ``name: value``, which may be a pipe."""
    settings = {setting.name: setting for setting in dataclasses.fields(config)}
    values = {}
    for name, node in read_nodes(path, may_be_pipe=True).entries().items() if path else ():
        if name not in settings:
            meant = did_you_mean(name, settings)
            message = f"unknown setting {shortened(name, 60)}{meant}; --help lists them"
            raise InputError(message, path=node.path, line=node.line, code="unknown")
        if isinstance(node.value, dict | list):
            raise node.wrong("one value")
        values[name] = node.value
        if isinstance(node.value, str):
            with suppress(ValueError):
                values[name] = float(node.value)  # YAML 1.1 reads 1e-4 (without a dot) as text
        try:
            check_value(settings[name], values[name])
        except InputError as error:
            raise InputError(error.message, path=node.path, line=node.line, code="value") from None
    return values
