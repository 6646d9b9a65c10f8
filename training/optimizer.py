"""AdamW with per-parameter rates, with or without bias correction; its state by parameter name."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from encoders.cpu import kernels
from encoders.framework import paddle
from training.config import TrainingConfig

_MOMENTS = ("moment1", "moment2", "beta1_pow_acc", "beta2_pow_acc")


class AdamW(paddle.optimizer.AdamW):
    """Paddle's AdamW (arXiv:1711.05101), whose bias correction can be left out.

    Update: p −= rate · (m̂ / (√v̂ + epsilon) + weight_decay · p). Paddle corrects by 1 − βᵗ, from
    accumulators of βᵗ; without correction these start at 0 and stay there, so 1 − 0 divides by nothing.
    """

    def __init__(self, bias_correction: bool, **settings: Any) -> None:
        super().__init__(**settings)
        self._bias_correction, self._settings = bias_correction, settings

    def step(self) -> None:
        """Clip and update; on CPUs in one compiled pass over each parameter where that can be had."""
        pairs = [(p, p.grad) for p in self._settings["parameters"] if not p.stop_gradient]
        pairs = [(parameter, gradient) for parameter, gradient in pairs if gradient is not None]
        with paddle.no_grad():
            in_place = all(parameter.is_contiguous() for parameter, _ in pairs)
            if in_place and kernels.usable(*(tensor for pair in pairs for tensor in pair)):
                self._compiled_step(pairs)
            else:
                super().step()

    def _compiled_step(self, pairs: list[tuple[paddle.Tensor, paddle.Tensor]]) -> None:
        settings, scale = self._settings, 1.0
        if getattr(self, "helper", None) is None:  # as Paddle's own step begins
            setattr(self, "helper", paddle.base.layer_helper.LayerHelper(type(self).__name__))  # noqa: B010
        block = paddle.static.default_main_program().global_block()
        self._create_accumulators(block, [parameter for parameter, _ in pairs])
        if settings["grad_clip"] is not None:
            sums = np.zeros(len(pairs))
            for number, (_, gradient) in enumerate(pairs):
                kernels.call("squares", gradient, sums[number : number + 1], math.prod(gradient.shape))
            most = settings["grad_clip"].clip_norm
            scale = most / max(math.sqrt(sums.sum()), most)
        numbers = [float(settings[name]) for name in ("beta1", "beta2", "epsilon")]
        names = ("moment1", "moment2", "beta1_pow", "beta2_pow")
        kinds = [getattr(self, f"_{name}_acc_str") for name in names]
        for parameter, gradient in pairs:
            state = [self._get_accumulator(kind, parameter) for kind in kinds]
            rate = float(self.get_lr() * parameter.optimize_attr["learning_rate"])
            is_decayed = settings["apply_decay_param_fun"](parameter.name)
            decay = float(settings["weight_decay"]) if is_decayed else 0.0
            size = math.prod(gradient.shape)
            kernels.call("adamw", parameter, gradient, *state, rate, *numbers, decay, scale, size)

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


def make_optimizer(model: paddle.nn.Layer, recipe: TrainingConfig, scales: Mapping[str, float]) -> AdamW:
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
