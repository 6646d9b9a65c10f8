"""Learning from a larger network: hidden states token by token, the geometry of sentences, and how near
the two texts of a pair are, which the student tells from both at once and the teacher from each alone.

B rows, T tokens, H the student's hidden size, W the teacher's. Both read the same token ids.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from checkpoints.folder import check_length
from common.errors import InputError
from encoders import distributed
from encoders.batching import Batch
from encoders.config import EncoderConfig
from encoders.encoder import depth_rules
from encoders.framework import paddle
from pretraining.batches import own_share, real_of, tokens_of
from pretraining.config import DistillationConfig
from pretraining.model_folder import fill_encoder, load_encoder
from pretraining.pairs import has_pairs
from pretraining.student import Student, take_embeddings
from pretraining.teacher import (
    Teacher,
    ValueScale,
    cosines_between,
    hidden_states,
    matched_depths,
    sentence_vectors,
)

F = paddle.nn.functional


class StudentComparison(NamedTuple):
    """What the student makes of a batch beside the teacher."""

    token_loss: paddle.Tensor  # the mean over tokens and matched layers
    geometry_loss: paddle.Tensor  # the mean over pairs of rows
    pair_loss: paddle.Tensor  # the sum over pairs, times the tokens of text that they stand for
    projected: paddle.Tensor  # (B, T, W) the last states, projected to the teacher's width
    targets: paddle.Tensor  # (B, T, W) the teacher's last states


class Distillation:
    """The objective; the weights are those of the sentences' and of the pairs' part beside the tokens'."""

    prepare = None  # batches are taken as they are

    def __init__(
        self, student: Student, teacher: Teacher, geometry_weight: float, pair_weight: float = 0.0
    ) -> None:
        self.model, self.teacher = student, teacher
        self.geometry_weight, self.pair_weight = geometry_weight, pair_weight
        self.depths_compared = matched_depths(len(student.encoder.layers), len(student.head))

    def hold_out(self, batches: Sequence[Batch]) -> None:
        """Take the batches to evaluate on, and measure the teacher on them."""
        self.held_out = batches
        self.scale = self.teacher.measure(batches, self.pair_weight > 0)

    def size(self, batch: Batch) -> int:
        """How many tokens a batch has."""
        return tokens_of(batch)

    def depths(self) -> list[tuple[str, int]]:
        """The rules of layer-wise decay."""
        rules = depth_rules(self.model.encoder.config)
        return [*rules, ("pair_head.", dict(rules)["head."])]

    def loss(self, batch: Batch) -> paddle.Tensor:
        """The loss of a batch times its tokens, so that in a sum over batches every token, every pair, and
        every token of a pair counts alike."""
        compared = self._compare(batch)
        loss = compared.token_loss + self.geometry_weight * compared.geometry_loss
        return loss * tokens_of(batch) + self.pair_weight * compared.pair_loss

    def _compare(self, batch: Batch) -> StudentComparison:
        targets = self.teacher.states(batch)
        states = hidden_states(self.model.encoder, batch, self.depths_compared)
        projected = [head(state) for head, state in zip(self.model.head, states, strict=True)]
        losses = [
            squared_error(ours, theirs, batch) / variance
            for ours, theirs, variance in zip(projected, targets, self.scale.hidden, strict=True)
        ]
        token_loss = sum(losses[1:], losses[0]) / len(losses)
        # The student's own states, not the projected ones: these are what is used later.
        geometry_loss = cosine_error(
            sentence_vectors(states[-1], batch), sentence_vectors(targets[-1], batch)
        )
        return StudentComparison(
            token_loss, geometry_loss / self.scale.cosines, self._pair_loss(states[-1], batch), projected[-1],
            targets[-1],
        )  # fmt: skip

    def _pair_loss(self, states: paddle.Tensor, batch: Batch) -> paddle.Tensor:
        """The mean of two errors: in how near a pair's texts are, and each of its tokens to the other text.

        Each is a sum over values, times the tokens of text that one stands for; over all of the held-out
        text, divided by its tokens, it is a mean. states: (B, T, H), the student's last.
        """
        if self.model.pair_head is None or not has_pairs(batch):
            return paddle.zeros([])
        targets = self.teacher.pairs(batch)
        predictions = self.model.pair_head(states)  # (B, T, 2), in deviations from the mean
        of_texts = paddle.gather(predictions[:, 0, 0], paddle.to_tensor(targets.rows))
        error = scaled_error(of_texts, targets.text_cosines, self.scale.texts)
        if len(targets.positions):
            of_tokens = paddle.gather(predictions[:, :, 1].flatten(), paddle.to_tensor(targets.positions))
            error = error + scaled_error(of_tokens, targets.token_cosines, self.scale.tokens)
        return error / 2

    def evaluate(self) -> dict[str, float]:
        """The losses (0 perfect, 1 as good as the mean), and the mean cosine of tokens and of sentence
        vectors to the teacher's (−1 to 1, 1 the same). ``main`` is the tokens' cosine."""
        sums = np.zeros(7)
        for batch in own_share(self.held_out):
            compared, tokens = self._compare(batch), tokens_of(batch)
            ours, theirs = compared.projected, compared.targets
            cosines = F.cosine_similarity(ours, theirs, axis=-1).numpy()[real_of(batch)]
            sentence_cosines = (sentence_vectors(ours, batch) * sentence_vectors(theirs, batch)).sum()
            sums += [
                tokens, float(compared.token_loss) * tokens, float(compared.geometry_loss) * tokens,
                float(compared.pair_loss), cosines.sum(), len(batch), float(sentence_cosines),
            ]  # fmt: skip
        tokens, token, geometry, pair, cosine, rows, sentence = distributed.all_reduce(sums)
        return {
            "loss": (token + self.geometry_weight * geometry + self.pair_weight * pair) / tokens,
            "token_loss": token / tokens,
            "geometry_loss": geometry / tokens,
            "token_cosine": cosine / tokens,
            "sentence_cosine": sentence / rows,
            **({"pair_loss": pair / tokens} if self.pair_weight else {}),
            "main": cosine / tokens,
        }


def make_distillation(
    config: EncoderConfig,
    training: DistillationConfig,
    teacher_folder: str,
    init_from_ckpt: str,
    embeddings: str,
) -> Distillation:
    """Make the objective, with a new student of this configuration.

    It begins with the weights of ``init_from_ckpt``, a model folder, or else with the teacher's embeddings,
    narrowed, unless ``embeddings`` is ``random``.
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
        take_embeddings(student.encoder, teacher, training.seed)
    return Distillation(
        student, Teacher(teacher, training.matched_layers), training.geometry_weight, training.pair_weight
    )


def scaled_error(predictions: paddle.Tensor, values: np.ndarray, scale: ValueScale) -> paddle.Tensor:
    """Sum of the squared differences in deviations from the mean, times the tokens one value stands for."""
    targets = ((values - scale.mean) / scale.deviation).astype(np.float32)
    return paddle.square(predictions - paddle.to_tensor(targets)).sum() * scale.tokens_per_value


def squared_error(ours: paddle.Tensor, theirs: paddle.Tensor, batch: Batch) -> paddle.Tensor:
    """Mean over the real tokens and the columns of the squared difference; both (B, T, W) → scalar."""
    error = paddle.square(ours - theirs).mean(axis=-1)  # (B, T)
    if batch.mask is not None:
        error = error * paddle.to_tensor(batch.mask)
    return error.sum() / tokens_of(batch)


def cosine_error(ours: paddle.Tensor, theirs: paddle.Tensor) -> paddle.Tensor:
    """Mean squared difference of the cosines between every two rows of length 1; (B, H), (B, W) → scalar."""
    count = ours.shape[0]
    return paddle.square(cosines_between(ours) - cosines_between(theirs)).sum() / max(1, count * (count - 1))
