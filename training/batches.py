"""The batches of every epoch, each process with its share of them."""

import math
from collections.abc import Callable

from encoders import distributed
from encoders.batching import EpochBatches, Features, training_order
from encoders.config import EncoderConfig
from encoders.cpu import kernels
from training.config import FineTuningConfig

# What one more part of a batch costs on a CPU, in tokens of padding: a pass over the embeddings' gradient and
# the operators' overhead. Where padding is left out (encoders/cpu/unpadding.py) it costs little itself.
_PART_COST, _UNPADDED_PART_COST = 100.0, 1000.0


def part_cost(config: EncoderConfig, device: str) -> float:
    """What ``EpochBatches`` is to take one more part of a batch for: infinite where it must stay whole."""
    # With the published padding a row does see its batch.
    if device != "cpu" or config.reference_padding:
        return math.inf
    return _PART_COST if kernels.library() is None else _UNPADDED_PART_COST


def epoch_batches(
    features: Features, training: FineTuningConfig, config: EncoderConfig, device: str
) -> Callable[[int], EpochBatches]:
    """Epoch → its batches, as ``TrainingJob.batches`` wants them."""
    cost = part_cost(config, device)

    def batches(epoch: int) -> EpochBatches:
        rows = training.batch_size * distributed.world_size()
        order = training_order(features.lengths, rows, training.seed, epoch, training.length_pool)
        return EpochBatches(
            features, [distributed.shard(batch) for batch in order], config.pad_token_id, cost
        )

    return batches
