"""A tokeniser of ``tokenizer.json``, the file of the tokenizers library. No Paddle.

It is taken with all that it says. transformers takes it whole for PreTrainedTokenizerFast; for other classes
transformers 5.23 takes its vocabulary and its added tokens and builds the rest anew. Where that would give
other ids, a note says so.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer as RustTokenizer
from tokenizers import models

from common.errors import InputError
from common.json_files import read_json_object
from common.model_files import TOKENIZER_JSON, VOCABULARY
from encoders.tokenizer_pipeline import Pipeline, add_bert_processor, add_tokens, special_tokens_by_role
from encoders.tokenizer_settings import NORMALISER_DEFAULTS, ROLES, TAKES_FILE_WHOLE, TokenizerSettings
from encoders.tokenizer_subwords import SUBWORDS, add_processor, flags_of
from encoders.tokenizer_vocabulary import NORMALISER_NAMES, WHITE_SPACE, read_vocabulary

_BERT_NORMALISER, _WORD_PIECE = "BertNormalizer", "WordPiece"
_MODELS = {"Roberta": ["BPE"], "XLMRoberta": ["Unigram"], "DebertaV2": ["Unigram"]}
_LISTS = {_WORD_PIECE: False, "BPE": False, "Unigram": True}  # whether its vocabulary is a list
_MODEL_DEFAULTS = {"max_input_chars_per_word": 100, "continuing_subword_prefix": "##"}


def from_json(folder: Path, settings: TokenizerSettings, changes: Mapping[str, Any]) -> Pipeline:
    """The tokeniser of a folder's tokenizer.json. changes: settings of BERT's normaliser that win."""
    path = folder / TOKENIZER_JSON
    values = read_json_object(path)
    kind = _check_kind(path, values, settings)
    notes = list(settings.notes)
    differs = _differences(values, settings)
    normaliser = _normaliser_in_force(path, values, settings, changes, notes)
    backend = _load(path, values)
    pieces = _pieces(values["model"]["vocab"])
    ids = {**pieces, **{token.content: n for n, token in backend.get_added_tokens_decoder().items()}}
    roles = _roles(path, backend, ids, values["model"], settings)
    add_tokens(path, backend, settings, roles, ids)
    if settings.declared_in == settings.path:
        kept = {token.content for token in settings.declared.values()} | set(roles.values())
        listed = {token["content"] for token in values.get("added_tokens") or []}
        differs += [f"the added token {content!r}" for content in sorted(listed - kept)]
    if differs and not settings.takes_file_whole:
        notes.append(
            f"{path}: is taken as it stands, {', '.join(differs[:3])} included, which transformers 5's "
            f'{settings.family or "Bert"}Tokenizer leaves out; "tokenizer_class": "{TAKES_FILE_WHOLE}" in '
            f"{settings.path.name} lets transformers take it too"
        )
    separators, gives_types = _check_processor(path, backend, roles, settings)
    backend.encode_special_tokens = settings.splits_special_tokens
    if kind == _WORD_PIECE and (folder / VOCABULARY).is_file():
        _check_same_ids(folder / VOCABULARY, path, pieces, ids)
    is_bert = kind == _WORD_PIECE and not differs
    lines = _vocabulary_lines(pieces) if kind == _WORD_PIECE else None
    return Pipeline(
        path, backend, ids, roles, lines, normaliser, is_bert, notes, separators, gives_types,
        has_spaces=kind != _WORD_PIECE, knows_segments=settings.knows_segments,
    )  # fmt: skip


def _pieces(vocabulary: dict[str, int] | list[tuple[str, float]]) -> dict[str, int]:
    """Piece → id; a Unigram model lists its pieces with their scores."""
    if isinstance(vocabulary, dict):
        return vocabulary
    return {piece: number for number, (piece, _) in enumerate(vocabulary)}


def _differences(values: dict[str, Any], settings: TokenizerSettings) -> list[str]:
    """What the file says that the class's tokenisers do otherwise; added tokens are not looked at."""
    if not settings.family:
        return _differences_from_bert(values)
    kind = SUBWORDS[settings.family]
    backend = RustTokenizer(models.BPE())
    kind.shape(backend, flags_of(kind, settings), b"")
    usual = json.loads(backend.to_str())
    parts = ("normalizer", "pre_tokenizer")
    try:  # once through the library, which writes out what a file may leave out
        backend = RustTokenizer.from_str(json.dumps({**usual, **{part: values.get(part) for part in parts}}))
    except Exception:  # said of the whole file when it is loaded
        return []
    there = json.loads(backend.to_str())
    is_map = (there["normalizer"] or {}).get(
        "type"
    ) == "Precompiled"  # SentencePiece's, which the class takes
    return [
        f"the {part}" for part in parts if there[part] != usual[part] and not (is_map and usual[part] is None)
    ]


def _differences_from_bert(values: dict[str, Any]) -> list[str]:
    """What the file says that BERT's tokenisers do otherwise; added tokens are not looked at."""
    model = values["model"]
    differs = [f"{k} {model[k]!r}" for k, usual in _MODEL_DEFAULTS.items() if model.get(k, usual) != usual]
    normaliser, pre_tokeniser = (values.get(key) or {} for key in ("normalizer", "pre_tokenizer"))
    if normaliser.get("type") != _BERT_NORMALISER or normaliser.get("clean_text", True) is not True:
        differs.append("the normalizer")
    if pre_tokeniser.get("type") != "BertPreTokenizer":
        differs.append("the pre_tokenizer")
    return differs


def _check_kind(path: Path, values: dict[str, Any], settings: TokenizerSettings) -> str:
    """The kind of its model; InputError where it is not that of the class."""
    model = values.get("model")
    if not isinstance(model, dict) or not isinstance(model.get("vocab"), dict | list):
        raise InputError(
            "has no model with a vocabulary; is it a tokeniser of the tokenizers library?", path=path
        )
    kind = model.get("type") or (
        "BPE" if "merges" in model else "Unigram" if "unk_id" in model else "WordPiece"
    )
    wanted = _MODELS[settings.family] if settings.family else [_WORD_PIECE]
    wanted = list(_LISTS) if settings.takes_file_whole else wanted
    if kind not in wanted or isinstance(model["vocab"], list) != _LISTS[kind]:
        raise InputError(
            f"its model is {str(kind)[:40]}; expected {' or '.join(wanted)}, by the class of the tokeniser",
            path=path,
        )
    for key in ("normalizer", "pre_tokenizer", "post_processor"):
        if not isinstance(values.get(key) or {}, dict):
            raise InputError(f"{key} must be an object, not {str(values[key])[:60]!r}", path=path)
    tokens = values.get("added_tokens") or []
    if not isinstance(tokens, list) or not all(
        isinstance(t, dict) and isinstance(t.get("content"), str) for t in tokens
    ):
        raise InputError("added_tokens must be a list of objects with a content", path=path)
    return str(kind)


def _load(path: Path, values: dict[str, Any]) -> RustTokenizer:
    """The tokeniser that a tokenizer.json describes; it cuts and pads nothing."""
    try:
        backend = RustTokenizer.from_str(json.dumps({**values, "truncation": None, "padding": None}))
    except Exception as error:  # the library raises nothing more special
        reason = str(error).split("\n")[0][:200]
        raise InputError(f"the tokenizers library cannot read it: {reason}", path=path) from None
    for token in values.get("added_tokens") or []:
        number = backend.token_to_id(token["content"])
        if number != token.get("id", number):
            raise InputError(
                f"added_tokens gives {token['content']!r} the id {token['id']}, but it is {number}", path=path
            )
    return backend


def _normaliser_in_force(
    path: Path,
    values: dict[str, Any],
    settings: TokenizerSettings,
    changes: Mapping[str, Any],
    notes: list[str],
) -> dict[str, bool | None]:
    """BERT's normaliser's settings in force, which values["normalizer"] has afterwards.

    Those of tokenizer_config.json win over tokenizer.json's where the class is BERT's, as in transformers.
    Empty where tokenizer.json has another normaliser.
    """
    normaliser = values.get("normalizer") or {}
    if normaliser.get("type") != _BERT_NORMALISER:
        if changes:
            raise InputError(
                f"--{next(iter(changes))}: changes a {_BERT_NORMALISER}, and {path} has the normalizer "
                f"{normaliser.get('type')!r}; leave the flag out"
            )
        return {}
    listed = {key: normaliser.get(name, NORMALISER_DEFAULTS[key]) for key, name in NORMALISER_NAMES.items()}
    wins = {} if settings.takes_file_whole else settings.normaliser
    for key, value in listed.items():
        if key not in changes and (note := _normaliser_note(path, settings, key, value)):
            notes.append(note)
    in_force = {**listed, **wins, **changes}
    values["normalizer"] = {**normaliser, **{NORMALISER_NAMES[key]: value for key, value in in_force.items()}}
    return in_force


def _normaliser_note(path: Path, settings: TokenizerSettings, key: str, listed: Any) -> str:
    """A note where tokenizer.json and tokenizer_config.json differ in a setting of the normaliser."""
    usual = NORMALISER_DEFAULTS[key]
    value = settings.normaliser.get(key, listed)
    if value != listed:
        taken = path if settings.takes_file_whole else settings.path
        return (
            f"{settings.path}: {key} is {json.dumps(value)}, {path.name} says {json.dumps(listed)}; taken: "
            f"that of {taken.name}, as transformers does"
        )
    if key in settings.normaliser or listed == usual or settings.takes_file_whole:
        return ""
    return (
        f"{path}: {key} is {json.dumps(listed)}, which is taken; transformers 5 takes {json.dumps(usual)} "
        f"until {settings.path.name} says {key}"
    )


def _roles(
    path: Path,
    backend: RustTokenizer,
    ids: Mapping[str, int],
    model: dict[str, Any],
    settings: TokenizerSettings,
) -> dict[str, str]:
    unknown = _unknown_token(model)
    defaults = dict(SUBWORDS[settings.family].roles if settings.family else ROLES)
    defaults |= {"unk_token": unknown} if unknown else {}
    if settings.takes_file_whole and (unknown in ids or not unknown) and (ends := _first_and_last(backend)):
        defaults |= {"cls_token": ends[0], "sep_token": ends[1]}
    may_be_added = ("mask_token",) if settings.family else ()
    may_be_added = may_be_added if unknown else (*may_be_added, "unk_token")
    roles = special_tokens_by_role(path, settings, defaults, ids, may_be_added)
    if unknown and roles["unk_token"] != unknown:
        raise InputError(
            f"its model's unk_token is {unknown!r}, {settings.path.name} says "
            f"{roles['unk_token']!r}; write the same in both",
            path=path,
        )
    if backend.post_processor is None and not settings.takes_file_whole:
        if settings.family:
            kind = SUBWORDS[settings.family]
            add_processor(backend, kind, roles, ids, flags_of(kind, settings))
        else:
            add_bert_processor(backend, roles, ids)
    return roles


def _unknown_token(model: dict[str, Any]) -> str:
    """The piece of unknown text; empty where the model has none, as a byte-level one."""
    if isinstance(model["vocab"], list):
        number = model.get("unk_id")
        return str(model["vocab"][number][0]) if isinstance(number, int) else ""
    return str(model.get("unk_token", "" if "merges" in model else ROLES["unk_token"]) or "")


def _first_and_last(backend: RustTokenizer) -> tuple[str, str] | None:
    tokens = backend.encode("a").tokens
    return (tokens[0], tokens[-1]) if len(tokens) > 2 else None


def _check_processor(
    path: Path, backend: RustTokenizer, roles: Mapping[str, str], settings: TokenizerSettings
) -> tuple[int, bool]:
    """How many separators stand between two texts, and whether the second's tokens have type 1.

    InputError unless texts become [CLS] a [SEP], and pairs [CLS] a [SEP] b [SEP] with types 0 and 1; for a
    network that does not know types, whatever the types, and with one separator more or not.
    """
    bare = backend.encode("a", add_special_tokens=False).tokens
    first, last = roles.get("cls_token"), roles.get("sep_token")
    one, two = backend.encode("a"), backend.encode("a", "a")
    whole = [first, *bare, last]
    types = [0] * len(whole) + [1] * (len(bare) + 1)
    separators = 1 if two.tokens == [*whole, *bare, last] else 2
    gives_types = two.type_ids == types and not any(one.type_ids)
    if settings.knows_segments:
        fits = separators == 1 and gives_types
    else:
        fits = separators == 1 or two.tokens == [*whole, last, *bare, last]
    if one.tokens != whole or not fits:
        raise InputError(
            f"its post_processor makes {' '.join(two.tokens)} of a pair (types {two.type_ids}); expected "
            f"{' '.join(map(str, [*whole, *bare, last]))} (types {types}), as BERT's does",
            path=path,
        )
    return separators, gives_types


def _vocabulary_lines(pieces: Mapping[str, int]) -> list[str] | None:
    """The lines of a vocab.txt with the model's ids; None if none can have them."""
    lines = sorted(pieces, key=pieces.__getitem__)
    has_all = [pieces[line] for line in lines] == list(range(len(lines)))
    as_read = all(line and line == line.rstrip(WHITE_SPACE) and "\n" not in line for line in lines)
    return lines if has_all and as_read else None


def _check_same_ids(
    vocabulary: Path, path: Path, pieces: Mapping[str, int], known: Mapping[str, int]
) -> None:
    """InputError where vocab.txt gives a piece another id than tokenizer.json, which transformers takes.

    White space at the end of a piece, which no text gives, is not looked at.
    """
    lines, _ = read_vocabulary(vocabulary)
    ids = {line: number for number, line in enumerate(lines) if line}
    pieces, known = ({p.rstrip(WHITE_SPACE): n for p, n in part.items()} for part in (pieces, known))
    remedy = (
        "they are of two models: remove the file that is not this model's (transformers takes "
        f"{path.name} where both are there)"
    )
    for piece, number in ids.items():
        if known.get(piece) != number:
            other = "lacks it" if piece not in known else f"gives it the id {known[piece]}"
            raise InputError(
                f"{piece!r} has the id {number}, {path} {other}; {remedy}", path=vocabulary, line=number + 1
            )
    if absent := next((piece for piece in pieces if piece and piece not in ids), None):
        raise InputError(f"lacks {absent!r}, which is {pieces[absent]} in {path}; {remedy}", path=vocabulary)
