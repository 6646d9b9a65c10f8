"""The weights that a run begins with: a model folder's, or random ones where it has none to offer."""

from collections.abc import Sequence

from checkpoints.folder import Checkpoint, check_manifest
from checkpoints.matching import HeadUse
from checkpoints.network import fill, shapes_of
from common.errors import InputError, UsageError
from encoders.framework import paddle
from training.regularization.layer_reinit import initial_arrays, reinitialise


def load_initial_weights(
    model: paddle.nn.Layer,
    checkpoint: Checkpoint,
    head: HeadUse,
    depths: Sequence[tuple[str, int]],
    *,
    from_scratch: bool = False,
    reinit_layers: int = 0,
) -> list[str]:
    """Fill a network that was just built, and say what to log; what the folder has no weights for stays
    random. ``head`` and ``depths``: as for ``Checkpoint.read`` and ``encoders.encoder.depth_rules``.
    InputError where the folder is damaged or does not fit, or has weights although from_scratch is given."""
    folder = checkpoint.folder
    if from_scratch:
        if checkpoint.weights:
            raise InputError("holds weights; leave out --from_scratch to begin with them", path=folder)
        if reinit_layers:
            raise UsageError(
                "--reinit_layers: with --from_scratch every layer begins new; leave one of them out"
            )
        return [f"{folder}: every weight begins at random (--from_scratch)"]
    check_manifest(folder)
    fresh = initial_arrays(model, depths, checkpoint.config.num_hidden_layers, reinit_layers)
    state = checkpoint.read(shapes_of(model), head)
    fill(model, state)
    return [
        *state.notes,
        *reinitialise(model, fresh),
        *([f"begins new: {', '.join(state.new_head)}"] if state.new_head else []),
        *([f"not needed in {folder}: {', '.join(state.unused)}"] if state.unused else []),
    ]
