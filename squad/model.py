"""A model folder with a span head, in Hugging Face's layout: read and written.

The linear head is ``qa_outputs``, which transformers' ``…ForQuestionAnswering`` loads. The joint head, which
transformers does not have, lies under ``qa_outputs.joint``; ``config.json`` says ``qa_head: joint``.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy

from checkpoints.folder import CONFIG, WEIGHTS, Checkpoint, has_weights, read_checkpoint
from checkpoints.formats.tensors import StoredTensor, as_float32
from checkpoints.mapping import PADDLENLP, convention_of, names, to_ours, to_theirs
from checkpoints.model_config import architecture_of, config_path, read_values
from checkpoints.validation import check_manifest
from checkpoints.weights import open_weights
from common.errors import InputError, UsageError
from common.files import atomic_write, write_json
from common.messages import note_once
from encoders.config import EncoderConfig, to_json
from encoders.encoder import depth_rules
from encoders.span_heads import JointSpanHead, LinearSpanHead, SpanModel
from encoders.tokenizer import Tokenizer
from squad.config import SquadTrainingConfig
from squad.data import version_of
from squad.windows import CUTTING
from training.regularization.layer_reinit import put, top_arrays

TASK = "squad"
_CLASSES = {"convbert": "ConvBert", "electra": "Electra", "bert": "Bert", "ernie": "Ernie"}
_HEAD = "span_head."
_JOINT = "qa_outputs.joint."
_HEADS = ("qa_outputs.", "classifier.")  # transformers' name and PaddleNLP's


def task_name(version: str) -> str:
    """``squad_1.1`` or ``squad_2.0``."""
    return f"{TASK}_{version}"


@dataclass(frozen=True)
class SavedHead:
    """What a folder says of its span head: ``linear``, ``joint`` or, where it has none, empty; the SQuAD
    version it was trained for (empty: not said), and the joint head's beam."""

    kind: str
    version: str
    beam: int


def saved_head(folder: str | Path) -> SavedHead:
    values = read_values(folder)
    kind, version, beam = values.get("qa_head", ""), values.get("finetuning_task", ""), values.get("qa_beam")
    if kind not in ("", "linear", "joint"):
        raise InputError(f"{config_path(folder)}: qa_head {kind!r} is neither linear nor joint")
    if not kind and has_weights(folder) and _has_linear_head(values, open_weights(folder).tensors):
        kind = "linear"
    return SavedHead(kind, version_of(str(version)), beam if type(beam) is int and beam > 0 else 20)


def _has_linear_head(values: Mapping[str, Any], tensors: Mapping[str, StoredTensor]) -> bool:
    """Whether a foreign folder has a span head: transformers' ``qa_outputs``, PaddleNLP's ``classifier``."""
    if "qa_outputs.weight" in tensors:
        return True
    of_paddlenlp = convention_of(list(tensors)) == PADDLENLP and "classifier.weight" in tensors
    return of_paddlenlp and architecture_of(values).endswith("ForQuestionAnswering")


def trained_head(folder: str | Path) -> SavedHead:
    """The same; InputError if the folder has no span head."""
    head = saved_head(folder)
    if not head.kind:
        raise InputError(f"{folder}: has no span head; fine-tune it with --do_train, or name another model")
    return head


def new_model(config: EncoderConfig, kind: str, beam: int = 20, answerable_weight: float = 0.5) -> SpanModel:
    """A network with random weights."""
    head = JointSpanHead(config, beam, answerable_weight) if kind == "joint" else LinearSpanHead(config)
    return SpanModel(config, head)


def prepare(
    folder: str | Path, config: EncoderConfig, recipe: SquadTrainingConfig, from_scratch: bool
) -> tuple[SpanModel, list[str]]:
    """The network to fine-tune, and notes. A head the folder does not have begins at random."""
    model = new_model(config, recipe.qa_head, recipe.beam_size, recipe.answerable_weight)
    if from_scratch:
        if has_weights(folder):
            raise InputError(f"{folder}: holds weights; leave out --from_scratch to begin with them")
        if recipe.reinit_layers:
            raise UsageError(
                "--reinit_layers: with --from_scratch every layer begins new; leave one of them out"
            )
        return model, [f"{folder}: every weight begins at random (--from_scratch)"]
    check_manifest(folder)
    fresh = top_arrays(model, depths(config), config.num_hidden_layers, recipe.reinit_layers)
    checkpoint = _fill_encoder(model, folder, config)
    left_aside = [name for name in checkpoint.left_aside if not name.startswith(_HEADS)]
    notes = [*checkpoint.notes, *([f"not needed in {folder}: {', '.join(left_aside)}"] if left_aside else [])]
    if saved_head(folder).kind == recipe.qa_head:
        _fill_head(model, folder, recipe.qa_head)
    else:
        notes.insert(0, f"begins new: the {recipe.qa_head} span head")
    return model, [*put(model, fresh), *notes]


def load(folder: str | Path, config: EncoderConfig) -> SpanModel:
    """A fine-tuned network, ready to answer; InputError if the folder has no span head."""
    check_manifest(folder)
    head = trained_head(folder)
    model = new_model(config, head.kind, head.beam)
    for text in _fill_encoder(model, folder, config).notes:
        note_once(text)
    _fill_head(model, folder, head.kind)
    model.eval()
    return model


def fill(model: SpanModel, folder: str | Path, config: EncoderConfig, kind: str) -> None:
    """Put a folder's weights, all of them, into a network of the same kind."""
    _fill_encoder(model, folder, config)
    _fill_head(model, folder, kind)


def _fill_encoder(model: SpanModel, folder: str | Path, config: EncoderConfig) -> Checkpoint:
    parameters = {name: p for name, p in model.named_parameters() if not name.startswith(_HEAD)}
    shapes = {name: tuple(parameter.shape) for name, parameter in parameters.items()}
    checkpoint = read_checkpoint(folder, config, shapes, keep_head=False, may_lack_head=True)
    for name, parameter in parameters.items():
        parameter.set_value(checkpoint.arrays[name])
    return checkpoint


def _head_name(ours: str, kind: str) -> tuple[str, str]:
    """Name and layout in the folder of a parameter of the head."""
    short = ours.removeprefix(_HEAD)
    name = _JOINT + short if kind == "joint" else short.replace("projection", "qa_outputs")
    return name, "transposed" if name.endswith("weight") else "same"


def _fill_head(model: SpanModel, folder: str | Path, kind: str) -> None:
    path, stored, _ = open_weights(folder)
    paddlenlp = convention_of(list(stored)) == PADDLENLP
    for ours, parameter in model.named_parameters():
        if ours.startswith(_HEAD):
            theirs, layout = _head_name(ours, kind)
            if paddlenlp and theirs not in stored:
                theirs, layout = theirs.replace("qa_outputs", "classifier"), "same"
            if theirs not in stored:
                raise InputError(
                    f"{path}: does not fit {CONFIG}: {theirs} is missing; take both from one model"
                )
            array = to_ours(as_float32(path, theirs, stored[theirs]), layout)
            if list(array.shape) != list(parameter.shape):
                raise InputError(
                    f"{path}: does not fit {CONFIG}: {theirs} should be for {list(parameter.shape)} and is "
                    f"{list(array.shape)}; take both from one model"
                )
            parameter.set_value(array)


def write(
    folder: Path, config: EncoderConfig, model: SpanModel, recipe: SquadTrainingConfig, tokenizer: Tokenizer
) -> None:
    """Write a model's files into an existing folder."""
    ours = {name: parameter.numpy() for name, parameter in model.named_parameters()}
    theirs: dict[str, np.ndarray] = {
        name.theirs: to_theirs(ours[name.ours], name.layout) for name in names(config) if name.ours in ours
    }
    for name, array in ours.items():
        if name.startswith(_HEAD):
            key, layout = _head_name(name, recipe.qa_head)
            theirs[key] = to_theirs(array, layout)
    values: dict[str, Any] = {
        **to_json(config),
        "architectures": [f"{_CLASSES[config.model_type]}ForQuestionAnswering"],
        "qa_head": recipe.qa_head,
        **{f"qa_{name}": getattr(recipe, name) for name in CUTTING},
    }
    if recipe.qa_head == "joint":
        values["qa_beam"] = recipe.beam_size
    write_json(folder / CONFIG, values)
    with atomic_write(folder / WEIGHTS) as file:
        file.write(safetensors.numpy.save(theirs, metadata={"format": "pt"}))
    tokenizer.save(folder)


def config_for(found: EncoderConfig, version: str, max_length: int) -> EncoderConfig:
    """The configuration to fine-tune with: transformers wants two labels, which are start and end."""
    return dataclasses.replace(
        found,
        id2label={0: "LABEL_0", 1: "LABEL_1"},
        finetuning_task=task_name(version),
        max_seq_length=max_length,
        target_scale=1.0,
    )


def depths(config: EncoderConfig) -> list[tuple[str, int]]:
    """Name prefix → depth, as ``depth_rules``; the span head lies where a sentence head would."""
    return [*depth_rules(config), (_HEAD, config.num_hidden_layers + 2)]
