"""Read and write a model folder: configuration, weights, vocabulary and tokeniser settings.

Nothing in a folder can run code: what is written is safetensors, JSON and text; of others' folders
pickles are read too, but never run (see unpickling.py).
"""

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy

from checkpoints.model_config import CONFIG, config_path, read_values
from checkpoints.naming import LEFT_ASIDE, Name, convention_of, names, their_shape, to_ours, to_theirs
from checkpoints.pickle_machine import shown
from checkpoints.shapes import MOST_PARAMETERS, expected_shapes, parameter_count
from checkpoints.tensors import StoredTensor, as_float32
from checkpoints.weights import OF_GENERATOR, SAFETENSORS, open_weights, weight_files, weights_path
from commands.errors import InputError
from commands.files import atomic_folder, atomic_write, sha256_of, write_json
from commands.model_files import ID_FILES, model_digest
from convbert.config import EncoderConfig, from_json, to_json
from convbert.tokenizer import Tokenizer

WEIGHTS = SAFETENSORS  # what is written
_LONGEST_REASON, _LONGEST_NAME, _MOST_NAMED = 400, 200, 30
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
    """The configuration in a model folder, with changes; InputError names the file and the fault.

    Its sizes are held against the shapes of the encoder's tensors, or without weights against a bound,
    so that whoever gets a configuration can build its network.
    """
    path = config_path(folder)
    try:
        config = dataclasses.replace(from_json(read_values(folder)), **changes)
    except TypeError as error:
        raise InputError(f"{path}: {error}") from None
    except InputError as error:
        said = str(error)
        if len(said) > _LONGEST_REASON:  # a value was shown of which there is no end
            said = f"{said[:_LONGEST_REASON]} … ({len(said)} characters)"
        raise InputError(said if said.startswith(str(path)) else f"{path}: {said}") from None
    for name in (config.finetuning_task, *config.id2label.values()):
        if len(name) > _LONGEST_NAME or not name.isprintable():
            raise InputError(f"{path}: {shown(name)} is no name of a task or a label: write one short line")
    _check_sizes(folder, config)
    return config


def _check_sizes(folder: str | Path, config: EncoderConfig) -> None:
    count = parameter_count(config)
    if count > MOST_PARAMETERS:
        raise InputError(
            f"{config_path(folder)}: describes a network of {min(count // 10**9, 10**6)} billion parameters; "
            f"more than {MOST_PARAMETERS // 10**9} billion are taken for a slip: look at its sizes"
        )
    if has_weights(folder):
        shapes = {name: shape for name, shape in expected_shapes(config).items() if "encoder." in name}
        path, stored = open_weights(folder)
        _raise(path, folder, _match(stored, config, shapes).faults)


def has_weights(folder: str | Path) -> bool:
    return weights_path(folder) is not None


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
    path, stored = open_weights(folder)
    match = _match(stored, config, shapes, keep_head, may_lack_head)
    spare = [key for key in match.spare if not LEFT_ASIDE.search(key)]
    if may_lack_head:
        spare = [
            key
            for key in spare
            if not key.startswith(("classifier.", "pooler.", f"{config.model_type}.pooler."))
        ]
    _raise(path, folder, match.faults + [f"{shown(key)} is unexpected" for key in spare])
    arrays = {
        name.ours: to_ours(as_float32(path, name.theirs, tensor), name.layout)
        for name, tensor in match.taken.items()
    }
    return Checkpoint(config, arrays, match.new_head, _left_aside(match.spare))


def _left_aside(names: list[str]) -> list[str]:
    """Sorted and fit to be shown; a generator's tensors, as many as the encoder's, as one."""
    generator = [name for name in names if name.startswith(OF_GENERATOR)]
    said = [f"the generator ({len(generator)} tensors)"] if generator else []
    others = sorted(set(names) - set(generator))
    said += [shown(name) for name in others[:_MOST_NAMED]]
    return said + ([f"{len(others) - _MOST_NAMED} more"] if len(others) > _MOST_NAMED else [])


@dataclass(frozen=True)
class _Match:
    """Stored tensors by the parameter they are for, and what was not found or not asked for."""

    taken: dict[Name, StoredTensor]
    new_head: list[str]
    faults: list[str]
    spare: list[str]


def _match(
    theirs: dict[str, StoredTensor],
    config: EncoderConfig,
    shapes: dict[str, tuple[int, ...]],
    keep_head: bool = True,
    may_lack_head: bool = False,
) -> _Match:
    match = _Match({}, [], [], [])
    for name in names(config, convention_of(list(theirs))):
        if name.ours not in shapes:
            continue
        found = _take(theirs, name, config.model_type)
        in_head = name.ours.startswith("head.")
        if found is not None and in_head and not keep_head and not name.ours.startswith("head.pooler"):
            found = None
        fault = _fault(name, found, shapes[name.ours])
        if fault and in_head and may_lack_head:
            match.new_head.append(name.ours)
        elif fault:
            match.faults.append(fault)
        elif found is not None:
            match.taken[name] = found
    match.spare.extend(theirs)
    return match


def _raise(path: Path, folder: str | Path, faults: list[str]) -> None:
    if faults:
        more = f" (and {len(faults) - 4} more)" if len(faults) > 4 else ""
        raise InputError(
            f"{path}: does not fit {config_path(folder).name}: {'; '.join(faults[:4])}{more}; "
            "take both from one model"
        )


def _take(theirs: dict[str, StoredTensor], name: Name, base: str) -> StoredTensor | None:
    """Remove and return a tensor, saved with the model type's prefix or, as a bare encoder, without."""
    for key in (name.theirs, name.theirs.removeprefix(f"{base}.")):
        if key in theirs:
            return theirs.pop(key)
    return None


def _fault(name: Name, found: StoredTensor | None, shape: tuple[int, ...]) -> str:
    if found is None:
        return f"{name.theirs} is missing"
    wanted = their_shape(shape, name.layout)
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
    weights, config = weight_files(folder), config_path(folder)
    vocabularies = [path for name in ID_FILES if (path := Path(folder) / name).is_file()]
    digests = {path.name: sha256_of(path) for path in (*weights, config, *vocabularies)}
    return model_digest(digests, [path.name for path in weights], config.name)
