"""Examples on disk: written once, then memory-mapped, so that a corpus of any size fits. No Paddle.

A folder of shards holds, for each, three raw arrays: ``NNNNN.ids`` (the tokens of all its examples),
``NNNNN.lengths`` and ``NNNNN.first`` (int32: tokens of each example, and of its first segment). Every
example falls to a shard at random, so that each shard is a sample of the whole corpus and training
needs to mix no more than one shard at a time.
"""

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from common.files import verify_manifest, write_json
from common.json_files import read_json_object
from encoders.batching import Features

META = "shards.json"
_DTYPES = ("<u2", "<i4")
_SHARD_NAME = re.compile(r"\d{5}|held_out", re.ASCII)
SHARD_BYTES = 2**28  # of text; some 60 million tokens
_BUFFER = 2_000_000  # tokens that wait to be written
HELD_OUT_EVERY = 50  # one example in so many is kept for evaluation

Example = tuple[Sequence[int], int]  # token ids, and how many of them belong to the first segment


@dataclass(frozen=True)
class Shard:
    """One shard's files."""

    path: Path  # their common name, without the suffixes
    examples: int  # how many examples it has
    tokens: int  # how many tokens these have
    dtype: str  # the type of the token ids on disk

    def lengths(self) -> np.ndarray:
        """(N,) int32: tokens of each example."""
        return np.fromfile(self.path.with_suffix(".lengths"), dtype="<i4")

    def features(self) -> Features:
        """The shard's examples; their ids stay on disk until a batch asks for them."""
        ids = np.memmap(self.path.with_suffix(".ids"), dtype=self.dtype, mode="r")
        starts = np.concatenate([[0], np.cumsum(self.lengths(), dtype=np.int64)])
        return Features(ids, starts, np.fromfile(self.path.with_suffix(".first"), dtype="<i4"))


@dataclass(frozen=True)
class Shards:
    """All examples of a corpus."""

    train: list[Shard]  # the shards to train on
    held_out: Shard  # the examples to evaluate on, one in HELD_OUT_EVERY
    corpus_digest: str = ""  # SHA-256 of ``train.data``

    @property
    def examples(self) -> int:
        return sum(shard.examples for shard in self.train)

    @property
    def tokens(self) -> int:
        return sum(shard.tokens for shard in self.train)


def write_shards(folder: Path, examples: Iterable[Example], text_bytes: int, vocab_size: int) -> None:
    """Deal examples out to the shards of a new folder; the size of the corpus decides how many there are.

    The first example and every HELD_OUT_EVERY-th after it are held out. Which shard an example falls to
    follows from its number alone.
    """
    dtype = "<u2" if vocab_size <= 2**16 else "<i4"
    count, draw = math.ceil(text_bytes / SHARD_BYTES), np.random.default_rng(0)
    sizes: dict[str, list[int]] = {}  # shard → examples, tokens
    waiting: defaultdict[str, list[Example]] = defaultdict(list)
    tokens = 0
    for number, example in enumerate(examples):
        shard = int(draw.integers(count))
        waiting["held_out" if number % HELD_OUT_EVERY == 0 else f"{shard:05d}"].append(example)
        tokens += len(example[0])
        if tokens >= _BUFFER:
            _append(folder, waiting, dtype, sizes)
            tokens = 0
    _append(folder, waiting, dtype, sizes)
    write_json(folder / META, {"dtype": dtype, "shards": sizes})


def _append(folder: Path, waiting: dict[str, list[Example]], dtype: str, sizes: dict[str, list[int]]) -> None:
    """Append what is waiting to the files of its shards."""
    for shard, examples in waiting.items():
        ids = np.concatenate([np.asarray(ids, dtype=dtype) for ids, _ in examples])
        lengths = np.array([len(ids) for ids, _ in examples], dtype="<i4")
        first = np.array([first for _, first in examples], dtype="<i4")
        for suffix, array in ((".ids", ids), (".lengths", lengths), (".first", first)):
            with open((folder / shard).with_suffix(suffix), "ab") as file:
                file.write(array.tobytes())
        size = sizes.setdefault(shard, [0, 0])
        size[0] += len(examples)
        size[1] += len(ids)
    waiting.clear()


def open_shards(folder: Path) -> Shards | None:
    """The shards of a folder; None if there are none, or a byte of them is not as it was written."""
    if verify_manifest(folder):
        return None
    table = read_json_object(folder / META)
    if not _fits(folder, table):
        return None
    shards = {
        name: Shard(folder / name, examples, tokens, table["dtype"])
        for name, (examples, tokens) in sorted(table["shards"].items())
    }
    held_out = shards.pop("held_out", None)  # a corpus without any example has none
    return Shards(list(shards.values()), held_out) if held_out else None


def _fits(folder: Path, table: dict[str, Any]) -> bool:
    """Whether a table of shards is one of ours, and each array as large as it says: no size is believed."""
    sizes = table.get("shards")
    if table.get("dtype") not in _DTYPES or not isinstance(sizes, dict):
        return False
    for name, size in sizes.items():
        if not _SHARD_NAME.fullmatch(name) or not isinstance(size, list) or len(size) != 2:
            return False
        if not all(type(number) is int and number > 0 for number in size):
            return False
        examples, tokens = size
        wanted = {".ids": tokens * np.dtype(table["dtype"]).itemsize, ".lengths": 4 * examples}
        for suffix, length in {**wanted, ".first": 4 * examples}.items():
            path = (folder / name).with_suffix(suffix)
            if not path.is_file() or path.stat().st_size != length:
                return False
        lengths = Shard(folder / name, examples, tokens, table["dtype"]).lengths()
        if lengths.min() < 1 or lengths.sum(dtype=np.int64) != tokens:
            return False
    return True
