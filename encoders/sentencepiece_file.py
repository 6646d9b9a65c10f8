"""The pieces of a SentencePiece model file (``spm.model``), read by hand. No Paddle.

The file is a protocol buffer (sentencepiece_model.proto). Of its fields these are read: a piece's text, score
and kind, the kind of the model, the id of unknown text, and the normaliser's character map. The sentencepiece
package would be one more dependency for that, and its own tokeniser has no character offsets.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from common.errors import InputError

_UNIGRAM, _CONTROL, _USER_DEFINED = 1, 3, 4  # numbers of the .proto file


class SentencePieces(NamedTuple):
    """What a model file holds.

    Attributes:
        pieces: Each piece and its score, in the order of their ids.
        special: The ids of control symbols and of those that the file's maker added, and whether it is one
            of the first kind.
        unknown: The id of unknown text.
        character_map: Of the normaliser, for the tokenizers library; empty where there is none.
    """

    pieces: list[tuple[str, float]]
    special: list[tuple[int, bool]]
    unknown: int
    character_map: bytes


def read_sentencepieces(path: Path) -> SentencePieces:
    """Read a model file; InputError where it is damaged, or not of a Unigram model."""
    content = path.read_bytes()
    pieces: list[tuple[str, float]] = []
    special: list[tuple[int, bool]] = []
    unknown, kind, character_map = 0, _UNIGRAM, b""
    try:
        for number, value in _fields(content):
            inner = dict(_fields(value)) if isinstance(value, bytes) and number in (1, 2, 3) else {}
            if number == 1:
                (score,) = struct.unpack("<f", inner.get(2, bytes(4)))
                piece_kind = inner.get(3, 1)
                if piece_kind in (_CONTROL, _USER_DEFINED):
                    special.append((len(pieces), piece_kind == _CONTROL))
                pieces.append((inner[1].decode(), score))
            elif number == 2:  # how it was trained
                kind, unknown = inner.get(3, _UNIGRAM), inner.get(40, 0)
            elif number == 3:  # the normaliser
                character_map = inner.get(2, b"")
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, struct.error):
        raise InputError("is no SentencePiece model, or is cut short; fetch it again", path=path) from None
    if kind != _UNIGRAM or not pieces:
        raise InputError("is no Unigram model of SentencePiece, the one kind that is read here", path=path)
    return SentencePieces(pieces, special, unknown, character_map)


def _fields(content: bytes) -> Iterator[tuple[int, Any]]:
    """Number and value of every field: whole numbers, and bytes of the other kinds."""
    at = 0
    while at < len(content):
        key, at = _varint(content, at)
        kind = key & 7
        if kind == 0:
            value, at = _varint(content, at)
            yield key >> 3, value
            continue
        size, at = _varint(content, at) if kind == 2 else ({1: 8, 5: 4}[kind], at)
        if at + size > len(content):
            raise ValueError("cut short")
        yield key >> 3, content[at : at + size]
        at += size


def _varint(content: bytes, at: int) -> tuple[int, int]:
    """A whole number in groups of seven bits, the lowest first, and where it ends."""
    number = shift = 0
    while True:
        byte = content[at]
        number |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return number, at
        if shift > 63:
            raise ValueError("no number")
