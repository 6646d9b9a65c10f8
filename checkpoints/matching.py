"""Stored tensors → a network's parameters, and the error where they do not fit. No Paddle."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from checkpoints.formats.tensors import StoredTensor
from checkpoints.mapping import FAMILIES, UNUSED, Name, Shape, base_of, convention_of, names, their_shape
from checkpoints.prefixes import OUTSIDE
from common.errors import InputError
from common.messages import escape_unprintable
from encoders.config import EncoderConfig

# What is taken of a folder's head: all of it; what fits, the rest begins new; only a pretrained pooler.
HeadUse = Literal["required", "optional", "new"]
_MAX_NAMED, _MAX_COMPARED = 4, 1000


@dataclass(frozen=True)
class Match:
    """Stored tensors by the parameter they are for, and what does not fit."""

    tensors: dict[Name, StoredTensor]
    new_head: list[str]  # our names of the head's parameters that begin new
    missing: list[Name]  # parameters that no tensor is for
    misshapen: list[str]  # a remark on each tensor of another shape than its parameter
    unused: list[str]  # the other tensors' names


def match(
    tensors: Mapping[str, StoredTensor],
    config: EncoderConfig,
    shapes: Mapping[str, Shape],
    head: HeadUse = "required",
) -> Match:
    """Find the tensor of every parameter in ``shapes``."""
    rest, result = dict(tensors), Match({}, [], [], [], [])
    trained = FAMILIES[config.model_type].pretrained_head
    for name in names(config, convention_of(rest, config)):
        if name.ours not in shapes:
            continue
        bare = name.theirs.removeprefix(base_of(config))  # as a bare encoder is saved
        tensor = next((rest.pop(key) for key in (name.theirs, bare) if key in rest), None)
        if head == "new" and name.is_in_head and not name.ours.startswith(trained):
            tensor = None
        wanted = their_shape(shapes[name.ours], name.layout)
        if tensor is not None and tensor.shape == wanted:
            result.tensors[name] = tensor
        elif name.is_in_head and head != "required":
            result.new_head.append(name.ours)
        elif tensor is None:
            result.missing.append(name)
        else:
            result.misshapen.append(f"{name.theirs} should be {wanted} and is {tensor.shape}")
    result.unused.extend(rest)
    return result


def unexpected(result: Match, config: EncoderConfig, may_hold_other_heads: bool) -> list[str]:
    """The unused names that a model of this kind does not have.

    Where it may hold other heads, these are not among them, nor is what a wrapper holds besides the encoder,
    nor anything outside of a whole encoder.
    """
    unused = [key for key in result.unused if not UNUSED.search(key)]
    if may_hold_other_heads:
        heads = ("classifier.", "pre_classifier.", "pooler.", f"{base_of(config)}pooler.")
        unused = [key for key in unused if OUTSIDE not in key and not key.startswith(heads)]
        if not result.missing and not result.misshapen:
            unused = [key for key in unused if _is_in_encoder(key, config)]
    return unused


def _is_in_encoder(key: str, config: EncoderConfig) -> bool:
    """Whether it is a name of the encoder's, saved with the model type's prefix or without."""
    return key.startswith((base_of(config), "embeddings.", "embeddings_project.", "encoder.", "transformer."))


def lacks_head(result: Match) -> bool:
    """Whether a sentence head was asked for, and the encoder is there without any trace of one."""
    missing = result.missing
    lacks = any(name.ours.startswith("head.") and ".pooler." not in name.theirs for name in missing)
    has_other = any(key.startswith("classifier.") for key in result.unused)
    return lacks and not has_other and all(name.is_in_head for name in missing)


def other_head(result: Match, config: EncoderConfig, tensors: Mapping[str, StoredTensor]) -> str:
    """What may be a head under names of its own, and the names it should have; empty where nothing may."""
    unused = [
        f"{escape_unprintable(key, 100)} {tensors[key].shape}"
        for key in sorted(result.unused, key=lambda key: (key.endswith(".bias"), key))
        if not UNUSED.search(key) and not _is_in_encoder(key, config) and not key.startswith("pooler.")
    ]
    if not unused:
        return ""
    listed = ", ".join(unused[:_MAX_NAMED]) + (", …" if len(unused) > _MAX_NAMED else "")
    wanted = ", ".join(name.theirs for name in result.missing if name.theirs.startswith("classifier."))
    return (
        f"{listed} may be its head: save it as {wanted} if it computes the same, or fine-tune the model here"
    )


def check(path: Path, config_name: str, result: Match, surplus: Sequence[str] = ()) -> None:
    """InputError where something is missing, of another shape or, in surplus, unexpected: names of both."""
    missing = [
        f"{name.theirs} is missing{_nearest(name.theirs, result.unused, 'the nearest there')}"
        for name in result.missing
    ]
    missing += result.misshapen
    wanted = [name.theirs for name in result.missing]
    extra = [
        f"{escape_unprintable(key, 100)} is unexpected{_nearest(key, wanted, 'the nearest wanted')}"
        for key in surplus
    ]
    if not missing and not extra:
        return
    few = (missing[: _MAX_NAMED - bool(extra)] + extra)[:_MAX_NAMED]
    count = len(missing) + len(extra) - len(few)
    more = f" (and {count} more)" if count else ""
    wrapped = any(OUTSIDE in key for key in surplus)
    remedy = "save the state dict of the model alone" if wrapped else "take both from one model"
    raise InputError(f"does not fit {config_name}: {'; '.join(few)}{more}; {remedy}", path=path)


def _nearest(name: str, others: list[str], which: str) -> str:
    """The names most like this one, the nearest first, in brackets; empty if none is like it."""
    close = difflib.get_close_matches(name, others[:_MAX_COMPARED], n=2, cutoff=0.6)
    return f" ({which}: {', '.join(escape_unprintable(key, 100) for key in close)})" if close else ""
