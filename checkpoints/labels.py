"""The labels of a head's outputs: as a folder names them, and as --label_map does. No Paddle."""

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

from checkpoints.formats.tensors import StoredTensor
from checkpoints.mapping import head_projection
from common.errors import InputError
from common.messages import escape_unprintable
from encoders.config import EncoderConfig

FLAG = "--label_map"
_PLACEHOLDER = re.compile(r"LABEL_\d+", re.ASCII)
_ID = re.compile(r"-?\d{1,9}", re.ASCII)
_MAX_LABELS = 10_000  # far beyond every number of labels: a vocabulary's projection, or somebody's malice


def _inverted(label2id: Any) -> dict[str, str]:
    """``id2label`` of a map from names to ids (``0`` or ``"0"``); empty where it is no such map."""
    if not isinstance(label2id, dict):
        return {}
    ids = label2id.values()
    if not all(type(number) in (int, str) and _ID.fullmatch(str(number)) for number in ids):
        return {}
    names = {str(number): str(name) for name, number in label2id.items()}
    return {number: names[number] for number in sorted(names, key=int)} if len(names) == len(ids) else {}


def by_label2id(values: Mapping[str, Any]) -> dict[str, str]:
    """The labels of label2id where id2label has none, or placeholders alone for the same ids; else empty."""
    id2label, labels = values.get("id2label"), _inverted(values.get("label2id"))
    if not id2label:
        return labels
    if not isinstance(id2label, dict) or not _are_placeholders(id2label) or _are_placeholders(labels):
        return {}
    return labels if set(labels) == set(map(str, id2label)) else {}


def _are_placeholders(labels: Mapping[Any, Any]) -> bool:
    return all(_PLACEHOLDER.fullmatch(str(name)) for name in labels.values())


def contradiction(id2label: Any, label2id: Any) -> str:
    """Where the second map gives a label of the first another id; empty where it does not."""
    if not isinstance(id2label, dict) or not isinstance(label2id, dict):
        return ""
    for number, name in id2label.items():
        other = label2id.get(str(name))
        if other is not None and str(other) != str(number):
            label, other_id = (escape_unprintable(str(text), 100) for text in (name, other))
            return f"id2label is used: {label} is {number} there and {other_id} in label2id"
    labels = _inverted(label2id)
    if not _are_placeholders(labels) and labels.keys() != set(map(str, id2label)):
        first, second = (escape_unprintable(", ".join(map(str, ids)), 100) for ids in (id2label, labels))
        return f"id2label is used, which names the ids {first}; label2id names {second}"
    return ""


def from_weights(config: EncoderConfig, tensors: Mapping[str, StoredTensor]) -> EncoderConfig:
    """With an output for each row of the head in the weights, where there is one: transformers leaves
    ``id2label`` and ``num_labels`` out for two."""
    head = tensors.get(head_projection(config))
    if head is None or len(head.shape) != 2:
        return config
    # PyTorch holds (labels, hidden), Paddle (hidden, labels).
    count = head.shape[1] if head.shape[0] == config.hidden_size else head.shape[0]
    if not 0 < count <= _MAX_LABELS:
        return config
    return dataclasses.replace(config, id2label={number: f"LABEL_{number}" for number in range(count)})


def label_names(config: EncoderConfig) -> list[str]:
    """The labels in the order of the logits' columns."""
    return [config.id2label[number] for number in sorted(config.id2label)]


def are_unnamed(config: EncoderConfig) -> bool:
    """Whether the labels are numbers alone, as transformers writes them where nobody named them."""
    return _are_placeholders(config.id2label)


def split_label_map(label_map: str) -> list[str]:
    """The names in the flag; InputError where one is empty or comes twice."""
    names = [name.strip() for name in label_map.split(",")]
    if not all(names) or len(set(names)) != len(names):
        raise InputError(f"{FLAG} {label_map}: give each label its own name, in the order of the ids")
    return names


def with_label_map(config: EncoderConfig, names: list[str], label_map: str) -> EncoderConfig:
    """The configuration with its outputs named; InputError where the flag contradicts the folder."""
    labels = label_names(config)
    if sorted(labels) == sorted(names) and labels != names:
        raise InputError(f"{FLAG} {label_map}: the checkpoint itself says {', '.join(labels)}; leave it out")
    if labels and len(labels) != len(names):
        raise InputError(f"{FLAG} {label_map}: the checkpoint has {len(labels)} labels, not {len(names)}")
    return dataclasses.replace(config, id2label=dict(enumerate(names)))
