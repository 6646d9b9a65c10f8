"""A corpus → training examples of token ids, made once and kept in the cache. No Paddle.

``lines``: every line by itself: ``[CLS] a [SEP]``, or for a pair ``[CLS] a [SEP] b [SEP]``. A passage
longer than an example goes on in the next one; of a pair the longer text is cut.
``packed``: the lines of a document fill examples, see packing.py; pairs stay by themselves.
"""

import dataclasses
import hashlib
import itertools
import math
from collections.abc import Iterator
from pathlib import Path

import tokenizers

from common.cache import distrust, private_dir, protect
from common.errors import InputError
from common.files import atomic_folder, sha256_of
from common.locks import Lock
from common.messages import note_once
from common.progress import progress_bar
from encoders.tokenizer import Tokenizer
from pretraining.corpus import read_passages
from pretraining.packing import Room, lines, packed
from pretraining.shards import Shards, open_shards, write_shards

_FORMAT = 1  # of the cached shards; a new number leaves old ones unread
_CHUNK = 10_000  # lines tokenised at once


def load_examples(path: Path, tokenizer: Tokenizer, max_length: int, packing: str) -> Shards:
    """The examples of a corpus, from the cache where they were made before.

    packing: ``lines`` or ``packed`` (see above). InputError where the corpus gives fewer than two examples.
    """
    digest = sha256_of(path)
    parts = [_FORMAT, tokenizers.__version__, digest, tokenizer.digest, max_length, packing]
    folder = private_dir("corpus") / hashlib.sha256(repr(parts).encode()).hexdigest()
    lock = folder.with_name(f".{folder.name}.lock")
    with Lock(lock, math.inf, "another run is at these examples: waiting for it"):
        shards = _trusted_shards(folder)
        if shards is None:
            with atomic_folder(folder) as beside:
                pack = packed if packing == "packed" else lines
                examples = pack(_tokenised(path, tokenizer), Room.of(tokenizer, max_length))
                write_shards(beside, examples, path.stat().st_size, len(tokenizer))
            protect(folder)
            shards = open_shards(folder)
    if shards is None or not shards.train:
        raise InputError("is too small: one example to train on and one to evaluate are the least", path=path)
    return dataclasses.replace(shards, corpus_digest=digest)


def _trusted_shards(folder: Path) -> Shards | None:
    """What the cache holds; None where it is damaged, or another user may have written it."""
    files = sorted(folder.iterdir()) if folder.is_dir() else []
    if reason := next(filter(None, map(distrust, (folder, *files))), ""):
        note_once(f"{reason}; the examples are made again")
        return None
    return open_shards(folder)


def _tokenised(path: Path, tokenizer: Tokenizer) -> Iterator[list[list[int]]]:
    """Of every line the token ids of its texts: two lists for a pair, none for a blank line."""
    with progress_bar(None, f"tokenising {path.name}", "line") as bar:
        passages = read_passages(path)
        while chunk := list(itertools.islice(passages, _CHUNK)):
            flat = iter(tokenizer.encode_plain([text for passage in chunk for text in passage.texts]))
            yield from ([next(flat) for _ in passage.texts] for passage in chunk)
            bar.update(len(chunk))
