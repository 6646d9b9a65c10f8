"""Logits → predictions → dev scores, with the loss over all rows."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from checkpoints.validation import check_length
from common.errors import InputError
from common.messages import say
from encoders import distributed
from encoders.config import EncoderConfig
from encoders.heads import SentenceClassifier
from glue.checkpoint import Checkpoint
from glue.data_files import fetching, find_file, locate
from glue.features import SplitFeatures, load_split, targets_of
from glue.model import label_names
from glue.predictions import answers_of
from glue.tasks import Split, Task
from inference.engine import Engine
from inference.limits import NEAR_TIE
from inference.network_engine import predict_logits
from inference.tie_breaking import TieBreakingEngine
from metrics.task_scores import score_task

_LENGTH = 128  # of inputs in tokens, where nothing else says


@dataclass(frozen=True)
class Predictions:
    """A split's answers. logits: (N, L) float32, for a regression (N, 1) in the task's own range.

    labels: names of the columns. answers: what the hand-in file says, a label or a number a row.
    """

    split: SplitFeatures
    logits: np.ndarray
    labels: Sequence[str]
    answers: list[str]


def predict(
    model: SentenceClassifier | Engine,
    config: EncoderConfig,
    task: Task,
    split: SplitFeatures,
    batch_size: int,
    progress: str = "",
) -> Predictions:
    """Run a model over a split. A label is read off the checkpoint's own map, never off the table."""
    logits = predict_logits(model, split.features, batch_size, progress)
    if not np.isfinite(logits).all():
        row = int(np.flatnonzero(~np.isfinite(logits).all(axis=1))[0])
        raise InputError(
            f"{split.path}: the model's answer to row {row} is not a number; are its weights sound?"
        )
    labels = label_names(config)
    if task.is_regression:
        logits = logits * np.float32(config.target_scale)
    return Predictions(split, logits, labels, answers_of(task, logits, labels))


def predict_splits(
    checkpoint: Checkpoint,
    kind: str,
    data_dir: Path,
    *,
    max_length: int | None = None,
    batch_size: int = 64,
    engine: str = "auto",
    device: str = "cpu",
) -> list[Predictions]:
    """A checkpoint's answers to its task's ``dev`` or ``test`` files; all are read before any is run.

    Of several files those that are there are answered; a note names each that is missing. max_length: of
    the inputs in tokens; None: as the checkpoint was trained. engine: of ``inference.engine_choice``.
    """
    task, config = checkpoint.task, checkpoint.config
    length = max_length or config.max_seq_length or min(_LENGTH, config.max_position_embeddings)
    check_length(length, config)
    if length < _LENGTH and not (max_length or config.max_seq_length) and distributed.is_first():
        say(f"note: {checkpoint.folder}: has {length} positions; longer inputs are cut to {length} tokens")
    wanted = present(task.of_kind(kind), data_dir)
    splits = [load_split(task, split, data_dir, checkpoint.tokenizer, length) for split in wanted]
    for split in splits:
        notes = [split.described()] if split.rows != split.split.rows else []
        for note in [*notes, *split.notes] if distributed.is_first() else []:
            say(f"note: {note}")
    model = checkpoint.runner(engine, device, sum(len(split.features.ids) for split in splits))
    found = [predict(model, config, task, part, batch_size, part.split.submission_file) for part in splits]
    if isinstance(model, TieBreakingEngine) and (rows := model.unresolved):
        close = f"less than {NEAR_TIE:g} apart (of logits above 1, that part)"
        say(f"note: {rows} rows have two best logits {close}; another engine might choose the other")
    return found


def present(splits: Sequence[Split], data_dir: Path) -> list[Split]:
    """Those of a task's files that are there, and a note for each other; InputError if none is."""
    found = [split for split in splits if locate(data_dir, split)]
    if not found:
        find_file(data_dir, splits[0])  # says what to do
    for split in splits if distributed.is_first() else []:
        if split not in found:
            name = split.submission_file.removesuffix(".tsv")
            say(
                f"note: {name} is missing: no {split.file} below {data_dir}; `{fetching(data_dir, split)}` "
                f"fetches it; without it there is no {split.submission_file}"
            )
    return found


def dev_scores(task: Task, config: EncoderConfig, predictions: Sequence[Predictions]) -> dict[str, float]:
    """The task's scores, ``main``, and ``loss``: the mean over all rows of all dev files.

    Where some of the dev files are missing: the scores of those that are there, without ``main``.

    What is scored is what a prediction file would say, so both give the same number. Classes are
    compared as ids in the table's order (F1's positive class is the second).
    """
    pairs = []
    losses = []
    for part in predictions:
        if task.labels:
            gold = targets_of(part.split.examples, task.labels, 1.0)
            ids = {label: number for number, label in enumerate(task.labels)}
            pairs.append((gold, np.array([ids[answer] for answer in part.answers])))
        else:
            pairs.append((_scores(part.split), np.array([float(answer) for answer in part.answers])))
        losses.append(_losses(task, config, part))
    loss = {"loss": float(np.concatenate(losses).mean())}
    if len(predictions) == len(task.of_kind("dev")):
        return {**score_task(task, pairs), **loss}
    parts = [part.split.split.part for part in predictions]
    some = dataclasses.replace(task, splits=tuple(s for s in task.of_kind("dev") if s.part in parts))
    scores = score_task(some, pairs)
    return {key: scores[key] for key in some.score_keys} | loss


def _scores(split: SplitFeatures) -> np.ndarray:
    """(N,) float64: a regression's gold scores."""
    return np.array([example.label for example in split.examples], dtype=np.float64)


def _losses(task: Task, config: EncoderConfig, part: Predictions) -> np.ndarray:
    """(N,) float64: each row's cross-entropy, or squared error on the scale the model was trained on."""
    logits = part.logits.astype(np.float64)
    if task.is_regression:
        return np.asarray((logits[:, 0] - _scores(part.split)) ** 2 / config.target_scale**2)
    gold = targets_of(part.split.examples, part.labels, 1.0)
    top = logits.max(axis=1, keepdims=True)
    normaliser = np.log(np.exp(logits - top).sum(axis=1)) + top[:, 0]
    return np.asarray(normaliser - logits[np.arange(len(gold)), gold])
