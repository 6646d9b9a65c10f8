"""Small vocabularies, and texts that are hard to cut."""

import unicodedata

from hypothesis import strategies as st

from common.files import write_json, write_text
from encoders.tokenizer import SPECIALS, Tokenizer
from tests.golden.tokenizer_folders import library_tokenizer

PIECES = ["cat", "##s", "the", "un", "##able"]


def write_vocabulary(folder, pieces, lower):
    write_text(folder / "vocab.txt", "".join(f"{piece}\n" for piece in dict.fromkeys([*SPECIALS, *pieces])))
    write_json(folder / "tokenizer_config.json", {"do_lower_case": lower})
    tokenizer = Tokenizer(folder)
    tokenizer.pieces = list(tokenizer.vocabulary)
    return tokenizer


def write_tokenizer_json(folder, pieces):
    library_tokenizer(pieces, SPECIALS).save(str(folder / "tokenizer.json"))
    tokenizer = Tokenizer(folder)
    tokenizer.pieces = list(tokenizer.vocabulary)
    return tokenizer


def is_assigned(number):
    return unicodedata.category(chr(number)) not in ("Cn", "Cs", "Co")


def normal(cut, lower):
    """What BERT's normaliser leaves of a piece without spaces, after its description."""
    kept = [c for c in cut if c not in "\0\ufffd" and not unicodedata.category(c).startswith("C")]
    if not lower:
        return "".join(kept)
    bare = [c for c in unicodedata.normalize("NFD", "".join(kept)) if unicodedata.category(c) != "Mn"]
    return "".join(c.lower() for c in bare)


TEXT = st.text(st.characters(exclude_categories=["Cs", "Cn", "Co"]), max_size=30)
SPICES = st.sampled_from(["  ", "e\u0301", "##", "한", "\u200d", "cats", "\u0344", "ﬁ"])
SPICED = st.lists(st.one_of(TEXT, SPICES), max_size=8).map("".join)
