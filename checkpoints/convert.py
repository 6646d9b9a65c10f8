"""Convert a model folder between Hugging Face's layout and PaddleNLP's.

Example:
  python -m checkpoints.convert convbert-base-paddle convbert-base --to huggingface

Weights are renamed and turned, not rounded: there and back gives the same bytes. --dtype float16 rounds
them to half the size: this project computes with them in float32, transformers unless told
(dtype=torch.float32) in float16. Heads of pre-training go along. Prints the new folder's path.
"""

if not __package__:  # started by path: what is importable is the clone, not this folder
    import sys
    from pathlib import Path

    sys.path[0] = str(Path(__file__).resolve().parents[1])

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.command_line import CommandParser, run
from common.errors import InputError
from common.flags import add_label_map
from common.messages import escape_unprintable, say

if TYPE_CHECKING:
    import numpy as np

    from checkpoints.folder import Checkpoint
    from checkpoints.formats.tensors import StoredTensor
    from encoders.config import EncoderConfig
    from encoders.tokenizer import Tokenizer

    Arrays = dict[str, tuple[str, np.ndarray]]  # name → kind of numbers and array

# Classes that the two toolkits call differently: transformers' name → PaddleNLP's.
_CLASSES = {
    "ConvBertForMaskedLM": "ConvBertGenerator",
    "ElectraForMaskedLM": "ElectraGenerator",
    "ElectraForPreTraining": "ElectraDiscriminator",
    "BertForPreTraining": "BertForPretraining",
    "ErnieForPreTraining": "ErnieForPretraining",
}
# Settings that only one of the two writes.
_OF_ONE_TOOLKIT = (
    "transformers_version", "paddlenlp_version", "init_class", "torch_dtype", "dtype", "num_labels",
)  # fmt: skip
_MAX_FLOAT16 = 65504
_BUFFERS = ("position_ids", "token_type_ids")  # tensors that are worked out anew, without weights in them
_MAX_NAMED = 4


def make_parser() -> CommandParser:
    parser = CommandParser(prog="python -m checkpoints.convert", description=__doc__)
    parser.add_argument(
        "source", metavar="SRC", help="a model folder of either layout, or the name of a published model"
    )
    parser.add_argument("target", metavar="DST", help="the folder to write; must be empty or new")
    parser.add_argument("--to", required=True, choices=("huggingface", "paddlenlp"), help="the layout of DST")
    parser.add_argument(
        "--dtype",
        choices=("stored", "float16"),
        default="stored",
        help="stored: every number as it is; float16: rounded to it, half the size (default: stored)",
    )
    add_label_map(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    flags = make_parser().parse_args(argv)
    from checkpoints.folder import read_config
    from checkpoints.registry import model_folder, resolve
    from checkpoints.tokenizer import tokenizer_of

    source, target = model_folder(resolve(flags.source)), Path(flags.target)
    tokenizer = tokenizer_of(source, read_config(source))
    for note in convert(source, target, flags.to, flags.dtype, tokenizer, flags.label_map):
        say(f"note: {note}")
    print(flags.target)


def convert(
    source: Path,
    target: Path,
    to: str,
    dtype: str = "stored",
    tokenizer: "Tokenizer | None" = None,
    label_map: str | None = None,
) -> list[str]:
    """Write a model folder again in another toolkit's layout.

    Args:
        source: The model folder.
        target: The folder to write; new or empty.
        to: ``huggingface`` or ``paddlenlp``.
        dtype: ``stored``: every number as it is; ``float16``.
        tokenizer: source's, whose files go along; without it weights and configuration alone are written.
        label_map: Names of the labels, a comma list in the order of their ids; None: as the folder says.

    Returns:
        What a user should know.

    Raises:
        InputError: A tensor has no name on the other side, or float16 cannot hold it.
    """
    from checkpoints.config_file import architecture_of
    from checkpoints.folder import check_manifest, open_checkpoint
    from checkpoints.labels import split_label_map, with_label_map
    from checkpoints.weight_files import open_weights

    if target.exists() and not target.is_dir():
        raise InputError("is a file; name a new folder", path=target)
    if target.is_dir() and any(target.iterdir()):
        raise InputError("is not empty; name a new folder", path=target)
    check_manifest(source)
    checkpoint = open_checkpoint(source)
    config = checkpoint.config
    if label_map:
        config = with_label_map(config, split_label_map(label_map), label_map)
    weights = checkpoint.weights or open_weights(source)
    tensors = weights.tensors
    if dtype == "float16":
        tensors = {name: _halved(weights.path, name, tensor) for name, tensor in tensors.items()}
    architecture = _of_one_network(architecture_of(checkpoint.values))
    answers_questions = architecture.endswith("ForQuestionAnswering")
    arrays, notes = _renamed(weights.path, tensors, config, answers_questions, to)
    if any("pooler" in name for name in arrays) and config.is_conv:
        notes.append(
            "convbert.pooler is kept: newer PaddleNLP classifies through it, transformers and this "
            "project's network have none, so a classifier fine-tuned there answers differently elsewhere"
        )
    settings = _settings(checkpoint, config, architecture, to)
    return weights.notes + notes + _write(source, target, to, arrays, settings, tokenizer)


def _halved(path: Path, name: str, tensor: "StoredTensor") -> "StoredTensor":
    """A tensor of numbers as float16, rounded when it is read."""
    import numpy as np

    from checkpoints.formats.tensors import FLOATS, StoredTensor, as_float32

    def load() -> np.ndarray:
        wide = as_float32(path, name, tensor)
        if wide.size and (greatest := float(np.abs(wide).max())) > _MAX_FLOAT16:
            raise InputError(
                f"{name} holds {greatest:g}, beyond float16's {_MAX_FLOAT16}; leave out --dtype", path=path
            )
        return wide.astype(np.float16)

    return StoredTensor("F16", tensor.shape, load) if tensor.kind in FLOATS else tensor


def _renamed(
    path: Path, tensors: "dict[str, StoredTensor]", config: "EncoderConfig", answers_questions: bool, to: str
) -> "tuple[Arrays, list[str]]":
    """The arrays under the other toolkit's names, not rounded, and notes on what was left out."""
    from checkpoints.formats.tensors import FLOATS
    from checkpoints.mapping import convention_of, conversion_rules, to_ours, to_theirs
    from checkpoints.weight_files import OF_GENERATOR

    source = convention_of(tensors)
    prefix = f"{config.model_type}."
    rules = {rule.side(source).name: rule for rule in conversion_rules(config, answers_questions)}
    arrays: Arrays = {}
    left_out, unknown = [], []
    generator = [key for key in tensors if key.startswith(OF_GENERATOR)]
    for key, tensor in tensors.items():
        if key in generator:
            continue
        if key.rsplit(".", 1)[-1] in _BUFFERS:
            left_out.append(escape_unprintable(key, 100))
            continue
        rule = rules.get(key) or rules.get(prefix + key)
        if rule is None or tensor.kind not in FLOATS:
            remark = "" if rule is None else f" (stored as {tensor.kind})"
            unknown.append(escape_unprintable(key, 100) + remark)
            continue
        array = to_theirs(to_ours(tensor.load(), rule.side(source).layout), rule.side(to).layout)
        name = rule.side(to).name
        arrays[name if key in rules else name.removeprefix(prefix)] = (tensor.kind, array)
    if unknown:
        raise InputError(f"the other layout has no name for {_first(unknown)}", path=path)
    notes = [f"left out, as they are computed from the sizes: {_first(left_out)}"] if left_out else []
    if generator:
        notes.append(f"left out, the discriminator is the model: the generator ({len(generator)} tensors)")
    return arrays, notes


def _first(names: list[str]) -> str:
    more = f" (and {len(names) - _MAX_NAMED} more)" if len(names) > _MAX_NAMED else ""
    return ", ".join(names[:_MAX_NAMED]) + more


def _of_one_network(architecture: str) -> str:
    """The class; of a generator and a discriminator saved together, PaddleNLP's name of the latter's."""
    family, pair, _ = architecture.partition("ForTotalPretraining")
    return f"{family}Discriminator" if pair else architecture


def _settings(
    checkpoint: "Checkpoint", config: "EncoderConfig", architecture: str, to: str
) -> dict[str, Any]:
    """The new ``config.json``: every setting spelled out, as the two differ in their defaults."""
    from encoders.config import to_json

    values = {key: value for key, value in checkpoint.values.items() if key not in _OF_ONE_TOOLKIT}
    settings = values | to_json(config)
    if not config.id2label:
        del settings["id2label"], settings["label2id"]
    renamed = _CLASSES if to == "paddlenlp" else {theirs: ours for ours, theirs in _CLASSES.items()}
    if architecture:
        settings["architectures"] = [renamed.get(architecture, architecture)]
    return settings


def _write(
    source: Path,
    target: Path,
    to: str,
    arrays: "Arrays",
    settings: dict[str, Any],
    tokenizer: "Tokenizer | None",
) -> list[str]:
    from checkpoints.config_file import CONFIG, config_path
    from checkpoints.formats.paddle_file import write_paddle
    from checkpoints.formats.safetensors_file import write_safetensors
    from checkpoints.tokenizer import copy_tokenizer, files_not_copied
    from checkpoints.weight_files import PADDLE, SAFETENSORS, weight_files
    from common.files import atomic_folder, atomic_write, write_json

    with atomic_folder(target) as folder:
        name, write = (PADDLE, write_paddle) if to == "paddlenlp" else (SAFETENSORS, write_safetensors)
        with atomic_write(folder / name) as file:
            write(file, arrays)
        write_json(folder / CONFIG, settings)
        if tokenizer is None:
            return []
        notes = copy_tokenizer(tokenizer, folder, to)
    copied = [path.name for path in (*weight_files(source), config_path(source))]
    return notes + files_not_copied(source, copied)


if __name__ == "__main__":
    run(main)
