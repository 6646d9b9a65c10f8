"""Windows: the cutting, the labels."""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from common.errors import InputError
from encoders.tokenizer import Tokenizer
from squad.data import Answer, Dataset, Question, read_squad
from squad.windows import label, make_windows, max_context, tokenise
from tests.squad.vocabularies import SPICED

FOLDER = Path(os.environ.get("SQUAD_DATA_DIR") or "-")


def dataset(texts, questions):
    """questions: (text's number, question, [(answer, start)])."""
    return Dataset(
        Path("data.json"),
        list(texts),
        [
            Question(f"q{number}", asked, text, tuple(Answer(*answer) for answer in answers))
            for number, (text, asked, answers) in enumerate(questions)
        ],
        any(not answers for _, _, answers in questions),
    )


def rows(windows):
    """Each row's ids."""
    return [part.tolist() for part in np.split(windows.features.ids, windows.features.starts[1:-1])]


def google_windows(asked, text, max_length, step, max_query):
    """The loop of Google's run_squad.py, word for word a token: (row, first token, count)."""
    asked = asked[:max_query]
    room, made, start = max_length - len(asked) - 3, [], 0
    while start < len(text):
        length = min(len(text) - start, room)
        made.append((["[CLS]", *asked, "[SEP]", *text[start : start + length], "[SEP]"], start, length))
        if start + length == len(text):
            break
        start += min(length, step)
    return made


@given(
    texts=st.lists(st.text("abcdefgh", min_size=1, max_size=40), min_size=1, max_size=3),
    asked=st.lists(st.tuples(st.integers(0, 9), st.text("xyz", max_size=9)), min_size=1, max_size=5),
    step=st.integers(1, 40),
    max_query=st.integers(1, 6),
    room=st.integers(1, 20),
)
@example(texts=["abcdefgh"], asked=[(0, "xyzxyz")], step=3, max_query=2, room=4)
@example(texts=["ab" * 280], asked=[(0, "x")], step=380, max_query=1, room=400)  # where lengths matter
def test_windows_and_max_context_are_googles(letters, texts, asked, step, max_query, room):
    questions = [(number % len(texts), " ".join(text), []) for number, text in asked]
    data = dataset([" ".join(text) for text in texts], questions)
    windows = make_windows(data, letters, room + max_query + 3, step, max_query)
    expected = [
        (number, *window)
        for number, (text, question, _) in enumerate(questions)
        for window in google_windows(question.split(), texts[text], room + max_query + 3, step, max_query)
    ]
    ids = [[letters.vocabulary[piece] for piece in row] for _, row, _, _ in expected]
    assert rows(windows) == ids
    assert windows.question.tolist() == [number for number, _, _, _ in expected]
    assert windows.count.tolist() == [count for _, _, _, count in expected]
    first = [start + windows.texts.starts[data.questions[number].context] for number, _, start, _ in expected]
    assert windows.token.tolist() == first
    best = iter(max_context(windows).tolist())
    for mine, (number, _, start, count) in enumerate(expected):
        for position in range(start, start + count):
            scores = [
                (min(position - s, s + c - 1 - position) + 0.01 * c, -row)
                for row, (other, _, s, c) in enumerate(expected)
                if other == number and s <= position < s + c
            ]
            assert next(best) == (-max(scores)[1] == mine)


def test_a_text_without_tokens_still_has_its_window(letters):
    windows = make_windows(dataset(["", " \u200b"], [(0, "x", []), (1, "y", [])]), letters, 12, 4, 4)
    assert windows.count.tolist() == [0, 0]
    assert [len(row) for row in rows(windows)] == [4, 4]
    assert len(max_context(windows)) == 0


def test_no_room_is_a_clear_error(letters):
    with pytest.raises(InputError, match="--max_seq_length 67: leaves no room"):
        make_windows(dataset(["a"], [(0, "x", [])]), letters, 67, 128)


def test_a_text_is_tokenised_once(letters, monkeypatch):
    seen = []
    encode = Tokenizer.encode_with_offsets
    monkeypatch.setattr(
        Tokenizer, "encode_with_offsets", lambda self, texts: (seen.extend(texts), encode(self, texts))[1]
    )
    make_windows(dataset(["a b"], [(0, asked, []) for asked in "xyz"]), letters, 12, 4, 4)
    assert seen == ["a b", "x", "y", "z"]


TEXT10 = "a b c d e f g h i j"


@pytest.mark.parametrize(
    ("answer", "start", "targets"),
    [
        # room for 4 tokens, step 2: windows abcd, cdef, efgh, ghij; the text begins at position 3
        ("b c", 2, [(4, 5), (0, 0), (0, 0), (0, 0)]),
        ("c", 4, [(5, 5), (3, 3), (0, 0), (0, 0)]),
        ("d e", 6, [(0, 0), (4, 5), (0, 0), (0, 0)]),  # the first window holds only half of it
        (" d ", 5, [(6, 6), (4, 4), (0, 0), (0, 0)]),  # spaces around belong to no token
        ("j", 18, [(0, 0), (0, 0), (0, 0), (6, 6)]),
        ("b c d e f", 2, [(0, 0)] * 4),  # in no window as a whole
    ],
)
def test_labels(letters, answer, start, targets):
    data = dataset([TEXT10], [(0, "x", [(answer, start), ("a", 0)]), (0, "y", [])])
    windows = make_windows(data, letters, 8, 2, 2)
    actual = label(windows, data)
    assert actual.windows.features.targets.tolist() == [list(pair) for pair in targets + [(0, 0)] * 4]
    assert actual.impossible.tolist() == [False] * 4 + [True] * 4
    assert actual.skipped == []
    dropped = label(windows, data, drop=True)
    whole = [number for number, pair in enumerate(targets) if pair != (0, 0)] + [4, 5, 6, 7]
    assert rows(dropped.windows) == [rows(windows)[number] for number in whole]
    assert dropped.windows.features.targets.tolist() == [
        list((targets + [(0, 0)] * 4)[number]) for number in whole
    ]


@pytest.mark.parametrize("answer", [(" ", 1), ("a", None)])
def test_an_answer_without_a_token_is_left_out_and_named(letters, answer):
    data = dataset([TEXT10], [(0, "x", [answer]), (0, "y", [("b", 2)])])
    actual = label(make_windows(data, letters, 20, 8, 2), data)
    assert actual.skipped == ["q0"]
    assert actual.windows.question.tolist() == [1]
    assert actual.windows.features.targets.tolist() == [[4, 4]]


def test_an_answer_inside_a_word_takes_the_whole_token(tokenizers):
    data = dataset(["the unable cats"], [(0, "?", [("ab", 6)])])
    windows = make_windows(data, tokenizers["uncased"], 12, 4, 1)
    assert label(windows, data).windows.features.targets.tolist() == [[5, 5]]


@pytest.mark.parametrize("case", ["uncased", "cased"])
@given(text=SPICED, room=st.integers(1, 12), step=st.integers(1, 12), pick=st.data())
@settings(max_examples=60)
def test_span_to_answer_to_span_is_stable(tokenizers, case, text, room, step, pick):
    """The text of any run of tokens, labelled, gives that text again: in every window that holds it."""
    tokens = tokenise([text], tokenizers[case])
    count = len(tokens.ids)
    if not count:
        return
    first = pick.draw(st.integers(0, count - 1))
    last = pick.draw(st.integers(first, min(count - 1, first + 8)))
    start, end = int(tokens.first[first]), int(tokens.behind[last])
    data = dataset([text], [(0, "?", [(text[start:end], start)])])
    actual = label(make_windows(data, tokenizers[case], room + 4, step, 1), data).windows
    shift = actual.token - actual.features.first_lengths
    for (a, b), offset in zip(actual.features.targets, shift, strict=True):
        if b:
            assert (tokens.first[a + offset], tokens.behind[b + offset]) == (start, end)
    assert actual.features.targets.any() or count > room


class TestRealData:
    pytestmark = pytest.mark.real_data("SQUAD_DATA_DIR")

    @pytest.mark.parametrize("file", ["train-v1.1.json", "train-v2.0.json", "dev-v1.1.json", "dev-v2.0.json"])
    def test_the_first_gold_answer_lies_in_its_labels(self, tokenizers, file):
        data = read_squad(FOLDER / file)
        actual = label(make_windows(data, tokenizers["uncased"], 512, 128), data)
        assert actual.skipped == []
        windows, answered = actual.windows, set()
        shift = windows.token - windows.features.first_lengths
        for (a, b), offset, number in zip(windows.features.targets, shift, windows.question, strict=True):
            if b:
                question = data.questions[number]
                start, end = windows.texts.first[a + offset], windows.texts.behind[b + offset]
                # all of it, and of its neighbours no more than their token has
                answer = question.answers[0]
                assert start <= answer.start
                assert answer.end <= end
                assert windows.texts.behind[a + offset] > answer.start
                assert windows.texts.first[b + offset] < answer.end
                answered.add(question.name)
        assert answered == {question.name for question in data.questions if question.answers}
