"""The batches of every epoch, each process with its share of them."""

import math
from collections.abc import Callable

from convbert import ranks
from convbert.batching import EpochBatches, Features, training_order
from convbert.config import EncoderConfig
from training.recipe import FineTuningRecipe

# What one more part of a batch costs on a CPU, in tokens: a pass over the embeddings' gradient and the
# operators' overhead. On other devices a batch stays whole.
PART_COST = 100.0


def epoch_batches(
    features: Features, recipe: FineTuningRecipe, config: EncoderConfig, device: str
) -> Callable[[int], EpochBatches]:
    """Epoch → its batches, as ``Job.batches`` wants them."""
    # With the published padding a row does see its batch, so a batch must stay whole.
    whole = device != "cpu" or config.reference_padding
    part_cost = math.inf if whole else PART_COST

    def batches(epoch: int) -> EpochBatches:
        rows = recipe.batch_size * ranks.world()
        order = training_order(features.lengths, rows, recipe.seed, epoch, recipe.length_pool)
        return EpochBatches(features, [ranks.share(batch) for batch in order], config.pad_token_id, part_cost)

    return batches
