"""The weights of a model folder: which files hold them, and their tensors, none read yet. No Paddle."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from checkpoints.formats.paddle_file import open_paddle
from checkpoints.formats.safetensors_file import open_safetensors
from checkpoints.formats.tensors import StoredTensor
from checkpoints.formats.torch_file import open_torch
from checkpoints.prefixes import without_prefixes
from common.errors import InputError
from common.files import why_missing
from common.json_files import read_json_object
from common.messages import escape_unprintable
from common.text import stand_in

Tensors = dict[str, StoredTensor]
SAFETENSORS, TORCH, PADDLE = "model.safetensors", "pytorch_model.bin", "model_state.pdparams"
# In the order in which they are looked for; each may be cut into shards that an index names.
_READERS: dict[str, Callable[[Path], Tensors]] = {
    SAFETENSORS: open_safetensors,
    TORCH: open_torch,
    PADDLE: open_paddle,
}
WEIGHT_FILES = tuple(_READERS)
INDEX = ".index.json"  # what follows the whole file's name
_MAX_INDEX = 20_000_000  # bytes; a tensor takes about 100
# Of other formats, or under names that nobody can be sure of.
_OTHER_WEIGHTS = (
    ".safetensors", ".bin", ".pdparams", ".h5", ".msgpack", ".pt", ".pth", ".ckpt", ".onnx", ".gguf",
)  # fmt: skip
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
    paths = (Path(folder) / file for name in WEIGHT_FILES for file in (name, name + INDEX))
    return next((path for path in paths if path.is_file()), None)


def has_weights(folder: str | Path) -> bool:
    return weights_path(folder) is not None


def weight_files(folder: str | Path) -> list[Path]:
    """All files that a folder's weights are in, none if it has none; InputError for a damaged index."""
    path = weights_path(folder)
    if path is None:
        return []
    return [path, *_shards(path)[1]] if path.name.endswith(INDEX) else [path]


class Weights(NamedTuple):
    """The file (or the index) that was opened, its tensors by name, none read yet, and notes on the names."""

    path: Path
    tensors: Tensors
    notes: list[str]


def open_weights(folder: str | Path) -> Weights:
    """Open a folder's weights; InputError if there are none.

    Of a generator and a discriminator saved together the discriminator is the model. Names are as the model
    itself has them: a wrapper's prefix is removed, with a note.
    """
    folder = Path(folder)
    path = weights_path(folder)
    if path is None:
        links = [folder / name for name in WEIGHT_FILES if (folder / name).is_symlink()]
        wanted = (*links, folder / SAFETENSORS)[0]
        raise InputError(f"{why_missing(wanted)}; {_remedy(folder)}", path=wanted)
    adapter = [name for name in _ADAPTER_WEIGHTS if (folder / name).is_file()]
    if adapter and (folder / ADAPTER).is_file():  # transformers would apply it
        remedy = f"{MERGE}; or remove {ADAPTER} and {adapter[0]} if the model is meant without it"
        reason = f"an adapter (PEFT) stands beside the model and is not applied: {remedy}"
        raise InputError(reason, path=folder / ADAPTER)
    read = _READERS[path.name.removesuffix(INDEX)]
    tensors = _open_shards(path, read) if path.name.endswith(INDEX) else _open(path, read)
    if of_adapter := [key for key in tensors if _OF_ADAPTER.search(key)]:
        name = escape_unprintable(of_adapter[0], 100)
        raise InputError(f"{name} is of an adapter (PEFT) that is not merged: {MERGE}", path=path)
    renamed = {_modern_name(key): tensor for key, tensor in tensors.items()}
    if len(renamed) != len(tensors):
        reason = "holds LayerNorm parameters under two names (gamma and weight, beta and bias)"
        raise InputError(reason, path=path)
    return Weights(path, *without_prefixes(path, renamed))


def _modern_name(key: str) -> str:
    """Google's oldest exports call LayerNorm's parameters gamma and beta."""
    key = key.removeprefix(_OF_DISCRIMINATOR)
    return key.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias")


def _remedy(folder: Path) -> str:
    """Which names weights have, and what to do with what the folder has instead."""
    usual = f"weights are read from {', '.join(WEIGHT_FILES)}"
    others = sorted(
        path.name
        for path in folder.glob("*")
        if path.suffix in _OTHER_WEIGHTS or path.name.endswith((".ckpt.index", ".ckpt.meta"))
    )
    models = [name for name in others if not _OF_TRAINING.fullmatch(name)]
    if any(folder.glob("global_step*/")) or (folder / "zero_to_fp32.py").is_file():
        remedy = (
            "this is a checkpoint of DeepSpeed: run python zero_to_fp32.py . pytorch_model.bin in that "
            "folder (where DeepSpeed wants a folder for its second argument: . .)"
        )
    elif shard := next((name for name in others if _index_of(name)), ""):
        remedy = (
            f"{escape_unprintable(shard, 100)} is a part of them, but {_index_of(shard)}, which lists the "
            "parts, is missing: fetch it too, or save the model with save_pretrained again"
        )
    elif not others:
        return usual
    elif not models:
        remedy = f"{escape_unprintable(others[0], 100)} is the state of a training, no model"
    elif adapter := [name for name in models if name.startswith("adapter_model.")]:
        remedy = f"{adapter[0]} is an adapter: {MERGE}"
    elif renamed := [name for name in models if Path(name).suffix in (".safetensors", ".bin", ".pdparams")]:
        remedy = f"if {escape_unprintable(renamed[0], 100)} holds them, give it that name"
    else:
        name = escape_unprintable(models[0], 100)
        remedy = f"{name} is not read: save the model with save_pretrained of transformers (PyTorch)"
    return f"{usual}; {remedy}"


def _index_of(shard: str) -> str:
    """The index that a shard of weights belongs to; empty where it is none by its name."""
    part = _SHARD.fullmatch(shard)
    return next((name + INDEX for name in WEIGHT_FILES if part and Path(name).suffix == part[1]), "")


def _open(path: Path, read: Callable[[Path], Tensors]) -> Tensors:
    with open(path, "rb") as file:
        if form := stand_in(file.read(512)):
            raise InputError(form, path=path)
    return read(path)


def _open_shards(index: Path, read: Callable[[Path], Tensors]) -> Tensors:
    names, files = _shards(index)
    tensors: Tensors = {}
    for file in files:
        if not file.is_file():
            reason = f"no such file; {index.name} says that weights are there: fetch it too"
            raise InputError(reason, path=file)
        shard = _open(file, read)
        if twice := sorted(shard.keys() & tensors.keys()):
            name = escape_unprintable(twice[0], 100)
            raise InputError(f"{name} is in another file of {index.name} as well", path=file)
        tensors |= shard
    if absent := sorted(names - tensors.keys()):
        more = f" (and {len(absent) - 1} more)" if len(absent) > 1 else ""
        name = escape_unprintable(absent[0], 100)
        raise InputError(f"names {name}{more}, which none of its files holds", path=index)
    return tensors


def _shards(index: Path) -> tuple[set[str], list[Path]]:
    """The tensors that an index names, and its files in order, there or not."""
    if index.stat().st_size > _MAX_INDEX:
        raise InputError(f"has {index.stat().st_size} bytes; fetch it again", path=index)
    table = read_json_object(index).get("weight_map")
    if not isinstance(table, dict) or not table:
        raise InputError("has no weight_map from tensors to files; fetch it again", path=index)
    suffix = re.escape(Path(index.name.removesuffix(INDEX)).suffix)
    for file in table.values():  # in this folder, and of the same kind
        if not isinstance(file, str) or not re.fullmatch(rf"[\w-][\w.-]*{suffix}", file, re.ASCII):
            name = escape_unprintable(str(file), 100)
            raise InputError(f"{name} is not a file of weights in its folder", path=index)
    return set(table), [index.parent / file for file in sorted(set(table.values()))]
