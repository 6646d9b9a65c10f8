"""Read and write ``model_state.pdparams``, a pickle of arrays, without running anything. No Paddle."""

import pickle
from pathlib import Path
from typing import IO, Any

import numpy as np

from checkpoints.formats.pickles.allowed import PickledTensor, raise_damaged, tensors_in, unpickle
from checkpoints.formats.tensors import StoredTensor, count_of
from common.errors import InputError

# What ``paddle.save`` adds to a state dict: the parameters' names inside Paddle, and which arrays were
# cut into parts because protocols 2 and 3 hold no more than 4 GB. The spelling is Paddle's.
_NAMES, _PARTS = "StructuredToParameterName@@", "UnpackBigParamInfor@@"


def open_paddle(path: Path) -> dict[str, StoredTensor]:
    """Name → tensor. A damaged file, and one that asks to run something: InputError."""
    end = path.stat().st_size
    with open(path, "rb") as file:
        content = unpickle(file, path, end)
        if file.read(1):
            raise InputError("has bytes after its end; fetch it again", path=path)
    if isinstance(content, dict):
        content = {key: value for key, value in content.items() if key != _NAMES}
        try:
            _join_parts(content)
        except (TypeError, LookupError, AttributeError, ValueError) as error:
            raise_damaged(path, error)
    return tensors_in(path, content)


def _join_parts(content: dict[str, Any]) -> None:
    for name, whole in content.pop(_PARTS, {}).items():
        keys, shape = whole["slices"], tuple(whole["OriginShape"])
        if not isinstance(keys, list | tuple) or not all(isinstance(key, str) for key in keys):
            raise ValueError("parts without names")
        parts = [content.pop(key).stored for key in keys]
        count = count_of(shape)

        def load(parts: list[StoredTensor] = parts, shape: tuple[int, ...] = shape) -> np.ndarray:
            return np.concatenate([part.load() for part in parts]).reshape(shape)

        if len({part.kind for part in parts}) != 1 or any(len(part.shape) != 1 for part in parts):
            raise ValueError("parts of several kinds")
        if sum(part.shape[0] for part in parts) != count:
            raise ValueError(f"{name} of another size than its parts")
        content[name] = PickledTensor(StoredTensor(parts[0].kind, shape, load))


def write_paddle(file: IO[bytes], arrays: dict[str, tuple[str, np.ndarray]]) -> None:
    """Write name → (kind, array) as ``paddle.save`` writes a state dict; a bfloat16 is a uint16 there."""
    plain = {name: np.array(array, order="C") for name, (_, array) in sorted(arrays.items())}
    raw = pickle.dumps({**plain, _NAMES: {name: name for name in plain}}, protocol=3)
    # NumPy 2 writes a name that older ones lack, NumPy 1's is read by all.
    file.write(raw.replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n", 1))
