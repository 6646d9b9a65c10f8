"""The flags that fine-tuning commands share."""

import dataclasses
import importlib

import pytest

from common.command_line import CommandParser
from common.errors import InputError
from encoders.config import EncoderConfig, named
from glue import run_glue
from glue.config import resolve_glue_run
from training.config import TrainingConfig
from training.flags import add_training_flags
from training.resolution import check_model_type
from training.run_config import FineTuningRunConfig, as_flags, resolve_run

WORDS = {
    "glue.run_glue": ["--task_name", "rte", "--model_name_or_path", "m", "--output_dir", "o"],
    "squad.run_squad": ["--model_name_or_path", "m", "--output_dir", "o"],
}


@pytest.mark.parametrize("command", WORDS)
def test_every_field_has_its_flag_with_the_same_default(command: str) -> None:
    flags = vars(importlib.import_module(command).make_parser().parse_args(WORDS[command]))
    assert flags.pop("preset") is None  # till the model's type is known
    for field in dataclasses.fields(FineTuningRunConfig):
        if field.default is not dataclasses.MISSING and field.name not in ("preset", "model_sha256", "saved"):
            assert flags[field.name] == field.default, field.name


@pytest.mark.parametrize("command", WORDS)
@pytest.mark.parametrize("flag", ["--model_name_or_path", "--output_dir", "--config"])
def test_an_empty_path_as_an_unset_variable_gives_is_wrong_usage(command: str, flag: str) -> None:
    parser = importlib.import_module(command).make_parser()
    with pytest.raises(SystemExit) as left:
        parser.parse_args([*WORDS[command], flag, ""])
    assert left.value.code == 2


VALUES = {"config": None, "preset": None, "model_name_or_path": "m", "output_dir": "o"}
PRESETS: dict[str, dict[str, object]] = {
    "authors": {"batch_size": 7, "seed": 3, "learning_rate": 1e-7 / 3},
    "reference": {"batch_size": 9},
    "": {},
}


def preset_settings(name: str, encoder: EncoderConfig) -> dict[str, object]:
    return PRESETS[name]


def test_a_preset_stands_between_default_and_flag() -> None:
    encoder = named("small")
    config = resolve_run(FineTuningRunConfig, {**VALUES, "seed": 5}, encoder, preset_settings)
    training = config.training
    assert (config.preset, training.batch_size, training.seed, training.max_steps) == ("authors", 7, 5, 0)
    config = resolve_run(FineTuningRunConfig, {**VALUES, "preset": "reference"}, encoder, preset_settings)
    assert (config.preset, config.training.batch_size) == ("reference", 9)
    assert config.training.seed == TrainingConfig.seed


@pytest.mark.parametrize("model_type", ["convbert", "bert"])
def test_a_config_as_flags_resolves_to_itself(model_type: str) -> None:
    """Whatever it was resolved from: the child process that gets the flags does exactly the same."""
    encoder = dataclasses.replace(named("small"), model_type=model_type)
    values = {
        "task_name": "sts-b", "model_name_or_path": "-m=1", "output_dir": "o o", "data_dir": "d",
        "resume": True, "label_map": "a,b", "do_lower_case": False, "ema": 0.1 + 0.2, "use_amp": True,
        "bias_correction": False, "both_orders": True, "learning_rate": 1,
    }  # fmt: skip
    config = resolve_glue_run(values, encoder)
    flags = run_glue.make_parser().parse_args(as_flags(config))
    assert resolve_glue_run(vars(flags), encoder) == config


def test_a_model_of_another_type_is_refused() -> None:
    check_model_type("convbert", named("small"), "m")
    check_model_type(None, named("small"), "m")
    with pytest.raises(InputError, match=r"--model_type bert: m/config\.json says convbert"):
        check_model_type("bert", named("small"), "m")


def test_bf16_is_short_for_two_flags() -> None:
    parser = CommandParser(prog="train")
    add_training_flags(parser, TrainingConfig)
    expected = vars(parser.parse_args(["--use_amp", "--amp_dtype", "bfloat16"]))
    assert vars(parser.parse_args(["--bf16"])) == expected == {"use_amp": True, "amp_dtype": "bfloat16"}
    assert vars(parser.parse_args([])) == {}
