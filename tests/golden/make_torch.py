"""Make the golden files of torch/ with PyTorch; see README.md. Not run by the tests.

    python tests/golden/make_torch.py

The same state dict in both formats of ``torch.save``: ``zip.bin`` and ``legacy.bin``. ``expected.npz``: its
arrays (bfloat16 as float32). ``electra.bin``: the weights of ../electra with a buffer of older transformers.
"""

from collections import OrderedDict
from pathlib import Path

import numpy as np
import safetensors.torch
import torch

HERE = Path(__file__).resolve().parent / "torch"


def main() -> None:
    generator = torch.Generator().manual_seed(0)
    whole = torch.randn(4, 6, generator=generator)
    tensors = {
        "plain": whole,
        "tied": whole,
        "turned": whole.T,
        "part": whole[1:3, 2:5],
        "expanded": whole[:, :1].expand(4, 3),
        "number": torch.tensor(2.5),
        "none": torch.empty(0, 3),
        "parameter": torch.nn.Parameter(torch.randn(3, generator=generator)),
        "double": whole[0].double() / 3,
        "half": whole[1].half(),
        "brain": whole[2].bfloat16(),
        "position_ids": torch.arange(5)[None],
        "mask": torch.tensor([True, False]),
        "bytes": torch.arange(3, dtype=torch.uint8),
    }
    state = OrderedDict(tensors)
    state._metadata = OrderedDict({"": {"version": 1}})  # as Module.state_dict() does
    torch.save(state, HERE / "zip.bin")
    torch.save(state, HERE / "legacy.bin", _use_new_zipfile_serialization=False)
    arrays = {
        name: (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).detach().numpy()
        for name, tensor in tensors.items()
    }
    np.savez(HERE / "expected.npz", **arrays)
    weights = safetensors.torch.load_file(HERE.parent / "electra" / "model.safetensors")
    torch.save({"electra.embeddings.position_ids": torch.arange(40)[None], **weights}, HERE / "electra.bin")


if __name__ == "__main__":
    main()
