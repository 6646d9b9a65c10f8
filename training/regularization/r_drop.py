"""R-Drop (Liang et al. 2021, arXiv:2106.14448): two dropout masks on a row should give one answer."""

import numpy as np

from encoders.batching import Batch
from encoders.framework import paddle

F = paddle.nn.functional


def doubled(batch: Batch) -> Batch:
    """Every row twice: the batch and, after it, the batch again, so that one pass draws both masks."""

    def twice(array: np.ndarray) -> np.ndarray:
        return np.concatenate([array, array])

    mask = None if batch.mask is None else twice(batch.mask)
    targets = None if batch.targets is None else twice(batch.targets)
    return Batch(twice(batch.ids), twice(batch.token_types), mask, targets, twice(batch.rows))


def symmetric_kl(logits: paddle.Tensor) -> paddle.Tensor:
    """Sum over the rows of ½ · (KL(P₁‖P₂) + KL(P₂‖P₁)), the paper's equation 2.

    A regression (L = 1) has no distributions: there it is the squared difference, as in the authors' code
    (dropreg/R-Drop, modeling_bert.py).

    Args:
        logits: (2B, L) of a ``doubled`` batch.

    Returns:
        Scalar, in nats, at least 0.
    """
    first, second = logits.astype("float32").split(2)  # (B, L) each
    if logits.shape[1] == 1:
        return F.square_error_cost(first, second).sum()
    first, second = F.log_softmax(first), F.log_softmax(second)
    return 0.5 * ((first.exp() - second.exp()) * (first - second)).sum()
