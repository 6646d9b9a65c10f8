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
from common.messages import say

if TYPE_CHECKING:
    import numpy as np

    from checkpoints.formats.tensors import StoredTensor
    from checkpoints.mapping import Rule
    from encoders.config import EncoderConfig
    from encoders.tokenizer import Tokenizer

# Classes that the two call differently.
_CLASSES = {
    "ConvBertForMaskedLM": "ConvBertGenerator",
    "ElectraForMaskedLM": "ElectraGenerator",
    "ElectraForPreTraining": "ElectraDiscriminator",
    "BertForPreTraining": "BertForPretraining",
    "ErnieForPreTraining": "ErnieForPretraining",
}
# What only one of the two has in its configuration.
_OF_ONE_SIDE = (
    "transformers_version",
    "paddlenlp_version",
    "init_class",
    "torch_dtype",
    "dtype",
    "num_labels",
)
_FLOAT16_MOST = 65504
# What a tensor may be that is worked out anew and has no weights in it.
_BUFFERS = ("position_ids", "token_type_ids")


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
    from checkpoints.registry import resolve
    from checkpoints.validation import model_folder, tokenizer_of

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
    """Write source's model into the folder target in the layout ``huggingface`` or ``paddlenlp``.

    tokenizer: source's, whose files go along; without it weights and configuration alone are written.
    label_map: names of the labels, a comma list in the order of their ids; None: as the folder says.
    Returns what a user should know. A tensor without a name on the other side, and one that float16 (where
    that is the dtype) cannot hold: InputError.
    """
    from checkpoints.folder import read_config
    from checkpoints.labels import parts_of, renamed
    from checkpoints.model_config import architecture_of, read_values
    from checkpoints.validation import check_manifest
    from checkpoints.weights import open_weights

    if target.exists() and not target.is_dir():
        raise InputError(f"{target}: is a file; name a new folder")
    if target.is_dir() and any(target.iterdir()):
        raise InputError(f"{target}: is not empty; name a new folder")
    check_manifest(source)
    config, values = read_config(source), read_values(source)
    if label_map:
        config = renamed(config, parts_of(label_map), label_map)
    path, stored, notes = open_weights(source)
    if dtype == "float16":
        stored = {name: _halved(path, name, tensor) for name, tensor in stored.items()}
    architecture = _of_one_network(architecture_of(values))
    arrays, more = _renamed(path, stored, config, architecture.endswith("ForQuestionAnswering"), to)
    notes += more
    if any("pooler" in name for name in arrays) and config.is_conv:
        notes.append(
            "convbert.pooler goes along: newer PaddleNLP classifies through it, transformers and this "
            "project's network have none, so a classifier fine-tuned there answers differently elsewhere"
        )
    settings = _settings(values, config, architecture, to)
    return notes + _write(source, target, to, arrays, settings, tokenizer)


def _halved(path: Path, name: str, tensor: "StoredTensor") -> "StoredTensor":
    """A tensor of numbers as float16, made when it is read."""
    import numpy as np

    from checkpoints.formats.tensors import FLOATS, StoredTensor, as_float32

    def load() -> np.ndarray:
        wide = as_float32(path, name, tensor)
        if wide.size and (most := float(np.abs(wide).max())) > _FLOAT16_MOST:
            raise InputError(
                f"{path}: {name} holds {most:g}, beyond float16's {_FLOAT16_MOST}; leave out --dtype"
            )
        return wide.astype(np.float16)

    return StoredTensor("F16", tensor.shape, load) if tensor.kind in FLOATS else tensor


def _renamed(
    path: Path, stored: "dict[str, StoredTensor]", config: "EncoderConfig", answers_questions: bool, to: str
) -> "tuple[dict[str, tuple[str, np.ndarray]], list[str]]":
    """Name on the other side → kind and array, not rounded; and what was left out."""
    from checkpoints.formats.pickle_machine import shown
    from checkpoints.formats.tensors import FLOATS
    from checkpoints.mapping import all_rules, convention_of, to_ours, to_theirs
    from checkpoints.weights import OF_GENERATOR

    source = convention_of(list(stored))
    table = _by_name(all_rules(config, answers_questions), config, source)
    arrays: dict[str, tuple[str, np.ndarray]] = {}
    left_out, unknown = [], []
    generator = [key for key in stored if key.startswith(OF_GENERATOR)]
    for key, tensor in stored.items():
        if key in generator:
            continue
        if key.rsplit(".", 1)[-1] in _BUFFERS:
            left_out.append(shown(key))
            continue
        rule, layer, prefix = table.get(key, (None, 0, ""))
        if rule is None or tensor.kind not in FLOATS:
            unknown.append(shown(key) + ("" if rule is None else f" (stored as {tensor.kind})"))
            continue
        array = to_theirs(to_ours(tensor.load(), rule.side(source).layout), rule.side(to).layout)
        name = rule.side(to).name.format(base=config.model_type).replace("*", str(layer))
        arrays[name if prefix else name.removeprefix(f"{config.model_type}.")] = (tensor.kind, array)
    if unknown:
        raise InputError(f"{path}: nothing on the other side is called {_first(unknown)}")
    notes = [f"left out, made anew from the sizes: {_first(left_out)}"] if left_out else []
    if generator:
        notes.append(f"left out, the discriminator is the model: the generator ({len(generator)} tensors)")
    return arrays, notes


def _first(names: list[str], most: int = 4) -> str:
    more = f" (and {len(names) - most} more)" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _of_one_network(architecture: str) -> str:
    """The class; of a generator and a discriminator saved together, PaddleNLP's name of the latter's."""
    family, pair, _ = architecture.partition("ForTotalPretraining")
    return f"{family}Discriminator" if pair else architecture


def _by_name(
    rules: "list[Rule]", config: "EncoderConfig", convention: str
) -> "dict[str, tuple[Rule | None, int, str]]":
    """A tensor's name → its rule, its layer, and its prefix; a bare encoder's names have none."""
    table: dict[str, tuple[Rule | None, int, str]] = {}
    prefix = f"{config.model_type}."
    for rule in rules:
        pattern = rule.side(convention).name
        for layer in range(config.num_hidden_layers) if "*" in pattern else [0]:
            name = pattern.format(base=config.model_type).replace("*", str(layer))
            table[name] = (rule, layer, prefix)
            if name.startswith(prefix):
                table[name.removeprefix(prefix)] = (rule, layer, "")
    return table


def _settings(values: dict[str, Any], config: "EncoderConfig", architecture: str, to: str) -> dict[str, Any]:
    """The new ``config.json``: every setting spelled out, as the two differ in what they take by default."""
    from encoders.config import to_json

    settings = {key: value for key, value in values.items() if key not in _OF_ONE_SIDE} | to_json(config)
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
    arrays: "dict[str, tuple[str, np.ndarray]]",
    settings: dict[str, Any],
    tokenizer: "Tokenizer | None",
) -> list[str]:
    from checkpoints.formats.paddle_file import write_paddle
    from checkpoints.formats.safetensors_file import write_safetensors
    from checkpoints.model_config import CONFIG, config_path
    from checkpoints.tokenizer_carrying import carry_tokenizer, left_behind
    from checkpoints.weights import PADDLE, SAFETENSORS, weight_files
    from common.files import atomic_folder, atomic_write, write_json

    with atomic_folder(target) as folder:
        name, write = (PADDLE, write_paddle) if to == "paddlenlp" else (SAFETENSORS, write_safetensors)
        with atomic_write(folder / name) as file:
            write(file, arrays)
        write_json(folder / CONFIG, settings)
        if tokenizer is None:
            return []
        notes = carry_tokenizer(tokenizer, folder, to)
    carried = [path.name for path in (*weight_files(source), config_path(source))]
    return notes + left_behind(source, carried)


if __name__ == "__main__":
    run(main)
