"""A tokenizer as the Rust library runs it, and what its two files have in common. No Paddle."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tokenizers import AddedToken
from tokenizers import Tokenizer as RustTokenizer
from tokenizers.processors import BertProcessing

from common.errors import InputError
from encoders.tokenizer_settings import ROLES, TokenizerSettings


@dataclass(frozen=True)
class Pipeline:
    """A tokenizer as built.

    Attributes:
        path: The file that the ids come from, vocab.txt or tokenizer.json.
        backend: It cuts and pads nothing.
        ids: Piece → id, added tokens included.
        roles: Role (``cls_token`` …) → the token that has it.
        lines: Those of vocab.txt; None where no such file can hold the ids.
        normaliser: BERT's settings in force; empty where tokenizer.json has another normaliser.
        is_bert: Whether transformers' BertTokenizer gives the same ids, given the vocabulary, the added
            tokens and these settings.
        notes: What a user should know, a line each.
        separators: How many separators stand between the texts of a pair.
        gives_types: Whether the tokens of a second text have the type 1.
        knows_segments: Whether the network tells the texts of a pair apart by token types.
        has_spaces: Whether pieces begin with the space before them, which is no part of a token's characters.
    """

    path: Path
    backend: RustTokenizer
    ids: dict[str, int]
    roles: dict[str, str]
    lines: list[str] | None
    normaliser: dict[str, bool | None]
    is_bert: bool
    notes: list[str]
    separators: int = 1
    gives_types: bool = True
    has_spaces: bool = False
    knows_segments: bool = True


def special_tokens_by_role(
    path: Path,
    settings: TokenizerSettings,
    defaults: Mapping[str, str],
    ids: Mapping[str, int],
    may_be_added: Sequence[str] = (),
) -> dict[str, str]:
    """Find the special token of every role; InputError where the vocabulary lacks one.

    Args:
        path: The vocabulary's file.
        settings: What the small files name.
        defaults: Tokens of roles that no file names; BERT's names (``ROLES``) come after these.
        ids: Piece → id.
        may_be_added: Roles that a vocabulary may lack: their tokens are added, or where the class takes the
            file whole, there is none.

    Returns:
        Role → token.
    """
    given = {role: token.content for role, token in settings.roles.items()}
    roles = {**ROLES, **defaults, **given}
    declared = {token.content for token in settings.declared.values()}
    absent = [role for role in ROLES if roles[role] not in ids and roles[role] not in declared]
    if settings.takes_file_whole:  # transformers has no token for these roles then
        roles = {role: token for role, token in roles.items() if role not in absent or role in given}
        absent = [role for role in absent if role in given or role == "unk_token"]
    absent = [role for role in absent if role not in may_be_added]
    if absent:
        names = ", ".join(roles[role] for role in absent)
        remedy = ""
        if others := sorted(piece for piece in ids if piece.startswith("<") and piece.endswith(">"))[:5]:
            remedy = f" If {', '.join(others)} stand for them, {settings.path.name} must say which is which"
            remedy += f" ({', '.join(absent)})"
        kind = (
            f"a vocabulary of {settings.family}'s kind" if settings.family else "a BERT WordPiece vocabulary"
        )
        raise InputError(f"lacks {names}; is it {kind}?{remedy}", path=path)
    return roles


def add_bert_processor(backend: RustTokenizer, roles: Mapping[str, str], ids: Mapping[str, int]) -> None:
    """Let it put [CLS] before and [SEP] behind texts."""
    last, first = roles["sep_token"], roles["cls_token"]
    backend.post_processor = BertProcessing((last, ids[last]), (first, ids[first]))


def add_tokens(
    path: Path,
    backend: RustTokenizer,
    settings: TokenizerSettings,
    roles: Mapping[str, str],
    ids: dict[str, int],
) -> None:
    """Add the folder's added tokens, to ids too; InputError where their ids would not be those listed."""
    before = {token.content: token for token in backend.get_added_tokens_decoder().values()}
    tokens = [token for _, token in sorted(settings.declared.items())]
    if settings.declared_in != settings.path:  # added_tokens.json says less of a token than tokenizer.json
        tokens = [token for token in tokens if token.content not in before]
    listed = before.keys() | {token.content for token in tokens}
    tokens += [before[role] for role in roles.values() if role in before and not before[role].special]
    named = [settings.roles.get(role) or AddedToken(token, special=True) for role, token in roles.items()]
    tokens += [token for token in [*named, *settings.extras] if token.content not in listed]
    for token in tokens:
        token.special = token.special or token.content in roles.values()
    backend.add_tokens(tokens)
    _check_blank(path, backend)
    wanted = {token.content: number for number, token in settings.declared.items()}
    taken = set(ids.values()) if any(token.content not in ids for token in tokens) else set()
    for content in dict.fromkeys(token.content for token in tokens):
        number = backend.token_to_id(content)
        assert number is not None
        if number != wanted.get(content, number):
            raise InputError(
                f"{content!r} should be {wanted[content]}, but with {path.name} it "
                f"is {number} (transformers takes that); are both files of one model?",
                path=settings.declared_in,
            )
        if content not in ids and number in taken:
            raise InputError(
                f"lacks {content!r}, and its id would be {number}, which another piece has, since "
                "some lines repeat others; add it as the last line",
                path=path,
            )
        ids[content] = number


def _check_blank(path: Path, backend: RustTokenizer) -> None:
    """InputError for a token that is white space and takes white space with it: the library fails on it."""
    for token in backend.get_added_tokens_decoder().values():
        if token.content.isspace() and (token.lstrip or token.rstrip):
            raise InputError(
                f"the added token {token.content!r} is white space and has lstrip or rstrip; take it "
                "off the folder's added tokens",
                path=path,
            )
