"""A tokeniser's files, carried from a model folder into its converted copy. No Paddle."""

import shutil
from collections.abc import Iterable
from pathlib import Path

from common.files import MANIFEST, write_json
from common.json_files import read_json_object
from common.model_files import TOKENIZER_FILES, TOKENIZER_JSON, TOKENIZER_SETTINGS, VOCABULARY
from encoders.tokenizer import Tokenizer
from encoders.tokenizer_files import NORMALISER_DEFAULTS

_MOST_NAMED = 6


def carry_tokenizer(tokenizer: Tokenizer, target: Path, to: str) -> list[str]:
    """Copy the files that a tokeniser was read from; returns what a user should know.

    PaddleNLP reads vocab.txt and never tokenizer.json: where only that is there, vocab.txt is made from it if
    it can hold all.

    Args:
        tokenizer: The source's.
        target: The folder to write into.
        to: The layout of it, ``huggingface`` or ``paddlenlp``.
    """
    source, notes = tokenizer.folder, []
    names = [name for name in TOKENIZER_FILES if (source / name).is_file()]
    for name in names:
        shutil.copyfile(source / name, target / name)
    if to == "paddlenlp" and TOKENIZER_JSON in names:
        notes += _for_paddlenlp(tokenizer, target, has_vocabulary=VOCABULARY in names)
    path = source / TOKENIZER_SETTINGS
    values = read_json_object(path) if TOKENIZER_SETTINGS in names else {}
    usual = {**NORMALISER_DEFAULTS, **values}
    differing = {key: value for key, value in tokenizer.settings.items() if value != usual[key]}
    if differing and tokenizer.is_berts:
        write_json(target / TOKENIZER_SETTINGS, {**values, **differing})
        stated = ", ".join(f"{key} {str(value).lower()}" for key, value in differing.items())
        notes.append(f"{TOKENIZER_SETTINGS} of the new folder says {stated}, as {path.parent} was read")
    return notes


def _for_paddlenlp(tokenizer: Tokenizer, target: Path, has_vocabulary: bool) -> list[str]:
    if tokenizer.is_plain:
        if has_vocabulary:
            return []
        tokenizer.write_vocabulary(target)
        values = (
            read_json_object(target / TOKENIZER_SETTINGS) if (target / TOKENIZER_SETTINGS).is_file() else {}
        )
        write_json(target / TOKENIZER_SETTINGS, {**values, **tokenizer.settings, **tokenizer.special_tokens})
        return [f"{VOCABULARY} is made from {TOKENIZER_JSON}, which PaddleNLP does not read"]
    lacking = "some of its settings and tokens" if has_vocabulary else f"what {VOCABULARY} cannot hold"
    consequence = "gives other ids there" if has_vocabulary else "has no vocabulary there"
    return [
        f"PaddleNLP does not read {TOKENIZER_JSON}, which alone says {lacking}: the tokeniser {consequence}"
    ]


def left_behind(source: Path, carried: Iterable[str]) -> list[str]:
    """A note of the files of a model folder that did not go along, by name; none where all did."""
    known = {*carried, *TOKENIZER_FILES, MANIFEST}
    names = sorted(path.name for path in source.iterdir() if path.name not in known)
    if not names:
        return []
    more = f" (and {len(names) - _MOST_NAMED} more)" if len(names) > _MOST_NAMED else ""
    return [f"left in {source}: {', '.join(names[:_MOST_NAMED])}{more}"]
