"""Lines of token ids → examples of two segments."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pretraining.packing import Room, lines, packed
from pretraining.shards import Example

FIRST, SEPARATOR = -1, -2
texts = st.lists(st.integers(0, 9), max_size=40)
documents = st.lists(st.one_of(st.just([]), texts.map(lambda a: [a]), st.tuples(texts, texts).map(list)))


def room(length: int) -> Room:
    return Room(FIRST, SEPARATOR, length)


def taken_apart(example: Example) -> tuple[list[int], list[int]]:
    """Both segments of ``[CLS] a [SEP] b [SEP]``; fails where an example is of another form."""
    ids, first = example
    a, b = ids[:first], ids[first:]
    assert (a[0], a[-1]) == (FIRST, SEPARATOR)
    assert not b or b[-1] == SEPARATOR
    a, b = a[1:-1], b[:-1]
    assert a
    assert not {FIRST, SEPARATOR} & {*a, *b}
    return a, b


def joined(example: Example) -> list[int]:
    a, b = taken_apart(example)
    return a + b


@given(st.lists(texts.filter(bool), max_size=30), st.integers(8, 40))
def test_a_document_is_there_whole_and_in_order(document: list[list[int]], length: int) -> None:
    examples = list(packed([[text] for text in document], room(length)))
    segments = [taken_apart(example) for example in examples]
    assert [i for a, b in segments for i in a + b] == [i for text in document for i in text]
    assert all(len(ids) <= length for ids, _ in examples)


@given(documents, st.integers(8, 40))
def test_no_example_reaches_over_a_blank_line_or_into_a_pair(
    rows: list[list[list[int]]], length: int
) -> None:
    # Each document by itself gives as many tokens as it does among others; pairs are as in `lines`.
    parts: list[list[list[list[int]]]] = [[]]
    for row in rows:
        filled = [text for text in row if text]
        if len(filled) == 1:
            parts[-1].append([filled[0]])
        else:
            parts += [[filled], []] if filled else [[]]
    actual = [joined(example) for example in packed(rows, room(length))]
    for part in parts:
        wanted = [i for text in part for i in text[0]]
        if part and len(part[0]) == 2:
            (pair,) = lines(part, room(length))
            wanted = joined(pair)
        while wanted:
            piece = actual.pop(0)
            assert piece == wanted[: len(piece)]
            wanted = wanted[len(piece) :]
    assert not actual


def test_the_first_segment_goes_beyond_half_as_often_as_not() -> None:
    # Seven sentences of 10 tokens, examples of 63: the first segment aims at less than 30.
    document: list[list[list[int]]] = [[[7] * 10] for _ in range(7)]
    examples = [taken_apart(e) for e in packed([*document, []] * 1500, room(63))]
    sizes = [(len(a), len(b)) for a, b in examples]
    below, beyond = sizes.count((20, 40)), sizes.count((30, 30))
    assert below + beyond > 0.8 * 1500  # the others: one segment, a random length, what such a one left
    assert beyond / (below + beyond) == pytest.approx(0.5, abs=0.05)


def test_one_in_ten_has_one_segment_and_one_in_twenty_a_random_length() -> None:
    examples = [taken_apart(e) for e in packed([[[7] * 4] for _ in range(120_000)], room(128))]
    assert len(examples) > 3500
    lengths = [len(a) + len(b) + 2 + bool(b) for a, b in examples[:-1]]
    short = [length for length in lengths if length < 127]
    assert 0.035 < len(short) / len(lengths) < 0.065
    assert 40 < sum(short) / len(short) < 90  # evenly between 5 and 128
    assert min(short) < 15
    whole = [b for (a, b), length in zip(examples, lengths, strict=False) if length >= 127]
    assert 0.08 < sum(not b for b in whole) / len(whole) < 0.12
