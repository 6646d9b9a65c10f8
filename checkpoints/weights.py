"""The weights of a model folder, whichever file or files hold them. No Paddle."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from checkpoints.formats.paddle_file import open_paddle
from checkpoints.formats.pickle_machine import shown
from checkpoints.formats.safetensors_file import open_safetensors
from checkpoints.formats.tensors import StoredTensor
from checkpoints.formats.torch_file import open_torch
from checkpoints.wrappers import unwrapped
from common.errors import InputError
from common.files import why_missing
from common.json_files import read_json_object
from common.text import stand_in

SAFETENSORS, TORCH, PADDLE = "model.safetensors", "pytorch_model.bin", "model_state.pdparams"
# In the order in which they are looked for; each may be cut into shards that an index names.
_READERS: dict[str, Callable[[Path], dict[str, StoredTensor]]] = {
    SAFETENSORS: open_safetensors,
    TORCH: open_torch,
    PADDLE: open_paddle,
}
WEIGHT_FILES = tuple(_READERS)
INDEX = ".index.json"  # what follows the whole file's name
_LONGEST_INDEX = 20_000_000  # bytes; a tensor takes about 100
# Of other formats, or under names that nobody can be sure of.
_OTHER_WEIGHTS = (
    ".safetensors",
    ".bin",
    ".pdparams",
    ".h5",
    ".msgpack",
    ".pt",
    ".pth",
    ".ckpt",
    ".onnx",
    ".gguf",
)
# PEFT's: the file that describes an adapter, the two that hold one, names of tensors in a model that has one.
ADAPTER, _ADAPTER_WEIGHTS = "adapter_config.json", ("adapter_model.safetensors", "adapter_model.bin")
_OF_ADAPTER = re.compile(r"(^|\.)(base_layer|lora_\w+|ia3_l|modules_to_save|original_module)(\.|$)", re.ASCII)
MERGE = "merge it into its model (merge_and_unload), save that with save_pretrained, and name its folder"
_SHARD = re.compile(r".+-\d{5}-of-\d{5}(\.\w+)", re.ASCII)
# What trainers save beside a model, to go on with.
_OF_TRAINING = re.compile(
    r"(optimizer|scheduler|scaler|rng_state|random_states|training_args)[\w-]*\.\w+", re.ASCII
)
# Of networks trained in pairs, ELECTRA's way, as one state dict. The generator's keep their prefix.
_OF_DISCRIMINATOR, OF_GENERATOR = "discriminator.", "generator."


def weights_path(folder: str | Path) -> Path | None:
    """The file that holds a folder's weights or the index of those that do, or None."""
    for name in WEIGHT_FILES:
        for path in (Path(folder) / name, Path(folder) / (name + INDEX)):
            if path.is_file():
                return path
    return None


def weight_files(folder: str | Path) -> list[Path]:
    """All files that a folder's weights are in, none if it has none; InputError for a damaged index."""
    path = weights_path(folder)
    if path is None:
        return []
    return [path, *_shards(path)[1]] if path.name.endswith(INDEX) else [path]


class Weights(NamedTuple):
    """The file (or the index) that was opened, its tensors by name, none read yet, and notes on the names."""

    path: Path
    tensors: dict[str, StoredTensor]
    notes: list[str]


def open_weights(folder: str | Path) -> Weights:
    """Open a folder's weights; InputError if there are none.

    Of a generator and a discriminator saved together the discriminator is the model. Names are as the model
    itself has them: a wrapper's prefix is taken off, which a note says.
    """
    path = weights_path(folder)
    if path is None:
        links = [Path(folder) / name for name in WEIGHT_FILES if (Path(folder) / name).is_symlink()]
        wanted = (*links, Path(folder) / SAFETENSORS)[0]
        raise InputError(f"{wanted}: {why_missing(wanted)}; {_what_is_there(Path(folder))}")
    _check_adapter(Path(folder))
    read = _READERS[path.name.removesuffix(INDEX)]
    tensors = _open_shards(path, read) if path.name.endswith(INDEX) else _open(path, read)
    if of_adapter := [key for key in tensors if _OF_ADAPTER.search(key)]:
        raise InputError(
            f"{path}: {shown(of_adapter[0])} is of an adapter (PEFT) that is not merged: {MERGE}"
        )
    renamed = {_plain(key): tensor for key, tensor in tensors.items()}
    if len(renamed) != len(tensors):
        raise InputError(
            f"{path}: holds LayerNorm parameters under two names (gamma and weight, beta and bias)"
        )
    try:
        tensors, notes = unwrapped(renamed)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    return Weights(path, tensors, [f"{path}: {note}" for note in notes])


def _check_adapter(folder: Path) -> None:
    """InputError if an adapter stands beside a model, as transformers would apply it."""
    weights = [name for name in _ADAPTER_WEIGHTS if (folder / name).is_file()]
    if weights and (folder / ADAPTER).is_file():
        raise InputError(
            f"{folder / ADAPTER}: an adapter (PEFT) stands beside the model and is not applied: {MERGE}; "
            f"or remove {ADAPTER} and {weights[0]} if the model is meant without it"
        )


def _plain(key: str) -> str:
    """A tensor's name today: Google's oldest exports name LayerNorm's parameters gamma and beta."""
    key = key.removeprefix(_OF_DISCRIMINATOR)
    return key.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias")


def _what_is_there(folder: Path) -> str:
    """Which names weights have, and what a folder has instead."""
    others = sorted(
        path.name
        for path in folder.glob("*")
        if path.suffix in _OTHER_WEIGHTS or path.name.endswith((".ckpt.index", ".ckpt.meta"))
    )
    usual = f"weights are read from {', '.join(WEIGHT_FILES)}"
    if remedy := _of_deepspeed(folder) or _without_index(others):
        return f"{usual}; {remedy}"
    of_training = [name for name in others if _OF_TRAINING.fullmatch(name)]
    others = [name for name in others if name not in of_training]
    if not others:
        return (
            f"{usual}; {shown(of_training[0])} is the state of a training, no model" if of_training else usual
        )
    of_adapter = [name for name in others if name.startswith("adapter_model.")]
    if of_adapter:
        return f"{usual}; {of_adapter[0]} is an adapter: {MERGE}"
    same = [name for name in others if Path(name).suffix in (".safetensors", ".bin", ".pdparams")]
    remedy = (
        f"if {shown(same[0])} holds them, give it that name"
        if same
        else f"{shown(others[0])} is not read: save the model with save_pretrained of transformers (PyTorch)"
    )
    return f"{usual}; {remedy}"


def _of_deepspeed(folder: Path) -> str:
    """How the weights in a folder of DeepSpeed become one file; empty where it is none."""
    if not any(folder.glob("global_step*/")) and not (folder / "zero_to_fp32.py").is_file():
        return ""
    return (
        "this is a checkpoint of DeepSpeed: run python zero_to_fp32.py . pytorch_model.bin in that folder "
        "(where DeepSpeed wants a folder for its second argument: . .)"
    )


def _without_index(others: list[str]) -> str:
    """What to do about shards whose index is missing; empty where there are none."""
    for shard in others:
        part = _SHARD.fullmatch(shard)
        for name in WEIGHT_FILES:
            if part and Path(name).suffix == part[1]:
                return (
                    f"{shown(shard)} is a part of them, but {name + INDEX}, which lists the parts, is "
                    "missing: fetch it too, or save the model with save_pretrained again"
                )
    return ""


def _open(path: Path, read: Callable[[Path], dict[str, StoredTensor]]) -> dict[str, StoredTensor]:
    with open(path, "rb") as file:
        form = stand_in(file.read(512))
    if form:
        raise InputError(f"{path}: {form}")
    return read(path)


def _open_shards(index: Path, read: Callable[[Path], dict[str, StoredTensor]]) -> dict[str, StoredTensor]:
    names, files = _shards(index)
    tensors: dict[str, StoredTensor] = {}
    for file in files:
        if not file.is_file():
            raise InputError(f"{file}: no such file; {index.name} says that weights are there: fetch it too")
        found = _open(file, read)
        if twice := sorted(found.keys() & tensors.keys()):
            raise InputError(f"{file}: {shown(twice[0])} is in another file of {index.name} as well")
        tensors |= found
    if absent := sorted(names - tensors.keys()):
        more = f" (and {len(absent) - 1} more)" if len(absent) > 1 else ""
        raise InputError(f"{index}: names {shown(absent[0])}{more}, which none of its files holds")
    return tensors


def _shards(index: Path) -> tuple[set[str], list[Path]]:
    """The tensors that an index names, and its files in order, there or not."""
    if index.stat().st_size > _LONGEST_INDEX:
        raise InputError(f"{index}: has {index.stat().st_size} bytes; fetch it again")
    table = read_json_object(index).get("weight_map")
    if not isinstance(table, dict) or not table:
        raise InputError(f"{index}: has no weight_map from tensors to files; fetch it again")
    end = re.escape(Path(index.name.removesuffix(INDEX)).suffix)
    for file in table.values():  # in this folder, and of the same kind
        if not isinstance(file, str) or not re.fullmatch(rf"[\w-][\w.-]*{end}", file, re.ASCII):
            raise InputError(f"{index}: {shown(str(file)[:100])} is no file of weights in its folder")
    return set(table), [index.parent / file for file in sorted(set(table.values()))]
