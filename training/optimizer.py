"""AdamW with per-parameter rates, with or without bias correction; its state by parameter name."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from convbert.framework import paddle
from training.recipe import Recipe

_MOMENTS = ("moment1", "moment2", "beta1_pow_acc", "beta2_pow_acc")


class AdamW(paddle.optimizer.AdamW):
    """Paddle's AdamW (arXiv:1711.05101), whose bias correction can be left out.

    Update: p −= rate · (m̂ / (√v̂ + epsilon) + weight_decay · p). Paddle corrects by 1 − βᵗ, from
    accumulators of βᵗ; without correction these start at 0 and stay there, so 1 − 0 divides by nothing.
    """

    def __init__(self, bias_correction: bool, **settings: Any) -> None:
        super().__init__(**settings)
        self._bias_correction = bias_correction

    def _create_accumulators(self, block, parameters):  # type: ignore[no-untyped-def]
        fresh = [p for p in parameters if p.name not in self._accumulators[self._moment1_acc_str]]
        super()._create_accumulators(block, parameters)
        if not self._bias_correction:
            for parameter in fresh:
                for kind in (self._beta1_pow_acc_str, self._beta2_pow_acc_str):
                    power = self._get_accumulator(kind, parameter)
                    power.set_value(paddle.zeros_like(power))


def is_decayed(name: str) -> bool:
    """Whether weight decay applies: to all but LayerNorm's parameters and biases."""
    return not (name.endswith("bias") or ".norm." in f".{name}")


def make_optimizer(model: paddle.nn.Layer, recipe: Recipe, scales: Mapping[str, float]) -> AdamW:
    """The optimiser of a run. scales: learning-rate scale of every parameter, by name."""
    decayed = set()
    for name, parameter in model.named_parameters():
        parameter.optimize_attr["learning_rate"] = scales[name]
        if is_decayed(name):
            decayed.add(parameter.name)
    clip = paddle.nn.ClipGradByGlobalNorm(recipe.max_grad_norm) if recipe.max_grad_norm else None
    return AdamW(
        bias_correction=recipe.bias_correction,
        learning_rate=recipe.learning_rate,
        beta1=recipe.adam_beta1,
        beta2=recipe.adam_beta2,
        epsilon=recipe.adam_epsilon,
        parameters=model.parameters(),
        weight_decay=recipe.weight_decay,
        apply_decay_param_fun=decayed.__contains__,
        grad_clip=clip,
    )


def optimizer_arrays(model: paddle.nn.Layer, optimizer: AdamW) -> dict[str, np.ndarray]:
    """The optimiser's moments under our parameter names: ``NAME:moment1`` → array."""
    state = optimizer.state_dict()
    arrays = {}
    for name, parameter in model.named_parameters():
        for kind in _MOMENTS:
            key = f"{parameter.name}_{kind}_0"
            if key in state:
                arrays[f"{name}:{kind}"] = state[key].numpy()
    return arrays


def restore_optimizer(model: paddle.nn.Layer, optimizer: AdamW, arrays: Mapping[str, np.ndarray]) -> None:
    """Put back what ``optimizer_arrays`` gave; ValueError if that was of another network."""
    parameters = dict(model.named_parameters())
    state = {}
    for key, array in arrays.items():
        name, _, kind = key.rpartition(":")
        wanted = parameters[name].shape if name in parameters and kind in _MOMENTS[:2] else [1]
        if name not in parameters or kind not in _MOMENTS or list(array.shape) != wanted:
            raise ValueError(f"{key} of shape {array.shape} does not fit this network")
        state[f"{parameters[name].name}_{kind}_0"] = paddle.to_tensor(array)
    optimizer.set_state_dict(state)
