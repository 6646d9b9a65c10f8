"""The weights of a model folder, whichever file holds them. No Paddle."""

from collections.abc import Callable
from pathlib import Path

from checkpoints.paddle_file import open_paddle
from checkpoints.safetensors_file import open_safetensors
from checkpoints.tensors import StoredTensor
from checkpoints.torch_file import open_torch
from commands.errors import InputError

SAFETENSORS, TORCH, PADDLE = "model.safetensors", "pytorch_model.bin", "model_state.pdparams"
# In the order in which they are looked for.
_READERS: dict[str, Callable[[Path], dict[str, StoredTensor]]] = {
    SAFETENSORS: open_safetensors,
    TORCH: open_torch,
    PADDLE: open_paddle,
}
WEIGHT_FILES = tuple(_READERS)


def weights_path(folder: str | Path) -> Path | None:
    """The file that holds a folder's weights, or None."""
    for name in WEIGHT_FILES:
        if (Path(folder) / name).is_file():
            return Path(folder) / name
    return None


def open_weights(folder: str | Path) -> tuple[Path, dict[str, StoredTensor]]:
    """The file and its tensors by name, none read yet; InputError if there is no such file."""
    path = weights_path(folder)
    if path is None:
        parts = sorted(Path(folder).glob("*.index.json"))
        said = f"; {parts[0].name} names several: merge them into one" if parts else ""
        wanted = Path(folder) / SAFETENSORS
        raise InputError(f"{wanted}: no such file; weights are read from {', '.join(WEIGHT_FILES)}{said}")
    # Google's oldest exports name LayerNorm's parameters gamma and beta.
    return path, {
        key.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias"): tensor
        for key, tensor in _READERS[path.name](path).items()
    }
