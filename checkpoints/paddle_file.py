"""Read and write ``model_state.pdparams``, a pickle of arrays, without running anything. No Paddle."""

import pickle
from pathlib import Path
from typing import IO, Any

import numpy as np

from checkpoints.tensors import StoredTensor
from checkpoints.unpickling import Tensor, broken, tensors_in, unpickle
from commands.errors import InputError

# What ``paddle.save`` adds to a state dict: the parameters' names inside Paddle, and which arrays were
# cut into parts because protocols 2 and 3 hold no more than 4 GB. The spelling is Paddle's.
_NAMES, _PARTS = "StructuredToParameterName@@", "UnpackBigParamInfor@@"


def open_paddle(path: Path) -> dict[str, StoredTensor]:
    """Name → tensor. A damaged file, and one that asks to run something: InputError."""
    with open(path, "rb") as file:
        found = unpickle(file, path)
        if file.read(1):
            raise InputError(f"{path}: goes on behind its end; fetch it again")
    if isinstance(found, dict):
        found = {key: value for key, value in found.items() if key != _NAMES}
        try:
            _join(found)
        except (TypeError, KeyError, AttributeError, ValueError) as error:
            broken(path, error)
    return tensors_in(path, found)


def _join(found: dict[Any, Any]) -> None:
    for name, whole in found.pop(_PARTS, {}).items():
        parts = [found.pop(part).stored for part in whole["slices"]]
        shape = tuple(int(n) for n in whole["OriginShape"])

        def load(parts: list[StoredTensor] = parts, shape: tuple[int, ...] = shape) -> np.ndarray:
            return np.concatenate([part.load() for part in parts]).reshape(shape)

        if sum(part.shape[0] for part in parts) != int(np.prod(shape)):
            raise ValueError(f"{name} of another size than its parts")
        found[name] = Tensor(StoredTensor(parts[0].kind, shape, load))


def write_paddle(file: IO[bytes], arrays: dict[str, tuple[str, np.ndarray]]) -> None:
    """Write name → (kind, array) as ``paddle.save`` writes a state dict; a bfloat16 is a uint16 there."""
    plain = {name: np.array(array, order="C") for name, (_, array) in sorted(arrays.items())}
    raw = pickle.dumps({**plain, _NAMES: {name: name for name in plain}}, protocol=3)
    # NumPy 2 writes a name that older ones lack, NumPy 1's is read by all.
    file.write(raw.replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n", 1))
