"""WordPiece with BERT's normalisation, on the Rust tokenizers library. No Paddle.

Its ids are those of Google's and Hugging Face's tokenisers.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tokenizers import AddedToken
from tokenizers import Tokenizer as RustTokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import BertProcessing

from commands.errors import InputError
from commands.files import read_json_object, sha256_of, write_json, write_text

PAD, UNKNOWN, FIRST, SEPARATOR, MASK = "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"
SPECIALS = (PAD, UNKNOWN, FIRST, SEPARATOR, MASK)
_SETTINGS = {"do_lower_case": True, "tokenize_chinese_chars": True, "strip_accents": None}


class Tokenizer:
    """Texts → token ids of ``[CLS] a [SEP]`` or ``[CLS] a [SEP] b [SEP]``.

    folder: a model folder with ``vocab.txt`` (one piece a line) and, where it has one,
    ``tokenizer_config.json`` (``do_lower_case``, default true). changes: settings that win over it.
    """

    def __init__(self, folder: str | Path, **changes: bool) -> None:
        self.folder = Path(folder)
        self.vocabulary = _read_vocabulary(self.folder / "vocab.txt")
        self.settings = {**_SETTINGS, **_read_settings(self.folder / "tokenizer_config.json"), **changes}
        self._rust = self._build()

    def _build(self) -> RustTokenizer:
        rust = RustTokenizer(WordPiece(self.vocabulary, unk_token=UNKNOWN, max_input_chars_per_word=100))
        rust.normalizer = BertNormalizer(
            lowercase=bool(self.settings["do_lower_case"]),
            handle_chinese_chars=bool(self.settings["tokenize_chinese_chars"]),
            strip_accents=self.settings["strip_accents"],
        )
        rust.pre_tokenizer = BertPreTokenizer()
        ids = [(piece, self.vocabulary[piece]) for piece in (SEPARATOR, FIRST)]
        rust.post_processor = BertProcessing(*ids)
        rust.add_special_tokens([AddedToken(piece, special=True) for piece in SPECIALS])
        return rust

    def __len__(self) -> int:
        return len(self.vocabulary)

    @property
    def digest(self) -> str:
        """Changes whenever the same text could give other ids."""
        settings = {key: self.settings[key] for key in _SETTINGS}
        return sha256_of(self.folder / "vocab.txt") + json.dumps(settings, sort_keys=True)

    def encode(self, texts: Sequence[tuple[str, ...]], max_length: int) -> list[tuple[list[int], int]]:
        """Token ids of each text or pair, and how many of them belong to the first segment.

        Longer ones are cut to ``max_length`` tokens, always from the end of the longer text.
        """
        self._rust.enable_truncation(max_length, strategy="longest_first")
        inputs: list[Any] = [pair[0] if len(pair) == 1 else pair for pair in texts]
        encodings = self._rust.encode_batch_fast(inputs)
        return [(e.ids, len(e.ids) - sum(e.type_ids)) for e in encodings]

    def pieces(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text, none added or cut."""
        self._rust.no_truncation()
        return [e.ids for e in self._rust.encode_batch_fast(list(texts), add_special_tokens=False)]

    def encode_with_offsets(self, texts: Sequence[str]) -> list[tuple[list[int], list[tuple[int, int]]]]:
        """Token ids of each text, none added or cut, and of each token where it stands in the text: the
        number of its first character and of the one behind its last.

        Characters that the normaliser drops belong to no token or lie inside one. Tokens made from one
        character (Hangul taken apart, say) share its place.
        """
        self._rust.no_truncation()
        encodings = self._rust.encode_batch(list(texts), add_special_tokens=False)
        return [(encoding.ids, encoding.offsets) for encoding in encodings]

    def save(self, folder: str | Path) -> None:
        """Write ``vocab.txt`` and ``tokenizer_config.json`` into a model folder."""
        pieces = sorted(self.vocabulary, key=self.vocabulary.__getitem__)
        write_text(Path(folder) / "vocab.txt", "".join(piece + "\n" for piece in pieces))
        names = dict(
            zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), SPECIALS, strict=True)
        )
        kept = {key: self.settings[key] for key in _SETTINGS}
        write_json(
            Path(folder) / "tokenizer_config.json", {**kept, **names, "tokenizer_class": "BertTokenizer"}
        )


def _read_vocabulary(path: Path) -> dict[str, int]:
    if not path.is_file():
        raise InputError(f"{path}: no such file; a model folder holds its WordPiece vocabulary there")
    raw = path.read_bytes()
    try:
        # With or without a byte order mark: it is no part of the first piece, and ids count lines.
        pieces = raw.decode("utf-8-sig").removesuffix("\n").split("\n")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"{path}:{line}: byte 0x{raw[error.start]:02x} is not UTF-8; fetch the file again"
        ) from None
    vocabulary: dict[str, int] = {}
    for number, piece in enumerate(pieces):
        piece = piece.removesuffix("\r")
        if piece in vocabulary:
            raise InputError(f"{path}:{number + 1}: {piece!r} stands already in line {vocabulary[piece] + 1}")
        vocabulary[piece] = number
    missing = [piece for piece in SPECIALS if piece not in vocabulary]
    if missing:
        raise InputError(f"{path}: lacks {', '.join(missing)}; is it a BERT WordPiece vocabulary?")
    return vocabulary


def _read_settings(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    values = read_json_object(path)
    found = {key: values[key] for key in _SETTINGS if key in values}
    for key, value in found.items():
        if not isinstance(value, bool) and not (key == "strip_accents" and value is None):
            raise InputError(f"{path}: {key} must be true or false, not {value!r}")
    return found
