"""The exponential moving average of a network's weights over the steps."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np

from encoders.framework import paddle

_RAW = ":weight"


class EMA:
    """θ̄ₜ = (1 − d) Σᵢ dᵗ⁻ⁱ θᵢ / (1 − dᵗ), the average with its bias corrected (Kingma & Ba 2015,
    arXiv:1412.6980, section 7.2), so that it forgets the weights from before the first step at once.

    It is what is evaluated and saved; training goes on from the raw weights, which a saved run keeps too.
    """

    def __init__(self, model: paddle.nn.Layer, decay: float) -> None:
        self._parameters = dict(model.named_parameters())
        self._decay = decay
        self._average = {name: parameter.detach().clone() for name, parameter in self._parameters.items()}

    def update(self, step: int) -> None:
        """Add the weights after a step, counted from 1, to the average."""
        share = (1 - self._decay) / (1 - self._decay**step)
        with paddle.no_grad():
            for name, parameter in self._parameters.items():
                self._average[name].lerp_(parameter.detach(), share)

    @contextmanager
    def swapped_in(self) -> Iterator[dict[str, np.ndarray]]:
        """Give the network the averaged weights meanwhile; yields the raw ones, ``NAME:weight`` → array."""
        raw = {name + _RAW: parameter.numpy() for name, parameter in self._parameters.items()}
        for name, parameter in self._parameters.items():
            parameter.set_value(self._average[name])
        try:
            yield raw
        finally:
            self._set_weights(raw)

    def restore(self, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Go on with the raw weights among the arrays, and return the others; the average is what the network
        had so far. ValueError where a raw weight is missing or does not fit."""
        for name, parameter in self._parameters.items():
            raw = arrays.get(name + _RAW)
            if raw is None or list(raw.shape) != parameter.shape:
                raise ValueError(f"{name}{_RAW} is missing or of another shape")
        self._set_weights(arrays)
        return {key: array for key, array in arrays.items() if not key.endswith(_RAW)}

    def _set_weights(self, raw: Mapping[str, np.ndarray]) -> None:
        for name, parameter in self._parameters.items():
            parameter.set_value(raw[name + _RAW])
