"""The network that a run pre-trains, known by name or from a folder, and what it starts from. No Paddle."""

import dataclasses
from pathlib import Path
from typing import Any

from checkpoints.folder import read_config
from checkpoints.registry import model_folder, resolve
from checkpoints.tokenizer import tokenizer_of
from common.command_line import is_truth_value, parse_bool
from common.errors import InputError, UsageError
from common.model_files import VOCABULARY as VOCABULARY_FILE
from encoders.config import SIZES, EncoderConfig, named
from encoders.tokenizer import Tokenizer

_MINI: dict[str, Any] = {
    "embedding_size": 128, "hidden_size": 256, "num_hidden_layers": 6, "num_attention_heads": 8,
    "intermediate_size": 768,
}  # fmt: skip
NETWORKS: dict[str, EncoderConfig] = {
    **{f"convbert-{size}": named(size) for size in SIZES},
    "convbert-mini": EncoderConfig("convbert", **_MINI),
    # The same without convolution: its attention is wider, its feed-forward so much narrower.
    "electra-mini": EncoderConfig("electra", **{**_MINI, "intermediate_size": 720}),
}
VOCABULARY = "convbert-mini"  # whose vocabulary, BERT's uncased, a network by name has


def is_by_name(model: str) -> bool:
    """Whether this names a network's shape, and no folder."""
    return model in NETWORKS and not Path(model).is_dir()


def resolve_sources(model: str, init_from_ckpt: str, tokenizer: str, teacher: str) -> dict[str, str]:
    """Resolve every name of a model among four flags to its folder; what is not given stays empty.

    ``init_from_ckpt`` is a switch (then the weights are those of ``model``) or a name; ``model`` stays a name
    where only the network's shape is meant.
    """
    if is_truth_value(init_from_ckpt):
        switched_on = parse_bool(init_from_ckpt)
        model = _folder(model) if switched_on else model
        init_from_ckpt = model if switched_on else ""
    if tokenizer and (teacher or not is_by_name(model)):
        owner = "--teacher" if teacher else "the folder of --model_name_or_path"
        raise UsageError(f"--tokenizer: the vocabulary is that of {owner}")
    return {
        "model_name_or_path": model if is_by_name(model) else _folder(model),
        "init_from_ckpt": _folder(init_from_ckpt),
        "tokenizer": _folder(tokenizer),
        "teacher": _folder(teacher),
    }


def _folder(name: str) -> str:
    """A model's folder, absolute; of a run that of its best model. Empty stays empty."""
    return str(model_folder(resolve(name)).resolve()) if name else ""


def read_network(
    model_name_or_path: str, init_from_ckpt: str, tokenizer: str, teacher: str, lower_case: bool | None = None
) -> tuple[EncoderConfig, Tokenizer]:
    """Read the network's shape and its tokenizer; InputError where its vocabulary is not the others'."""
    if is_by_name(model_name_or_path):
        try:
            source = teacher or tokenizer or init_from_ckpt or resolve(VOCABULARY)
        except InputError as error:
            message = f"{model_name_or_path}: name its vocabulary, --tokenizer FOLDER ({error})"
            raise InputError(message) from None
        tokens = tokenizer_of(source, read_config(source), lower_case)
        config = dataclasses.replace(NETWORKS[model_name_or_path], vocab_size=len(tokens))
    else:
        config = read_config(model_name_or_path)
        tokens = tokenizer_of(model_name_or_path, config, lower_case)
    if not config.reads_pairs:
        raise InputError(
            f"type_vocab_size {config.type_vocab_size}: pairs and packed examples have two kinds of token; 2 "
            "is the least",
            path=f"{model_name_or_path}/config.json",
        )
    for folder, remedy in (
        (teacher, "take the teacher's vocab.txt, and other weights"),
        (init_from_ckpt, "these weights are of other tokens"),
    ):
        other = tokenizer_of(folder, read_config(folder), lower_case) if folder else tokens
        if other.vocabulary != tokens.vocabulary:
            message = f"{_difference(tokens, other)}; both must read the same tokens: {remedy}"
            raise InputError(message, path=tokens.path)
    return config, tokens


def _difference(ours: Tokenizer, theirs: Tokenizer) -> str:
    other = theirs.path
    if len(ours) != len(theirs):
        return f"has {len(ours)} pieces, {other} has {len(theirs)}"
    piece, number = next((p, n) for p, n in ours.vocabulary.items() if theirs.vocabulary.get(p) != n)
    there = next((repr(p) for p, n in theirs.vocabulary.items() if n == number), "nothing")
    if ours.path.name == theirs.path.name == VOCABULARY_FILE:
        return f"line {number + 1} is {piece!r}, in {other} it is {there}"
    return f"id {number} is {piece!r}, in {other} it is {there}"


def generator_config(config: EncoderConfig, ratio: float) -> EncoderConfig:
    """The generator beside a network: ``ratio`` of its width, as deep, with its embeddings.

    As the authors' ``get_generator_config``: the feed-forward four times as wide, a head for every 64
    columns. Widths that do not divide among groups and heads, which no published size has, are rounded.
    """
    grain = 2 * config.num_groups
    width = max(1, round(config.hidden_size * ratio / grain)) * grain
    heads = max(1, width // 64)
    while width % (2 * max(1, heads // config.head_ratio)) or width % heads:
        heads -= 1
    return dataclasses.replace(
        config, hidden_size=width, intermediate_size=4 * width, num_attention_heads=heads
    )
