"""A model folder's configuration: ``config.json``, or PaddleNLP 2.0's ``model_config.json``. No Paddle."""

import re
from pathlib import Path
from typing import Any

from commands.errors import InputError
from commands.files import read_json_object

CONFIG, OLD_CONFIG = "config.json", "model_config.json"
_LONGEST = 10_000_000  # bytes; real ones have a thousand, with ten thousand labels a million
_CLASS = re.compile("^(ConvBert|Electra|Ernie|Bert)(Model|For|Generator|Discriminator|$)")


def config_path(folder: str | Path) -> Path:
    """The file that holds a folder's configuration; InputError if there is none."""
    for name in (CONFIG, OLD_CONFIG):
        if (Path(folder) / name).is_file():
            return Path(folder) / name
    wanted = f"{CONFIG}, model.safetensors and vocab.txt"
    if not Path(folder).is_dir():
        raise InputError(f"{folder}: no such model folder; it should hold {wanted}")
    if (Path(folder) / "best" / CONFIG).is_file():
        raise InputError(f"{folder}: is a run's folder; name the model in it, {Path(folder) / 'best'}")
    raise InputError(f"{Path(folder) / CONFIG}: no such file; a model folder holds {wanted}")


def read_values(folder: str | Path) -> dict[str, Any]:
    """The settings in it, under Hugging Face's names; keys that nobody knows here are kept."""
    path = config_path(folder)
    if path.stat().st_size > _LONGEST:
        raise InputError(
            f"{path}: has {path.stat().st_size} bytes, which no configuration has; fetch it again"
        )
    values = _flat(read_json_object(path))
    if "init_class" in values:
        architecture = values.pop("init_class")
        values.setdefault("architectures", [architecture])
        family = _CLASS.match(str(architecture))
        if family:
            values.setdefault("model_type", family[1].lower())
    if "dropout" in values:  # PaddleNLP's name of the head's
        values.setdefault("classifier_dropout", values.pop("dropout"))
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


def architecture_of(values: dict[str, Any]) -> str:
    """The class that saved a folder, such as ``BertForSequenceClassification``; empty if it does not say."""
    found = values.get("architectures")
    return str(found[0]) if isinstance(found, list) and found else ""
