"""What a run starts from: the network's shape, its vocabulary, weights, a teacher. No Paddle."""

from pathlib import Path

from checkpoints.folder import read_config
from checkpoints.registry import resolve
from checkpoints.validation import model_folder, tokenizer_of
from common.command_line import is_truth_value, parse_bool
from common.errors import InputError, UsageError
from common.model_files import VOCABULARY as VOCABULARY_FILE
from encoders.config import EncoderConfig
from encoders.tokenizer import Tokenizer
from pretraining.sizes import NETWORKS, network_named

VOCABULARY = "convbert-mini"  # whose vocabulary, BERT's uncased, a network by name has


def is_by_name(model: str) -> bool:
    """Whether this names a network's shape, and no folder."""
    return model in NETWORKS and not Path(model).is_dir()


def settled(model: str, init_from_ckpt: str, tokenizer: str, teacher: str) -> dict[str, str]:
    """These four flags with every name of a model turned into its folder; what is not given stays empty.

    model stays a name where only the network's shape is meant. init_from_ckpt is a switch (then the weights
    are those of model, whatever it names), or names a model itself.
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


def network_of(
    model_name_or_path: str, init_from_ckpt: str, tokenizer: str, teacher: str, lower_case: bool | None = None
) -> tuple[EncoderConfig, Tokenizer]:
    """The network's shape and its tokeniser, of what ``settled`` gave; lower_case wins over its folder.

    InputError where the vocabulary is not that of the teacher or of the weights to begin with.
    """
    model = model_name_or_path
    if is_by_name(model):
        source = teacher or tokenizer or init_from_ckpt or _default_vocabulary(model)
        own = tokenizer_of(source, read_config(source), lower_case)
        config = network_named(model, len(own))
    else:
        config = read_config(model)
        own = tokenizer_of(model, config, lower_case)
    if config.type_vocab_size < 2:
        found = f"{model}/config.json: type_vocab_size {config.type_vocab_size}"
        raise InputError(f"{found}: pairs and packed examples have two kinds of token; 2 is the least")
    for other, remedy in ((teacher, "take the teacher's vocab.txt, and other weights"),
                          (init_from_ckpt, "these weights are of other tokens")):  # fmt: skip
        if (
            other
            and own.vocabulary != (theirs := tokenizer_of(other, read_config(other), lower_case)).vocabulary
        ):
            said = f"{own.path}: {_difference(own, theirs)}"
            raise InputError(f"{said}; both must read the same tokens: {remedy}")
    return config, own


def _default_vocabulary(model: str) -> Path:
    try:
        return resolve(VOCABULARY)
    except InputError as error:
        raise InputError(f"{model}: name its vocabulary, --tokenizer FOLDER ({error})") from None


def _difference(ours: Tokenizer, theirs: Tokenizer) -> str:
    other = theirs.path
    if len(ours) != len(theirs):
        return f"has {len(ours)} pieces, {other} has {len(theirs)}"
    piece, number = next((p, n) for p, n in ours.vocabulary.items() if theirs.vocabulary.get(p) != n)
    there = next((repr(p) for p, n in theirs.vocabulary.items() if n == number), "nothing")
    if ours.path.name == theirs.path.name == VOCABULARY_FILE:
        return f"line {number + 1} is {piece!r}, in {other} it is {there}"
    return f"id {number} is {piece!r}, in {other} it is {there}"
