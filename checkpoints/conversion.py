"""A model folder written again in another toolkit's layout, nothing rounded. No Paddle."""

import shutil
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from checkpoints.config_file import CONFIG, architecture_of, config_path
from checkpoints.folder import Checkpoint, check_manifest, open_checkpoint, read_config
from checkpoints.formats.paddle_file import write_paddle
from checkpoints.formats.safetensors_file import write_safetensors
from checkpoints.formats.tensors import FLOATS, StoredTensor, as_float32
from checkpoints.labels import split_label_map, with_label_map
from checkpoints.mapping import FAMILIES, base_of, convention_of, conversion_rules, to_ours, to_theirs
from checkpoints.registry import model_folder, resolve
from checkpoints.tokenizer import copy_tokenizer, files_not_copied, tokenizer_of
from checkpoints.weight_files import OF_GENERATOR, PADDLE, SAFETENSORS, Weights, open_weights, weight_files
from common.errors import InputError
from common.files import atomic_folder, atomic_write, write_json
from common.messages import escape_unprintable, say
from common.model_files import MODEL_CARD
from encoders.config import EncoderConfig, to_json
from encoders.model_types import TYPES
from encoders.tokenizer import Tokenizer

_Arrays = dict[str, tuple[str, np.ndarray]]  # name → kind of numbers and array

# Classes that the two toolkits call differently: transformers' name → PaddleNLP's.
_CLASSES = {
    "ConvBertForMaskedLM": "ConvBertGenerator",
    "ElectraForMaskedLM": "ElectraGenerator",
    "ElectraForPreTraining": "ElectraDiscriminator",
    "BertForPreTraining": "BertForPretraining",
    "ErnieForPreTraining": "ErnieForPretraining",
}
# Settings that only one of the two writes.
_OF_ONE_TOOLKIT = (
    "transformers_version", "paddlenlp_version", "init_class", "torch_dtype", "dtype", "num_labels",
)  # fmt: skip
_MAX_FLOAT16 = 65504
_BUFFERS = ("position_ids", "token_type_ids")  # tensors that are computed anew, without weights in them
_MAX_NAMED = 4


def convert_model(flags: Namespace) -> None:
    """Carry out ``checkpoints.convert``."""
    source, target = model_folder(resolve(flags.source)), Path(flags.target)
    tokenizer = tokenizer_of(source, read_config(source))
    for note in convert(source, target, flags.to, flags.dtype, tokenizer, flags.label_map):
        say(f"note: {note}")
    print(flags.target)


def convert(
    source: Path,
    target: Path,
    to: str,
    dtype: str = "stored",
    tokenizer: Tokenizer | None = None,
    label_map: str | None = None,
) -> list[str]:
    """Write a model folder again in another toolkit's layout.

    Args:
        source: The model folder.
        target: The folder to write; new or empty.
        to: ``huggingface`` or ``paddlenlp``.
        dtype: ``stored``: every number as it is; ``float16``.
        tokenizer: source's, whose files are copied; without it weights and configuration alone are written.
        label_map: Names of the labels, a comma list in the order of their ids; None: as the folder says.

    Returns:
        What a user should know.

    Raises:
        InputError: A tensor has no name in the other layout, or float16 cannot hold it.
    """
    if target.exists() and not target.is_dir():
        raise InputError("is a file; name a new folder", path=target)
    if target.is_dir() and any(target.iterdir()):
        raise InputError("is not empty; name a new folder", path=target)
    check_manifest(source)
    checkpoint = open_checkpoint(source)
    if label_map:
        config = with_label_map(checkpoint.config, split_label_map(label_map), label_map)
        checkpoint = checkpoint.with_config(config)
    weights = checkpoint.weights or open_weights(source)
    family, pair, _ = architecture_of(checkpoint.values).partition("ForTotalPretraining")
    architecture = f"{family}Discriminator" if pair else family  # of a pair it is the model
    answers_questions = architecture.endswith("ForQuestionAnswering")
    arrays, notes = _renamed(weights, checkpoint.config, answers_questions, to, dtype)
    if any("pooler" in name for name in arrays) and checkpoint.config.is_conv:
        notes.append(
            "convbert.pooler is kept: newer PaddleNLP classifies through it, transformers and this "
            "project's network have none, so a classifier fine-tuned there answers differently elsewhere"
        )
    settings = _settings(checkpoint, architecture, to)
    return weights.notes + notes + _write(source, target, to, arrays, settings, tokenizer, dtype)


def _renamed(
    weights: Weights, config: EncoderConfig, answers_questions: bool, to: str, dtype: str
) -> tuple[_Arrays, list[str]]:
    """The arrays under the other toolkit's names, and notes on what was left out."""
    source, prefix = convention_of(weights.tensors, config), base_of(config)
    if "paddlenlp" in (source, to) and not FAMILIES[config.model_type].has_paddlenlp:
        raise InputError(
            f"PaddleNLP has no {config.model_type}; name another model",
            path=weights.path,
        )
    rules = {rule.side(source).name: rule for rule in conversion_rules(config, answers_questions)}
    arrays: _Arrays = {}
    left_out, unknown = [], []
    generator = [key for key in weights.tensors if key.startswith(OF_GENERATOR)]
    for key, tensor in weights.tensors.items():
        rule = rules.get(key) or rules.get(prefix + key)
        if key in generator:
            continue
        if key.rsplit(".", 1)[-1] in _BUFFERS:
            left_out.append(escape_unprintable(key, 100))
        elif rule is None:
            unknown.append(escape_unprintable(key, 100))
        elif tensor.kind not in FLOATS:
            unknown.append(f"{escape_unprintable(key, 100)} (stored as {tensor.kind})")
        else:
            array = _halved(weights.path, key, tensor) if dtype == "float16" else tensor.load()
            array = to_theirs(to_ours(array, rule.side(source).layout), rule.side(to).layout)
            name = rule.side(to).name if key in rules else rule.side(to).name.removeprefix(prefix)
            arrays[name] = ("F16" if dtype == "float16" else tensor.kind, array)
    if unknown:
        raise InputError(f"the other layout has no name for {_first(unknown)}", path=weights.path)
    notes = [f"left out, as they are computed from the sizes: {_first(left_out)}"] if left_out else []
    if generator:
        notes.append(f"left out, the discriminator is the model: the generator ({len(generator)} tensors)")
    return arrays, notes


def _halved(path: Path, name: str, tensor: StoredTensor) -> np.ndarray:
    """A tensor's array, rounded to float16."""
    array = as_float32(path, name, tensor)
    if array.size and (greatest := float(np.abs(array).max())) > _MAX_FLOAT16:
        message = f"{name} holds {greatest:g}, beyond float16's {_MAX_FLOAT16}; leave out --dtype"
        raise InputError(message, path=path)
    return array.astype(np.float16)


def _first(names: list[str]) -> str:
    more = f" (and {len(names) - _MAX_NAMED} more)" if len(names) > _MAX_NAMED else ""
    return ", ".join(names[:_MAX_NAMED]) + more


def _settings(checkpoint: Checkpoint, architecture: str, to: str) -> dict[str, Any]:
    """The new ``config.json``: every setting spelled out, as the two differ in their defaults."""
    family = FAMILIES[checkpoint.config.model_type]
    ours = {theirs: name for name, theirs in TYPES[checkpoint.config.model_type].keys.items()}
    dropped = {*_OF_ONE_TOOLKIT, *ours, *ours.values()}
    settings = {key: value for key, value in checkpoint.values.items() if key not in dropped}
    settings |= to_json(checkpoint.config)
    if to == "paddlenlp" and not family.shares_names:  # which calls every setting as BERT's
        settings = {ours.get(key, key): value for key, value in settings.items()}
    if not checkpoint.config.id2label:
        del settings["id2label"], settings["label2id"]
    renamed = _CLASSES if to == "paddlenlp" else {theirs: ours for ours, theirs in _CLASSES.items()}
    if architecture:
        settings["architectures"] = [renamed.get(architecture, architecture)]
    return settings


def _write(
    source: Path,
    target: Path,
    to: str,
    arrays: _Arrays,
    settings: Mapping[str, Any],
    tokenizer: Tokenizer | None,
    dtype: str,
) -> list[str]:
    copied = [path.name for path in (*weight_files(source), config_path(source))]
    with atomic_folder(target) as folder:
        name, write = (PADDLE, write_paddle) if to == "paddlenlp" else (SAFETENSORS, write_safetensors)
        with atomic_write(folder / name) as file:
            write(file, arrays)
        write_json(folder / CONFIG, settings)
        if tokenizer is None:
            return []
        notes = copy_tokenizer(tokenizer, folder, to)
        if dtype == "stored" and (source / MODEL_CARD).is_file():  # the card's scores are those of this model
            shutil.copyfile(source / MODEL_CARD, folder / MODEL_CARD)
            copied.append(MODEL_CARD)
    return notes + files_not_copied(source, copied)
