"""Values of run_glue's flags that are refused, and where a setting is taken from."""

import json
import re
from pathlib import Path

import pytest

from common.errors import InputError
from glue import run_glue
from tests.glue.test_commands import fine_tune


def test_config_file_stands_between_flag_and_preset(sample_dir: Path, tmp_path: Path) -> None:
    config = tmp_path / "c.yaml"
    config.write_text("learning_rate: 5e-4\nweight_decay: 0.2\nclassifier_head: dense\n", encoding="utf-8")
    fine_tune(sample_dir, "wnli", tmp_path / "run", "--config", str(config), "--max_steps", "1")
    recipe = json.loads((tmp_path / "run" / "args.json").read_text(encoding="utf-8"))["recipe"]
    assert recipe["learning_rate"] == 1e-3  # the flag of FEW_STEPS
    assert recipe["weight_decay"] == 0.2  # the file
    assert recipe["layer_lr_decay"] == 0.8  # the preset
    assert (
        json.loads((tmp_path / "run" / "best" / "config.json").read_text(encoding="utf-8"))["classifier_head"]
        == "dense"
    )


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--weight_decay", "0.5"], "recipe.weight_decay 0.01, not 0.5"),
        (["--seed", "7"], "recipe.seed 42, not 7"),
    ],
)
def test_resuming_with_other_settings_is_refused(
    sample_dir: Path, tmp_path: Path, flags: list[str], message: str
) -> None:
    fine_tune(sample_dir, "rte", tmp_path, "--max_steps", "1")
    with pytest.raises(
        InputError, match=re.escape(f"this run was begun with {message}; resume it as it was")
    ):
        fine_tune(sample_dir, "rte", tmp_path, "--max_steps", "1", "--resume", *flags)


@pytest.mark.parametrize(
    ("flag", "least", "value"),
    [("--eval_batch_size", 1, value) for value in ("-1", "0", "1.5", "many")]
    + [("--num_workers", 0, value) for value in ("-1", "1.5")],
)
def test_counts_are_whole_and_large_enough(
    flag: str, least: int, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        run_glue.main(["--task_name", "rte", "--model_name_or_path", "x", "--output_dir", "y", flag, value])
    assert left.value.code == 2
    assert f"{flag}: '{value}' is not a whole number of at least {least}" in capsys.readouterr().err


def test_no_steps_at_all(sample_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no steps to take"):
        fine_tune(sample_dir, "rte", tmp_path, "--max_steps", "0", "--num_train_epochs", "0")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--batch_size", "0"], "argument --batch_size: expected a number at least 1, found 0"),
        (["--learning_rate", "nan"], "argument --learning_rate: expected a number at least 0, found nan"),
        (["--learning_rate", "fast"], "argument --learning_rate: invalid float value: 'fast'"),
        (["--seed", str(2**32)], "argument --seed: expected a number from 0 to 4294967295"),
        (["--output_dir", ""], "argument --output_dir: is empty; name a path"),
    ],
)
def test_values_out_of_range_are_wrong_usage(
    flags: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        run_glue.main(["--task_name", "rte", "--model_name_or_path", "m", "--output_dir", "o", *flags])
    assert left.value.code == 2
    assert message in capsys.readouterr().err


def test_help_shows_what_the_presets_set(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run_glue.main(["--help"])
    message = capsys.readouterr().out
    assert "learning_rate 0.0003 up to hidden size 384, 0.0001 above" in message
    assert "  mrpc: both_orders True\n" in message
