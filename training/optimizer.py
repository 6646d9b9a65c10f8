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
        """The same step in our kernels: a pass over the gradients for their norm, then one a parameter."""
        self._prepare_accumulators([parameter for parameter, _ in pairs])
        clip_scale = self._clip_scale([gradient for _, gradient in pairs])
        kinds = ("moment1", "moment2", "beta1_pow", "beta2_pow")  # in the kernel's order
        names = [getattr(self, f"_{kind}_acc_str") for kind in kinds]
        betas_and_epsilon = [float(self._settings[name]) for name in ("beta1", "beta2", "epsilon")]
        for parameter, gradient in pairs:
            accumulators = [self._get_accumulator(name, parameter) for name in names]
            rate = float(self.get_lr() * parameter.optimize_attr["learning_rate"])
            is_decayed = self._settings["apply_decay_param_fun"](parameter.name)
            decay = float(self._settings["weight_decay"]) if is_decayed else 0.0
            kernels.call(
                "adamw", parameter, gradient, *accumulators, rate, *betas_and_epsilon, decay, clip_scale,
                math.prod(gradient.shape),
            )  # fmt: skip

    def _prepare_accumulators(self, parameters: list[paddle.Tensor]) -> None:
        """Make the moments of parameters that have none yet, as Paddle's own step begins."""
        if getattr(self, "helper", None) is None:
            setattr(self, "helper", paddle.base.layer_helper.LayerHelper(type(self).__name__))  # noqa: B010
        self._create_accumulators(paddle.static.default_main_program().global_block(), parameters)

    def _clip_scale(self, gradients: list[paddle.Tensor]) -> float:
        """What the gradients are multiplied with so that their global norm is at most the limit."""
        clip = self._settings["grad_clip"]
        if clip is None:
            return 1.0
        squares = np.zeros(len(gradients))
        for number, gradient in enumerate(gradients):
            kernels.call("squares", gradient, squares[number : number + 1], math.prod(gradient.shape))
        return float(clip.clip_norm / max(math.sqrt(squares.sum()), clip.clip_norm))

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


def make_optimizer(model: paddle.nn.Layer, config: TrainingConfig, scales: Mapping[str, float]) -> AdamW:
    """Make the optimizer of a run; scales: the learning-rate scale of every parameter, by name."""
    decayed = set()
    for name, parameter in model.named_parameters():
        parameter.optimize_attr["learning_rate"] = scales[name]
        if is_decayed(name):
            decayed.add(parameter.name)
    clip = paddle.nn.ClipGradByGlobalNorm(config.max_grad_norm) if config.max_grad_norm else None
    return AdamW(
        bias_correction=config.bias_correction,
        learning_rate=config.learning_rate,
        beta1=config.adam_beta1,
        beta2=config.adam_beta2,
        epsilon=config.adam_epsilon,
        parameters=model.parameters(),
        weight_decay=config.weight_decay,
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
