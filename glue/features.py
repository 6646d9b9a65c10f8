"""Example → Features, tokenised once and cached on disk by content. No Paddle."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import tokenizers

from common.archives import DAMAGED, read_arrays
from common.cache import distrust, private_dir, protect
from common.errors import InputError
from common.files import atomic_write, sha256_of
from common.messages import say
from common.progress import progress_bar
from encoders.batching import Features, pack
from encoders.tokenizer import Tokenizer
from glue.data import Example, Rows, read_split
from glue.tasks import Split, Task

_FORMAT = 2  # of the cached file; a new number leaves old files unread
_ARRAYS = ("ids", "starts", "first_lengths")
_MAX_BYTES = 1 << 32  # bytes of an array
_CHUNK = 10_000
_MIN_PAIR_LENGTH = 5  # [CLS] a [SEP] b [SEP]


@dataclass(frozen=True)
class SplitFeatures:
    """A split read and tokenised. digest: SHA-256 of its file; rows: how many it has."""

    split: Split
    path: Path
    digest: str
    examples: list[Example]
    features: Features
    rows: int
    notes: tuple[str, ...] = ()

    def described(self) -> str:
        """The file and its row count, beside the official one where they differ."""
        official = "" if self.split.rows in (self.rows, 0) else f" (the official file has {self.split.rows})"
        return f"{self.path}: {self.rows} rows{official}"


def load_split(
    task: Task, split: Split, data_dir: str | Path, tokenizer: Tokenizer, max_length: int
) -> SplitFeatures:
    """Read an official file and tokenise it, or take its tokens from the cache.

    InputError if the length leaves a pair's texts no token.
    """
    if task.is_pair and max_length < _MIN_PAIR_LENGTH:
        raise InputError(
            f"--max_seq_length {max_length}: the pairs of {task.name} need at least {_MIN_PAIR_LENGTH}, "
            "for three special tokens and one of each text"
        )
    rows = read_split(task, split, data_dir)
    path, examples, features = rows.path, rows.examples, _tokenised(rows, tokenizer, max_length)
    return SplitFeatures(split, path, sha256_of(path), examples, features, len(examples), tuple(rows.notes))


def targets_of(examples: Sequence[Example], labels: Sequence[str], target_scale: float) -> np.ndarray:
    """(N,) int64 ids of the labels in the model's order, or without labels float32 scores / scale."""
    if labels:
        ids = {label: number for number, label in enumerate(labels)}
        return np.array([ids[str(example.label)] for example in examples], dtype=np.int64)
    return np.array([float(example.label or 0.0) for example in examples], dtype=np.float32) / np.float32(
        target_scale
    )


def in_both_orders(split: SplitFeatures, tokenizer: Tokenizer, max_length: int) -> SplitFeatures:
    """The pairs as they are, and then each with its sentences exchanged."""
    turned = [Example(example.texts[::-1], example.label) for example in split.examples]
    rows = Rows(split.path, turned)
    second = _tokenised(rows, tokenizer, max_length)
    first = split.features
    both = Features(
        np.concatenate([first.ids, second.ids]),
        np.concatenate([first.starts, second.starts[1:] + first.starts[-1]]),
        np.concatenate([first.first_lengths, second.first_lengths]),
    )
    return replace(split, examples=split.examples + turned, features=both)


def _tokenised(rows: Rows, tokenizer: Tokenizer, max_length: int) -> Features:
    """The rows' tokens. They follow from texts, tokenizer and length, so these are the cache's key."""
    parts = [_FORMAT, tokenizers.__version__, len(rows.examples), tokenizer.digest, max_length]
    key = hashlib.sha256(repr(parts).encode())
    # No cell holds a TAB or a line feed.
    key.update("\n".join("\t".join(example.texts) for example in rows.examples).encode())
    try:
        path = private_dir("features") / f"{key.hexdigest()}.npz"
    except InputError as error:
        say(f"note: tokens are not cached: {error}")
        return _encode(rows, tokenizer, max_length)
    reason = distrust(path)
    cached = None if reason else _read_cache(path)
    if cached is not None and _are_of(cached, len(rows.examples), len(tokenizer), max_length):
        return cached
    if os.path.isfile(path):  # noqa: PTH113 (false, not an error, for what is out of reach)
        reason = reason or InputError("is damaged", path=path)
        say(f"note: {reason}; {rows.path.name} is tokenised again")
    features = _encode(rows, tokenizer, max_length)
    try:
        with atomic_write(path) as file:
            np.savez(file, ids=features.ids, starts=features.starts, first_lengths=features.first_lengths)
        protect(path)
    except OSError as error:
        say(f"note: tokens are not cached: {path.parent}: {error.strerror}")
    return features


def _read_cache(path: Path) -> Features | None:
    try:
        return Features(**read_arrays(path, dict.fromkeys(_ARRAYS, _MAX_BYTES), compressed=False))
    except DAMAGED:  # absent, out of reach or damaged: it is made again
        return None
    except InputError:
        return None


def _are_of(features: Features, rows: int, pieces: int, max_length: int) -> bool:
    """Whether these can be the tokens of so many rows: nothing in them leads beyond an array or a network."""
    ids, starts, first = features.ids, features.starts, features.first_lengths
    kinds = [array.dtype.name for array in (ids, starts, first)]
    if kinds != ["int32", "int64", "int32"] or ids.ndim != 1:
        return False
    if starts.shape != (rows + 1,) or first.shape != (rows,) or starts[0] != 0 or starts[-1] != len(ids):
        return False
    lengths = np.diff(starts)
    within = (lengths > 0) & (lengths <= max_length) & (first > 0) & (first <= lengths)
    return bool(within.all() and (ids >= 0).all() and (ids < pieces).all())


def _encode(rows: Rows, tokenizer: Tokenizer, max_length: int) -> Features:
    encoded: list[tuple[list[int], int]] = []
    texts = [example.texts for example in rows.examples]
    title = f"tokenising {rows.path.name}" if len(texts) > _CHUNK else ""
    with progress_bar(len(texts), title) as bar:
        for start in range(0, len(texts), _CHUNK):
            chunk = tokenizer.encode(texts[start : start + _CHUNK], max_length)
            encoded += chunk
            bar.update(len(chunk))
    return pack(encoded)
