"""The golden model folders, as they are and with single things wrong; what the tests of this folder share."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from checkpoints.folder import StateDict, open_checkpoint
from checkpoints.matching import HeadUse
from checkpoints.network import shapes_of
from common.errors import InputError
from encoders.config import EncoderConfig
from encoders.heads import SentenceClassifier

GOLDEN = Path(__file__).parents[1] / "golden"
NAMES = sorted(path.parent.name for path in GOLDEN.glob("*/model.safetensors"))

Tensors = dict[str, np.ndarray]
Edited = Callable[..., Path]


def theirs_of(folder: Path) -> Tensors:
    """A folder's tensors under transformers' names."""
    tensors: Tensors = safetensors.numpy.load_file(folder / "model.safetensors")
    return tensors


def read(folder: Path, config: EncoderConfig | None = None, head: HeadUse = "required") -> StateDict:
    """A folder's weights for the network that its (or the given) configuration describes."""
    checkpoint = open_checkpoint(folder)
    checkpoint = checkpoint.with_config(config or checkpoint.config)
    return checkpoint.read(shapes_of(SentenceClassifier(checkpoint.config)), head)


def write_edited(
    folder: Path, name: str, change: Callable[[Tensors], Tensors] | None = None, **settings: Any
) -> Path:
    """Write a golden folder again with its tensors changed, or with other settings in its config."""
    values = json.loads((GOLDEN / name / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps({**values, **settings}), encoding="utf-8")
    tensors = theirs_of(GOLDEN / name)
    safetensors.numpy.save_file(change(tensors) if change else tensors, folder / "model.safetensors")
    return folder


def without(folder: Path, *keys: str) -> Path:
    """The folder, these settings taken out of its configuration."""
    path = folder / "config.json"
    values = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(
        json.dumps({key: value for key, value in values.items() if key not in keys}), encoding="utf-8"
    )
    return folder


# --- what stands for a file ------------------------------------------------------------------------


def input_error(function: Callable[[], Any]) -> InputError:
    """The InputError that it ends with, of one line."""
    with pytest.raises(InputError) as caught:
        function()
    assert "\n" not in str(caught.value)
    return caught.value


def error_of(function: Callable[[], Any]) -> str:
    """What that says."""
    return str(input_error(function))


def check_error(function: Callable[[], Any], path: object, *words: str) -> None:
    """An InputError of this file, folder or address, whose message holds these words."""
    error = input_error(function)
    assert str(error.path) == str(path)
    assert [word for word in words if word not in error.message] == []
