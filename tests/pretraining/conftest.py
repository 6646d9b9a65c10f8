"""A tiny teacher, a corpus of the sample's texts, and a run of the default objective."""

import dataclasses
from pathlib import Path

import pytest

from checkpoints.folder import read_config, save_checkpoint
from checkpoints.network import arrays_of
from encoders.framework import paddle
from encoders.heads import SentenceClassifier
from encoders.tokenizer import Tokenizer
from glue.data import read_split
from glue.tasks import task_named
from pretraining.run_pretrain import main
from scripts.tiny_model import write_model_folder
from tests.pretraining.runs import arguments


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample's ConvBERT, configuration and vocabulary without weights."""
    folder = tmp_path_factory.mktemp("student")
    write_model_folder(folder)
    return folder


@pytest.fixture(scope="session")
def teacher_folder(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Path) -> Path:
    """A BERT of random weights over the same vocabulary, wider than the student."""
    config = dataclasses.replace(
        read_config(tiny_folder), model_type="bert", embedding_size=96, hidden_size=96, num_attention_heads=4,
        classifier_head="pooler", initializer_range=0.1,
    )  # fmt: skip
    paddle.seed(5)
    folder = tmp_path_factory.mktemp("teacher") / "model"
    save_checkpoint(folder, config, arrays_of(SentenceClassifier(config)), Tokenizer(tiny_folder))
    return folder


@pytest.fixture(scope="session")
def corpus_dir(tmp_path_factory: pytest.TempPathFactory, sample_dir: Path) -> Path:
    """``train.data`` of the sample's sentences and pairs."""
    lines = []
    for name in ("sst-2", "rte", "mrpc"):
        task = task_named(name)
        (split,) = task.of_kind("train")
        lines += ["\t".join(example.texts) for example in read_split(task, split, sample_dir).examples]
    folder = tmp_path_factory.mktemp("corpus")
    (folder / "train.data").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def finished(corpus_dir: Path, tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the default objective with the flags SHORT."""
    output = tmp_path_factory.mktemp("run") / "out"
    main(arguments(corpus_dir, tiny_folder, output))
    return output
