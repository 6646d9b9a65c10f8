"""What a run on SQuAD is asked to do, and the published recipes (training/published.py) for it. No Paddle.

The head of the ConvBERT authors is ``--qa_head joint``.
"""

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from common.cache import cache_dir
from common.errors import InputError, UsageError
from encoders.config import EncoderConfig
from training.config import FineTuningConfig, field
from training.published import RECIPES, describe_preset, settings_of
from training.run_config import FineTuningRunConfig

_COMMON = {"max_seq_length": 512, "num_train_epochs": 2.0}
PRESETS = {name: {**settings, **_COMMON} for name, settings in RECIPES.items()}


@dataclass(frozen=True)
class SquadTrainingConfig(FineTuningConfig):
    """How to fine-tune on SQuAD, and how to find answers."""

    length_pool: int = field(
        8, "sort windows by length among so many random batches; 1: plain random batches", low=1
    )
    num_train_epochs: float = field(2.0, "passes over the training windows; fractions count", low=0)
    max_seq_length: int = field(384, "longest window in tokens, specials included", low=5)
    doc_stride: int = field(
        128, "a window begins so many tokens after the one before it: a step, as Google means it", low=1
    )
    max_query_length: int = field(64, "a question is cut to so many tokens", low=1)
    max_answer_length: int = field(30, "longest answer in tokens", low=1)
    n_best_size: int = field(20, "answers of a question in nbest_predictions.json", low=1)
    null_score_diff_threshold: float = field(
        0.0, "SQuAD 2.0: answer nothing where the null odds are above this"
    )
    max_context: bool = field(
        True, "an answer begins only in the window that shows most around its first token"
    )
    drop_partial_windows: bool = field(
        False, "train without the windows that lack the whole answer, rather than with the first token for it"
    )
    qa_head: str = field(
        "linear",
        "linear: a start and an end logit a token; joint: the authors' beam over starts and "
        "answerability classifier",
        choices=("linear", "joint"),
    )
    beam_size: int = field(20, "joint head: starts tried, and ends of each", low=1)
    answerable_weight: float = field(0.5, "joint head: weight of the answerability loss", low=0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.r_drop and self.qa_head == "joint":
            raise UsageError(
                "--r_drop: goes with --qa_head linear; the joint head's end depends on its start"
            )


@dataclass(frozen=True, kw_only=True)
class SquadRunConfig(FineTuningRunConfig):
    """What a run on SQuAD is asked to do: the flags of ``run_squad``, by their names."""

    training: SquadTrainingConfig
    PATHS: ClassVar[tuple[str, ...]] = ("model_name_or_path", "train_file", "predict_file")
    predict_file: str
    train_file: str | None = None
    version_2_with_negative: bool | None = None
    do_predict: bool = False


# What answering without training has use for; the other settings are of training.
ANSWERING = (
    "max_seq_length", "doc_stride", "max_query_length", "max_answer_length", "n_best_size",
    "null_score_diff_threshold", "max_context",
)  # fmt: skip


def preset_settings(preset: str, config: EncoderConfig) -> dict[str, Any]:
    """The settings of a preset for a model; an empty name is no preset."""
    if not preset:
        return {}
    settings = settings_of(preset, PRESETS[preset], config)
    # A model with fewer positions takes what it can.
    settings["max_seq_length"] = min(settings["max_seq_length"], config.max_tokens)
    return settings


def preset_lines() -> list[str]:
    """What each preset sets, for people."""
    return [line for name, settings in PRESETS.items() for line in describe_preset(name, settings)]


def flag_names(names: Sequence[str]) -> str:
    return ", ".join(f"--{name}" for name in names)


def official_file(flags: Namespace, part: str) -> str:
    """The file a flag names, else the official one in the download cache; InputError if it is not there."""
    if getattr(flags, part):
        return str(getattr(flags, part))
    version = "2.0" if flags.version_2_with_negative else "1.1"
    path = cache_dir() / "squad" / f"{'train' if part == 'train_file' else 'dev'}-v{version}.json"
    if not path.is_file():
        fetching = "fetch the official files with `python -m scripts.download_squad`"
        raise InputError(f"no such file; {fetching}, or name one with --{part}", path=path)
    return str(path)
