"""A model folder's configuration: ``config.json``, PaddleNLP 2.0's ``model_config.json``, or
``bert_config.json`` of Google and of pytorch-pretrained-bert. No Paddle."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from checkpoints.formats.pickle_machine import shown
from checkpoints.labels import named_by_other
from checkpoints.weights import ADAPTER, MERGE
from common.errors import InputError
from common.files import why_missing
from common.json_files import read_json_object
from common.messages import note_once

CONFIG, OLD_CONFIGS = "config.json", ("model_config.json", "bert_config.json")
_LONGEST = 10_000_000  # bytes; real ones have a thousand, with ten thousand labels a million
_CLASS = re.compile(
    "^(?:TF|Flax)?(ConvBert|Electra|Ernie|Bert)(Model|LMHeadModel|For|Generator|Discriminator|$)"
)
# What a class's name ends with whose head is none, or that of sentence classification.
_HEADS = ("Model", "ForSequenceClassification", "ForPreTraining", "ForPretraining", "ForTotalPretraining",
          "ForMaskedLM", "LMHeadModel", "Generator", "Discriminator")  # fmt: skip


def config_path(folder: str | Path) -> Path:
    """The file that holds a folder's configuration; InputError if there is none."""
    for name in (CONFIG, *OLD_CONFIGS):
        if (Path(folder) / name).is_file():
            return Path(folder) / name
    wanted = f"{CONFIG}, model.safetensors, and vocab.txt or tokenizer.json"
    if Path(folder).is_file():
        raise InputError(f"{folder}: is a file; name the folder that holds it, with {wanted}")
    if not Path(folder).is_dir():
        raise InputError(f"{folder}: no such model folder; it should hold {wanted}")
    if (Path(folder) / "best" / CONFIG).is_file():
        raise InputError(f"{folder}: is a run's folder; name the model in it, {Path(folder) / 'best'}")
    if (Path(folder) / ADAPTER).is_file():
        raise InputError(
            f"{Path(folder) / ADAPTER}: the folder holds an adapter (PEFT), not a model; {MERGE}"
        )
    raise InputError(
        f"{Path(folder) / CONFIG}: {why_missing(Path(folder) / CONFIG)}; {_remedy(Path(folder))}"
    )


def _remedy(folder: Path) -> str:
    """Which of a folder's own folders may have been meant, such as a hub's snapshot or a saved step."""
    inner = [path.parent for pattern in ("*", "snapshots/*") for path in folder.glob(f"{pattern}/{CONFIG}")]
    if inner:
        listed = ", ".join(str(path) for path in sorted(inner)[:3]) + (", …" if len(inner) > 3 else "")
        return f"name a model folder in it: {listed}"
    tensorflow = sorted(folder.glob("*.index"))
    if tensorflow:
        return (
            f"{shown(tensorflow[0].name)} is TensorFlow's: convert it to PyTorch (transformers 4 has scripts "
            "for it), and name the new folder"
        )
    return f"a model folder holds {CONFIG}, model.safetensors and vocab.txt"


def read_values(folder: str | Path) -> dict[str, Any]:
    """The settings in it, under Hugging Face's names; keys that nobody knows here are kept."""
    path = config_path(folder)
    if path.stat().st_size > _LONGEST:
        raise InputError(
            f"{path}: has {path.stat().st_size} bytes, which no configuration has; fetch it again"
        )
    values = _flat(read_json_object(path))
    if "init_class" in values:
        values.setdefault("architectures", [values.pop("init_class")])
    if "dropout" in values:  # PaddleNLP's name of the head's
        values.setdefault("classifier_dropout", values.pop("dropout"))
    if labels := named_by_other(values):
        if values.get("id2label"):
            listed = shown(", ".join(f"{number} is {name}" for number, name in labels.items()))
            note_once(f"{path}: id2label has placeholders, so label2id names the labels: {listed}")
        values["id2label"] = labels
    count = values.pop("num_classes", values.get("num_labels"))
    if type(count) is int and 0 < count <= 10_000 and not values.get("id2label"):
        values["id2label"] = {str(number): f"LABEL_{number}" for number in range(count)}
    return values


def _flat(values: dict[str, Any]) -> dict[str, Any]:
    """PaddleNLP 2.0 keeps what each class was built with: the task's class around the encoder's.

    ``{"init_args": [{…, "init_class": "BertModel"}, 3], "init_class": "BertForSequenceClassification"}``;
    what follows the encoder are the number of labels and the head's dropout.
    """
    arguments = values.get("init_args")
    if not isinstance(arguments, list | tuple):
        return dict(values)
    outer = {key: value for key, value in values.items() if key != "init_args"}
    inner = [argument for argument in arguments if isinstance(argument, dict)]
    # Trained in a pair, the discriminator is the model; the generator is narrower.
    inner = [one for one in inner if not str(one.get("init_class")).endswith("Generator")] or inner
    rest = [argument for argument in arguments if not isinstance(argument, dict)]
    merged = {**dict(zip(("num_classes", "dropout"), rest, strict=False)), **outer}
    for argument in inner:
        merged = {**_flat(argument), **merged}
    return merged


def family_of(architecture: str) -> str:
    """The model type of a class, such as ``bert`` of ``BertForSequenceClassification``; empty for others'."""
    family = _CLASS.match(architecture)
    return family[1].lower() if family else ""


def head_fault(values: Mapping[str, Any]) -> str:
    """Why a folder's head does not tell one label or score of a sentence; empty where it does or has none."""
    architecture, problem = architecture_of(values), values.get("problem_type")
    labels = len(values["id2label"]) if isinstance(values.get("id2label"), dict) else 0
    if architecture and not architecture.endswith(_HEADS):
        return (
            f"is a {shown(architecture)}, whose head does not classify sentences; fine-tune it first "
            '(if it does, write "architectures": ["BertForSequenceClassification"] or the like)'
        )
    if problem == "multi_label_classification":
        return (
            "problem_type multi_label_classification: its labels do not exclude each other, as they do here"
        )
    if problem == "regression" and labels > 1:
        return f"problem_type regression with {labels} labels: a regression has one output here"
    if problem == "single_label_classification" and labels == 1:
        return "problem_type single_label_classification with 1 label: there is nothing to choose from"
    return ""


def architecture_of(values: Mapping[str, Any]) -> str:
    """The class that saved a folder, such as ``BertForSequenceClassification``; empty if it does not say."""
    found = values.get("architectures")
    return str(found[0]) if isinstance(found, list) and found else ""
