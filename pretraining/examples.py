"""A corpus → training examples of token ids, made once and kept in the cache. No Paddle.

``lines``: every line by itself: ``[CLS] a [SEP]``, or for a pair ``[CLS] a [SEP] b [SEP]``. A passage
longer than an example goes on in the next one; of a pair the longer text is cut.
"""

import hashlib
import itertools
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import tokenizers
from tqdm import tqdm

from commands.cache import cache_dir
from commands.errors import InputError
from commands.files import atomic_folder, sha256_of
from convbert.tokenizer import FIRST, SEPARATOR, Tokenizer
from pretraining.corpus import Passage, read_passages
from pretraining.shards import Example, Shards, open_shards, write_shards

_FORMAT = 1  # of the cached shards; a new number leaves old ones unread
_CHUNK = 10_000  # lines tokenised at once


def load_examples(path: Path, tokenizer: Tokenizer, max_length: int, packing: str) -> Shards:
    """The examples of a corpus, from the cache where they were made before.

    packing: ``lines`` (see above). InputError where the corpus gives fewer than two examples.
    """
    parts = [_FORMAT, tokenizers.__version__, sha256_of(path), tokenizer.digest, max_length, packing]
    folder = cache_dir() / "corpus" / hashlib.sha256(repr(parts).encode()).hexdigest()
    shards = open_shards(folder)
    if shards is None:
        with atomic_folder(folder) as beside:
            examples = _lines(_tokenised(path, tokenizer), tokenizer, max_length)
            write_shards(beside, examples, path.stat().st_size, len(tokenizer))
        shards = open_shards(folder)
    if shards is None or not shards.train:
        raise InputError(f"{path}: is too small: one example to train on and one to evaluate are the least")
    return shards


def _tokenised(path: Path, tokenizer: Tokenizer) -> Iterator[list[list[int]]]:
    """Of every line the token ids of its texts: two lists for a pair, none for a blank line."""
    hidden = not sys.stderr.isatty()
    with tqdm(unit="line", desc=f"tokenising {path.name}", disable=hidden) as bar:
        passages = read_passages(path)
        while chunk := list(itertools.islice(passages, _CHUNK)):
            yield from _chunk_tokens(chunk, tokenizer)
            bar.update(len(chunk))


def _chunk_tokens(chunk: list[Passage], tokenizer: Tokenizer) -> Iterator[list[list[int]]]:
    flat = iter(tokenizer.pieces([text for passage in chunk for text in passage.texts]))
    for passage in chunk:
        yield [next(flat) for _ in passage.texts]


def _lines(rows: Iterable[list[list[int]]], tokenizer: Tokenizer, max_length: int) -> Iterator[Example]:
    first, separator = tokenizer.vocabulary[FIRST], tokenizer.vocabulary[SEPARATOR]
    for texts in rows:
        texts = [text for text in texts if text]
        if len(texts) == 2:
            a, b = cut_pair(texts[0], texts[1], max_length - 3)
            yield [first, *a, separator, *b, separator], len(a) + 2
        elif texts:
            (text,) = texts
            for start in range(0, len(text), max_length - 2):
                piece = [first, *text[start : start + max_length - 2], separator]
                yield piece, len(piece)


def cut_pair(a: list[int], b: list[int], room: int) -> tuple[list[int], list[int]]:
    """Both texts within ``room`` tokens, cut from the end of the longer one."""
    keep_b = min(len(b), max(room // 2, room - len(a)))
    return a[: room - keep_b], b[:keep_b]
