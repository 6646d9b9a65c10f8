"""Stored tensors ↔ a network's parameters, and what there is to say where they do not fit. No Paddle."""

import difflib
from dataclasses import dataclass
from pathlib import Path

from checkpoints.formats.pickle_machine import shown
from checkpoints.formats.tensors import StoredTensor
from checkpoints.mapping import LEFT_ASIDE, Name, convention_of, names, their_shape
from checkpoints.wrappers import OUTSIDE
from common.errors import InputError
from encoders.config import EncoderConfig

_MOST_NAMED, _MOST_COMPARED = 4, 1000


@dataclass(frozen=True)
class Match:
    """Stored tensors by the parameter they are for, and what does not fit.

    new_head: the head's parameters that are missing or of another shape, where a head may be.
    absent: names that were expected and are not there. misshapen: what is there in another shape.
    spare: names that nobody asked for.
    """

    taken: dict[Name, StoredTensor]
    new_head: list[str]
    absent: list[str]
    misshapen: list[str]
    spare: list[str]


def match(
    stored: dict[str, StoredTensor],
    config: EncoderConfig,
    shapes: dict[str, tuple[int, ...]],
    keep_head: bool = True,
    may_lack_head: bool = False,
) -> Match:
    """Find the tensor of every parameter in ``shapes``. The flags are those of ``folder.read_checkpoint``."""
    theirs, result = dict(stored), Match({}, [], [], [], [])
    for name in names(config, convention_of(list(theirs))):
        if name.ours not in shapes:
            continue
        tensor = _take(theirs, name, config.model_type)
        in_head = name.ours.startswith("head.")
        if tensor is not None and in_head and not keep_head and not name.ours.startswith("head.pooler"):
            tensor = None
        wanted = their_shape(shapes[name.ours], name.layout)
        if tensor is not None and tensor.shape == wanted:
            result.taken[name] = tensor
        elif in_head and may_lack_head:
            result.new_head.append(name.ours)
        elif tensor is None:
            result.absent.append(name.theirs)
        else:
            result.misshapen.append(f"{name.theirs} should be {wanted} and is {tensor.shape}")
    result.spare.extend(theirs)
    return result


def _take(theirs: dict[str, StoredTensor], name: Name, base: str) -> StoredTensor | None:
    """Remove and return a tensor, saved with the model type's prefix or, as a bare encoder, without."""
    for key in (name.theirs, name.theirs.removeprefix(f"{base}.")):
        if key in theirs:
            return theirs.pop(key)
    return None


def unexpected(found: Match, config: EncoderConfig, may_lack_head: bool) -> list[str]:
    """The spare names that a model of this kind does not have. Where a head may begin new, its names are not
    among them, nor those of what a wrapper holds besides the encoder, and nothing outside of a whole one."""
    spare = [key for key in found.spare if not LEFT_ASIDE.search(key)]
    if may_lack_head:
        heads = ("classifier.", "pooler.", f"{config.model_type}.pooler.")
        spare = [key for key in spare if OUTSIDE not in key and not key.startswith(heads)]
    if may_lack_head and not found.absent and not found.misshapen:
        spare = [key for key in spare if _in_encoder(key, config)]
    return spare


def _in_encoder(key: str, config: EncoderConfig) -> bool:
    """Whether it is a name of the encoder's, saved with the model type's prefix or without."""
    return key.startswith((f"{config.model_type}.", "embeddings.", "embeddings_project.", "encoder."))


def other_head(found: Match, config: EncoderConfig, stored: dict[str, StoredTensor]) -> str:
    """What may be a head under names of its own, and the names it should have; empty where nothing may."""
    spare = [
        f"{shown(key)} {stored[key].shape}"
        for key in sorted(found.spare, key=lambda key: (key.endswith(".bias"), key))
        if not LEFT_ASIDE.search(key) and not _in_encoder(key, config) and not key.startswith("pooler.")
    ]
    if not spare:
        return ""
    listed = ", ".join(spare[:_MOST_NAMED]) + (", …" if len(spare) > _MOST_NAMED else "")
    wanted = ", ".join(name for name in found.absent if name.startswith("classifier."))
    return (
        f"{listed} may be its head: save it as {wanted} if it computes the same, or fine-tune the model here"
    )


def lacks_head(found: Match) -> bool:
    """Whether a head was asked for, and the encoder is there without any trace of one."""
    heads = [name for name in found.absent if name.startswith("classifier.")]
    encoder_is_whole = all(name in heads or ".pooler." in name for name in found.absent)
    return bool(heads) and encoder_is_whole and not any(key.startswith("classifier.") for key in found.spare)


def check(path: Path, config_name: str, found: Match, surplus: list[str]) -> None:
    """InputError where something is missing, of another shape or, in surplus, unexpected: names of both."""
    missing = [
        f"{name} is missing{_nearest(name, found.spare, 'the nearest there')}" for name in found.absent
    ]
    missing += found.misshapen
    extra = [
        f"{shown(key)} is unexpected{_nearest(key, found.absent, 'the nearest wanted')}" for key in surplus
    ]
    if not missing and not extra:
        return
    few = (missing[: _MOST_NAMED - bool(extra)] + extra)[:_MOST_NAMED]
    count = len(missing) + len(extra) - len(few)
    more = f" (and {count} more)" if count else ""
    wrapped = any(OUTSIDE in key for key in surplus)
    remedy = "save the state dict of the model alone" if wrapped else "take both from one model"
    raise InputError(f"{path}: does not fit {config_name}: {'; '.join(few)}{more}; {remedy}")


def _nearest(name: str, others: list[str], which: str) -> str:
    """The names most like this one, the nearest first, in brackets; empty if none is like it."""
    close = difflib.get_close_matches(name, others[:_MOST_COMPARED], n=2, cutoff=0.6)
    return f" ({which}: {', '.join(map(shown, close))})" if close else ""
