"""Top layers that begin new (Zhang et al. 2021, "Revisiting Few-sample BERT Fine-tuning", arXiv:2006.05987).

The paper renews 1 to 6 of BERT's layers and the pooler, whose pretraining does not help small tasks.
"""

from collections.abc import Sequence

import numpy as np

from common.errors import InputError
from encoders.framework import paddle
from training.layer_decay import depths


def initial_arrays(
    model: paddle.nn.Layer, rules: Sequence[tuple[str, int]], layers: int, count: int
) -> dict[str, np.ndarray]:
    """The ``count`` top layers, and the head with its pooler, of a network just built, by name; none if 0.

    They are random as in pretraining: normal weights, biases 0, LayerNorm 1.
    """
    if count > layers:
        raise InputError(f"--reinit_layers {count}: the model has {layers} layers")
    if not count:
        return {}
    parameters = dict(model.named_parameters())
    depth = depths(parameters, rules)
    return {name: p.numpy() for name, p in parameters.items() if depth[name] > layers - count}


def reinitialise(model: paddle.nn.Layer, arrays: dict[str, np.ndarray]) -> list[str]:
    """Put the arrays back after a checkpoint was filled in; returns the notes to log."""
    for name, parameter in model.named_parameters():
        if name in arrays:
            parameter.set_value(arrays[name])
    return [f"begins new (--reinit_layers): {', '.join(arrays)}"] if arrays else []
