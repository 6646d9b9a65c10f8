"""The characters of byte-level BPE's and Unigram's tokens, and windows with two separators."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from encoders.tokenizer import Tokenizer
from squad.windows import label, make_windows, tokenise
from tests.golden.tokenizer_folders import TEXTS
from tests.squad.test_windows import dataset
from tests.squad.vocabularies import SPICED

GOLDEN = Path(__file__).parents[1] / "golden" / "tokenizer" / "subwords"
TOKENIZERS = {path.parent.name: Tokenizer(path.parent) for path in sorted(GOLDEN.glob("*/config.json"))}


def faults(tokenizer, text):
    """What is wrong with a text's offsets; an empty list."""
    tokens = tokenise([text], tokenizer)
    first, behind = tokens.first.tolist(), tokens.behind.tolist()
    wrong = []
    if first != sorted(first) or behind != sorted(behind):
        wrong.append("do not ascend")
    for start, end in zip(first, behind, strict=True):
        cut = text[start:end]
        if not 0 <= start < end <= len(text):
            wrong.append(f"{start}:{end} is outside of the text")
        elif cut.strip() and (cut[0].isspace() or cut[-1].isspace()):
            wrong.append(f"{cut!r} has white space around it")
    return wrong


@pytest.mark.parametrize("name", TOKENIZERS)
@given(text=SPICED)
def test_offsets_of_any_text(name, text):
    assert faults(TOKENIZERS[name], text) == []


@pytest.mark.parametrize("name", ["roberta_files", "modernbert"])
@given(text=SPICED)
def test_bytes_lose_no_character(name, text):
    """Every character has a token: bytes can write all of them."""
    tokens = tokenise([text], TOKENIZERS[name])
    covered = {at for a, b in zip(tokens.first, tokens.behind, strict=True) for at in range(a, b)}
    assert all(text[at].isspace() for at in set(range(len(text))) - covered)


@pytest.mark.parametrize("name", TOKENIZERS)
@given(text=st.sampled_from(TEXTS).filter(str.strip), pick=st.randoms(use_true_random=False))
def test_the_answer_of_a_span_has_that_span(name, text, pick):
    """From the characters of two tokens back to tokens that begin and end at the same characters."""
    tokenizer = TOKENIZERS[name]
    tokens = tokenise([text], tokenizer)
    low = pick.randrange(len(tokens.ids))
    high = pick.randrange(low, len(tokens.ids))
    start, end = int(tokens.first[low]), int(tokens.behind[high])
    data = dataset([text], [(0, "what ?", [(text[start:end], start)])])
    windows = make_windows(data, tokenizer, 5000, 5000)
    ((first, last),) = label(windows, data).windows.features.targets
    offset = windows.features.first_lengths[0]
    assert tokens.first[first - offset] <= start < tokens.behind[first - offset]
    assert tokens.first[last - offset] < end <= tokens.behind[last - offset]


@pytest.mark.parametrize("name", TOKENIZERS)
def test_a_window_is_what_the_tokeniser_makes_of_the_pair(name):
    tokenizer = TOKENIZERS[name]
    question, text = "what is the good movie ?", "the first woman and the second man"
    windows = make_windows(dataset([text], [(0, question, [])]), tokenizer, 100, 50)
    ((ids, first_length),) = tokenizer.encode([(question, text)], 100)
    assert windows.features.ids.tolist() == ids
    assert windows.features.first_lengths.tolist() == [first_length]
