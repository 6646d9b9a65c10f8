"""A model folder: configuration, weights, vocabulary and tokenizer settings, read, written and checked.

Nothing in a folder can run code: what is written is safetensors, JSON and text; of others' folders pickles
are read too, but never run (see formats/pickles). No Paddle.
"""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy

from checkpoints import config_file, mapping
from checkpoints.config_file import CONFIG, config_path, head_problem
from checkpoints.formats.tensors import as_float32
from checkpoints.labels import contradiction, from_weights
from checkpoints.mapping import Shape, expected_shapes
from checkpoints.matching import HeadUse, check, lacks_head, match, other_head, unexpected
from checkpoints.prefixes import model_type_of
from checkpoints.weight_files import (
    OF_GENERATOR,
    SAFETENSORS,
    Weights,
    has_weights,
    open_weights,
    weight_files,
)
from common.errors import InputError
from common.files import MANIFEST, atomic_folder, atomic_write, sha256_of, verify_manifest, write_json
from common.messages import escape_unprintable, note_once
from common.model_files import ID_FILES
from common.provenance import model_digest
from encoders.config import EncoderConfig, from_json, to_json
from encoders.tokenizer import Tokenizer

WITHOUT_HEAD = (
    "is a pre-trained model, without a head to answer with; fine-tune it first "
    "(glue.run_glue or squad.run_squad{}), and name the run's folder"
)
_MAX_REASON, _MAX_NAME, _MAX_NAMED = 400, 200, 30
# The head that parameters' names begin with → how transformers' class ends.
_CLASS_SUFFIXES = {"head": "ForSequenceClassification", "span_head": "ForQuestionAnswering", "": "Model"}
# Settings that mean nothing without a head.
_OF_HEADS = ("id2label", "label2id", "finetuning_task", "max_seq_length")


@dataclass(frozen=True)
class StateDict:
    """The parameters of a network, read from a model folder."""

    arrays: dict[str, np.ndarray]  # our parameter name → array, float32
    new_head: list[str] = field(default_factory=list)  # parts that the folder has not, or for another task
    unused: list[str] = field(default_factory=list)  # tensors that were not needed, to be printed
    notes: list[str] = field(default_factory=list)  # on names that were read otherwise than they are written


@dataclass(frozen=True)
class Checkpoint:
    """A model folder, opened once: its configuration is read and checked, no tensor is read yet."""

    folder: Path
    values: Mapping[str, Any]  # the settings in its configuration file, under Hugging Face's names
    config: EncoderConfig  # what they mean; ``with_config`` changes it, for all that is read afterwards
    weights: Weights | None  # the tensors by name

    def with_config(self, config: EncoderConfig) -> "Checkpoint":
        """The same with another configuration, such as one with --label_map's labels or another head."""
        return dataclasses.replace(self, config=config)

    def read(self, shapes: Mapping[str, Shape], head: HeadUse = "required") -> StateDict:
        """Read the weights of a network of ``config``.

        Args:
            shapes: Name → shape of every parameter of the network.
            head: ``required``: the folder must have it. ``optional``: what does not fit begins new.
                ``new``: it begins new, but for a pretrained pooler.

        Raises:
            InputError: The names of what is missing, unexpected or of the wrong shape.
        """
        weights = self.weights or open_weights(self.folder)
        has_sentence_head = any(name.startswith("head.") for name in shapes)
        if head != "new" and has_sentence_head and (problem := head_problem(self.values)):
            if head == "required":
                raise InputError(problem, path=config_path(self.folder))
            head = "new"
        result = match(weights.tensors, self.config, shapes, head)
        if lacks_head(result):
            if message := other_head(result, self.config, weights.tensors):
                raise InputError(f"has no head under its usual name; {message}", path=weights.path)
            raise InputError(WITHOUT_HEAD.format(""), path=self.folder)
        surplus = unexpected(result, self.config, head != "required" or not has_sentence_head)
        check(weights.path, config_path(self.folder).name, result, surplus)
        arrays = {
            name.ours: mapping.to_ours(as_float32(weights.path, name.theirs, tensor), name.layout)
            for name, tensor in result.tensors.items()
        }
        return StateDict(arrays, result.new_head, _listed(result.unused), weights.notes)


def open_checkpoint(folder: str | Path, **changes: Any) -> Checkpoint:
    """Open a model folder; InputError names the file and the problem.

    Its sizes are compared with the shapes of the encoder's tensors, or without weights with a bound, so that
    the network of its configuration can be built. Settings that these networks do not have are refused where
    they would change an answer.

    Args:
        folder: The model folder.
        changes: Fields of EncoderConfig that win over the folder's, such as ``reference_padding=True``.
    """
    path = config_path(folder)
    values = config_file.read_values(path)
    weights = open_weights(folder) if has_weights(folder) else None
    try:
        config = _configured(path, values, weights, changes)
    except (TypeError, InputError) as error:
        reason = str(error)
        if len(reason) > _MAX_REASON:  # it shows a value that has no end
            reason = f"{reason[:_MAX_REASON]} … ({len(reason)} characters)"
        raise InputError(reason, path=path) from None
    for name in (config.finetuning_task, *config.id2label.values()):
        if len(name) > _MAX_NAME or not name.isprintable():
            escaped = escape_unprintable(name, 100)
            message = f"{escaped} is not a valid name of a task or a label: write one short line"
            raise InputError(message, path=path)
    _check_sizes(path, config, weights)
    return Checkpoint(Path(folder), values, config, weights)


def read_config(folder: str | Path, **changes: Any) -> EncoderConfig:
    """The configuration in a model folder; see ``open_checkpoint``."""
    return open_checkpoint(folder, **changes).config


def _configured(
    path: Path, values: dict[str, Any], weights: Weights | None, changes: dict[str, Any]
) -> EncoderConfig:
    """The configuration that these values describe, with notes on what they leave out or say besides."""
    if values.get("model_type") is None and (family := config_file.family_of(values)):
        values["model_type"] = family
    elif values.get("model_type") is None and weights and (family := model_type_of(weights.tensors)):
        values["model_type"] = family
        note_once(f"{path}: has no model_type; the names of the weights are those of {family}, which is used")
    config = dataclasses.replace(from_json(values), **changes)
    unknown = config_file.check_settings(values, config)
    if unknown:
        listed = ", ".join(escape_unprintable(key, 100) for key in unknown[:_MAX_NAMED])
        note_once(f"{path}: ignored, as these settings are unknown: {listed}")
    if message := contradiction(values.get("id2label"), values.get("label2id")):
        note_once(f"{path}: {message}")
    if not config.id2label and weights and not head_problem(values):
        config = from_weights(config, weights.tensors)
    if message := config_file.check_after_logits(values, len(config.id2label)):
        note_once(f"{path}: {message}")
    return config


def _check_sizes(path: Path, config: EncoderConfig, weights: Weights | None) -> None:
    all_shapes = expected_shapes(config)
    count = sum(map(math.prod, all_shapes.values()))
    if count > mapping.MAX_PARAMETERS:
        reason = f"describes a network of {min(count // 10**9, 10**6)} billion parameters"
        most = f"more than {mapping.MAX_PARAMETERS // 10**9} billion are taken for an error"
        raise InputError(f"{reason}; {most}: check its sizes", path=path)
    if weights:
        shapes = {name: shape for name, shape in all_shapes.items() if "encoder." in name}
        check(weights.path, path.name, match(weights.tensors, config, shapes))


def _listed(tensors: list[str]) -> list[str]:
    """Names sorted and fit to be shown; a generator's tensors, as many as the encoder's, as one."""
    others = sorted(name for name in tensors if not name.startswith(OF_GENERATOR))
    listed = [escape_unprintable(name, 100) for name in others[:_MAX_NAMED]]
    if len(others) > _MAX_NAMED:
        listed.append(f"{len(others) - _MAX_NAMED} more")
    if generator := len(tensors) - len(others):
        listed.insert(0, f"the generator ({generator} tensors)")
    return listed


# --- writing -------------------------------------------------------------------------------------------


def save_checkpoint(
    folder: str | Path, config: EncoderConfig, arrays: Mapping[str, np.ndarray], tokenizer: Tokenizer
) -> None:
    """Write a model folder that transformers loads; it takes its name whole, replacing what stood there."""
    with atomic_folder(folder) as new_folder:
        write_model(new_folder, config, arrays, tokenizer)


def write_model(
    folder: Path,
    config: EncoderConfig,
    arrays: Mapping[str, np.ndarray],
    tokenizer: Tokenizer,
    **settings: Any,
) -> None:
    """Write a model's files into an existing folder, under Hugging Face's names.

    Args:
        folder: Where to.
        config: The network's configuration; of an encoder alone, labels and task are left out.
        arrays: Our name → array of every parameter: of an encoder with a sentence head, a span head or none.
        tokenizer: Its files are written too.
        settings: More keys for ``config.json``.
    """
    theirs = {
        name.theirs: mapping.to_theirs(arrays[name.ours], name.layout)
        for name in mapping.names(config)
        if name.ours in arrays
    }
    head = next((key.partition(".")[0] for key in arrays if not key.startswith("encoder.")), "")
    architecture = mapping.FAMILIES[config.model_type].class_prefix + _CLASS_SUFFIXES[head]
    left_out = () if head else _OF_HEADS
    values = {key: value for key, value in to_json(config).items() if key not in left_out}
    write_json(folder / CONFIG, {**values, "architectures": [architecture], **settings})
    with atomic_write(folder / SAFETENSORS) as file:
        file.write(safetensors.numpy.save(theirs, metadata={"format": "pt"}))
    tokenizer.save(folder)


def digest_of(folder: str | Path) -> str:
    """What a prediction came from: SHA-256 over a folder's weights, configuration and vocabulary."""
    weights, config = weight_files(folder), config_path(folder)
    vocabularies = [path for name in ID_FILES if (path := Path(folder) / name).is_file()]
    digests = {path.name: sha256_of(path) for path in (*weights, config, *vocabularies)}
    return model_digest(digests, [path.name for path in weights], config.name)


# --- checks --------------------------------------------------------------------------------------------


def check_manifest(folder: str | Path) -> None:
    """InputError if a folder of ours has been damaged; foreign folders have no manifest."""
    if (Path(folder) / MANIFEST).is_file() and (fault := verify_manifest(Path(folder))):
        raise fault.with_remedy(f"damaged? take another copy, or remove {MANIFEST} if you changed it")


def check_length(max_length: int, config: EncoderConfig) -> None:
    """InputError if inputs could be longer than the model has positions."""
    if max_length > config.max_tokens:
        positions = config.max_tokens
        raise InputError(f"--max_seq_length {max_length}: this model has {positions} positions at the most")


def check_pairs(config: EncoderConfig) -> None:
    """InputError if the model reads single texts only: it has no embedding for the tokens of a second one."""
    if not config.reads_pairs:
        reason = (
            f"the model's type_vocab_size is {config.type_vocab_size}: it reads single texts, pairs need 2"
        )
        raise InputError(f"{reason}; take another checkpoint")
