"""Every token's characters."""

import itertools
import unicodedata

import pytest
from hypothesis import given

from encoders.tokenizer import SPECIALS
from squad.windows import tokenise
from tests.squad.vocabularies import SPICED, is_assigned, normal


def settled(text):
    """The text without the marks and controls on which versions of Unicode differ, since the tokenizers
    library and Python have tables of different years."""
    old = unicodedata.ucd_3_2_0
    kinds = [(c, unicodedata.category(c), old.category(c)) for c in text]
    return "".join(c for c, now, then in kinds if now == then or (then == "Cn" and now[0] not in "MC"))


def cuts(tokenizer, text):
    tokens = tokenise([text], tokenizer)
    return [text[first:behind] for first, behind in zip(tokens.first, tokens.behind, strict=True)]


@pytest.mark.parametrize(
    ("text", "uncased", "cased"),
    [
        ("  the  cats ", ["the", "cat", "s"], None),
        ("#cat ##s", ["#", "cat", "#", "#", "s"], None),
        ("a\u200bb c", ["a\u200bb"[0], "b", "c"], None),
        ("\ufeffcat", ["cat"], None),
        # The accent, a character of its own, stays with its letter, inside a word and at its end.
        ("cafe\u0301 te\u0301a", ["c", "a", "f", "e\u0301", "t", "e\u0301", "a"],
         ["c", "a", "f", "e", "\u0301", "t", "e", "\u0301", "a"]),
        ("e\u0301\u0302 x", ["e\u0301\u0302", "x"], ["e", "\u0301", "\u0302", "x"]),
        ("x \u0301 y", ["x", "y"], ["x", "\u0301", "y"]),
        ("café", ["c", "a", "f", "é"], None),
        ("a\x00b\x07 c\td\u0085e", ["a", "b", "c", "d", "e"], None),
        ("🙂\ufe0f!", ["🙂\ufe0f", "!"], ["🙂", "\ufe0f", "!"]),
        ("東京 cat", ["東", "京", "cat"], None),
        # Hangul is taken apart into jamo, which share their syllable's place.
        ("한국", ["한"] * 3 + ["국"] * 3, ["한", "국"]),
        ("ไทยกำ", ["ไ", "ท", "ย", "ก", "ำ"], None),
        ("हिन्दी", ["ह", "ि", "न्", "द", "ी"], ["ह", "ि", "न", "्", "द", "ी"]),
        ("ΟΔΟΣ", list("ΟΔΟΣ"), None),
        ("İx", ["İ", "x"], None),
        ("ﬁx", ["ﬁ", "x"], None),
        ("a" * 101 + " cat", ["a" * 101, "cat"], None),
        ("a [UNK] b[SEP]c", ["a", "[UNK]", "b", "[SEP]", "c"], None),
        ("half \ud83d pair", list("half") + list("pair"), None),
        # spaces that are no ASCII: no-break, em, ideographic, a tab, the end of a line
        ("\u00a0cat\u2003cat\u3000\u3000cat\t\ncat ", ["cat"] * 4, None),
        ("", [], None),
    ],
)  # fmt: skip
def test_the_characters_of_every_token(tokenizers, text, uncased, cased):
    assert cuts(tokenizers["uncased"], text) == cuts(tokenizers["tokenizer.json"], text) == uncased
    assert cuts(tokenizers["cased"], text) == (uncased if cased is None else cased)


def test_words_are_cut_into_pieces_of_the_vocabulary(tokenizers):
    text = "Unable cats"
    assert cuts(tokenizers["uncased"], text) == ["Un", "able", "cat", "s"]


def test_unknown_words_beside_spaces_have_their_characters(tokenizers, letters):
    text = "  a \u0436\u0436  b \u0436c \u6771 d\u00a0\u0436\u2003e"
    assert cuts(letters, text) == ["a", "жж", "b", "жc", "東", "d", "ж", "e"]
    tokens = tokenise([text], letters)
    unknown = [letters.pieces[number] == "[UNK]" for number in tokens.ids]
    assert unknown == [False, True, False, True, True, False, True, False]


def offset_faults(tokenizer, texts):
    """Where offsets do not ascend, lie outside of the text, or do not fit the tokens: text and reason.

    Tokens that share one span, joined, are the cut, normalised; no character is lost between tokens.
    """
    lower = tokenizer.settings["do_lower_case"]
    tokens = tokenise(texts, tokenizer)
    actual = []
    for text, low, high in zip(texts, tokens.starts[:-1], tokens.starts[1:], strict=True):
        first, behind = tokens.first[low:high].tolist(), tokens.behind[low:high].tolist()
        if first != sorted(first) or behind != sorted(behind):
            actual.append((text, "do not ascend"))
        if not all(0 <= a < b <= len(text) for a, b in zip(first, behind, strict=True)):
            actual.append((text, "outside of the text"))
        names = [tokenizer.pieces[number] for number in tokens.ids[low:high].tolist()]
        grouped = itertools.groupby(zip(first, behind, names, strict=True), key=lambda row: row[:2])
        for (a, b), rows in grouped:
            joined = "".join(row[2].removeprefix("##") if len(row[2]) > 2 else row[2] for row in rows)
            whole = text[a:b] if text[a:b] in SPECIALS else normal(text[a:b], lower)
            if settled(joined) != settled(whole) and len(whole) <= 100:
                actual.append((text, f"{joined!r} is not {text[a:b]!r}"))
        # what stands between tokens is dropped or space
        covered = set(itertools.chain.from_iterable(map(range, first, behind)))
        between = settled("".join(c for i, c in enumerate(text) if i not in covered))
        if any(normal(c, lower) for c in between if not c.isspace()):
            actual.append((text, f"{between!r} is lost"))
    return actual


@pytest.mark.parametrize("case", ["uncased", "cased", "tokenizer.json"])
@given(text=SPICED)
def test_offsets_of_any_text(tokenizers, case, text):
    assert offset_faults(tokenizers[case], [text]) == []


@pytest.mark.parametrize("case", ["uncased", "cased", "tokenizer.json"])
@pytest.mark.parametrize(
    "every", [61, pytest.param(1, marks=pytest.mark.long)], ids=["a sample", "all of them"]
)
def test_offsets_of_every_assigned_character(tokenizers, case, every):
    characters = [chr(i) for i in range(0, 0x110000, every) if is_assigned(i)]
    assert len(characters) * every > 100_000
    for start in range(0, len(characters), 5000):
        texts = [f"a{c}b {c} {c}é" for c in characters[start : start + 5000]]
        assert offset_faults(tokenizers[case], texts) == []
