"""Read and write a model folder: configuration, weights, vocabulary and tokeniser settings.

Nothing in a folder can run code: weights are safetensors, the rest JSON and text.
"""

import dataclasses
import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from checkpoints.naming import LEFT_ASIDE, Name, names, to_ours, to_theirs
from commands.errors import InputError
from commands.files import atomic_folder, atomic_write, read_json_object, sha256_of, write_json
from convbert.config import EncoderConfig, from_json, to_json
from convbert.tokenizer import Tokenizer

CONFIG, WEIGHTS = "config.json", "model.safetensors"
_CLASSES = {"convbert": "ConvBert", "electra": "Electra", "bert": "Bert", "ernie": "Ernie"}


@dataclass(frozen=True)
class Checkpoint:
    """A model folder as read. arrays: our parameter name → array. new_head: the head's parameters that
    the folder does not have (or has for another task). left_aside: tensors that were not needed."""

    config: EncoderConfig
    arrays: dict[str, np.ndarray]
    new_head: list[str] = field(default_factory=list)
    left_aside: list[str] = field(default_factory=list)


def read_config(folder: str | Path, **changes: Any) -> EncoderConfig:
    """The configuration in a model folder, with changes; InputError names the file and the fault."""
    path = Path(folder) / CONFIG
    if not Path(folder).is_dir():
        raise InputError(f"{folder}: no such model folder; it should hold {CONFIG}, {WEIGHTS} and vocab.txt")
    if not path.is_file():
        raise InputError(f"{path}: no such file; a model folder holds {CONFIG}, {WEIGHTS} and vocab.txt")
    values = read_json_object(path)
    try:
        return dataclasses.replace(from_json(values), **changes)
    except (InputError, TypeError) as error:
        raise InputError(f"{path}: {error}") from None


def has_weights(folder: str | Path) -> bool:
    return (Path(folder) / WEIGHTS).is_file()


def read_checkpoint(
    folder: str | Path,
    config: EncoderConfig,
    shapes: dict[str, tuple[int, ...]],
    keep_head: bool = True,
    may_lack_head: bool = False,
) -> Checkpoint:
    """Read a folder's weights for a network of this configuration.

    shapes: every parameter of the network. keep_head: False reads the encoder (and a pretrained
    pooler) and leaves the projection new.
    may_lack_head: fine-tuning begins with a new head where the folder's does not fit; otherwise, and
    for everything else missing, unexpected or of the wrong shape, InputError lists the names.
    """
    path = Path(folder) / WEIGHTS
    theirs = _read_arrays(path)
    arrays: dict[str, np.ndarray] = {}
    new_head: list[str] = []
    faults: list[str] = []
    for name in names(config):
        if name.ours not in shapes:
            continue
        found = _take(theirs, name, config.model_type)
        in_head = name.ours.startswith("head.")
        if found is not None and in_head and not keep_head and not name.ours.startswith("head.pooler"):
            found = None
        fault = _fault(name, found, shapes[name.ours])
        if fault and in_head and may_lack_head:
            new_head.append(name.ours)
        elif fault:
            faults.append(fault)
        elif found is not None:
            arrays[name.ours] = to_ours(found, name.layout).astype(np.float32, copy=False)
    spare = [key for key in theirs if not LEFT_ASIDE.search(key)]
    if may_lack_head:
        spare = [
            key
            for key in spare
            if not key.startswith(("classifier.", "pooler.", f"{config.model_type}.pooler."))
        ]
    faults += [f"{key} is unexpected" for key in spare]
    if faults:
        more = f" (and {len(faults) - 4} more)" if len(faults) > 4 else ""
        raise InputError(
            f"{path}: does not fit {CONFIG}: {'; '.join(faults[:4])}{more}; take both from one model"
        )
    return Checkpoint(config, arrays, new_head, sorted(theirs))


def _read_arrays(path: Path) -> dict[str, np.ndarray]:
    if not path.is_file():
        raise InputError(f"{path}: no such file; weights are read from {WEIGHTS}")
    try:
        arrays = safetensors.numpy.load_file(path)
    except TypeError as error:  # a data type that NumPy does not have, such as bfloat16
        raise InputError(f"{path}: cannot be read: {error}; save it as float32 or float16") from None
    except (safetensors.SafetensorError, KeyError) as error:
        raise InputError(f"{path}: cannot be read: {error}; is it cut short? fetch it again") from None
    # Google's oldest exports name LayerNorm's parameters gamma and beta.
    return {
        key.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias"): value
        for key, value in arrays.items()
    }


def _take(theirs: dict[str, np.ndarray], name: Name, base: str) -> np.ndarray | None:
    """Remove and return a tensor, saved with the model type's prefix or, as a bare encoder, without."""
    for key in (name.theirs, name.theirs.removeprefix(f"{base}.")):
        if key in theirs:
            return theirs.pop(key)
    return None


def _fault(name: Name, found: np.ndarray | None, shape: tuple[int, ...]) -> str:
    if found is None:
        return f"{name.theirs} is missing"
    wanted = to_theirs(np.empty(shape, np.bool_), name.layout).shape
    if found.shape != wanted:
        return f"{name.theirs} should be {wanted} and is {found.shape}"
    return ""


def save_checkpoint(
    folder: str | Path, config: EncoderConfig, arrays: dict[str, np.ndarray], tokenizer: Tokenizer
) -> None:
    """Write a model folder that transformers loads; it takes its name whole, replacing what stood there."""
    with atomic_folder(folder) as beside:
        write_model(beside, config, arrays, tokenizer)


def write_model(
    folder: Path, config: EncoderConfig, arrays: dict[str, np.ndarray], tokenizer: Tokenizer
) -> None:
    """Write a model's files into an existing folder."""
    theirs = {
        name.theirs: to_theirs(arrays[name.ours], name.layout)
        for name in names(config)
        if name.ours in arrays
    }
    values = {**to_json(config), "architectures": [f"{_CLASSES[config.model_type]}ForSequenceClassification"]}
    write_json(folder / CONFIG, values)
    with atomic_write(folder / WEIGHTS) as file:
        file.write(safetensors.numpy.save(theirs, metadata={"format": "pt"}))
    tokenizer.save(folder)


def digest_of(folder: str | Path) -> str:
    """What a prediction came from: SHA-256 over a folder's weights, configuration and vocabulary."""
    parts = [sha256_of(Path(folder) / name) for name in (WEIGHTS, CONFIG, "vocab.txt")]
    return hashlib.sha256("".join(parts).encode()).hexdigest()
