"""Recipe: every training setting once, with default, help and check. No Paddle.

The flags, the config file's keys and ``args.json`` all come from these fields. Precedence: flag,
config file, preset of (model size, task), default.
"""

import argparse
import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from common.command_line import SWITCH, CommandParser
from common.errors import InputError, UsageError
from common.printable import shortened
from common.yaml_file import read_nodes


def setting(
    default: Any,
    text: str,
    *,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
) -> Any:
    """A field of a recipe: its default, its ``--help`` text, its inclusive range or its choices."""
    return dataclasses.field(
        default=default, metadata={"help": text, "low": low, "high": high, "choices": choices}
    )


@dataclass(frozen=True)
class Recipe:
    """How to train, whatever the task."""

    batch_size: int = setting(32, "rows of a training batch, of each process where there are several", low=1)
    learning_rate: float = setting(5e-5, "peak learning rate", low=0)
    scheduler_type: str = setting("linear", "decay after the warm-up, to 0", choices=("linear", "cosine"))
    warmup_steps: int = setting(0, "warm-up in steps; 0: by --warmup_proportion", low=0)
    warmup_proportion: float = setting(0.1, "warm-up as a share of all steps", low=0, high=1)
    layer_lr_decay: float = setting(1.0, "factor of the rate from a layer to the one below", low=0, high=1)
    layer_lr_decay_mode: str = setting(
        "published",
        "published: the last layer gets decay squared, as ELECTRA and ConvBERT were tuned; fixed: decay",
        choices=("published", "fixed"),
    )
    weight_decay: float = setting(0.01, "decoupled weight decay; LayerNorm and biases are exempt", low=0)
    # At 1 and at 0 Adam would divide by zero.
    adam_beta1: float = setting(0.9, "Adam's decay of the mean gradient", low=0, high=0.999999)
    adam_beta2: float = setting(0.999, "Adam's decay of the mean squared gradient", low=0, high=0.999999)
    adam_epsilon: float = setting(1e-6, "Adam's epsilon", low=1e-30)
    bias_correction: bool = setting(True, "Adam's bias correction; off in the ConvBERT authors' recipe")
    max_grad_norm: float = setting(1.0, "clip the gradients' global norm; 0: no clipping", low=0)
    gradient_accumulation_steps: int = setting(1, "batches that make one step", low=1)
    num_train_epochs: float = setting(3.0, "passes over the training rows; fractions count", low=0)
    max_steps: int = setting(0, "stop after this many steps; 0: by --num_train_epochs", low=0)
    logging_steps: int = setting(50, "log the mean loss every so many steps", low=1)
    save_steps: int = setting(0, "evaluate and save every so many steps; 0: after every epoch", low=0)
    early_stopping_patience: int = setting(
        0, "stop after so many evaluations without a better one; 0: never", low=0
    )
    seed: int = setting(42, "seed of initialisation, order and dropout", low=0, high=2**32 - 1)
    use_amp: bool = setting(False, "mixed precision on GPUs; a CPU trains in float32 and says so")

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            _check(field, getattr(self, field.name))
        if not (self.max_steps or self.num_train_epochs):
            raise UsageError("no steps to take: --num_train_epochs and --max_steps are both 0")


@dataclass(frozen=True)
class FineTuningRecipe(Recipe):
    """The order of rows, and the published aids to fine-tuning on few of them; each is off at 0."""

    length_pool: int = setting(
        1,
        "sort rows by length among so many random batches: fewer padded tokens, but rows of one length "
        "meet again and again in small tasks; 1: plain random batches",
        low=1,
    )
    r_drop: float = setting(
        0.0, "R-Drop: weight of the disagreement of two passes with different dropout; 0: one pass", low=0
    )
    fgm: float = setting(
        0.0, "adversarial training (FGM): size of a row's word-embedding perturbation; 0: none", low=0
    )
    ema: float = setting(
        0.0, "evaluate and save a moving average of the weights with this decay; 0: none",
        low=0, high=0.999999,
    )  # fmt: skip
    reinit_layers: int = setting(0, "so many top layers, and the head, begin new at random", low=0)


RecipeType = TypeVar("RecipeType", bound=Recipe)


def _check(field: Any, value: Any) -> None:
    low, high, choices = (field.metadata[key] for key in ("low", "high", "choices"))
    wrong_type = isinstance(value, bool) != (field.type in (bool, "bool"))
    if wrong_type or not isinstance(value, _accepted(field)):
        raise InputError(f"{field.name}: expected {_type_name(field)}, found {shortened(value)}")
    if choices and value not in choices:
        raise InputError(f"{field.name}: expected one of {', '.join(choices)}, found {shortened(value)}")
    beyond = (low is not None and value < low) or (high is not None and value > high)
    if beyond or (isinstance(value, float) and not math.isfinite(value)):
        raise InputError(f"{field.name}: expected {_span(low, high)}, found {shortened(value)}")


def _span(low: float | None, high: float | None) -> str:
    if low is None:
        return "a finite number"
    return f"a number at least {low:g}" if high is None else f"a number from {low:.10g} to {high:.10g}"


def _accepted(field: Any) -> tuple[type, ...]:
    return (int, float) if _type_of(field) is float else (_type_of(field),)


def _type_of(field: Any) -> type:
    return {"int": int, "float": float, "str": str, "bool": bool}[_type_name(field)]


def _type_name(field: Any) -> str:
    return field.type if isinstance(field.type, str) else field.type.__name__


def add_flags(
    parser: CommandParser,
    recipe: type[Recipe],
    title: str = "training settings",
    beyond: type[Recipe] | None = None,
) -> None:
    """A flag for every setting; one that is not given leaves no trace in the namespace.

    beyond: a recipe whose settings have their flags already.
    """
    group = parser.add_argument_group(title)
    known = {field.name for field in dataclasses.fields(beyond)} if beyond else set()
    for field in dataclasses.fields(recipe):
        if field.name in known:
            continue
        text = f"{field.metadata['help']} (default: {_shown(field.default)})".replace("%", "%%")
        flag = f"--{field.name}"
        if _type_of(field) is bool:
            group.add_argument(flag, help=text, default=argparse.SUPPRESS, **SWITCH)
        elif field.metadata["choices"]:
            group.add_argument(flag, choices=field.metadata["choices"], help=text, default=argparse.SUPPRESS)
        else:
            name = _type_of(field).__name__
            group.add_argument(
                flag, type=_reader(field), metavar=name.upper(), help=text, default=argparse.SUPPRESS
            )


def _reader(field: Any) -> Callable[[str], Any]:
    """Text → the checked value of a setting; what is out of its range is a usage error."""

    def read(text: str) -> Any:
        value = _type_of(field)(text)
        try:
            _check(field, value)
        except InputError as error:
            raise argparse.ArgumentTypeError(str(error).partition(": ")[2]) from None
        return value

    read.__name__ = _type_of(field).__name__  # argparse says "invalid int value"
    return read


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def resolve(
    recipe: type[RecipeType],
    flags: Mapping[str, Any],
    config_file: Mapping[str, Any],
    preset: Mapping[str, Any],
) -> RecipeType:
    """The recipe in force: flag over config file over preset over default."""
    own = {field.name: field for field in dataclasses.fields(recipe)}
    for key, value in config_file.items():  # also where a flag wins: a wrong line is a wrong line
        try:
            _check(own[key], value)
        except InputError as error:
            place = config_file.places[key] if isinstance(config_file, ConfigFile) else "config file"
            raise InputError(f"{place}: {error}") from None
    given = {key: value for key, value in flags.items() if key in own}
    return recipe(**{**preset, **config_file, **given})


class ConfigFile(dict[str, Any]):
    """A config file's settings. places: where each of them stands, ``path:line``."""

    places: dict[str, str]


def read_config_file(path: str | Path | None, allowed: set[str]) -> ConfigFile:
    """The settings of a YAML file ``name: value``, which may be a pipe: it is read once.

    An unknown or repeated name is an error with its line.
    """
    settings = ConfigFile()
    settings.places = {}
    if path is None:
        return settings
    root = read_nodes(path, may_be_pipe=True)
    if root.value is not None and not isinstance(root.value, dict):
        raise InputError(f"{path}: expected lines of the form 'name: value', found {root.kind}")
    for name, node in root.entries().items():
        if name not in allowed:
            raise InputError(f"{node.place}: unknown setting {shortened(name, 60)}; --help lists them")
        if isinstance(node.value, dict | list):
            raise node.wrong("one value")
        settings[name] = _number_if_float(node.value)  # YAML 1.1 reads 1e-4 (without a dot) as text
        settings.places[name] = node.place
    return settings


def _number_if_float(value: Any) -> Any:
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value
