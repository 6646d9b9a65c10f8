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

from checkpoints.formats.pickle_machine import shown
from checkpoints.formats.tensors import as_float32
from checkpoints.labels import contradiction, from_weights
from checkpoints.mapping import names, to_ours, to_theirs
from checkpoints.matching import check, lacks_head, match, other_head, unexpected
from checkpoints.model_config import (
    CONFIG,
    architecture_of,
    config_path,
    family_of,
    head_fault,
    read_values,
)
from checkpoints.settings import after_logits, check_settings
from checkpoints.shapes import MOST_PARAMETERS, expected_shapes, parameter_count
from checkpoints.weights import OF_GENERATOR, SAFETENSORS, Weights, open_weights, weight_files, weights_path
from checkpoints.wrappers import model_type_of
from common.errors import InputError
from common.files import atomic_folder, atomic_write, sha256_of, write_json
from common.messages import note_once
from common.model_files import ID_FILES
from common.provenance import model_digest
from encoders.config import EncoderConfig, from_json, to_json
from encoders.tokenizer import Tokenizer

WEIGHTS = SAFETENSORS  # what is written
_LONGEST_REASON, _LONGEST_NAME, _MOST_NAMED = 400, 200, 30
_CLASSES = {"convbert": "ConvBert", "electra": "Electra", "bert": "Bert", "ernie": "Ernie"}


@dataclass(frozen=True)
class Checkpoint:
    """A model folder as read. arrays: our parameter name → array. new_head: the head's parameters that
    the folder does not have (or has for another task). left_aside: tensors that were not needed.
    notes: on names that were read otherwise than they are written."""

    config: EncoderConfig
    arrays: dict[str, np.ndarray]
    new_head: list[str] = field(default_factory=list)
    left_aside: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def read_config(folder: str | Path, **changes: Any) -> EncoderConfig:
    """The configuration in a model folder, with changes; InputError names the file and the fault.

    Its sizes are held against the shapes of the encoder's tensors, or without weights against a bound,
    so that whoever gets a configuration can build its network. Settings that these networks do not have
    are refused where they would change an answer.
    """
    path, values = config_path(folder), read_values(folder)
    weights = open_weights(folder) if has_weights(folder) else None
    try:
        config = _configured(path, values, weights, changes)
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
    _check_sizes(folder, config, weights)
    return config


def _configured(
    path: Path, values: dict[str, Any], weights: Weights | None, changes: dict[str, Any]
) -> EncoderConfig:
    """The configuration that these values describe, and notes on what they leave out or say besides."""
    if values.get("model_type") is None and (family := family_of(architecture_of(values))):
        values["model_type"] = family
    elif values.get("model_type") is None and weights and (family := model_type_of(weights.tensors)):
        values["model_type"] = family
        note_once(f"{path}: has no model_type; the weights are called as those of {family}, which is taken")
    config = dataclasses.replace(from_json(values), **changes)
    unknown = check_settings(values, config)
    if unknown:
        listed = ", ".join(shown(key) for key in unknown[:_MOST_NAMED])
        note_once(f"{path}: left aside, as nothing here is called so: {listed}")
    if words := contradiction(values.get("id2label"), values.get("label2id")):
        note_once(f"{path}: {words}")
    if not config.id2label and weights and not head_fault(values):
        config = from_weights(config, weights.tensors)
    if words := after_logits(values, len(config.id2label)):
        note_once(f"{path}: {words}")
    return config


def _check_sizes(folder: str | Path, config: EncoderConfig, weights: Weights | None) -> None:
    count = parameter_count(config)
    if count > MOST_PARAMETERS:
        raise InputError(
            f"{config_path(folder)}: describes a network of {min(count // 10**9, 10**6)} billion parameters; "
            f"more than {MOST_PARAMETERS // 10**9} billion are taken for a slip: look at its sizes"
        )
    if weights:
        shapes = {name: shape for name, shape in expected_shapes(config).items() if "encoder." in name}
        check(weights.path, config_path(folder).name, match(weights.tensors, config, shapes), [])


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
    weights = open_weights(folder)
    if (
        keep_head
        and any(name.startswith("head.") for name in shapes)
        and (fault := head_fault(read_values(folder)))
    ):
        if not may_lack_head:
            raise InputError(f"{config_path(folder)}: {fault}")
        keep_head = False
    found = match(weights.tensors, config, shapes, keep_head, may_lack_head)
    if lacks_head(found):
        if words := other_head(found, config, weights.tensors):
            raise InputError(f"{weights.path}: has no head under its usual name; {words}")
        raise InputError(
            f"{folder}: is a pre-trained model, without a head to answer with; fine-tune it first "
            "(glue.run_glue or squad.run_squad), and name the run's folder"
        )
    check(weights.path, config_path(folder).name, found, unexpected(found, config, may_lack_head))
    arrays = {
        name.ours: to_ours(as_float32(weights.path, name.theirs, tensor), name.layout)
        for name, tensor in found.taken.items()
    }
    return Checkpoint(config, arrays, found.new_head, _left_aside(found.spare), weights.notes)


def _left_aside(names: list[str]) -> list[str]:
    """Sorted and fit to be shown; a generator's tensors, as many as the encoder's, as one."""
    generator = [name for name in names if name.startswith(OF_GENERATOR)]
    said = [f"the generator ({len(generator)} tensors)"] if generator else []
    others = sorted(set(names) - set(generator))
    said += [shown(name) for name in others[:_MOST_NAMED]]
    return said + ([f"{len(others) - _MOST_NAMED} more"] if len(others) > _MOST_NAMED else [])


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
