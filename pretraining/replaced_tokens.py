"""Replaced-token detection (ELECTRA, arXiv:2003.10555; ConvBERT, arXiv:2008.02496, section 4.1).

A small generator fills in masked tokens; the network learns to tell which tokens are not the original
ones. Both learn at once, from one set of embeddings. Afterwards only the network's encoder is of use.
B rows, T tokens, M masked tokens, V pieces, E embedding size, H hidden size, G the generator's.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from sklearn import metrics

from encoders import distributed
from encoders.batching import Batch
from encoders.config import EncoderConfig
from encoders.embeddings import Embeddings
from encoders.encoder import Encoder, depth_rules, initialise
from encoders.framework import paddle
from encoders.layers import ACTIVATIONS, Linear
from encoders.tokenizer import Tokenizer
from inference.network_engine import tensors
from pretraining.batches import own_share, real_of
from pretraining.config import DetectionConfig
from pretraining.masking import MaskedBatch, Masking
from pretraining.model_folder import fill_encoder
from pretraining.network import generator_config

nn = paddle.nn
F = paddle.nn.functional

HELD_OUT_KEY = (0,)  # the same masks and samples at every evaluation, of every run
_LEAST = np.float32(1e-30)  # keeps logarithms finite


class MaskedTokenHead(nn.Layer):
    """The generator's: dense, activation, LayerNorm, the word embeddings, a bias for every piece."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.dense = Linear(config.hidden_size, config.embedding_size)
        self.activation = ACTIVATIONS[config.hidden_act]
        self.norm = nn.LayerNorm(config.embedding_size, epsilon=config.layer_norm_eps)
        self.bias = self.create_parameter([config.vocab_size], is_bias=True)

    def forward(self, states: paddle.Tensor, embeddings: paddle.Tensor) -> paddle.Tensor:
        """states: (M, G), word embeddings: (V, E) → logits (M, V)."""
        hidden = self.norm(self.activation(self.dense(states)))
        return paddle.matmul(hidden, embeddings, transpose_y=True) + self.bias


class Generator(nn.Layer):
    """A masked language model whose embeddings (tables and LayerNorm) are those of the network beside it."""

    def __init__(self, config: EncoderConfig, shared: Embeddings) -> None:
        super().__init__()
        self.encoder = Encoder(config)
        for part, layer in shared.named_children():
            if part not in ("projection", "dropout"):
                setattr(self.encoder.embeddings, part, layer)
        self.head = MaskedTokenHead(config)

    def forward(self, batch: MaskedBatch) -> paddle.Tensor:
        """Logits (M, V) of the masked positions."""
        _, token_types, mask = tensors(batch.original)
        states = self.encoder(paddle.to_tensor(batch.ids), token_types, mask)
        masked = paddle.gather(states.reshape([-1, states.shape[-1]]), paddle.to_tensor(batch.positions))
        return self.head(masked, self.encoder.embeddings.word.weight)


class DetectionHead(nn.Layer):
    """Dense, activation, one logit a token, above 0 for a replaced one."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.dense = Linear(config.hidden_size, config.hidden_size)
        self.activation = ACTIVATIONS[config.hidden_act]
        self.projection = Linear(config.hidden_size, 1)

    def forward(self, states: paddle.Tensor) -> paddle.Tensor:
        """states: (B, T, H) → (B, T)."""
        return self.projection(self.activation(self.dense(states))).squeeze(-1)


class Detector(nn.Layer):
    """The network to train, with its head, and the generator beside it."""

    def __init__(self, config: EncoderConfig, generator: EncoderConfig) -> None:
        super().__init__()
        self.encoder = Encoder(config)
        self.head = DetectionHead(config)
        self.generator = Generator(generator, self.encoder.embeddings)
        initialise(self, config.initializer_range)


class DetectionOutput(NamedTuple):
    """What the networks say of a batch."""

    generated: paddle.Tensor | None  # (M, V) float32, the generator's logits; None where nothing is masked
    detected: paddle.Tensor  # (B, T) float32, the network's logits
    replaced: np.ndarray  # (B, T) bool, which tokens were replaced


class Detection:
    """The objective; weight: of the detection loss beside the generator's; share: of masked tokens."""

    def __init__(self, model: Detector, masking: Masking, weight: float, share: float) -> None:
        self.model, self.prepare, self.weight, self.share = model, masking, weight, share
        self.held_out: Sequence[MaskedBatch] = []

    def hold_out(self, batches: Sequence[Batch]) -> None:
        """Take the batches to evaluate on."""
        self.held_out = [self.prepare(batch, HELD_OUT_KEY) for batch in batches]

    def size(self, batch: MaskedBatch) -> int:
        """How many tokens a batch has."""
        return batch.tokens

    def loss(self, batch: MaskedBatch) -> paddle.Tensor:
        """The loss of a batch, as a sum over tokens.

        The masked tokens' cross-entropy by the share of masked tokens, plus ``weight`` times every real
        token's. Divided by a step's tokens this is the authors' loss, mean + weight · mean, however the step
        is cut into parts.
        """
        output = self._run(batch)
        return self._generator_loss(output, batch) / self.share + self.weight * self._detector_loss(
            output, batch
        )

    def _run(self, batch: MaskedBatch) -> DetectionOutput:
        generated, ids = None, batch.original.ids.copy()
        if len(batch.positions):
            generated = self.model.generator(batch).astype("float32")
            ids.reshape(-1)[batch.positions] = sample_pieces(generated, batch)
        _, token_types, mask = tensors(batch.original)
        states = self.model.encoder(paddle.to_tensor(ids), token_types, mask)
        detected = self.model.head(states).astype("float32")
        return DetectionOutput(generated, detected, ids != batch.original.ids)

    def _generator_loss(self, output: DetectionOutput, batch: MaskedBatch) -> Any:
        if output.generated is None:
            return 0.0
        return F.cross_entropy(output.generated, paddle.to_tensor(batch.answers), reduction="sum")

    def _detector_loss(self, output: DetectionOutput, batch: MaskedBatch) -> paddle.Tensor:
        target = paddle.to_tensor(output.replaced.astype(np.float32))
        losses = F.binary_cross_entropy_with_logits(output.detected, target, reduction="none")
        mask = batch.original.mask
        return losses.sum() if mask is None else (losses * paddle.to_tensor(mask)).sum()

    def evaluate(self) -> dict[str, float]:
        """The generator's loss and accuracy at masked tokens; the network's loss and ``detection_scores`` at
        all real ones, of which replaced_share were replaced. ``main`` is the AUC, which unlike the accuracy
        does not reward calling everything original."""
        sums, replaced, logits = np.zeros(5), [], []
        for batch in own_share(self.held_out):
            output, real = self._run(batch), real_of(batch.original)
            right = 0
            if output.generated is not None:
                right = int((output.generated.argmax(axis=-1).numpy() == batch.answers).sum())
            losses = self._generator_loss(output, batch), self._detector_loss(output, batch)
            sums += [len(batch.positions), batch.tokens, *map(float, losses), right]
            replaced.append(output.replaced[real])
            logits.append(output.detected.numpy()[real])
        masked, tokens, generator, detector, right = distributed.all_reduce(sums)
        masked = max(masked, 1)
        all_replaced, all_logits = (_concatenated(parts) for parts in (replaced, logits))
        scores = detection_scores(all_replaced, all_logits)
        return {
            "loss": generator / masked + self.weight * detector / tokens,
            "mlm_loss": generator / masked,
            "mlm_accuracy": right / masked,
            "detection_loss": detector / tokens,
            **scores,
            "replaced_share": float(all_replaced.mean()),
            "main": scores["detection_auc"],
        }

    def depths(self) -> list[tuple[str, int]]:
        """The rules of layer-wise decay; the generator's layers lie as deep as the network's."""
        generator = depth_rules(self.model.generator.encoder.config)
        return depth_rules(self.model.encoder.config) + [(f"generator.{name}", n) for name, n in generator]


def make_detection(
    config: EncoderConfig, training: DetectionConfig, tokenizer: Tokenizer, init_from_ckpt: str
) -> Detection:
    """Make the objective; ``init_from_ckpt`` names a model folder whose weights the encoder begins with."""
    model = Detector(config, generator_config(config, training.generator_ratio))
    if init_from_ckpt:
        fill_encoder(model.encoder, init_from_ckpt, config)
    masking = Masking(tokenizer, training.mask_prob)
    return Detection(model, masking, training.detection_weight, training.mask_prob)


def sample_pieces(logits: paddle.Tensor, batch: MaskedBatch) -> np.ndarray:
    """A piece for every masked position, drawn from the softmax of its logits (M, V) → (M,) int64.

    By Gumbel noise: argmax(logits − log E), E exponential. Always in float32: in float16 a uniform number
    near 1 becomes 1, whose noise is infinite, and sums of logit and noise tie.
    """
    with paddle.no_grad():
        logits = logits.detach().astype("float32")
        if not logits.place.is_cpu_place():  # not run by the authors' tests
            seed = int(batch.noise_of(0).integers(1, 2**31))
            uniform = paddle.uniform(logits.shape, "float32", 0.0, 1.0, seed=seed)
            exponential = -paddle.log(uniform.clip(min=float(_LEAST)))
            return np.asarray(
                (logits - paddle.log(exponential.clip(min=float(_LEAST)))).argmax(axis=-1).numpy()
            )
    values = logits.numpy()
    pieces = np.empty(len(values), dtype=np.int64)
    end = 0
    for row, count in enumerate(batch.counts):  # a row at a time, as its noise is its own
        begin, end = end, end + int(count)
        noise = batch.noise_of(row).standard_exponential((int(count), values.shape[1]), dtype=np.float32)
        pieces[begin:end] = (values[begin:end] - np.log(np.maximum(noise, _LEAST))).argmax(axis=-1)
    return pieces


def _concatenated(parts: list[np.ndarray]) -> np.ndarray:
    """The parts of all processes, one after the other."""
    return np.concatenate([part for process in distributed.all_gather(parts) for part in process])


def detection_scores(replaced: np.ndarray, logits: np.ndarray) -> dict[str, float]:
    """Score how well replaced tokens are found; each score is from 0 to 1, 1 perfect.

    Args:
        replaced: (N,) bool, which tokens were.
        logits: (N,) float, above 0 where the network says so.

    Returns:
        Among others precision, 0 where nothing is called replaced; recall, 0 where nothing is; and auc, 0.5,
        as for guessing, where all tokens or none are.
    """
    predicted = logits > 0
    both = len(np.unique(replaced)) == 2
    return {
        "detection_accuracy": float(metrics.accuracy_score(replaced, predicted)),
        "detection_precision": float(metrics.precision_score(replaced, predicted, zero_division=0)),
        "detection_recall": float(metrics.recall_score(replaced, predicted, zero_division=0)),
        "detection_auc": float(metrics.roc_auc_score(replaced, logits)) if both else 0.5,
    }
