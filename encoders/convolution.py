"""ConvBERT's two convolutions along the sequence: their definitions.

The networks compute the same by encoders/ops.py, and tests compare the two.

B rows, T tokens, C channels, K kernel size (odd), h heads of d channels.
"""

from encoders.framework import paddle


def pad_ends(x: paddle.Tensor, half_width: int) -> paddle.Tensor:
    """Zeros before and after every sequence: (B, T, C) → (B, T + 2·half_width, C)."""
    # Concatenation and not F.pad: exporters keep zeros that are concatenated.
    edge = paddle.zeros([x.shape[0], half_width, x.shape[2]], dtype=x.dtype)
    return paddle.concat([edge, x, edge], axis=1)


def depthwise_convolution(x: paddle.Tensor, weight: paddle.Tensor) -> paddle.Tensor:
    """out[t] = Σ_j weight[j] · x[t + j − K//2], every channel by itself, zeros outside the sequence.

    Args:
        x: (B, T, C)
        weight: (K, C)

    Returns:
        (B, T, C)
    """
    kernel_size, length = weight.shape[0], x.shape[1]
    wide = pad_ends(x, kernel_size // 2)
    return paddle.add_n([wide[:, j : j + length] * weight[j] for j in range(kernel_size)])


def span_convolution(kernels: paddle.Tensor, values: paddle.Tensor) -> paddle.Tensor:
    """out[t] = Σ_j kernels[t, :, j] · values[t + j − K//2]: every position and head has its own kernel.

    Args:
        kernels: (B, T, h, K)
        values: (B, T, h·d), zeros outside the sequence.

    Returns:
        (B, T, h·d)

    Source: arXiv:2008.02496, section 3.2.
    """
    batch, length, heads, kernel_size = kernels.shape
    wide = pad_ends(values, kernel_size // 2)
    parts = [
        wide[:, j : j + length].reshape([batch, length, heads, -1]) * kernels[:, :, :, j : j + 1]
        for j in range(kernel_size)
    ]
    return paddle.add_n(parts).reshape(values.shape)
