"""Logits → predictions → dev scores, with the loss over all rows."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from checkpoints.folder import check_length
from checkpoints.labels import label_names
from common.errors import InputError
from common.messages import say
from common.provenance import Provenance
from encoders import distributed
from encoders.config import EncoderConfig
from encoders.heads import SentenceClassifier
from glue.data_files import fetching, find_file, locate
from glue.features import SplitFeatures, in_both_orders, load_split, targets_of
from glue.predictions import SplitPredictions
from glue.task_model import TaskModel
from glue.tasks import Split, Task
from inference.engine import Engine
from inference.limits import NEAR_TIE
from inference.network_engine import predict_logits
from inference.tie_breaking import TieBreakingEngine
from metrics.task_scores import score_task

_LENGTH = 128  # of inputs in tokens, where nothing else says


def predict(
    model: SentenceClassifier | Engine,
    config: EncoderConfig,
    task: Task,
    split: SplitFeatures,
    batch_size: int,
    progress: str = "",
) -> SplitPredictions:
    """Run a model over a split. A label is read off the checkpoint's own map, never off the table."""
    logits = predict_logits(model, split.features, batch_size, progress)
    if not np.isfinite(logits).all():
        row = int(np.flatnonzero(~np.isfinite(logits).all(axis=1))[0])
        message = f"the model's answer to row {row} is not a number; are its weights sound?"
        raise InputError(message, path=split.path, code="not finite")
    if task.is_regression:
        logits = logits * np.float32(config.target_scale)
    source = Provenance(data={split.split.file: split.digest})
    return SplitPredictions(task, split.split, logits, label_names(config), source)


def load_splits(
    checkpoint: TaskModel, kind: str, data_dir: Path, max_length: int | None = None
) -> list[SplitFeatures]:
    """Read and tokenise a task's ``dev`` or ``test`` files for a checkpoint, by default as long as it was
    trained with. Of several files those that are there are read; a note names each that is missing."""
    task, config = checkpoint.task, checkpoint.config
    length = _length_of(config, max_length)
    check_length(length, config)
    notes = []
    if length < _LENGTH and not (max_length or config.max_seq_length):
        notes.append(f"{checkpoint.folder}: has {length} positions; longer inputs are cut to {length} tokens")
    available = present(task.of_kind(kind), data_dir)
    splits = [load_split(task, split, data_dir, checkpoint.tokenizer, length) for split in available]
    for split in splits:
        notes += [split.described()] if split.split.rows not in (split.rows, 0) else []
        notes += split.notes
    for note in notes if distributed.is_first() else []:
        say(f"note: {note}")
    return splits


def _length_of(config: EncoderConfig, max_length: int | None) -> int:
    """The longest input in tokens: as asked for, or as long as the model was trained with."""
    return max_length or config.max_seq_length or min(_LENGTH, config.max_tokens)


def predict_splits(
    checkpoint: TaskModel,
    splits: Sequence[SplitFeatures],
    batch_size: int = 64,
    engine: str = "auto",
    device: str = "cpu",
    max_length: int | None = None,
    both_orders: bool = False,
) -> list[SplitPredictions]:
    """A checkpoint's predictions for files of its task.

    engine: of ``inference.engine_choice``. both_orders: the mean of the logits of a pair's two orders;
    max_length is then needed again if it is not the model's own.
    """
    task, config = checkpoint.task, checkpoint.config
    if both_orders:
        if not task.is_pair:
            raise InputError(f"--both_orders: the rows of {task.name} are single sentences")
        length = _length_of(config, max_length)
        splits = [in_both_orders(split, checkpoint.tokenizer, length) for split in splits]
    model = checkpoint.runner(engine, device, sum(len(split.features.ids) for split in splits))
    predictions = [
        predict(model, config, task, split, batch_size, split.split.submission_file) for split in splits
    ]
    if both_orders:
        predictions = [mean_of_orders(part) for part in predictions]
    if isinstance(model, TieBreakingEngine) and (rows := model.unresolved):
        close = f"less than {NEAR_TIE:g} apart (of logits above 1, that part)"
        say(f"note: {rows} rows have two best logits {close}; another engine might choose the other")
    return predictions


def mean_of_orders(part: SplitPredictions) -> SplitPredictions:
    """The predictions of rows that stand twice, as by ``in_both_orders``: the mean of each row's logits."""
    first, second = np.split(part.logits, 2)
    return dataclasses.replace(part, logits=(first + second) / np.float32(2))


def present(splits: Sequence[Split], data_dir: Path) -> list[Split]:
    """Those of a task's files that are there, and a note for each other; InputError if none is."""
    available = [split for split in splits if locate(data_dir, split)]
    if not available:
        find_file(data_dir, splits[0])  # raises an error that names the remedy
    for split in splits if distributed.is_first() else []:
        if split not in available:
            name = split.submission_file
            say(
                f"note: {name.removesuffix('.tsv')} is missing: no {split.file} below {data_dir}; "
                f"`{fetching(data_dir, split)}` fetches it; without it there is no {name}"
            )
    return available


def dev_scores(
    config: EncoderConfig, splits: Sequence[SplitFeatures], predictions: Sequence[SplitPredictions]
) -> dict[str, float]:
    """The task's scores, ``main`` (unless some of its dev files are missing), and ``loss``, the mean over all
    rows. What is scored is what a prediction file would say, so both give the same number. Classes are
    compared as ids in the table's order (F1's positive class is the second)."""
    task, pairs, losses = predictions[0].task, [], []
    for split, part in zip(splits, predictions, strict=True):
        pairs.append((gold_values(task, split), task.values_of(part.values)))
        losses.append(_losses(config, split, part))
    loss = {"loss": float(np.concatenate(losses).mean())}
    if len(splits) == len(task.of_kind("dev")):
        return {**score_task(task, pairs), **loss}
    scored = dataclasses.replace(task, splits=tuple(split.split for split in splits))
    scores = score_task(scored, pairs)
    return {key: scores[key] for key in scored.score_keys} | loss


def gold_values(task: Task, split: SplitFeatures) -> np.ndarray:
    """(N,) a split's gold label ids in the table's order, or its gold scores."""
    return targets_of(split.examples, task.labels, 1.0) if task.labels else _scores(split)


def _scores(split: SplitFeatures) -> np.ndarray:
    """(N,) float64: a regression's gold scores."""
    return np.array([example.label for example in split.examples], dtype=np.float64)


def _losses(config: EncoderConfig, split: SplitFeatures, part: SplitPredictions) -> np.ndarray:
    """(N,) float64: each row's cross-entropy, or squared error on the scale the model was trained on."""
    logits = part.logits.astype(np.float64)
    if part.task.is_regression:
        return np.asarray((logits[:, 0] - _scores(split)) ** 2 / config.target_scale**2)
    gold = targets_of(split.examples, part.labels, 1.0)
    top = logits.max(axis=1, keepdims=True)
    normaliser = np.log(np.exp(logits - top).sum(axis=1)) + top[:, 0]
    return np.asarray(normaliser - logits[np.arange(len(gold)), gold])
