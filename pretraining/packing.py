"""Token ids of the corpus's lines → examples of at most so many tokens. No Paddle.

A line is a list of texts: one, two for a pair, none for a blank line, which ends a document.
"""

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from encoders.tokenizer import Tokenizer
from pretraining.shards import Example

Line = list[list[int]]
SINGLE, SHORT = 0.1, 0.05  # shares of packed examples with one segment, and of a random length
SHORTEST = 5  # tokens of an example of random length, at the least


@dataclass(frozen=True)
class Room:
    """What an example is made of."""

    first: int  # the token that it begins with
    separator: int  # the token behind each text
    length: int  # how long it may be with these
    separators: int = 1  # how often it stands between two texts

    @classmethod
    def of(cls, tokenizer: Tokenizer, length: int) -> "Room":
        return cls(
            tokenizer.token_id("cls_token"), tokenizer.token_id("sep_token"), length, tokenizer.separators
        )

    @property
    def specials(self) -> int:
        """How many tokens of a pair are none of its texts'."""
        return 2 + self.separators

    def example(self, a: list[int], b: list[int]) -> Example:
        """``[CLS] a [SEP]``, and ``b [SEP]`` where there is one."""
        if not b:
            return [self.first, *a, self.separator], len(a) + 2
        between = [self.separator] * self.separators
        return [self.first, *a, *between, *b, self.separator], len(a) + 1 + len(between)


def lines(rows: Iterable[Line], room: Room) -> Iterator[Example]:
    """Every line by itself; a passage too long goes on in the next example, of a pair the longer text is
    cut."""
    for row in rows:
        texts = [text for text in row if text]
        if len(texts) == 2:
            yield room.example(*cut_pair(texts[0], texts[1], room.length - room.specials))
        elif texts:
            (text,) = texts
            for start in range(0, len(text), room.length - 2):
                yield room.example(text[start : start + room.length - 2], [])


def packed(rows: Iterable[Line], room: Room) -> Iterator[Example]:
    """Documents fill examples of two segments, as the authors' ``ExampleBuilder`` makes them.

    Lines are taken until they fill the length aimed at: the longest, for SHORT of the examples a random
    one. They make two segments of about half of it each; SINGLE of the examples have only one. Unlike
    theirs, lines keep their order, tokens that find no room go on in the next example, and a pair is an
    example by itself.
    """
    builder = _Builder(room)
    for row in rows:
        texts = [text for text in row if text]
        if len(texts) == 1:
            builder.add(texts[0])
            yield from builder.full()
            continue
        yield from builder.rest()  # a blank line and a pair end a document
        if texts:
            yield from lines([texts], room)
    yield from builder.rest()


class _Builder:
    def __init__(self, room: Room) -> None:
        self._room, self._draw = room, random.Random(0)
        self._waiting: list[list[int]] = []
        self._target = room.length

    def add(self, text: list[int]) -> None:
        self._waiting.append(text)

    def full(self) -> Iterator[Example]:
        """Examples, as long as enough is waiting."""
        while sum(map(len, self._waiting)) >= self._target:
            yield self._example()

    def rest(self) -> Iterator[Example]:
        """Examples of all that is waiting."""
        while self._waiting:
            yield self._example()

    def _example(self) -> Example:
        a, b = self._segments()
        kept_a = a[: self._target - 2]
        kept_b = b[: max(0, self._target - self._room.specials - len(kept_a))]
        self._waiting = [left for left in (a[len(kept_a) :], b[len(kept_b) :]) if left]
        short = self._draw.random() < SHORT
        self._target = self._draw.randint(SHORTEST, self._room.length) if short else self._room.length
        return self._room.example(kept_a, kept_b)

    def _segments(self) -> tuple[list[int], list[int]]:
        """What is waiting, in order: the first segment until about half of the target, then the second."""
        single = self._draw.random() < SINGLE
        half = (self._target - self._room.specials) // 2
        a: list[int] = []
        b: list[int] = []
        for text in self._waiting:
            fits = not a or single or len(a) + len(text) < half
            # Half of those that would go beyond it do, so that a first segment is not always shorter.
            if not b and (fits or (len(a) < half and self._draw.random() < 0.5)):
                a += text
            else:
                b += text
        return a, b


def cut_pair(a: list[int], b: list[int], room: int) -> tuple[list[int], list[int]]:
    """Both texts within ``room`` tokens, cut from the end of the longer one."""
    keep_b = min(len(b), max(room // 2, room - len(a)))
    return a[: room - keep_b], b[:keep_b]
