"""A tokeniser as the Rust library runs it, and how it is built from ``vocab.txt``. No Paddle."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import AddedToken
from tokenizers import Tokenizer as RustTokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import BertProcessing

from common.errors import InputError
from common.model_files import VOCABULARY
from encoders.letter_case import capitalised, looks_cased
from encoders.tokenizer_files import NORMALISER_DEFAULTS, ROLES, TokenizerSettings
from encoders.vocabulary import read_vocabulary

RUST_NAMES = {
    "do_lower_case": "lowercase",
    "tokenize_chinese_chars": "handle_chinese_chars",
    "strip_accents": "strip_accents",
}


@dataclass(frozen=True)
class Pipeline:
    """A tokeniser as built.

    rust: it cuts and pads nothing. ids: piece → id, added tokens included. roles: role → the token that
    has it. lines: those of vocab.txt, None where no such file can hold the ids. normaliser: BERT's settings
    in force; empty where tokenizer.json has another normaliser. is_berts: whether transformers'
    BertTokenizer gives the same ids, given the vocabulary, the added tokens and these settings. has_json:
    whether it was read from tokenizer.json.
    """

    path: Path
    rust: RustTokenizer
    ids: dict[str, int]
    roles: dict[str, str]
    lines: list[str] | None
    normaliser: dict[str, bool | None]
    is_berts: bool
    has_json: bool
    splits_special_tokens: bool
    notes: list[str]


def from_vocabulary(folder: Path, settings: TokenizerSettings, changes: Mapping[str, Any]) -> Pipeline:
    """The tokeniser of a folder's vocab.txt. changes: settings of BERT's normaliser that win."""
    path = folder / VOCABULARY
    lines, notes = read_vocabulary(path)
    ids = {piece: number for number, piece in enumerate(lines)}  # of a piece that is there twice, the last
    roles = roles_of(path, settings, {}, ids)
    normaliser = {**NORMALISER_DEFAULTS, **settings.normaliser, **changes}
    notes += settings.notes
    if "do_lower_case" not in {**settings.normaliser, **changes} and looks_cased(lines):
        normaliser["do_lower_case"] = False
        words, capitals = capitalised(lines)
        notes.append(
            f"{path}: {capitals} of its {words} words have capital letters and {settings.path.name} does not "
            "say do_lower_case, so texts keep their case (--do_lower_case true lower-cases them)"
        )
    rust = RustTokenizer(WordPiece(ids, unk_token=roles["unk_token"], max_input_chars_per_word=100))
    rust.normalizer = _normaliser(normaliser)
    rust.pre_tokenizer = BertPreTokenizer()
    add_tokens(path, rust, settings, roles, ids)
    frame_as_bert(rust, roles, ids)
    rust.encode_special_tokens = settings.splits_special_tokens
    return Pipeline(
        path=path,
        rust=rust,
        ids=ids,
        roles=roles,
        lines=lines,
        normaliser=normaliser,
        is_berts=True,
        has_json=False,
        splits_special_tokens=settings.splits_special_tokens,
        notes=notes,
    )


def _normaliser(settings: Mapping[str, Any]) -> BertNormalizer:
    return BertNormalizer(**{RUST_NAMES[key]: settings[key] for key in NORMALISER_DEFAULTS})


def roles_of(
    path: Path, settings: TokenizerSettings, otherwise: Mapping[str, str], ids: Mapping[str, int]
) -> dict[str, str]:
    """Role → its token. otherwise: what goes before BERT's names where no file names one."""
    given = {role: token.content for role, token in settings.roles.items()}
    roles = {**ROLES, **otherwise, **given}
    declared = {token.content for token in settings.declared.values()}
    absent = [role for role in ROLES if roles[role] not in ids and roles[role] not in declared]
    if settings.takes_file_whole:  # transformers has no token for these roles then
        roles = {role: token for role, token in roles.items() if role not in absent or role in given}
        absent = [role for role in absent if role in given or role == "unk_token"]
    if absent:
        names = ", ".join(roles[role] for role in absent)
        remedy = ""
        if others := sorted(piece for piece in ids if piece.startswith("<") and piece.endswith(">"))[:5]:
            remedy = f" If {', '.join(others)} stand for them, {settings.path.name} must say which is which"
            remedy += f" ({', '.join(absent)})"
        raise InputError(f"{path}: lacks {names}; is it a BERT WordPiece vocabulary?{remedy}")
    return roles


def frame_as_bert(rust: RustTokenizer, roles: Mapping[str, str], ids: Mapping[str, int]) -> None:
    """Let it put [CLS] before and [SEP] behind texts."""
    last, first = roles["sep_token"], roles["cls_token"]
    rust.post_processor = BertProcessing((last, ids[last]), (first, ids[first]))


def add_tokens(
    path: Path,
    rust: RustTokenizer,
    settings: TokenizerSettings,
    roles: Mapping[str, str],
    ids: dict[str, int],
) -> None:
    """Add the folder's added tokens, to ids too; InputError where their ids would not be those listed."""
    before = {token.content: token for token in rust.get_added_tokens_decoder().values()}
    tokens = [token for _, token in sorted(settings.declared.items())]
    if settings.declared_in != settings.path:  # added_tokens.json says less of a token than tokenizer.json
        tokens = [token for token in tokens if token.content not in before]
    listed = before.keys() | {token.content for token in tokens}
    tokens += [before[role] for role in roles.values() if role in before and not before[role].special]
    named = [settings.roles.get(role) or AddedToken(token, special=True) for role, token in roles.items()]
    tokens += [token for token in [*named, *settings.extras] if token.content not in listed]
    for token in tokens:
        token.special = token.special or token.content in roles.values()
    rust.add_tokens(tokens)
    _check_blank(path, rust)
    wanted = {token.content: number for number, token in settings.declared.items()}
    taken = set(ids.values()) if any(token.content not in ids for token in tokens) else set()
    for content in dict.fromkeys(token.content for token in tokens):
        number = rust.token_to_id(content)
        assert number is not None
        if number != wanted.get(content, number):
            raise InputError(
                f"{settings.declared_in}: {content!r} should be {wanted[content]}, but with {path.name} it "
                f"is {number} (transformers takes that); are both files of one model?"
            )
        if content not in ids and number in taken:
            raise InputError(
                f"{path}: lacks {content!r}, and its id would be {number}, which another piece has, since "
                "some lines repeat others; add it as the last line"
            )
        ids[content] = number


def _check_blank(path: Path, rust: RustTokenizer) -> None:
    """InputError for a token that is white space and takes white space with it: the library fails on it."""
    for token in rust.get_added_tokens_decoder().values():
        if token.content.isspace() and (token.lstrip or token.rstrip):
            raise InputError(
                f"{path}: the added token {token.content!r} is white space and has lstrip or rstrip; take it "
                "off the folder's added tokens"
            )
