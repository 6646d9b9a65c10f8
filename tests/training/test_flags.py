"""The flags that fine-tuning commands share."""

import dataclasses
import importlib
from argparse import Namespace

import pytest

from common.errors import InputError
from encoders.config import named
from training.config import Recipe
from training.flags import RunChoices, check_model_type, choose_recipe, chosen

WORDS = {
    "glue.run_glue": ["--task_name", "rte", "--model_name_or_path", "m", "--output_dir", "o"],
    "squad.run_squad": ["--model_name_or_path", "m", "--output_dir", "o"],
}


@pytest.mark.parametrize("command", WORDS)
def test_every_choice_has_its_flag_with_the_same_default(command: str) -> None:
    flags = importlib.import_module(command).make_parser().parse_args(WORDS[command])
    found = chosen(flags, RunChoices)
    assert found.pop("preset") is None  # till the model's type is known
    defaults = {field.name: field.default for field in dataclasses.fields(RunChoices)}
    for name in ("preset", "model_sha256", "saved"):  # known later: `find_model`
        del defaults[name]
    assert found == {**defaults, "model_name_or_path": "m", "output_dir": "o"}


@pytest.mark.parametrize("command", WORDS)
@pytest.mark.parametrize("flag", ["--model_name_or_path", "--output_dir", "--config"])
def test_an_empty_path_as_an_unset_variable_gives_is_wrong_usage(command: str, flag: str) -> None:
    parser = importlib.import_module(command).make_parser()
    with pytest.raises(SystemExit) as left:
        parser.parse_args([*WORDS[command], flag, ""])
    assert left.value.code == 2


def flags(**given: object) -> Namespace:
    return Namespace(
        **{"config": None, "preset": None, "model_type": None, "model_name_or_path": "m", **given}
    )


def test_a_preset_stands_between_default_and_flag() -> None:
    config = named("small")

    def settings_of(preset: str) -> dict[str, object]:
        return {"authors": {"batch_size": 7, "seed": 3}, "reference": {"batch_size": 9}}[preset]

    preset, recipe = choose_recipe(Recipe, flags(seed=5), config, settings_of)
    assert (preset, recipe.batch_size, recipe.seed, recipe.max_steps) == ("authors", 7, 5, 0)
    preset, recipe = choose_recipe(Recipe, flags(preset="reference"), config, settings_of)
    assert (preset, recipe.batch_size, recipe.seed) == ("reference", 9, Recipe.seed)


def test_a_model_of_another_type_is_refused() -> None:
    check_model_type(flags(model_type="convbert"), named("small"))
    with pytest.raises(InputError, match=r"--model_type bert: m/config\.json says convbert"):
        check_model_type(flags(model_type="bert"), named("small"))
