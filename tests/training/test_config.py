"""The settings: which source wins, what each refuses, and what ``--help`` and a config file say."""

import argparse
import dataclasses
import os
import re
import threading
from pathlib import Path
from typing import Any

import pytest

from common.command_line import CommandParser
from common.errors import InputError, UsageError
from glue.config import GlueTrainingConfig
from training.config import TrainingConfig, field, read_config_file, resolve
from training.flags import add_training_flags

FIELDS = dataclasses.fields(GlueTrainingConfig)
NAMES = {setting.name for setting in FIELDS}


@dataclasses.dataclass(frozen=True)
class Small(TrainingConfig):
    """A config with one setting of each kind besides the shared ones."""

    share: float = field(0.5, "a share, 100% of it", low=0, high=1)
    kind: str = field("a", "which", choices=("a", "b"))
    quick: bool = field(False, "hurry")
    slow: bool = field(True, "tarry")


def parse(*argv: str) -> dict[str, Any]:
    parser = CommandParser(prog="test")
    add_training_flags(parser, Small)
    return vars(parser.parse_args(argv))


def fault(function: Any, *arguments: Any, **settings: Any) -> str:
    """The one line that an InputError says."""
    with pytest.raises(InputError) as caught:
        function(*arguments, **settings)
    message = str(caught.value)
    assert "\n" not in message
    return message


def config_file(tmp_path: Path, text: str) -> Path:
    (tmp_path / "run.yaml").write_text(text, encoding="utf-8")
    return tmp_path / "run.yaml"


# --- precedence -----------------------------------------------------------------------------------


def test_flag_over_config_file_over_preset_over_default(tmp_path: Path) -> None:
    path = config_file(tmp_path, "batch_size: 3\nlearning_rate: 3.0e-4\nseed: 3\nuse_amp: yes\n")
    flags = parse("--batch_size", "4", "--use_amp", "no")
    preset = {"batch_size": 2, "learning_rate": 2e-4, "weight_decay": 0.2, "use_amp": True}
    config = resolve(Small, flags, read_config_file(path, Small), preset)
    changed = {
        name: value for name, value in dataclasses.asdict(config).items() if value != getattr(Small(), name)
    }
    assert changed == {"batch_size": 4, "learning_rate": 3e-4, "seed": 3, "weight_decay": 0.2}
    assert config.use_amp is False


@pytest.mark.parametrize("setting", FIELDS, ids=lambda setting: setting.name)
def test_each_setting_obeys_the_order(setting: Any) -> None:
    def values() -> list[Any]:
        if isinstance(setting.default, bool):
            return [not setting.default, setting.default, not setting.default]
        if setting.metadata["choices"]:
            others = [choice for choice in setting.metadata["choices"] if choice != setting.default]
            return [others[0], setting.default, others[-1]]
        if isinstance(setting.default, int):
            return [setting.default + 1, setting.default + 2, setting.default + 3]
        return [0.25, 0.5, 0.75]

    preset, file, flag = values()
    name = setting.name
    assert getattr(resolve(GlueTrainingConfig, {}, {}, {}), name) == setting.default
    assert getattr(resolve(GlueTrainingConfig, {}, {}, {name: preset}), name) == preset
    assert getattr(resolve(GlueTrainingConfig, {}, {name: file}, {name: preset}), name) == file
    assert getattr(resolve(GlueTrainingConfig, {name: flag}, {name: file}, {name: preset}), name) == flag


def test_a_flag_given_its_default_still_wins() -> None:
    flags = parse("--batch_size", "32", "--slow", "true", "--kind", "a")
    given = resolve(Small, flags, {"batch_size": 8, "slow": False}, {"kind": "b"})
    assert (given.batch_size, given.slow, given.kind) == (32, True, "a")


def test_other_flags_are_left_aside() -> None:
    assert resolve(Small, {"task_name": "rte", "seed": 7}, {}, {}) == Small(seed=7)


# --- flags ----------------------------------------------------------------------------------------


def test_flags_not_given_leave_no_trace() -> None:
    assert parse() == {}


@pytest.mark.parametrize("setting", FIELDS, ids=lambda setting: setting.name)
@pytest.mark.parametrize("dashes", [False, True])
@pytest.mark.parametrize("equals", [False, True])
def test_every_flag_in_both_spellings(setting: Any, dashes: bool, equals: bool) -> None:
    parser = CommandParser(prog="test")
    add_training_flags(parser, GlueTrainingConfig)
    value = {bool: "false", int: "7", float: "7e-3", str: str(setting.default)}[type(setting.default)]
    wanted: Any = {bool: False, int: 7, float: 0.007, str: setting.default}[type(setting.default)]
    flag = "--" + (setting.name.replace("_", "-") if dashes else setting.name)
    argv = [f"{flag}={value}"] if equals else [flag, value]
    assert vars(parser.parse_args(argv)) == {setting.name: wanted}


@pytest.mark.parametrize(
    ("argv", "actual"),
    [
        (["--quick"], {"quick": True}),
        (["--slow"], {"slow": True}),
        (["--quick", "--seed", "3"], {"quick": True, "seed": 3}),
        (["--quick", "True"], {"quick": True}),
        (["--quick", "1"], {"quick": True}),
        (["--quick=off"], {"quick": False}),
        (["--slow", "False"], {"slow": False}),
        (["--slow", "no", "--quick"], {"slow": False, "quick": True}),
        (["--max_steps", "5", "--max-steps", "6"], {"max_steps": 6}),
        (["--learning_rate", "1e-4"], {"learning_rate": 1e-4}),
        (["--num_train_epochs", "3"], {"num_train_epochs": 3.0}),
    ],
)  # fmt: skip
def test_words_as_values(argv: list[str], actual: dict[str, Any]) -> None:
    assert parse(*argv) == actual


@pytest.mark.parametrize(
    "argv",
    [
        ["--quick", "perhaps"], ["--batch_size", "1.5"], ["--batch_size"], ["--learning_rate", "fast"],
        ["--kind", "c"], ["--batch", "3"], ["--use_am"], ["--no_such", "1"],
    ],
)  # fmt: skip
def test_wrong_words_are_wrong_usage(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse(*argv)
    assert caught.value.code == 2
    assert argv[0] in capsys.readouterr().err


def test_help_shows_every_setting_once_with_its_default() -> None:
    parser = CommandParser(prog="test", formatter_class=argparse.RawTextHelpFormatter)
    add_training_flags(parser, GlueTrainingConfig)
    output = " ".join(parser.format_help().partition("training settings:")[2].split())
    for setting in FIELDS:
        default = str(setting.default).lower() if isinstance(setting.default, bool) else str(setting.default)
        assert len(re.findall(rf"--{setting.name} [\[{{A-Z]", output)) == 1, setting.name
        help_text = " ".join(setting.metadata["help"].split())
        assert f"{help_text} (default: {default})" in output
        for choice in setting.metadata["choices"]:
            assert choice in output


def test_help_with_a_percent_sign() -> None:
    parser = CommandParser(prog="test")
    add_training_flags(parser, Small)
    assert "a share, 100% of it (default: 0.5)" in parser.format_help()


# --- values ---------------------------------------------------------------------------------------

AT_LEAST = {
    "batch_size": 1, "learning_rate": 0, "warmup_steps": 0, "weight_decay": 0, "adam_epsilon": 1e-30,
    "max_grad_norm": 0, "gradient_accumulation_steps": 1, "num_train_epochs": 0, "max_steps": 0,
    "logging_steps": 1, "save_steps": 0, "early_stopping_patience": 0, "max_seq_length": 3,
    "length_pool": 1, "r_drop": 0, "fgm": 0, "reinit_layers": 0, "mean_of_saves": 0,
}  # fmt: skip
SPANS = {
    "warmup_proportion": (0, 1), "layer_lr_decay": (0, 1), "adam_beta1": (0, 0.999999),
    "adam_beta2": (0, 0.999999), "ema": (0, 0.999999), "seed": (0, 2**32 - 1),
    "head_seed": (0, 2**32 - 1),
}  # fmt: skip
CHOICES = {
    "amp_dtype": ("auto", "bfloat16", "float16"),
    "scheduler_type": ("linear", "cosine"),
    "layer_lr_decay_mode": ("published", "fixed"),
    "classifier_head": ("auto", "linear", "dense", "pooler"),
}
SWITCHES = ("bias_correction", "use_amp", "both_orders", "scale_targets")


def test_every_setting_is_checked_below() -> None:
    assert {*AT_LEAST, *SPANS, *CHOICES, *SWITCHES} == NAMES


@pytest.mark.parametrize(("name", "low"), AT_LEAST.items())
def test_least_values(name: str, low: float) -> None:
    steps = {"max_steps": 1} if name == "num_train_epochs" else {}
    assert getattr(GlueTrainingConfig(**{name: low}, **steps), name) == low
    below = low - 1 if isinstance(low, int) else low / 2
    message = fault(GlueTrainingConfig, **{name: below})
    assert message == f"{name}: expected a number at least {low:g}, found {below!r}"


def test_a_config_without_steps() -> None:
    with pytest.raises(UsageError, match="no steps to take: --num_train_epochs and --max_steps are both 0"):
        GlueTrainingConfig(num_train_epochs=0.0)


@pytest.mark.parametrize(("name", "span"), SPANS.items())
def test_spans(name: str, span: tuple[float, float]) -> None:
    low, high = span
    whole = isinstance(getattr(GlueTrainingConfig(), name), int)
    for value in (low, high // 2 if whole else (low + high) / 2, high):
        assert getattr(GlueTrainingConfig(**{name: value}), name) == value
    for value in (low - 1, high + 1) if whole else (low - 0.001, high + 0.001):
        message = fault(GlueTrainingConfig, **{name: value})
        assert message == f"{name}: expected a number from {low:.10g} to {high:.10g}, found {value!r}"


@pytest.mark.parametrize(("name", "choices"), CHOICES.items())
def test_choices(name: str, choices: tuple[str, ...]) -> None:
    for choice in choices:
        assert getattr(GlueTrainingConfig(**{name: choice}), name) == choice
    message = fault(GlueTrainingConfig, **{name: "other"})
    assert message == f"{name}: expected one of {', '.join(choices)}, found 'other'"


WRONG: dict[type, list[Any]] = {
    int: [None, "7", 1.5, True, [1], float("nan"), float("inf")],
    float: [None, "0.5", True, [0.5], float("nan"), float("inf"), -float("inf")],
    str: [None, 1, True, ["a"], ""],
    bool: [None, 0, 1, "true", 1.0],
}


@pytest.mark.parametrize("setting", FIELDS, ids=lambda setting: setting.name)
def test_wrong_types(setting: Any) -> None:
    for value in WRONG[type(setting.default)]:
        assert fault(GlueTrainingConfig, **{setting.name: value}).startswith(f"{setting.name}: expected "), (
            value
        )


def test_a_whole_number_is_a_float() -> None:
    assert GlueTrainingConfig(num_train_epochs=3, learning_rate=1).num_train_epochs == 3


# --- config files ---------------------------------------------------------------------------------


def test_numbers_as_people_write_them(tmp_path: Path) -> None:
    text = (
        "learning_rate: 1e-4\nadam_epsilon: 1E-6\nweight_decay: .01\nnum_train_epochs: 3\nmax_steps: 1_000\n"
    )
    actual = read_config_file(config_file(tmp_path, text), GlueTrainingConfig)
    assert actual == {
        "learning_rate": 1e-4, "adam_epsilon": 1e-6, "weight_decay": 0.01, "num_train_epochs": 3,
        "max_steps": 1000,
    }  # fmt: skip
    assert resolve(GlueTrainingConfig, {}, actual, {}).learning_rate == 1e-4


def test_words_and_switches(tmp_path: Path) -> None:
    text = "# a comment\n\nscheduler_type: cosine  # as published\nuse_amp: true\nbias_correction: no\n"
    actual = read_config_file(config_file(tmp_path, text), GlueTrainingConfig)
    assert actual == {"scheduler_type": "cosine", "use_amp": True, "bias_correction": False}


@pytest.mark.parametrize("text", ["", "\n", "# nothing\n", "---\n", "{}\n", "null\n"])
def test_empty_config_file(tmp_path: Path, text: str) -> None:
    assert read_config_file(config_file(tmp_path, text), GlueTrainingConfig) == {}
    assert read_config_file(None, GlueTrainingConfig) == {}


@pytest.mark.parametrize(
    ("text", "expected_message"),
    [
        (
            "seed: 1\nbatchsize: 8\n",
            ":2: unknown setting 'batchsize'; did you mean batch_size?",
        ),
        ("\n# a\nseed: 1\nuse_amp: true\nseed: 2\n", ":5: 'seed' stands twice"),
        ("seed: 1\n1: 2\n", ":2: unknown setting '1'"),
        ("yes: 1\n", ":1: unknown setting 'yes'"),
        ("a: &x {seed: 1}\n<<: *x\n", ":1: unknown setting 'a'"),
        ("seed: 1\nbatch_size: [8\n", ":3: not YAML: "),
        ("seed: 1\n\tbatch_size: 8\n", ":2: not YAML: "),
        ("seed: 1\nbatch_size 8\n", ":3: not YAML: "),
        ("seed: 1\n--- \nseed: 2\n", ":2: not YAML: "),
        ("seed: *x\n", ":1: not YAML: "),
        ("seed: !!python/object/apply:os.system ['true']\n", ":1: not YAML: "),
        ("? [seed]\n: 1\n", ":1: not YAML: "),
        ("seed: {a: 1}\n", ":1: seed: expected one value, found a mapping"),
        ("- seed: 1\n", ":1: expected lines 'key: value'"),
        ("seed\n", ":1: expected lines 'key: value'"),
        ("0\n", ":1: expected lines 'key: value'"),
        ("false\n", ":1: expected lines 'key: value'"),
        ("[]\n", ":1: expected lines 'key: value'"),
        ("a: 1\nseed: \x01\n", ":2: not YAML: the character U+0001 "),
    ],
)
def test_bad_config_files(tmp_path: Path, text: str, expected_message: str) -> None:
    path = config_file(tmp_path, text)
    assert fault(read_config_file, path, GlueTrainingConfig).startswith(f"{path}{expected_message}")


@pytest.mark.parametrize(
    ("text", "expected_message"),
    [
        ("seed: 1\nbatch_size: 0\n", ":2: batch_size: expected a number at least 1, found 0"),
        ("seed: 1\n\nbatch_size: 8.0\n", ":3: batch_size: expected int, found 8.0"),
        ("batch_size:\nseed: 1\n", ":1: batch_size: expected int, found None"),
        ("learning_rate: 1 e-4\n", ":1: learning_rate: expected float, found '1 e-4'"),
        ("learning_rate: .inf\n", ":1: learning_rate: expected a number at least 0, found inf"),
        ("learning_rate: .nan\n", ":1: learning_rate: expected a number at least 0, found nan"),
        ("learning_rate: true\n", ":1: learning_rate: expected float, found True"),
        ("use_amp: 1\n", ":1: use_amp: expected bool, found 1"),
        ("use_amp: 'true'\n", ":1: use_amp: expected bool, found 'true'"),
        ("scheduler_type: off\n", ":1: scheduler_type: expected str, found False"),
        ("scheduler_type: step\n", ":1: scheduler_type: expected one of linear, cosine, found 'step'"),
    ],
)
def test_bad_values_in_a_config_file(tmp_path: Path, text: str, expected_message: str) -> None:
    path = config_file(tmp_path, text)
    assert fault(read_config_file, path, GlueTrainingConfig) == f"{path}{expected_message}"


def test_config_files_that_cannot_be_read(tmp_path: Path) -> None:
    assert (
        fault(read_config_file, tmp_path / "no.yaml", GlueTrainingConfig)
        == f"{tmp_path / 'no.yaml'}: no such file"
    )
    (tmp_path / "run.yaml").write_bytes("seed: 1 # é".encode("latin-1"))
    assert "run.yaml:1: byte 0xe9 is not UTF-8" in fault(
        read_config_file, tmp_path / "run.yaml", GlueTrainingConfig
    )


def test_a_config_file_may_be_a_pipe(tmp_path: Path) -> None:
    """As ``--config <(command)`` gives it: what is in it comes once."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_text, args=("seed: 7\nbatch_size: 8\n",))
    writer.start()
    values = read_config_file(path, GlueTrainingConfig)
    writer.join()
    assert values == {"seed": 7, "batch_size": 8}
