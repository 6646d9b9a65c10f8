"""Prefixes that wrappers put before the names of weights: removed where it is certain what they wrapped.

``module.`` (DataParallel), ``_orig_mod.`` (torch.compile), ``model.`` (Lightning), ``bert_model.`` … : every
encoder has one tensor called ``embeddings.word_embeddings.weight``, behind the model type's name or bare.
What stands before these belongs to a wrapper. No Paddle.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

from checkpoints.mapping import FAMILIES
from common.errors import InputError
from common.messages import escape_unprintable

# Names that only wrappers have, which may be around a part of a model as well.
_WRAPPERS = re.compile(
    r"(?<![^.])(?:module|_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module|_forward_module)\."
)
_BASES = {family.base: model_type for model_type, family in reversed(FAMILIES.items())}
_MODERN = _BASES.pop("model")  # wrappers are called so too, so it is told by another name of the tensor
_ANCHOR = re.compile(
    rf"((?:[^.]+\.)*?)(?:(?:({'|'.join(_BASES)})\.)?embeddings\.word_embeddings"
    r"|model\.embeddings\.tok_embeddings)\.weight"
)
# Families that name the same tensor, but compute something else: their names are no wrapper's.
_OTHER_FAMILIES = """
    albert bert_generation big_bird bigbird camembert data2vec_text ernie_m esm flaubert
    funnel ibert layoutlm layoutlmv2 layoutlmv3 lilt longformer luke markuplm mega megatron_bert mobilebert
    mpnet mra nezha nystromformer rembert roberta_prelayernorm roc_bert roformer splinter squeezebert
    tapas visual_bert xlm_roberta xmod yoso
"""
_GENERATOR = "generator."
OUTSIDE = " (outside of "  # behind the name of what a wrapper holds besides the model

T = TypeVar("T")


def without_prefixes(path: Path, tensors: dict[str, T]) -> tuple[dict[str, T], list[str]]:
    """The tensors under the names that their model gives them, and notes on what was removed.

    What lies outside of the model that a wrapper holds keeps its name, with a remark that makes it none of
    the model's. InputError where two models are wrapped together.
    """
    notes = []
    names = {name: _WRAPPERS.sub("", name) for name in tensors}
    if wrapped := [name for name, bare in names.items() if name != bare]:
        prefixes = ", ".join(sorted({prefix for name in wrapped for prefix in _WRAPPERS.findall(name)}))
        notes.append(_note(prefixes, len(wrapped), len(names)))
    prefix = _common_prefix(path, [name for name in names.values() if not name.startswith(_GENERATOR)])
    if prefix:
        inside = sum(name.startswith(prefix) for name in names.values())
        notes.append(_note(escape_unprintable(prefix, 100), inside, len(names)))
        remark = f"{OUTSIDE}{prefix})"
        names = {
            name: bare.removeprefix(prefix) if bare.startswith(prefix) else bare + remark
            for name, bare in names.items()
        }
    renamed = {names[name]: tensor for name, tensor in tensors.items()}
    if len(renamed) != len(tensors):
        raise InputError("holds two tensors of one name once a wrapper's prefix is removed", path=path)
    return renamed, [f"{path}: {note}" for note in notes]


def _note(prefix: str, count: int, total: int) -> str:
    return f"{prefix} is removed from the names of {count} of {total} tensors, as a wrapper's"


def _common_prefix(path: Path, names: Iterable[str]) -> str:
    """What stands before the model in all its names; empty if nothing does or nobody can say."""
    prefixes = {match[1] for name in names if (match := _ANCHOR.fullmatch(name))}
    if len(prefixes) > 1:
        listed = ", ".join(escape_unprintable(prefix, 100) or "no prefix" for prefix in sorted(prefixes)[:4])
        reason = f"holds {len(prefixes)} models, under {listed}: save the one that is meant alone"
        raise InputError(reason, path=path)
    prefix = next(iter(prefixes), "")
    return "" if prefix.removesuffix(".").rpartition(".")[2] in _OTHER_FAMILIES.split() else prefix


def model_type_of(names: Iterable[str]) -> str:
    """The model type that tensors' names imply; empty where they could be of several."""
    bare = False
    for name in names:
        if match := _ANCHOR.fullmatch(name):
            if name.endswith(".tok_embeddings.weight"):
                return _MODERN
            if match[2]:
                return _BASES[match[2]]
            bare = not match[1]
    return "convbert" if bare and any("key_conv_attn_layer." in name for name in names) else ""
