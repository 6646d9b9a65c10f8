"""The small files beside a vocabulary, read as transformers 5.23 reads them. No Paddle.

``tokenizer_config.json`` names the class, the normaliser's settings and the special tokens, and in its
``added_tokens_decoder`` the tokens that were added. Older folders have these in ``special_tokens_map.json``
and ``added_tokens.json``; where there is an ``added_tokens_decoder``, transformers reads neither of the two.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tokenizers import AddedToken

from common.errors import InputError
from common.json_files import read_json_object
from common.model_files import ADDED_TOKENS, SPECIAL_TOKENS, TOKENIZER_SETTINGS
from encoders.model_types import TYPES

# Role → the token that has it where no file names another.
ROLES = {
    "pad_token": "[PAD]",
    "unk_token": "[UNK]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
}
NORMALISER_DEFAULTS: dict[str, bool | None] = {
    "do_lower_case": True,
    "tokenize_chinese_chars": True,
    "strip_accents": None,
}
TAKES_FILE_WHOLE = "PreTrainedTokenizerFast"  # transformers' class for any tokenizer.json
_TAKE_FILE_WHOLE = (TAKES_FILE_WHOLE, "TokenizersBackend")
_BERTS = tuple(
    f"{name}Tokenizer"
    for name in ("Bert", "Electra", "ConvBert", "Ernie", "TinyBert", "MobileBert", "SqueezeBert")
)
WITHOUT_TOKEN_TYPES = "DistilBertTokenizer"
# Classes whose tokenisers are not BERT's, without Tokenizer and Fast (tokenizer_subwords builds them).
_SUBWORDS = ("Roberta", "XLMRoberta", "DebertaV2")
# Model type → the class where no file names one; of other types BERT's.
_CLASSES = {
    "roberta": "RobertaTokenizer",
    "xlm-roberta": "XLMRobertaTokenizer",
    "distilbert": WITHOUT_TOKEN_TYPES,
    "deberta-v2": "DebertaV2Tokenizer",
    "modernbert": TAKES_FILE_WHOLE,
}
# Settings that only transformers' old tokenisers in Python obey, and the one value that changes nothing.
_OBEYED_BY_FEW: dict[str, Any] = {"do_basic_tokenize": True, "clean_text": True, "wordpieces_prefix": "##"}
_FLAGS = ("single_word", "lstrip", "rstrip", "normalized", "special")
_NEWER_LIST, _OLDER_LIST = "extra_special_tokens", "additional_special_tokens"
# Of these transformers knows that they are special when it reads added_tokens.json, of others not yet.
_NAMED_FIRST = (*ROLES, "bos_token", "eos_token", _NEWER_LIST)
_TOKEN_TYPES = "token_type_ids"


@dataclass(frozen=True)
class TokenizerSettings:
    """What the small files say.

    Attributes:
        path: ``tokenizer_config.json``, whether or not it is there.
        takes_file_whole: Whether the class takes tokenizer.json as it stands.
        family: Of ``tokenizer_subwords.SUBWORDS``; empty: the class is BERT's, or takes the file whole.
        knows_segments: Whether the network tells the texts of a pair apart by token types.
        values: All that ``tokenizer_config.json`` says.
        normaliser: Of ``NORMALISER_DEFAULTS`` what is given.
        roles: Of ``ROLES`` what is given.
        extras: Other special tokens.
        declared: Added tokens by the id they should have.
        declared_in: The file that lists them, None where none does.
        splits_special_tokens: Whether special tokens in a text are cut like other text.
        notes: What a user should know, a line each.
    """

    path: Path
    takes_file_whole: bool
    family: str
    knows_segments: bool
    values: dict[str, Any]
    normaliser: dict[str, bool | None]
    roles: dict[str, AddedToken]
    extras: list[AddedToken]
    declared: dict[int, AddedToken]
    declared_in: Path | None
    splits_special_tokens: bool
    notes: list[str] = field(default_factory=list)


def read_settings(folder: Path) -> TokenizerSettings:
    """Read a model folder's small files; InputError names what this project cannot do as they say."""
    path = folder / TOKENIZER_SETTINGS
    values = read_json_object(path) if path.is_file() else {}
    notes: list[str] = []
    config = read_json_object(folder / "config.json") if (folder / "config.json").is_file() else {}
    model_type = config.get("model_type")
    row = TYPES.get(model_type) if isinstance(model_type, str) else None
    knows_segments = row is None or row.knows_segments
    name = _class(folder, path, values, config)
    if knows_segments:
        _note_types(path, values, name, notes)
    normaliser = {key: values[key] for key in NORMALISER_DEFAULTS if key in values}
    for key, value in normaliser.items():
        if not isinstance(value, bool) and not (key == "strip_accents" and value is None):
            raise InputError(f"{key} must be true or false, not {repr(value)[:60]}", path=path)
    special_tokens = _special_tokens(folder, path, values, notes)
    contents = {key: {token.content for token in tokens} for key, tokens in special_tokens.items()}
    _check_old_settings(path, values, set().union(*contents.values()))
    named = set().union(*(contents.get(key, set()) for key in _NAMED_FIRST))
    declared, declared_in = _declared(folder, path, values, named)
    roles = {role: special_tokens.pop(role)[0] for role in ROLES if role in special_tokens}
    # In the order in which transformers gives them ids: sentences' ends, other names, lists.
    ends = [special_tokens.pop(key, []) for key in ("bos_token", "eos_token")]
    lists = [special_tokens.pop(key, []) for key in (_NEWER_LIST, _OLDER_LIST)]
    extras = [token for tokens in [*ends, *special_tokens.values(), *lists] for token in tokens]
    splits = values.get("split_special_tokens", False)
    if not isinstance(splits, bool):
        raise InputError(f"split_special_tokens must be true or false, not {splits!r}", path=path)
    for side in ("truncation_side", "padding_side"):
        if values.get(side, "right") != "right":
            end = "are cut at their end" if side == "truncation_side" else "are padded at their end"
            notes.append(f"{path}: {side} is {values[side]!r}, but here texts {end}")
    family = name.removesuffix("Fast").removesuffix("Tokenizer")
    return TokenizerSettings(
        path, name in _TAKE_FILE_WHOLE, family if family in _SUBWORDS else "", knows_segments, values,
        normaliser, roles, extras, declared, declared_in, splits, notes,
    )  # fmt: skip


def _class(folder: Path, path: Path, values: dict[str, Any], config: dict[str, Any]) -> str:
    """The class that the folder names, or that its model type has; InputError if it is none that is read."""
    source, name = path, values.get("tokenizer_class")
    if name is None:
        source, name = folder / "config.json", config.get("tokenizer_class")
    if name is None:
        return _CLASSES.get(str(config.get("model_type")), "")
    bare = name.removesuffix("Fast") if isinstance(name, str) else ""
    known = (*_BERTS, WITHOUT_TOKEN_TYPES, *(f"{kind}Tokenizer" for kind in _SUBWORDS))
    if name not in _TAKE_FILE_WHOLE and bare not in known:
        raise InputError(
            f"tokenizer_class is {str(name)[:60]!r}; BERT's WordPiece is read here, and the tokenisers of "
            f"{', '.join(_SUBWORDS)}; if the vocabulary is of BERT's kind, write BertTokenizer there",
            path=source,
        )
    return str(name)


def _note_types(path: Path, values: dict[str, Any], name: str, notes: list[str]) -> None:
    """A note where transformers gives the second text of a pair no type of its own."""
    bare = name.removesuffix("Fast")
    without = (*_TAKE_FILE_WHOLE, WITHOUT_TOKEN_TYPES, "RobertaTokenizer", "XLMRobertaTokenizer")
    default = [] if name in without or bare in without else [_TOKEN_TYPES]
    inputs = values.get("model_input_names")
    if _TOKEN_TYPES not in (inputs if isinstance(inputs, list) else default):
        notes.append(
            f"{path}: transformers 5 gives a {name} no {_TOKEN_TYPES}; here the second text of a pair has "
            'type 1 (for the same there, add "token_type_ids" to model_input_names)'
        )


def _special_tokens(
    folder: Path, path: Path, values: dict[str, Any], notes: list[str]
) -> dict[str, list[AddedToken]]:
    """Key → the special tokens that it names; of both files, the older one first."""
    stated = {key: value for key, value in values.items() if _names_tokens(key, value)}
    origin = {key: (path, key) for key in stated}
    if _NEWER_LIST not in stated and _OLDER_LIST in stated:
        stated[_NEWER_LIST], origin[_NEWER_LIST] = stated.pop(_OLDER_LIST), (path, _OLDER_LIST)
    older = folder / SPECIAL_TOKENS
    if older.is_file() and "added_tokens_decoder" not in values:
        for key, value in read_json_object(older).items():
            if not _names_tokens(key, value):
                continue
            if key in stated and (before := _contents(stated[key])) != _contents(value):
                notes.append(f"{older}: {key} is {_contents(value)!r}, {path.name} says {before!r}; taken: "
                             f"that of {older.name}, as transformers does")  # fmt: skip
            stated[key], origin[key] = value, (older, key)
    if _NEWER_LIST in stated and (ignored := stated.pop(_OLDER_LIST, None)):
        notes.append(
            f"{older}: {_OLDER_LIST} {str(ignored)[:60]} are not added, since {path.name} lists others, as "
            "in transformers"
        )
    return {key: _tokens(*origin[key], value) for key, value in stated.items()}


def _names_tokens(key: str, value: Any) -> bool:
    if key in ROLES or key in (_NEWER_LIST, _OLDER_LIST):
        return value is not None
    return key.endswith("_token") and isinstance(value, str | dict)


def _contents(value: Any) -> Any:
    return value.get("content", value) if isinstance(value, dict) else value


def _tokens(path: Path, key: str, value: Any) -> list[AddedToken]:
    if key.endswith("_token"):
        return [_token(path, key, value)]
    listed = list(value.values()) if isinstance(value, dict) else value
    if not isinstance(listed, list):
        raise InputError(f"{key} must be a list of tokens, not {str(value)[:60]!r}", path=path)
    return [_token(path, key, token) for token in listed]


def _token(path: Path, key: str, value: Any) -> AddedToken:
    """A token as written: a text, or an object with its flags."""
    content = _contents(value)
    if not _is_token(content):
        raise InputError(
            f"{key} must be a token, a text or an object with a content, not {str(value)[:60]!r}", path=path
        )
    if isinstance(value, str):
        return AddedToken(content, special=True)
    flags = {name: value[name] for name in _FLAGS if name in value}
    if wrong := [name for name, flag in flags.items() if not isinstance(flag, bool)]:
        raise InputError(f"{key}: {wrong[0]} must be true or false, not {flags[wrong[0]]!r}", path=path)
    if key != "added_tokens_decoder":  # a special token is one, whatever is written
        flags["special"] = True
    return AddedToken(content, **flags)


def _is_token(content: Any) -> bool:
    """Whether this is a text that is not empty and has no half of a surrogate pair, which JSON may have."""
    return (
        isinstance(content, str) and bool(content) and content == content.encode("utf-8", "ignore").decode()
    )


def _declared(
    folder: Path, path: Path, values: dict[str, Any], special_tokens: set[str]
) -> tuple[dict[int, AddedToken], Path | None]:
    """Added tokens by id, and the file that lists them."""
    if "added_tokens_decoder" in values:
        key, listed = "added_tokens_decoder", values["added_tokens_decoder"]
        if not isinstance(listed, dict):
            raise InputError(f"{key} must be an object, id by id, not {str(listed)[:60]!r}", path=path)
        return {_id(path, key, number): _token(path, key, token) for number, token in listed.items()}, path
    older = folder / ADDED_TOKENS
    if not older.is_file():
        return {}, None
    declared = {}
    for content, number in read_json_object(older).items():
        if not _is_token(content):
            raise InputError(f"{content!r} is no text for a token", path=older)
        is_special = content in special_tokens
        token = AddedToken(content, normalized=not is_special, special=is_special)
        declared[_id(older, repr(content), number)] = token
    return declared, older


def _id(path: Path, key: str, value: Any) -> int:
    text = str(value)
    if isinstance(value, bool) or not text.isascii() or not text.isdigit() or len(text) > 9:
        raise InputError(f"{key}: {text[:60]!r} is not an id, a whole number from 0", path=path)
    return int(text)


def _check_old_settings(path: Path, values: dict[str, Any], special_tokens: set[str]) -> None:
    """InputError for what only old tokenisers did, which the model may have been trained with."""
    for key, harmless in _OBEYED_BY_FEW.items():
        if values.get(key) not in (harmless, None):
            raise InputError(
                f"{key} is {repr(values[key])[:60]}, which this project and transformers 5 cannot "
                "do; remove the line if the model was trained with a fast tokeniser, which has no such "
                "setting",
                path=path,
            )
    never_split = values.get("never_split") or []
    never_split = never_split if isinstance(never_split, list) else [never_split]
    if others := sorted({str(token) for token in never_split} - special_tokens - set(ROLES.values())):
        raise InputError(
            f"never_split names {others[0][:60]!r}, which this project and transformers 5 would "
            "split; list it among additional_special_tokens, or remove it",
            path=path,
        )
