"""A model folder's tokenizer: opened, compared with the network, copied when converting. No Paddle."""

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from common.errors import InputError
from common.files import MANIFEST, write_json
from common.json_files import read_json_object
from common.messages import say
from common.model_files import TOKENIZER_FILES, TOKENIZER_JSON, TOKENIZER_SETTINGS, VOCABULARY
from encoders.config import EncoderConfig
from encoders.letter_case import stripped, unreachable
from encoders.tokenizer import Tokenizer
from encoders.tokenizer_settings import NORMALISER_DEFAULTS

_MAX_BYTES = 100_000_000  # the largest published vocabularies have 5 MB
_MAX_PADDING = 128  # embeddings without a piece, which some add for a round number
_MAX_NAMED = 6


def tokenizer_of(folder: str | Path, config: EncoderConfig, lower_case: bool | None = None) -> Tokenizer:
    """A model folder's tokenizer; lower_case wins over what its files say.

    InputError if it has more pieces than the network has embeddings. A vocabulary that may be cut short or
    another model's, or of which lower_case makes a part useless, is a warning: every id it gives has an
    embedding. (The manifest of a folder of ours reveals every file that is not the one it was saved with.)
    """
    for path in (Path(folder) / name for name in TOKENIZER_FILES):
        if path.is_file() and (size := path.stat().st_size) > _MAX_BYTES:
            raise InputError(f"has {size} bytes, more than any vocabulary; fetch it again", path=path)
    tokenizer = Tokenizer(folder, **({} if lower_case is None else {"do_lower_case": lower_case}))
    count, size, path = len(tokenizer), config.vocab_size, tokenizer.path
    if count > size:
        beyond = [piece for piece, number in tokenizer.vocabulary.items() if number >= size]
        reason = "is it another model's?"
        if set(beyond) <= tokenizer.added_tokens:
            names = ", ".join(beyond[:5])
            reason = f"the network has no embeddings of {names}: take them off the folder's added tokens"
        raise InputError(f"has {count} pieces, config.json says vocab_size {size}; {reason}", path=path)
    for note in tokenizer.notes:
        say(f"note: {note}")
    for warning in _warnings(tokenizer, config):
        say(f"warning: {path}: {warning}")
    return tokenizer


def _warnings(tokenizer: Tokenizer, config: EncoderConfig) -> Iterator[str]:
    """Why a vocabulary may not be the network's, or not go with the settings."""
    count, size = len(tokenizer), config.vocab_size
    is_round = size % 8 == 0 or size % 100 == 0
    is_padding = is_round and size - count < _MAX_PADDING
    if count < size and not is_padding:
        yield (
            f"has {count} pieces, config.json says vocab_size {size}; is it cut short? Missing words "
            "become [UNK] or are split into letters"
        )
    token = tokenizer.special_tokens.get("pad_token")
    if token and (pad := tokenizer.token_id("pad_token")) != config.pad_token_id:
        yield (
            f"{token} is piece {pad}, config.json says pad_token_id {config.pad_token_id}; is it another "
            "model's, or in another order?"
        )
    if not tokenizer.settings:
        return
    lower_case, strip = (tokenizer.settings[key] for key in ("do_lower_case", "strip_accents"))
    if useless := unreachable(tokenizer.vocabulary, bool(lower_case)):
        yield (
            f"do_lower_case is {str(lower_case).lower()}, but {useless}; if the model was trained otherwise: "
            f"--do_lower_case {str(not lower_case).lower()}"
        )
    elif (lower_case if strip is None else strip) and (useless := stripped(tokenizer.vocabulary)):
        yield (
            f"accents are stripped, but {useless}; if the model was trained with them: "
            f'"strip_accents": false in {TOKENIZER_SETTINGS}'
        )


def copy_tokenizer(tokenizer: Tokenizer, target: Path, layout: str) -> list[str]:
    """Copy the files that a tokenizer was read from; returns what a user should know.

    PaddleNLP reads vocab.txt and never tokenizer.json: where only that is there, vocab.txt is made from it if
    it can hold all. layout: of the target, ``huggingface`` or ``paddlenlp``.
    """
    source, notes = tokenizer.folder, []
    names = [name for name in TOKENIZER_FILES if (source / name).is_file()]
    for name in names:
        shutil.copyfile(source / name, target / name)
    if layout == "paddlenlp" and TOKENIZER_JSON in names:
        notes += _write_vocabulary(tokenizer, target, has_vocabulary=VOCABULARY in names)
    values = _settings_in(source)
    defaults = {**NORMALISER_DEFAULTS, **values}
    differing = {key: value for key, value in tokenizer.settings.items() if value != defaults[key]}
    if differing and tokenizer.is_bert:
        write_json(target / TOKENIZER_SETTINGS, {**values, **differing})
        stated = ", ".join(f"{key} {str(value).lower()}" for key, value in differing.items())
        notes.append(f"{TOKENIZER_SETTINGS} of the new folder says {stated}, as {source} was read")
    return notes


def _settings_in(folder: Path) -> dict[str, object]:
    path = folder / TOKENIZER_SETTINGS
    return read_json_object(path) if path.is_file() else {}


def _write_vocabulary(tokenizer: Tokenizer, target: Path, has_vocabulary: bool) -> list[str]:
    """Write the vocab.txt that PaddleNLP needs of a tokenizer.json, if it can hold all."""
    if tokenizer.is_plain and has_vocabulary:
        return []
    if tokenizer.is_plain:
        tokenizer.write_vocabulary(target)
        settings = {**_settings_in(target), **tokenizer.settings, **tokenizer.special_tokens}
        write_json(target / TOKENIZER_SETTINGS, settings)
        return [f"{VOCABULARY} is made from {TOKENIZER_JSON}, which PaddleNLP does not read"]
    lacking, consequence = f"what {VOCABULARY} cannot hold", "has no vocabulary there"
    if has_vocabulary:
        lacking, consequence = "some of its settings and tokens", "gives other ids there"
    reason = f"PaddleNLP does not read {TOKENIZER_JSON}, which alone says {lacking}"
    return [f"{reason}: the tokenizer {consequence}"]


def files_not_copied(source: Path, copied: Iterable[str]) -> list[str]:
    """A note that names the files of a model folder that did not go along; none where all did."""
    known = {*copied, *TOKENIZER_FILES, MANIFEST}
    names = sorted(path.name for path in source.iterdir() if path.name not in known)
    if not names:
        return []
    more = f" (and {len(names) - _MAX_NAMED} more)" if len(names) > _MAX_NAMED else ""
    return [f"left in {source}: {', '.join(names[:_MAX_NAMED])}{more}"]
