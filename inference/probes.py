"""Texts that an exported graph is compared on: several languages, lengths and batch sizes. No Paddle."""

from collections.abc import Iterator, Sequence

import numpy as np

from encoders.batching import Batch, pack, pad
from encoders.tokenizer import Tokenizer

_TEXTS = (
    "the problem , it is with most of these things , is the script .",
    "Rain fell on the harbour all morning, and by noon nobody expected the ferry any more.",
    "Why does bread rise?",
    "No.",
    "The committee's 2019 report (pages 12–47) found that costs had grown by 3.5 % a year, while the number "
    "of visitors stayed flat; its authors asked for a second study before any museum is closed.",
    "Ein kurzer Satz über das Wetter in Zürich.",
    "今天的天气很好，我们去公园散步吧。",
    'She said "it\'s done" -- twice! -- and left; see http://example.org/a?b=c for the rest…',
)
MAX_ROWS = 16  # of a batch of given rows


def probe_batches(
    tokenizer: Tokenizer, max_length: int, pad_id: int, rows: Sequence[tuple[str, ...]] = ()
) -> Iterator[Batch]:
    """Batches to compare a graph on: 1 to 16 rows of 3 to ``max_length`` tokens, single texts and pairs, with
    and without padding; then the given rows, the longest first."""
    short: list[tuple[str, ...]] = [(text,) for text in _TEXTS]
    short += [(first, second) for first, second in zip(_TEXTS, reversed(_TEXTS), strict=True)]
    encoded = tokenizer.encode(short, max_length)
    long = " ".join(_TEXTS * (max_length // 64 + 1))
    lengths = [3, *(1 << power for power in range(2, 20) if 1 << power < max_length), max_length]
    for number, length in enumerate(lengths):  # a text and a pair in turn
        encoded += tokenizer.encode([(_TEXTS[0], long) if number % 2 else (long,)], length)
    features = pack(encoded)
    last = len(features) - 1
    for row in range(len(short), len(features)):  # each by itself, unpadded
        yield pad(features, np.array([row]), pad_id)
    for together in (range(len(short)), range(0, len(short), 2), (1, 2), (5, last), range(3, last - 2, 4)):
        yield pad(features, np.array(together), pad_id)
    if rows:
        features = pack(tokenizer.encode(list(rows), max_length))
        order = np.argsort(-features.lengths, kind="stable")
        for start in range(0, len(order), MAX_ROWS):
            yield pad(features, order[start : start + MAX_ROWS], pad_id)
