"""What the stacks work on: model folders of the published sizes, tokenised rows, and orders of batches."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from bench.arithmetic import strata
from bench.peers import Peer
from bench.sizes import config_of
from common.errors import InputError
from encoders.batching import Features, pack, prediction_order, training_order
from encoders.tokenizer import Tokenizer
from glue.data import read_split
from glue.tasks import task_named

BATCH = 32
_LENGTH = 128  # rows are cut to it, as in the published recipes
_POOL = 50  # batches that transformers sorts by length at a time


@dataclass(frozen=True)
class Setup:
    """Where the bench works. scratch: a folder for itself; data_dir: official files, or empty for the
    embedded sample's; vocabulary: a model folder whose vocabulary is used, or empty for the sample's.
    environment: of the worker processes; device: ``cpu`` or ``gpu``. clock: ``wall`` or ``processor``.
    squad_file: an official SQuAD 1.1 file, or empty for made-up texts. peers: words of which a line's title
    has one, to be compared.
    """

    scratch: Path
    environment: dict[str, str]
    data_dir: str = ""
    vocabulary: str = ""
    device: str = "cpu"
    rounds: int = 3
    batches: int = 6
    clock: str = "wall"
    squad_file: str = ""
    peers: tuple[str, ...] = ("",)

    def chosen(self, peers: Sequence[Peer]) -> list[Peer]:
        """Those of a case's peers that are wanted; InputError where none is."""
        chosen_peers = [peer for peer in peers if any(word in peer.title for word in self.peers)]
        if not chosen_peers:
            titles = "; ".join(peer.title for peer in peers)
            raise InputError(
                f"--peers {' '.join(self.peers)}: no line has one of these words; there are: {titles}"
            )
        return chosen_peers

    @cached_property
    def tokenizer(self) -> Tokenizer:
        if self.vocabulary:
            return Tokenizer(self.vocabulary)
        from scripts.tiny_model import write_model_folder

        write_model_folder(self.scratch / "vocabulary")
        return Tokenizer(self.scratch / "vocabulary")

    @cached_property
    def data(self) -> str:
        """The official files' folder, or that of a sample written for this run."""
        if self.data_dir:
            return self.data_dir
        from scripts.make_sample import write_sample

        write_sample(self.scratch / "sample", rows=4000)
        return str(self.scratch / "sample")

    def texts(self, task_name: str, kind: str, at_most: int = 0) -> list[tuple[str, ...]]:
        """The texts of a task's train, dev or test rows; repeated until there are ``at_most``."""
        task = task_named(task_name)
        rows = read_split(task, task.of_kind(kind)[0], self.data).examples
        texts = [row.texts for row in rows]
        return texts if not at_most else (texts * (1 + at_most // len(texts)))[:at_most]

    def source(self) -> str:
        """What the rows and lengths are, for the reader of a table."""
        rows = "official files" if self.data_dir else "the embedded sample"
        return f"rows: {rows}; vocabulary: {self.vocabulary or 'of the sample'}"

    def model(self, size: str, layout: str = "huggingface") -> Path:
        """A folder with random weights, the same in both layouts, written once."""
        folder = self.scratch / f"{size}-{layout}"
        if folder.exists():
            return folder
        if layout == "paddlenlp":
            from checkpoints.conversion import convert

            convert(self.model(size), folder, layout)
            return folder
        from checkpoints.folder import save_checkpoint
        from checkpoints.network import arrays_of
        from encoders.framework import paddle
        from encoders.heads import SentenceClassifier

        paddle.seed(0)
        config = replace(config_of(size), id2label={0: "0", 1: "1"})
        save_checkpoint(folder, config, arrays_of(SentenceClassifier(config)), self.tokenizer)
        return folder

    def exported(self, size: str) -> Path:
        """The same model as an exported folder with an ONNX graph."""
        folder = self.scratch / f"{size}-onnx"
        if not folder.exists():
            from checkpoints.folder import digest_of
            from checkpoints.network import load_classifier
            from inference.export import export

            source = self.model(size)
            export(load_classifier(source), self.tokenizer, digest_of(source), folder, "onnx")
        return folder

    def tokenised(self, task_name: str, kind: str, at_most: int = 0) -> Features:
        texts = self.texts(task_name, kind, at_most)
        return pack(self.tokenizer.encode(texts, _LENGTH), np.arange(len(texts)) % 2)

    def stored(self, features: Features) -> str:
        """The rows as a file that every worker can read."""
        path = self.scratch / "rows.npz"
        fields: dict[str, Any] = vars(features)
        np.savez(path, **fields)
        return str(path)


def same_length(rows: int, length: int) -> Features:
    """Rows of one length, random tokens."""
    ids = np.random.default_rng(0).integers(5, 1000, rows * length).astype(np.int32)
    starts = np.arange(0, rows * length + 1, length)
    return Features(ids, starts, np.full(rows, length, dtype=np.int32), np.arange(rows) % 2)


def batches(features: Features, order: str) -> list[np.ndarray]:
    """Row numbers of every batch: ``random`` and ``grouped`` as training takes them (the latter by length
    within pools of batches), ``filled`` as we predict, ``sorted`` by length, or as they were ``given``."""
    if order in ("random", "grouped"):
        pool = _POOL if order == "grouped" else 1
        return training_order(features.lengths, BATCH, seed=0, epoch=0, pool=pool)
    if order == "filled":
        return prediction_order(features.lengths, BATCH)
    rows = np.argsort(-features.lengths, kind="stable") if order == "sorted" else np.arange(len(features))
    return [rows[start : start + BATCH] for start in range(0, len(rows), BATCH)]


def sample(features: Features, order: str, width: int, count: int) -> tuple[list[list[int]], int]:
    """The batches that stand for all, by ``arithmetic.strata`` of their width; how many all are."""
    every = batches(features, order)
    whole = every[:-1] or every  # a last batch of fewer rows stands for nothing
    widths = [float(width or features.lengths[rows].max()) for rows in whole]
    return [every[number].tolist() for number in strata(widths, count)], len(every)
