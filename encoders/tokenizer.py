"""A model folder's tokeniser on the Rust tokenizers library: WordPiece, byte-level BPE or Unigram. No Paddle.

Its ids are those of Google's and Hugging Face's tokenisers.
"""

import hashlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from tokenizers import AddedToken

from common.errors import InputError
from common.files import write_json, write_text
from common.model_files import TOKENIZER_JSON, TOKENIZER_SETTINGS, VOCABULARY
from encoders.tokenizer_json import from_json
from encoders.tokenizer_pipeline import Pipeline
from encoders.tokenizer_settings import ROLES, TAKES_FILE_WHOLE, WITHOUT_TOKEN_TYPES, read_settings
from encoders.tokenizer_subwords import from_subwords
from encoders.tokenizer_vocabulary import from_vocabulary

SPECIALS = tuple(ROLES.values())  # [PAD] [UNK] [CLS] [SEP] [MASK]
_MODEL_INPUTS = ["input_ids", "attention_mask"]


class Tokenizer:
    """Texts → token ids of ``[CLS] a [SEP]`` or ``[CLS] a [SEP] b [SEP]``; RoBERTa's have two [SEP] between.

    Args:
        folder: A model folder with ``tokenizer.json``, ``vocab.txt`` or another of
            ``common.model_files.PIECE_FILES``, and the small files beside it.
        changes: Settings of BERT's normaliser that win over the folder's, such as ``do_lower_case``.

    Attributes:
        vocabulary: Piece → id, added tokens included.
        settings: Those of BERT's normaliser in force; empty where tokenizer.json has another normaliser.
        notes: What a user should know of how the folder was read, a line each.
    """

    def __init__(self, folder: str | Path, **changes: bool) -> None:
        self.folder = Path(folder)
        self._pipeline = _build(self.folder, changes)
        self._backend = self._pipeline.backend
        self.settings, self.notes = self._pipeline.normaliser, self._pipeline.notes
        ids = self._pipeline.ids
        self.vocabulary = {piece: ids[piece] for piece in sorted(ids, key=ids.__getitem__) if piece}

    def __len__(self) -> int:
        """One more than the highest id: as many embeddings are needed."""
        return max(self.vocabulary.values()) + 1

    @property
    def path(self) -> Path:
        """The file that its ids come from."""
        return self._pipeline.path

    @property
    def separators(self) -> int:
        """How many separators stand between the texts of a pair."""
        return self._pipeline.separators

    @property
    def special_tokens(self) -> dict[str, str]:
        """Role (``cls_token`` …) → the token that has it."""
        return dict(self._pipeline.roles)

    @property
    def added_tokens(self) -> set[str]:
        """The special tokens and those that were added, which are found in texts before all others."""
        return {token.content for token in self._backend.get_added_tokens_decoder().values()}

    def token_id(self, role: str) -> int:
        """The id of the token that has a role, such as ``cls_token``; InputError if none has."""
        if role not in self._pipeline.roles:
            raise InputError(f"has no {role}; {TOKENIZER_SETTINGS} may name one", path=self.path)
        return self.vocabulary[self._pipeline.roles[role]]

    @cached_property
    def digest(self) -> str:
        """Changes whenever the same text could give other ids."""
        whole = self._serialised() + f"\n{self._backend.encode_special_tokens}"
        return hashlib.sha256(whole.encode()).hexdigest()

    def _serialised(self) -> str:
        self._backend.no_truncation()
        return self._backend.to_str()

    def encode(self, texts: Sequence[tuple[str, ...]], max_length: int) -> list[tuple[list[int], int]]:
        """Token ids of each text or pair, and how many of them belong to the first segment.

        Longer ones are cut to ``max_length`` tokens, always from the end of the longer text.
        """
        self._backend.enable_truncation(max_length, strategy="longest_first")
        inputs: list[Any] = [pair[0] if len(pair) == 1 else pair for pair in texts]
        encodings = self._backend.encode_batch_fast(inputs)
        if self._pipeline.gives_types:
            return [(e.ids, len(e.ids) - sum(e.type_ids)) for e in encodings]
        seconds = [
            e.sequence_ids.count(1) + 1 if len(pair) > 1 else 0
            for e, pair in zip(encodings, texts, strict=True)
        ]
        return [(e.ids, len(e.ids) - second) for e, second in zip(encodings, seconds, strict=True)]

    def encode_plain(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text, none added or cut."""
        self._backend.no_truncation()
        return [e.ids for e in self._backend.encode_batch_fast(list(texts), add_special_tokens=False)]

    def encode_with_offsets(self, texts: Sequence[str]) -> list[tuple[list[int], list[tuple[int, int]]]]:
        """Token ids of each text, none added or cut, and of each token where it stands in the text: the
        number of its first character and of the one behind its last.

        Characters that the normaliser drops belong to no token or lie inside one. Tokens made from one
        character (Hangul taken apart, or its bytes) share its position. The space before a word, which is
        part of byte-level and Unigram pieces, is none of the token's characters unless it has no others.
        """
        self._backend.no_truncation()
        encodings = self._backend.encode_batch(list(texts), add_special_tokens=False)
        if not self._pipeline.has_spaces:
            return [(encoding.ids, encoding.offsets) for encoding in encodings]
        return [
            (encoding.ids, [_without_spaces(text, *span) for span in encoding.offsets])
            for text, encoding in zip(texts, encodings, strict=True)
        ]

    @property
    def is_bert(self) -> bool:
        """Whether BERT's classes give these ids, with the vocabulary, the added tokens and the settings."""
        return self._pipeline.is_bert

    @property
    def is_plain(self) -> bool:
        """Whether ``vocab.txt`` and BERT's settings say all, so that any reader of BERT's gets these ids."""
        plain = [AddedToken(token, special=True) for token in self._pipeline.roles.values()]
        added = self._backend.get_added_tokens_decoder().values()
        return self._pipeline.is_bert and self._pipeline.lines is not None and all(t in plain for t in added)

    def write_vocabulary(self, folder: str | Path) -> None:
        """Write ``vocab.txt``; only where there can be one (``is_plain``, say)."""
        assert self._pipeline.lines is not None
        write_text(Path(folder) / VOCABULARY, "".join(line + "\n" for line in self._pipeline.lines))

    def save(self, folder: str | Path) -> None:
        """Write what this tokeniser is read from, by this project and by transformers, into a model folder:
        ``tokenizer_config.json``, and ``vocab.txt`` or ``tokenizer.json``, or both."""
        pipeline = self._pipeline
        if pipeline.is_bert and pipeline.lines is not None:
            self.write_vocabulary(folder)
        if pipeline.path.name == TOKENIZER_JSON or not self.is_plain:
            write_text(Path(folder) / TOKENIZER_JSON, self._serialised())
        values: dict[str, Any] = {**pipeline.normaliser, **pipeline.roles}
        if self._backend.encode_special_tokens:
            values["split_special_tokens"] = True
        if pipeline.is_bert:
            values["tokenizer_class"] = "BertTokenizer" if pipeline.knows_segments else WITHOUT_TOKEN_TYPES
        else:
            types = ["token_type_ids"] if pipeline.knows_segments else []
            values |= {"tokenizer_class": TAKES_FILE_WHOLE, "model_input_names": [*_MODEL_INPUTS, *types]}
        write_json(Path(folder) / TOKENIZER_SETTINGS, values)


def _without_spaces(text: str, first: int, behind: int) -> tuple[int, int]:
    """A token's characters without the white space around them; of nothing else, its last."""
    start, end = first, behind
    while start < end and text[start].isspace():
        start += 1
    while start < end and text[end - 1].isspace():
        end -= 1
    if start < end:
        return start, end
    return (max(0, behind - 1), behind) if behind else (0, min(1, len(text)))


def _build(folder: Path, changes: dict[str, bool]) -> Pipeline:
    settings = read_settings(folder)
    if (folder / TOKENIZER_JSON).is_file():
        return from_json(folder, settings, changes)
    if settings.takes_file_whole:
        raise InputError(
            f"no such file; {settings.path.name} says that the tokeniser is in it",
            path=folder / TOKENIZER_JSON,
        )
    if settings.family:
        if changes:
            raise InputError(
                f"--{next(iter(changes))}: changes BERT's normaliser, and {folder} has a tokeniser of "
                f"{settings.family}'s kind; leave the flag out"
            )
        return from_subwords(folder, settings)
    return from_vocabulary(folder, settings, changes)
