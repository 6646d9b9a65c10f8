"""Tokenizers of byte-level BPE and of Unigram models, as transformers 5.23 builds them. No Paddle.

RoBERTa's are byte-level BPE: ``tokenizer.json``, or ``vocab.json`` and ``merges.txt``. XLM-RoBERTa's and
DeBERTa-v3's are Unigram models: ``tokenizer.json``, or SentencePiece's file.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tokenizers import AddedToken, Regex, decoders, models, normalizers, pre_tokenizers, processors
from tokenizers import Tokenizer as RustTokenizer

from common.errors import InputError
from common.model_files import MERGES, SENTENCEPIECES, TOKENIZER_JSON, VOCABULARY_JSON
from encoders.sentencepiece_file import read_sentencepieces
from encoders.tokenizer_pipeline import Pipeline, add_tokens, special_tokens_by_role
from encoders.tokenizer_settings import ROLES, TokenizerSettings

ANGLED = dict(zip(ROLES, ("<pad>", "<unk>", "<s>", "</s>", "<mask>"), strict=True))
_SPACE = "▁"


class Vocabulary(NamedTuple):
    """What a class's tokeniser is built from.

    Attributes:
        path: The file of it.
        model: Of the library.
        ids: Piece → id.
        special: Tokens that are found in texts before all others.
        character_map: Of SentencePiece's normaliser; empty where there is none.
    """

    path: Path
    model: models.Model
    ids: dict[str, int]
    special: Sequence[AddedToken] = ()
    character_map: bytes = b""


class Subwords(NamedTuple):
    """How a class of transformers builds its tokeniser.

    Attributes:
        roles: The special tokens where no file names others.
        read: The vocabulary in a folder's own files.
        shape: Gives a tokeniser its normaliser and its pre-tokeniser, by the settings.
        separators: How many separators stand between the texts of a pair.
        flags: The settings that it obeys, true or false, and what they are by default.
    """

    roles: Mapping[str, str]
    read: Callable[[Path, Mapping[str, str]], Vocabulary]
    shape: Callable[[RustTokenizer, Mapping[str, bool], bytes], None]
    separators: int
    flags: Mapping[str, bool]


def _read_byte_pairs(folder: Path, roles: Mapping[str, str]) -> Vocabulary:
    path, merges = folder / VOCABULARY_JSON, folder / MERGES
    for part in (path, merges):
        if not part.is_file():
            raise InputError(
                f"no such file, nor {TOKENIZER_JSON}; a model folder of this kind holds the one, or "
                f"{VOCABULARY_JSON} and {MERGES}",
                path=part,
            )
    try:
        ids, pairs = models.BPE.read_file(str(path), str(merges))
        return Vocabulary(path, models.BPE(ids, pairs), dict(ids))
    except Exception as error:  # the library raises nothing more special
        reason = str(error).split("\n")[0][:200]
        raise InputError(
            f"the tokenizers library cannot read it with {MERGES}: {reason}", path=path
        ) from None


def _read_unigram(folder: Path, roles: Mapping[str, str], are_fairseqs: bool) -> Vocabulary:
    """are_fairseqs: ids are those of fairseq, whose special tokens come first and whose mask is the last."""
    path = next((folder / name for name in SENTENCEPIECES if (folder / name).is_file()), None)
    if path is None:
        raise InputError(
            f"no such file, nor {TOKENIZER_JSON}; a model folder of this kind holds one of the two",
            path=folder / SENTENCEPIECES[are_fairseqs],
        )
    stored = read_sentencepieces(path)
    pieces, unknown = list(stored.pieces), stored.unknown
    if are_fairseqs:
        first = [(roles[role], 0.0) for role in ("cls_token", "pad_token", "sep_token", "unk_token")]
        pieces, unknown = [*first, *pieces[3:], (roles["mask_token"], 0.0)], 3
    elif (roles["unk_token"], 0.0) in pieces:
        unknown = pieces.index((roles["unk_token"], 0.0))
    special = [
        AddedToken(stored.pieces[number][0], normalized=False, special=is_control)
        for number, is_control in stored.special
    ]
    try:
        model = models.Unigram(pieces, unk_id=unknown, byte_fallback=False)
    except Exception as error:
        raise InputError(f"the tokenizers library cannot read it: {str(error)[:200]}", path=path) from None
    ids = {piece: number for number, (piece, _) in enumerate(pieces)}
    return Vocabulary(path, model, ids, special, stored.character_map)


def _shape_byte_pairs(backend: RustTokenizer, flags: Mapping[str, bool], character_map: bytes) -> None:
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=flags["add_prefix_space"])
    backend.decoder = decoders.ByteLevel()


def _shape_fairseq(backend: RustTokenizer, flags: Mapping[str, bool], character_map: bytes) -> None:
    if character_map:
        backend.normalizer = normalizers.Precompiled(character_map)
    scheme = "always" if flags["add_prefix_space"] else "never"
    parts = [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(_SPACE, prepend_scheme=scheme)]
    backend.pre_tokenizer = pre_tokenizers.Sequence(parts)
    backend.decoder = decoders.Metaspace(_SPACE, prepend_scheme=scheme)


def _shape_deberta(backend: RustTokenizer, flags: Mapping[str, bool], character_map: bytes) -> None:
    lower = [normalizers.Lowercase()] if flags["do_lower_case"] else []
    spaces = normalizers.Replace(Regex(r"\s{2,}|[\n\r\t]"), " ")
    backend.normalizer = normalizers.Sequence(
        [*lower, spaces, normalizers.NFC(), normalizers.Strip(left=False, right=True)]
    )
    scheme = "always" if flags["add_prefix_space"] else "first"
    split: list[Any] = [pre_tokenizers.Punctuation(behavior="isolated")] if flags["split_by_punct"] else []
    split.append(pre_tokenizers.Metaspace(_SPACE, prepend_scheme=scheme))
    backend.pre_tokenizer = pre_tokenizers.Sequence(split)
    backend.decoder = decoders.Metaspace(_SPACE, prepend_scheme=scheme)


# What transformers' class is called, without Tokenizer and Fast.
SUBWORDS = {
    "Roberta": Subwords(ANGLED, _read_byte_pairs, _shape_byte_pairs, 2, {"add_prefix_space": False}),
    "XLMRoberta": Subwords(
        ANGLED, lambda folder, roles: _read_unigram(folder, roles, are_fairseqs=True), _shape_fairseq, 2,
        {"add_prefix_space": True},
    ),
    "DebertaV2": Subwords(
        ROLES, lambda folder, roles: _read_unigram(folder, roles, are_fairseqs=False), _shape_deberta, 1,
        {"add_prefix_space": True, "do_lower_case": False, "split_by_punct": False},
    ),
}  # fmt: skip


def flags_of(kind: Subwords, settings: TokenizerSettings) -> dict[str, bool]:
    """The settings that a class obeys, as tokenizer_config.json has them."""
    flags = {name: settings.values.get(name, usual) for name, usual in kind.flags.items()}
    for name, value in flags.items():
        if not isinstance(value, bool):
            raise InputError(f"{name} must be true or false, not {repr(value)[:60]}", path=settings.path)
    return flags


def from_subwords(folder: Path, settings: TokenizerSettings) -> Pipeline:
    """The tokeniser of a folder without tokenizer.json."""
    kind = SUBWORDS[settings.family]
    flags = flags_of(kind, settings)
    roles = {**kind.roles, **{role: token.content for role, token in settings.roles.items()}}
    vocabulary = kind.read(folder, roles)
    backend = RustTokenizer(vocabulary.model)
    kind.shape(backend, flags, vocabulary.character_map)
    ids = dict(vocabulary.ids)
    backend.add_tokens(list(vocabulary.special))
    roles = special_tokens_by_role(vocabulary.path, settings, kind.roles, ids, may_be_added=("mask_token",))
    add_tokens(vocabulary.path, backend, settings, roles, ids)
    add_processor(backend, kind, roles, ids, flags)
    backend.encode_special_tokens = settings.splits_special_tokens
    return Pipeline(
        vocabulary.path, backend, ids, roles, None, {}, is_bert=False, notes=list(settings.notes),
        separators=kind.separators, gives_types=kind.separators == 1, has_spaces=True,
        knows_segments=settings.knows_segments,
    )  # fmt: skip


def add_processor(
    backend: RustTokenizer,
    kind: Subwords,
    roles: Mapping[str, str],
    ids: Mapping[str, int],
    flags: Mapping[str, bool],
) -> None:
    """Let it put the special tokens around texts."""
    first, last = roles["cls_token"], roles["sep_token"]
    if kind.shape is _shape_byte_pairs:
        backend.post_processor = processors.RobertaProcessing(
            (last, ids[last]), (first, ids[first]), True, flags["add_prefix_space"]
        )
        return
    second = 1 if kind.separators == 1 else 0
    between = " ".join([f"{last}:0"] * kind.separators)
    backend.post_processor = processors.TemplateProcessing(
        single=f"{first}:0 $A:0 {last}:0",
        pair=f"{first}:0 $A:0 {between} $B:{second} {last}:{second}",
        special_tokens=[(first, ids[first]), (last, ids[last])],
    )
