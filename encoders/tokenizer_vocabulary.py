"""A tokenizer of ``vocab.txt``: a piece a line, whose number is its id. No Paddle."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer as RustTokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer

from common.errors import InputError
from common.model_files import TOKENIZER_JSON, VOCABULARY
from common.text import read_text
from encoders.letter_case import capitalised, looks_cased
from encoders.tokenizer_pipeline import Pipeline, add_bert_processor, add_tokens, special_tokens_by_role
from encoders.tokenizer_settings import NORMALISER_DEFAULTS, TokenizerSettings

# The settings of BERT's normaliser in tokenizer_config.json → their names in the library.
NORMALISER_NAMES = {
    "do_lower_case": "lowercase",
    "tokenize_chinese_chars": "handle_chinese_chars",
    "strip_accents": "strip_accents",
}
# What the vocabularies of other kinds of tokeniser are called.
_OTHER_KINDS = ("spiece.model", "sentencepiece.bpe.model", "tokenizer.model", "vocab.json", "merges.txt")
# What Unicode calls white space, which the library takes off the end of a line. (Python takes off more.)
WHITE_SPACE = "".join(
    [
        *map(chr, [*range(9, 14), 32, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B)]),
        "\u2028\u2029\u202f\u205f\u3000",
    ]
)


def read_vocabulary(path: Path) -> tuple[list[str], list[str]]:
    """The pieces of vocab.txt, a line each, and notes. A blank line is an id without a piece."""
    if not path.is_file():
        others = [name for name in _OTHER_KINDS if (path.parent / name).is_file()]
        kind = (
            f" ({', '.join(others)}: of another kind of tokeniser, which is not read here)" if others else ""
        )
        raise InputError(
            f"no such file, nor {TOKENIZER_JSON}{kind}; a model folder holds its WordPiece "
            "vocabulary in one of them",
            path=path,
        )
    text = read_text(path)
    lines = [line.rstrip(WHITE_SPACE) for line in text.removesuffix("\n").split("\n")]  # as the library does
    return lines, _repeated(path, lines)


def _repeated(path: Path, lines: list[str]) -> list[str]:
    first: dict[str, int] = {}
    again = [(number, line) for number, line in enumerate(lines) if first.setdefault(line, number) != number]
    again = [(number, line) for number, line in again if line]
    if not again:
        return []
    number, line = again[0]
    more = f" (and {len(again) - 1} more lines repeat others)" if len(again) > 1 else ""
    return [
        f"{path}:{number + 1}: {line!r} stands already in line {first[line] + 1}{more}; its id is that of "
        "the last such line, as in transformers"
    ]


def from_vocabulary(folder: Path, settings: TokenizerSettings, changes: Mapping[str, Any]) -> Pipeline:
    """The tokeniser of a folder's vocab.txt. changes: settings of BERT's normaliser that win."""
    path = folder / VOCABULARY
    lines, notes = read_vocabulary(path)
    ids = {piece: number for number, piece in enumerate(lines)}  # of a piece that is there twice, the last
    roles = special_tokens_by_role(path, settings, {}, ids)
    normaliser = {**NORMALISER_DEFAULTS, **settings.normaliser, **changes}
    notes += settings.notes
    if "do_lower_case" not in {**settings.normaliser, **changes} and looks_cased(lines):
        normaliser["do_lower_case"] = False
        count, capitals = capitalised(lines)
        notes.append(
            f"{path}: {capitals} of its {count} words have capital letters and {settings.path.name} does not "
            "say do_lower_case, so texts keep their case (--do_lower_case true lower-cases them)"
        )
    backend = RustTokenizer(WordPiece(ids, unk_token=roles["unk_token"], max_input_chars_per_word=100))
    names = {NORMALISER_NAMES[key]: normaliser[key] for key in NORMALISER_DEFAULTS}
    backend.normalizer = BertNormalizer(**names)
    backend.pre_tokenizer = BertPreTokenizer()
    add_tokens(path, backend, settings, roles, ids)
    add_bert_processor(backend, roles, ids)
    backend.encode_special_tokens = settings.splits_special_tokens
    return Pipeline(
        path, backend, ids, roles, lines, normaliser, is_bert=True, notes=notes,
        knows_segments=settings.knows_segments,
    )  # fmt: skip
