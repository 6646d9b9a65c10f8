"""The weights of a model folder, whichever file or files hold them. No Paddle."""

import re
from collections.abc import Callable
from pathlib import Path

from checkpoints.paddle_file import open_paddle
from checkpoints.pickle_machine import shown
from checkpoints.safetensors_file import open_safetensors
from checkpoints.tensors import StoredTensor
from checkpoints.torch_file import open_torch
from commands.errors import InputError
from commands.files import read_json_object

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


def open_weights(folder: str | Path) -> tuple[Path, dict[str, StoredTensor]]:
    """The file (or the index) and the tensors by name, none read yet; InputError if there is no such file.

    Of a generator and a discriminator saved together the discriminator is the model.
    """
    path = weights_path(folder)
    if path is None:
        wanted = Path(folder) / SAFETENSORS
        raise InputError(f"{wanted}: no such file; weights are read from {', '.join(WEIGHT_FILES)}")
    read = _READERS[path.name.removesuffix(INDEX)]
    tensors = _open_shards(path, read) if path.name.endswith(INDEX) else read(path)
    # Google's oldest exports name LayerNorm's parameters gamma and beta.
    return path, {
        key.removeprefix(_OF_DISCRIMINATOR)
        .replace("LayerNorm.gamma", "LayerNorm.weight")
        .replace("LayerNorm.beta", "LayerNorm.bias"): tensor
        for key, tensor in tensors.items()
    }


def _open_shards(index: Path, read: Callable[[Path], dict[str, StoredTensor]]) -> dict[str, StoredTensor]:
    names, files = _shards(index)
    tensors: dict[str, StoredTensor] = {}
    for file in files:
        if not file.is_file():
            raise InputError(f"{file}: no such file; {index.name} says that weights are there: fetch it too")
        found = read(file)
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
