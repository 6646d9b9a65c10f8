"""The golden models as batches and names; their values are transformers 5.23.0's (tests/golden/README.md)."""

import string
from pathlib import Path

import numpy as np

from encoders.batching import Batch

GOLDEN = Path(__file__).parents[1] / "golden"
NAMES = sorted(path.parent.name for path in GOLDEN.glob("*/outputs.npz"))
# As many pieces as these models have embeddings for.
PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *string.ascii_lowercase]
PIECES += [f"##{letter}" for letter in string.ascii_lowercase]


def golden_batch(name: str, case: str) -> Batch:
    """What transformers got."""
    golden = np.load(GOLDEN / name / "outputs.npz")
    real = golden[f"{case}.attention_mask"]
    ids, types = (golden[f"{case}.{key}"].astype(np.int64) for key in ("input_ids", "token_type_ids"))
    mask = None if real.all() else real.astype(np.float32)
    return Batch(ids, types, mask, None, np.arange(len(ids)))
