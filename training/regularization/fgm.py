"""Adversarial training by the fast gradient method (Miyato et al. 2017, arXiv:1605.07725)."""

from collections.abc import Callable
from typing import Any

from encoders.framework import paddle


def perturbation(gradient: paddle.Tensor, epsilon: float) -> paddle.Tensor:
    """epsilon · g / ‖g‖₂, row by row, the paper's equation 5; both (B, T, E).

    The norm is over all tokens of a row, so a row's perturbation is the same whatever batch, or part of a
    batch, it stands in. A row without a gradient, or with one that overflowed, is left alone.
    """
    gradient = gradient.detach().astype("float32")  # Paddle's gradients would be differentiated on
    largest = gradient.abs().max(axis=[1, 2], keepdim=True)
    # Not of the largest: on Paddle 2.6 the largest of NaN and numbers is a number.
    finite = paddle.isfinite(gradient).all(axis=[1, 2], keepdim=True)
    usable = paddle.logical_and(largest > 0, finite)
    # Divided by its largest element first, a tiny gradient's square does not underflow.
    scaled = paddle.where(
        usable,
        gradient / paddle.where(usable, largest, paddle.ones_like(largest)),
        paddle.zeros_like(gradient),
    )
    norm = scaled.square().sum(axis=[1, 2], keepdim=True).sqrt().clip(min=1.0)  # below 1 only where all is 0
    return epsilon * scaled / norm


class FGM:
    """Adds to every loss the same loss at the worst nearby word embeddings.

    The gradient of the sum is taken with the perturbation held fixed. Unlike the paper, the embeddings are
    not normalised first: a pretrained network would not know them any more.
    """

    def __init__(self, embedding: paddle.nn.Layer, epsilon: float) -> None:
        self._embedding, self._epsilon = embedding, epsilon

    def backward_twice(self, backward: Callable[[], float]) -> float:
        """Run ``backward``, which adds a batch's gradients and returns its loss, twice, the second time
        perturbed; return the sum of both losses. It must look the word embeddings up once."""
        outputs: list[paddle.Tensor] = []

        def keep(layer: Any, inputs: Any, output: paddle.Tensor) -> None:
            output.retain_grads()
            outputs.append(output)

        loss = self._hooked(keep, backward)
        (embeddings,) = outputs  # (B, T, E)
        assert embeddings.grad is not None
        shift = perturbation(embeddings.grad, self._epsilon).astype(embeddings.dtype)
        return loss + self._hooked(lambda layer, inputs, output: output + shift, backward)

    def _hooked(self, hook: Callable[..., Any], backward: Callable[[], float]) -> float:
        handle = self._embedding.register_forward_post_hook(hook)
        try:
            return backward()
        finally:
            handle.remove()
