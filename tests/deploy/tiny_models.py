"""Tiny models with random weights, of a kind that training leaves."""

import dataclasses
from pathlib import Path

import numpy as np

from checkpoints.folder import read_config, save_checkpoint
from checkpoints.network import arrays_of
from encoders.framework import paddle
from encoders.heads import SentenceClassifier
from encoders.tokenizer import Tokenizer
from scripts.tiny_model import write_model_folder
from squad import model as squad_model
from squad.config import SquadTrainingConfig


def write_classifier(
    folder: Path, task: str, labels: list[str], scale: float = 1.0, bias: float = 0.0
) -> Path:
    """A model folder for a sentence task."""
    source = folder / "source"
    write_model_folder(source)
    paddle.seed(7)
    config = dataclasses.replace(
        read_config(source),
        id2label=dict(enumerate(labels)),
        finetuning_task=task,
        max_seq_length=48,
        target_scale=scale,
    )
    model = SentenceClassifier(config)
    model.head.projection.bias.set_value(np.full(len(labels), bias, dtype=np.float32))
    save_checkpoint(folder / "model", config, arrays_of(model), Tokenizer(source))
    return folder / "model"


def write_span_model(
    folder: Path, version: str, length: int = 40, head: str = "linear", **settings: int
) -> Path:
    """A model folder for SQuAD. settings: of the recipe."""
    source = folder / "source"
    write_model_folder(source)
    paddle.seed(8)
    config = squad_model.config_for(read_config(source), version, length)
    model = squad_model.new_model(config, head)
    (folder / "model").mkdir()
    squad_model.write(
        folder / "model", config, model, SquadTrainingConfig(qa_head=head, **settings), Tokenizer(source)
    )
    return folder / "model"
