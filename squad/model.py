"""A network with a span head: new, read from a model folder, and written.

The linear head is ``qa_outputs``, which transformers' ``…ForQuestionAnswering`` loads. The joint head, which
transformers does not have, lies under ``qa_outputs.joint``; ``config.json`` says ``qa_head: joint``.
"""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from checkpoints.config_file import architecture_of, config_path
from checkpoints.folder import Checkpoint, check_manifest, write_model
from checkpoints.mapping import PADDLENLP, convention_of
from checkpoints.network import arrays_of, load_weights
from common.errors import InputError
from encoders.config import EncoderConfig
from encoders.encoder import depth_rules
from encoders.span_heads import JointSpanHead, LinearSpanHead, SpanModel
from encoders.tokenizer import Tokenizer
from squad.config import SquadTrainingConfig
from squad.data import version_of
from squad.windows import CUTTING
from training.initial_weights import load_initial_weights

TASK = "squad"


def task_name(version: str) -> str:
    """``squad_1.1`` or ``squad_2.0``."""
    return f"{TASK}_{version}"


@dataclass(frozen=True)
class SavedHead:
    """What a folder says of its span head."""

    kind: str  # ``linear``, ``joint`` or, where it has none, empty
    version: str  # of SQuAD, that it was trained for; empty where it does not say
    beam: int  # the joint head's


def saved_head(checkpoint: Checkpoint) -> SavedHead:
    """The span head of a model folder."""
    values = checkpoint.values
    kind, version, beam = values.get("qa_head", ""), values.get("finetuning_task", ""), values.get("qa_beam")
    if kind not in ("", "linear", "joint"):
        path = config_path(checkpoint.folder)
        raise InputError(f"qa_head {kind!r} is neither linear nor joint", path=path)
    if not kind and _has_linear_head(checkpoint):
        kind = "linear"
    return SavedHead(kind, version_of(str(version)), beam if type(beam) is int and beam > 0 else 20)


def _has_linear_head(checkpoint: Checkpoint) -> bool:
    """Whether a foreign folder has a span head: transformers' ``qa_outputs``, PaddleNLP's ``classifier``."""
    tensors = checkpoint.weights.tensors if checkpoint.weights else {}
    if "qa_outputs.weight" in tensors:
        return True
    is_paddlenlp = convention_of(tensors, checkpoint.config) == PADDLENLP and "classifier.weight" in tensors
    return is_paddlenlp and architecture_of(checkpoint.values).endswith("ForQuestionAnswering")


def trained_head(checkpoint: Checkpoint) -> SavedHead:
    """The same; InputError if the folder has no span head."""
    head = saved_head(checkpoint)
    if not head.kind:
        message = "has no span head; fine-tune it with --do_train, or name another model"
        raise InputError(message, path=checkpoint.folder)
    return head


def new_model(config: EncoderConfig, kind: str, beam: int = 20, answerable_weight: float = 0.5) -> SpanModel:
    """A network with random weights."""
    head = JointSpanHead(config, beam, answerable_weight) if kind == "joint" else LinearSpanHead(config)
    return SpanModel(config, head)


def prepare(
    checkpoint: Checkpoint, config: EncoderConfig, training: SquadTrainingConfig, from_scratch: bool
) -> tuple[SpanModel, list[str]]:
    """The network to fine-tune, and notes. A head the folder does not have begins at random."""
    model = new_model(config, training.qa_head, training.beam_size, training.answerable_weight)
    keeps_head = saved_head(checkpoint).kind == training.qa_head
    return model, load_initial_weights(
        model,
        checkpoint.with_config(config),
        "required" if keeps_head else "new",
        depths(config),
        from_scratch=from_scratch,
        reinit_layers=training.reinit_layers,
    )


def load(checkpoint: Checkpoint) -> SpanModel:
    """A fine-tuned network, ready to answer; InputError if the folder has no span head."""
    check_manifest(checkpoint.folder)
    head = trained_head(checkpoint)
    model = new_model(checkpoint.config, head.kind, head.beam)
    load_weights(model, checkpoint)
    model.eval()
    return model


def write(
    folder: Path, config: EncoderConfig, model: SpanModel, training: SquadTrainingConfig, tokenizer: Tokenizer
) -> None:
    """Write a model's files into an existing folder."""
    settings = {"qa_head": training.qa_head, **{f"qa_{name}": getattr(training, name) for name in CUTTING}}
    if training.qa_head == "joint":
        settings["qa_beam"] = training.beam_size
    write_model(folder, config, arrays_of(model), tokenizer, **settings)


def config_for(config: EncoderConfig, version: str, max_length: int) -> EncoderConfig:
    """The configuration to fine-tune with: transformers wants two labels, which are start and end."""
    return dataclasses.replace(
        config,
        id2label={0: "LABEL_0", 1: "LABEL_1"},
        finetuning_task=task_name(version),
        max_seq_length=max_length,
        target_scale=1.0,
    )


def depths(config: EncoderConfig) -> list[tuple[str, int]]:
    """Name prefix → depth, as ``depth_rules``; the span head lies where a sentence head would."""
    return [*depth_rules(config), ("span_head.", config.num_hidden_layers + 2)]
