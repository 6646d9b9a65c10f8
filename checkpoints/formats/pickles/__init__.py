"""Pickles of weights from anybody, read without running anything. No Paddle.

PyTorch's and Paddle's files of weights are pickles, and a pickle is a program: Python's unpickler calls what
it names, allocates what it announces, and hashes what it nests. ``torch.load(weights_only=True)`` needs
PyTorch, and Paddle has no such reader. So the few operations that these files need are read here: ``machine``
executes them, bounded in time and memory, and ``allowed`` is the table of all that a pickle may name.
"""
