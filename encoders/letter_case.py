"""Whether a vocabulary was made from text with capital letters and accents. No Paddle."""

import unicodedata
from collections.abc import Iterable

_MIN_WORDS = 5  # with capital letters or accents; fewer tell nothing
_MIN_CASED_SHARE = 0.1  # of a cased vocabulary's words
_MIN_NOTED_SHARE = 0.01  # of the words, to be worth a note
_ALPHABET = 26


def capitalised(pieces: Iterable[str]) -> tuple[int, int]:
    """How many pieces are whole words of two letters or more, and how many of these have a capital letter.

    Neither [PAD] and its like nor single letters count: lower-case vocabularies have them too.
    """
    whole_words = [piece for piece in pieces if len(piece) > 1 and piece.isalpha()]
    return len(whole_words), sum(word != word.lower() for word in whole_words)


def looks_cased(pieces: Iterable[str]) -> bool:
    """Whether so many words have capital letters that lower-casing a text would make them useless.

    BERT's uncased vocabulary has none, its cased one has them in two words of five.
    """
    count, capitals = capitalised(pieces)
    return capitals >= _MIN_WORDS and capitals >= _MIN_CASED_SHARE * count


def unreachable(pieces: Iterable[str], lower_case: bool) -> str:
    """What part of a vocabulary no text can give, in words; empty where there is no such part."""
    pieces = list(pieces)
    count, capitals = capitalised(pieces)
    if lower_case and capitals >= _MIN_WORDS and capitals >= _MIN_NOTED_SHARE * count:
        return f"{capitals} of its {count} words have capital letters, which no lower-cased text gives"
    has_capital = any(piece != piece.lower() for piece in pieces if piece.strip("#").isalpha())
    if not lower_case and count >= _ALPHABET and not has_capital:
        return "it has no capital letters, so words that have one become [UNK]"
    return ""


def stripped(pieces: Iterable[str]) -> str:
    """What part of a vocabulary no text without accents can give, in words; empty where there is none."""
    whole_words = [piece for piece in pieces if len(piece) > 1 and piece.isalpha()]
    accented = sum(map(_has_accent, whole_words))
    if accented < _MIN_WORDS or accented < _MIN_NOTED_SHARE * len(whole_words):
        return ""
    return f"{accented} of its {len(whole_words)} words have accents"


def _has_accent(word: str) -> bool:
    return not word.isascii() and any(map(_is_mark, unicodedata.normalize("NFD", word)))


def _is_mark(character: str) -> bool:
    return unicodedata.category(character) == "Mn"
