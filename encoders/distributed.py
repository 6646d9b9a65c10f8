"""Several processes at one job: ``python -m paddle.distributed.launch`` starts them, each takes its share.

Every process holds the whole model and the same data order. A step's batch is dealt out row by row,
losses are divided by the rows of all and gradients added, so a step is that of one process on the whole
batch, however unevenly the rows fall. Alone, every function here is the identity.

On CPUs the processes talk through gloo, on GPUs through NCCL (not run by the authors' tests).
"""

import os
from collections.abc import Iterable
from typing import Any, TypeVar

import numpy as np

from encoders.framework import paddle

T = TypeVar("T")
N = TypeVar("N", float, np.ndarray)


def init() -> None:
    """Join the other processes, if the launcher started several; once, after the device is chosen."""
    if int(os.environ.get("PADDLE_TRAINERS_NUM") or 1) > 1 and world_size() == 1:
        paddle.distributed.init_parallel_env()


def world_size() -> int:
    """How many processes there are."""
    return int(paddle.distributed.get_world_size()) if paddle.distributed.is_initialized() else 1


def rank() -> int:
    """This process's number, from 0."""
    return int(paddle.distributed.get_rank()) if world_size() > 1 else 0


def is_first() -> bool:
    """Whether this process is the one that writes and prints."""
    return rank() == 0


def shard(items: np.ndarray) -> np.ndarray:
    """What of the items this process takes: each one falls to exactly one process."""
    return items[rank() :: world_size()]


def all_reduce(value: N) -> N:
    """The sum over the processes of a number, or of an array element by element."""
    if world_size() == 1:
        return value
    tensor = paddle.to_tensor(np.atleast_1d(value))
    paddle.distributed.all_reduce(tensor)
    total: Any = tensor.numpy()
    return total if isinstance(value, np.ndarray) else total.item()


def add_gradients(parameters: Iterable[paddle.Tensor]) -> None:
    """Make every parameter's gradient the sum over the processes; one that has none adds zeros."""
    if world_size() == 1:
        return
    trained = [parameter for parameter in parameters if not parameter.stop_gradient]
    flat = paddle.concat(
        [p.grad.flatten() if p.grad is not None else paddle.zeros([p.size], p.dtype) for p in trained]
    )
    paddle.distributed.all_reduce(flat)
    for parameter, part in zip(trained, flat.split([p.size for p in trained]), strict=True):
        part = part.reshape(parameter.shape)
        if parameter.grad is None:
            parameter.grad = part
        else:
            parameter.grad.set_value(part)


def broadcast(value: T) -> T:
    """The first process's value, in all of them."""
    if world_size() == 1:
        return value
    box = [value]
    paddle.distributed.broadcast_object_list(box, src=0)
    return box[0]


def all_gather(value: Any) -> list[Any]:
    """Every process's value, in the order of their numbers."""
    if world_size() == 1:
        return [value]
    values: list[Any] = []
    paddle.distributed.all_gather_object(values, value)
    return values
