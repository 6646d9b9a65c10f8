"""Depth → learning-rate scale, parameter by parameter, matched by name. No Paddle."""

from collections.abc import Iterable, Sequence

from common.errors import InputError
from training.config import TrainingConfig


def depths(names: Iterable[str], rules: Sequence[tuple[str, int]]) -> dict[str, int]:
    """Depth of every parameter: the depth of the one prefix in ``rules`` that its name starts with.

    An unmatched or twice-matched parameter is an InputError that lists it.
    """
    depth_of: dict[str, int] = {}
    faults = []
    for name in names:
        matches = [(prefix, depth) for prefix, depth in rules if name.startswith(prefix)]
        if len(matches) == 1:
            depth_of[name] = matches[0][1]
        else:
            by = f"matched by {' and '.join(prefix for prefix, _ in matches)}" if matches else "unmatched"
            faults.append(f"{name} ({by})")
    if faults:
        raise InputError(
            f"layer-wise decay: {len(faults)} parameters have no single depth: {', '.join(faults)}"
        )
    return depth_of


def scale(depth: int, layers: int, decay: float, mode: str = "published") -> float:
    """decay^(n + 2 − depth), as ELECTRA and ConvBERT were tuned; embeddings 0, layer i i+1, head n+2.

    No parameter has depth n+1, so the last layer gets decay², a leftover says ELECTRA's author
    (google-research/electra, issue 51 asks). ``fixed`` gives the last layer decay^1, and so on down.
    """
    skip = 1 if mode == "fixed" and depth <= layers else 0
    return float(decay ** (layers + 2 - depth - skip))


def scales(
    names: Iterable[str], rules: Sequence[tuple[str, int]], layers: int, config: TrainingConfig
) -> dict[str, float]:
    """The learning-rate scale of every parameter, by name; rules: as ``encoders.encoder.depth_rules``."""
    decay, mode = config.layer_lr_decay, config.layer_lr_decay_mode
    return {name: scale(depth, layers, decay, mode) for name, depth in depths(names, rules).items()}
