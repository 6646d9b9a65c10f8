"""Learning from a larger network: hidden states token by token, the geometry of sentences, and how near
the two texts of a pair are, which the student tells from both at once and the teacher from each alone.

B rows, T tokens, H the student's hidden size, W the teacher's. Both read the same token ids.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from checkpoints.folder import check_length
from checkpoints.network import arrays_of
from common.errors import InputError
from encoders import distributed
from encoders.batching import Batch
from encoders.config import EncoderConfig
from encoders.encoder import Encoder, depth_rules, initialise
from encoders.framework import paddle
from encoders.layers import Linear
from inference.network_engine import tensors
from pretraining.batches import own_share, real_of, tokens_of
from pretraining.config import DistillationConfig
from pretraining.embeddings import isometry, narrowed
from pretraining.model_folder import fill_encoder, load_encoder
from pretraining.pairs import Nearness, has_pairs, nearness_of, separate_texts

nn = paddle.nn
F = paddle.nn.functional

_PROJECTION_RANGE = 0.02  # small: the first answers are near the mean


class Student(nn.Layer):
    """The encoder to train; for every matched layer a projection to the teacher's width; with pairs a layer
    from the last states to what pretraining/pairs.py calls nearness: of the texts, of a token.

    ``head`` and ``pair_head`` serve the objective alone and are no part of the exported encoder.
    """

    def __init__(self, config: EncoderConfig, width: int, matched: int, pairs: bool = False) -> None:
        super().__init__()
        self.encoder = Encoder(config)
        self.head = nn.LayerList([Linear(config.hidden_size, width) for _ in range(matched)])
        self.pair_head = Linear(config.hidden_size, 2) if pairs else None
        initialise(self.encoder, config.initializer_range)
        initialise(self.head, _PROJECTION_RANGE)
        if self.pair_head is not None:
            initialise(self.pair_head, _PROJECTION_RANGE)


@dataclass(frozen=True)
class Spread:
    """Of a teacher's values: mean, deviation, and for how many tokens of the text there is one value."""

    mean: float
    deviation: float
    every: float


@dataclass(frozen=True)
class Scale:
    """What losses are divided by, measured once on the teacher: the variance of its hidden states (of each
    matched layer) and of its sentences' cosines. A loss of 1 is then that of always giving the mean.
    texts, tokens: of the nearness of a pair's texts, and of their tokens."""

    hidden: tuple[float, ...]
    cosines: float
    texts: Spread
    tokens: Spread


class Distillation:
    """The objective. geometry, nearness: weights of the sentences' and the pairs' part beside the tokens'."""

    prepare = None  # batches are taken as they are

    def __init__(self, student: Student, teacher: Encoder, geometry: float, nearness: float = 0.0) -> None:
        self.model, self.teacher, self.geometry, self.nearness = student, teacher, geometry, nearness
        matched = len(student.head)
        self.matched = [matched_depths(len(net.layers), matched) for net in (student.encoder, teacher)]
        teacher.eval()

    def hold_out(self, batches: Sequence[Batch]) -> None:
        """Take the batches to evaluate on, and measure the teacher on them."""
        self.held_out = batches
        self.scale = self._measure()

    def size(self, batch: Batch) -> int:
        return tokens_of(batch)

    def depths(self) -> list[tuple[str, int]]:
        """The rules of layer-wise decay."""
        rules = depth_rules(self.model.encoder.config)
        return [*rules, ("pair_head.", dict(rules)["head."])]

    def _targets(self, batch: Batch) -> list[paddle.Tensor]:
        with paddle.no_grad():
            return hidden_states(self.teacher, batch, self.matched[1])

    def _measure(self) -> Scale:
        """From the held-out batches, each process its share."""
        sums = np.zeros((len(self.model.head) + 1, 3))  # count, sum, sum of squares
        dims = np.zeros((len(self.model.head), 2, self.model.head[0].weight.shape[1]))
        near = np.zeros((2, 3))
        for batch in own_share(self.held_out):
            states = self._targets(batch)
            real = real_of(batch)
            for number, state in enumerate(states):
                values = state.numpy()[real].astype(np.float64)
                dims[number] += values.sum(axis=0), (values**2).sum(axis=0)
                sums[number, 0] += len(values)
            cosines = _cosines(sentences(states[-1], batch)).numpy()[~np.eye(len(batch), dtype=bool)]
            sums[-1] += _sums_of(cosines)
            if self.nearness and has_pairs(batch):
                found = self._nearness(batch)
                for number, values in enumerate((found.texts, found.tokens)):
                    near[number] += _sums_of(values)
        near = distributed.all_reduce(near)
        if self.nearness and not near[0, 0]:
            raise InputError(
                "--pair_weight: no held-out example has two texts; give it a corpus of pairs, or leave it out"
            )
        sums, dims = distributed.all_reduce(sums), distributed.all_reduce(dims)
        means = dims / sums[:-1, 0][:, None, None]
        hidden = (means[:, 1] - means[:, 0] ** 2).mean(axis=1)
        tokens = sums[0, 0]
        cosine = _spread_of(sums[-1], tokens).deviation ** 2
        texts, words = (_spread_of(row, tokens) for row in near)
        return Scale(tuple(float(v) for v in hidden), cosine, texts, words)

    def _nearness(self, batch: Batch) -> Nearness:
        """As the teacher sees the two texts of each pair, each by itself."""
        texts, rows = separate_texts(batch, self.teacher.config.pad_token_id)
        with paddle.no_grad():
            (states,) = hidden_states(self.teacher, texts, self.matched[1][-1:])
        return nearness_of(batch, rows, texts, states.astype("float32").numpy())

    def loss(self, batch: Batch) -> paddle.Tensor:
        """Of a batch, times its tokens, so that in a sum over batches every token weighs alike, every pair
        weighs alike, and so does every token of a pair."""
        token, geometry, nearness, *_ = self._compared(batch)
        return (token + self.geometry * geometry) * tokens_of(batch) + self.nearness * nearness

    def _compared(self, batch: Batch) -> tuple[paddle.Tensor, ...]:
        """The losses of tokens and geometry (means) and of pairs (times the tokens they stand for); the last
        projected states (B, T, W) and the teacher's."""
        targets = self._targets(batch)
        states = hidden_states(self.model.encoder, batch, self.matched[0])
        projected = [head(state) for head, state in zip(self.model.head, states, strict=True)]
        losses = [
            squared_error(ours, theirs, batch) / scale
            for ours, theirs, scale in zip(projected, targets, self.scale.hidden, strict=True)
        ]
        token = sum(losses[1:], losses[0]) / len(losses)
        # The student's own states, not the projected ones: these are what is used later.
        geometry = cosine_error(sentences(states[-1], batch), sentences(targets[-1], batch))
        nearness = self._pair_loss(states[-1], batch)
        return token, geometry / self.scale.cosines, nearness, projected[-1], targets[-1]

    def _pair_loss(self, states: paddle.Tensor, batch: Batch) -> paddle.Tensor:
        """The sum over pairs and the sum over their tokens, each times the tokens of text that one stands
        for, halved: over the held-out text, divided by its tokens, the mean of two means."""
        if self.model.pair_head is None or not has_pairs(batch):
            return paddle.zeros([])
        near = self._nearness(batch)
        told = self.model.pair_head(states)  # (B, T, 2), in deviations from the mean
        texts = paddle.gather(told[:, 0, 0], paddle.to_tensor(near.rows))
        loss = _error_of(texts, near.texts, self.scale.texts)
        if len(near.places):
            tokens = paddle.gather(told[:, :, 1].flatten(), paddle.to_tensor(near.places))
            loss = loss + _error_of(tokens, near.tokens, self.scale.tokens)
        return loss / 2

    def evaluate(self) -> dict[str, float]:
        """On the held-out examples: the losses (0 perfect, 1 as good as the mean), the mean cosine of
        tokens and of sentence vectors to the teacher's, −1 to 1, 1 the same. main: the tokens'."""
        sums = np.zeros(7)
        for batch in own_share(self.held_out):
            token, geometry, nearness, ours, theirs = self._compared(batch)
            cosines = F.cosine_similarity(ours, theirs, axis=-1).numpy()[real_of(batch)]
            sentence = (sentences(ours, batch) * sentences(theirs, batch)).sum()
            tokens = tokens_of(batch)
            losses = float(token) * tokens, float(geometry) * tokens, float(nearness)
            sums += [tokens, *losses, cosines.sum(), len(batch), float(sentence)]
        tokens, token, geometry, nearness, cosine, count, sentence = distributed.all_reduce(sums)
        scores = {
            "loss": (token + self.geometry * geometry + self.nearness * nearness) / tokens,
            "token_loss": token / tokens,
            "geometry_loss": geometry / tokens,
            "token_cosine": cosine / tokens,
            "sentence_cosine": sentence / count,
        }
        pairs = {"pair_loss": nearness / tokens} if self.nearness else {}
        return {**scores, **pairs, "main": cosine / tokens}


def distillation_of(
    config: EncoderConfig,
    training: DistillationConfig,
    teacher_folder: str,
    init_from_ckpt: str,
    embeddings: str,
) -> Distillation:
    """The objective with a new student of this configuration.

    It begins with the weights in the folder init_from_ckpt, or where that is empty at random, for
    embeddings ``teacher`` with the teacher's embeddings narrowed.
    """
    teacher = load_encoder(teacher_folder)
    check_length(training.max_seq_length, teacher.config)
    for name, layers in (("student", config.num_hidden_layers), ("teacher", len(teacher.layers))):
        if training.matched_layers > layers:
            raise InputError(f"--matched_layers {training.matched_layers}: the {name} has {layers} layers")
    student = Student(config, teacher.config.hidden_size, training.matched_layers, training.pair_weight > 0)
    if init_from_ckpt:
        fill_encoder(student.encoder, init_from_ckpt, config)
    elif embeddings != "random":
        _take_embeddings(student.encoder, teacher, training.seed)
    return Distillation(student, teacher, training.geometry_weight, training.pair_weight)


def _take_embeddings(encoder: Encoder, teacher: Encoder, seed: int) -> None:
    wide = {f"encoder.embeddings.{name}": value for name, value in arrays_of(teacher.embeddings).items()}
    tables = narrowed(wide, encoder.config.embedding_size)
    for name, parameter in encoder.embeddings.named_parameters():
        table = tables.get(f"encoder.embeddings.{name}")
        if table is not None and table.shape[1] == parameter.shape[1]:
            rest = parameter.numpy()[len(table) :]  # positions or token types that the teacher has not
            parameter.set_value(np.concatenate([table[: len(parameter)], rest]))
        elif name == "projection.weight":
            parameter.set_value(isometry(parameter.shape[0], parameter.shape[1], seed))


def matched_depths(layers: int, matched: int) -> list[int]:
    """After which layers (counted from 1) two networks are compared: evenly spread, the last among them."""
    return [round(layers * (number + 1) / matched) for number in range(matched)]


def hidden_states(encoder: Encoder, batch: Batch, depths: Sequence[int]) -> list[paddle.Tensor]:
    """The hidden states (B, T, H) after the given layers, counted from 1."""
    ids, token_types, mask = tensors(batch)
    return encoder.states(ids, token_types, mask, depths)


def _sums_of(values: np.ndarray) -> tuple[float, float, float]:
    """Count, sum and sum of squares, exactly."""
    exact = values.astype(np.float64)
    return exact.size, exact.sum(), (exact**2).sum()


def _spread_of(sums: np.ndarray, tokens: float) -> Spread:
    """Of count, sum and sum of squares; the deviation is 1 where all are alike or nothing was counted."""
    count, total, squares = sums
    if not count:
        return Spread(0.0, 1.0, 0.0)
    deviation = max(0.0, squares / count - (total / count) ** 2) ** 0.5
    return Spread(float(total / count), float(deviation) or 1.0, float(tokens / count))


def _error_of(told: paddle.Tensor, values: np.ndarray, spread: Spread) -> paddle.Tensor:
    """Sum of the squared differences, in deviations from the mean, times the tokens a value stands for."""
    wanted = ((values - spread.mean) / spread.deviation).astype(np.float32)
    return paddle.square(told - paddle.to_tensor(wanted)).sum() * spread.every


def squared_error(ours: paddle.Tensor, theirs: paddle.Tensor, batch: Batch) -> paddle.Tensor:
    """Mean over the real tokens and the columns of the squared difference; both (B, T, W) → scalar."""
    error = paddle.square(ours - theirs).mean(axis=-1)  # (B, T)
    if batch.mask is not None:
        error = error * paddle.to_tensor(batch.mask)
    return error.sum() / tokens_of(batch)


def sentences(states: paddle.Tensor, batch: Batch) -> paddle.Tensor:
    """The mean of each row's real tokens, at length 1: (B, T, H) → (B, H)."""
    if batch.mask is not None:
        states = states * paddle.to_tensor(batch.mask).unsqueeze(-1)
    return F.normalize(states.sum(axis=1), axis=-1)


def cosine_error(ours: paddle.Tensor, theirs: paddle.Tensor) -> paddle.Tensor:
    """Mean squared difference of the cosines between every two rows of the batch.

    ours: (B, H), theirs: (B, W), rows of length 1 → scalar; 0 for a single row.
    """
    count = ours.shape[0]
    return paddle.square(_cosines(ours) - _cosines(theirs)).sum() / max(1, count * (count - 1))


def _cosines(rows: paddle.Tensor) -> paddle.Tensor:
    return paddle.matmul(rows, rows, transpose_y=True)
