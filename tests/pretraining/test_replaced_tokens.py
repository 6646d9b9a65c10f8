"""Replaced-token detection: losses by hand, sampling, and one set of embeddings for both networks."""

import dataclasses
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from checkpoints.folder import read_config
from checkpoints.network import arrays_of
from encoders import distributed
from encoders.batching import Batch
from encoders.config import SIZES, EncoderConfig, named
from encoders.framework import paddle
from encoders.tokenizer import Tokenizer
from pretraining.batches import epoch_batches
from pretraining.config import DetectionConfig, preset_settings
from pretraining.examples import load_examples
from pretraining.masking import MaskedBatch, Masking
from pretraining.model_folder import fill_pretrained, load_encoder, write_encoder, write_pretrained
from pretraining.network import NETWORKS, generator_config
from pretraining.replaced_tokens import Detection, Detector, detection_scores, make_detection, sample_pieces

SHARED = ("word.weight", "position.weight", "token_type.weight", "norm.weight", "norm.bias")


@pytest.fixture(scope="module")
def config(tiny_folder: Path) -> EncoderConfig:
    return read_config(tiny_folder)


@pytest.fixture
def objective(config: EncoderConfig, tiny_folder: Path) -> Detection:
    paddle.seed(1)
    return make_detection(config, DetectionConfig(), Tokenizer(tiny_folder), "")


def some_batch(rows: int, width: int = 24) -> Batch:
    draw = np.random.default_rng(4)
    ids = draw.integers(5, 200, size=(rows, width))
    mask = (np.arange(width) < draw.integers(6, width + 1, size=rows)[:, None]).astype(np.float32)
    return Batch(np.where(mask > 0, ids, 0), np.zeros_like(ids), mask, None, np.arange(rows))


# --- losses ----------------------------------------------------------------------------------------


def by_hand(detected: list[list[float]], generated: list[list[float]], weight: float) -> Detection:
    """The objective over a network that gives these logits. It sees the ids of what it should judge."""
    model = SimpleNamespace(
        generator=lambda batch: paddle.to_tensor(generated, dtype="float32"),
        encoder=lambda ids, token_types, mask: ids,
        head=lambda states: paddle.to_tensor(detected, dtype="float32"),
    )
    unused: Any = None
    return Detection(model, unused, weight, share=0.25)  # type: ignore[arg-type]


def masked_by_hand() -> MaskedBatch:
    """Rows (1 0 1 0) and (0 1 + two padded) of a vocabulary of 2; the first token and the last real one
    are to be filled in."""
    ids = np.array([[1, 0, 1, 0], [0, 1, 0, 0]])
    mask = np.array([[1, 1, 1, 1], [1, 1, 0, 0]], dtype=np.float32)
    batch = Batch(ids, np.zeros_like(ids), mask, None, np.arange(2))
    return MaskedBatch(batch, ids, np.array([0, 5]), np.array([1, 1]), (0,))


def test_the_loss_is_that_worked_out_by_hand() -> None:
    # The generator is as good as sure: 0 where a 1 was (30 nats off), 1 where a 1 was (right).
    generated = [[30.0, 0.0], [0.0, 30.0]]
    # Sigmoids: 3/4 for the replaced first token; 1/2, 1/2, 1/4 for the three behind it; 1/2, 1/5.
    three, four = math.log(3), math.log(4)
    detected = [[three, 0.0, 0.0, -three], [0.0, -four, 99.0, 99.0]]
    wanted = [math.log(4 / 3), math.log(2), math.log(2), math.log(4 / 3), math.log(2), math.log(5 / 4)]
    loss = by_hand(detected, generated, 50.0).loss(masked_by_hand())
    assert float(loss) == pytest.approx(30.0 / 0.25 + 50 * sum(wanted), rel=1e-5)


def test_evaluation_is_that_worked_out_by_hand() -> None:
    three = math.log(3)
    actual = by_hand([[-three, 0.0, three, -three], [-1.0, -2.0, 99.0, 99.0]],
                    [[30.0, 0.0], [0.0, 30.0]], 50.0)  # fmt: skip
    actual.held_out = [masked_by_hand(), masked_by_hand()]
    scores = actual.evaluate()
    assert scores["mlm_loss"] == pytest.approx(15.0, rel=1e-5)
    assert scores["mlm_accuracy"] == 0.5
    losses = [four := math.log(4), math.log(2), four, math.log(4 / 3)]
    losses += [math.log1p(math.exp(-1)), math.log1p(math.exp(-2))]
    assert scores["detection_loss"] == pytest.approx(sum(losses) / 6, rel=1e-5)
    assert scores["loss"] == pytest.approx(15 + 50 * sum(losses) / 6, rel=1e-5)
    assert scores["replaced_share"] == pytest.approx(1 / 6)
    # Of six tokens the replaced one is missed, and one other is called replaced; of the five others only
    # the last has a lower logit, and one the same.
    assert scores["detection_accuracy"] == pytest.approx(4 / 6)
    assert (scores["detection_precision"], scores["detection_recall"]) == (0, 0)
    assert scores["detection_auc"] == scores["main"] == pytest.approx((1 + 0.5) / 5)


def test_detection_scores() -> None:
    replaced, logits = np.array([1, 1, 0, 0, 0], dtype=bool), np.array([2.0, -1, 1, -2, -3])
    assert detection_scores(replaced, logits) == pytest.approx(
        {"detection_accuracy": 3 / 5, "detection_precision": 1 / 2, "detection_recall": 1 / 2,
         "detection_auc": 5 / 6}
    )  # fmt: skip
    assert detection_scores(~replaced & replaced, -np.abs(logits)) == {
        "detection_accuracy": 1, "detection_precision": 0, "detection_recall": 0, "detection_auc": 0.5
    }  # fmt: skip


def test_a_batch_in_parts_has_the_loss_of_the_whole(objective: Detection) -> None:
    """So accumulated batches, and those of several processes, are one step on all of them."""
    objective.model.eval()
    batch = some_batch(7)
    whole = objective.loss(objective.prepare(batch, (3, 4)))
    parts = 0.0
    for rows in (slice(0, 1), slice(1, 5), slice(5, 7)):
        assert batch.mask is not None
        part = Batch(batch.ids[rows], batch.token_types[rows], batch.mask[rows], None, batch.rows[rows])
        parts += float(objective.loss(objective.prepare(part, (3, 4))))
    assert parts == pytest.approx(float(whole), rel=1e-5)


def test_an_evaluation_repeats_itself(objective: Detection) -> None:
    objective.model.eval()
    objective.hold_out([some_batch(5), some_batch(1)])
    with paddle.no_grad():
        assert objective.evaluate() == objective.evaluate()


def test_a_batch_without_any_word(objective: Detection, tiny_folder: Path) -> None:
    vocabulary = Tokenizer(tiny_folder).vocabulary
    ids = np.array([[vocabulary["[CLS]"], vocabulary["[MASK]"], vocabulary["[SEP]"]]])
    empty = Batch(ids, ids * 0, None, None, np.arange(1))
    loss = objective.loss(objective.prepare(empty, (0,)))
    loss.backward()
    model = objective.model
    logits = model.head(model.encoder(paddle.to_tensor(ids), paddle.to_tensor(ids * 0))).numpy()
    assert float(loss) == pytest.approx(50 * np.log1p(np.exp(logits)).sum(), rel=1e-5)  # all are original
    objective.hold_out([empty])
    scores = objective.evaluate()
    assert (scores["mlm_loss"], scores["replaced_share"], scores["main"]) == (0, 0, 0.5)


# --- sampling --------------------------------------------------------------------------------------


def sampling_batch(rows: int, each: int) -> MaskedBatch:
    ids = np.zeros((rows, each), dtype=np.int64)
    batch = Batch(ids, ids, None, None, np.arange(rows))
    return MaskedBatch(batch, ids, np.arange(rows * each), np.full(rows, each), (9,))


def test_samples_follow_the_softmax() -> None:
    logits = paddle.to_tensor(np.log([[0.1, 0.2, 0.7]]).astype(np.float32)).tile([20_000, 1])
    counts = np.bincount(sample_pieces(logits, sampling_batch(1000, 20)), minlength=3) / 20_000
    np.testing.assert_allclose(counts, [0.1, 0.2, 0.7], atol=0.01)  # three deviations


def test_samples_of_half_precision_are_those_of_the_same_numbers_in_full() -> None:
    draw = np.random.default_rng(0)
    logits = draw.normal(scale=3, size=(200, 500)).astype(np.float16)
    batch = sampling_batch(20, 10)
    half, full = (
        sample_pieces(paddle.to_tensor(logits.astype(kind)), batch) for kind in ("float16", "float32")
    )
    np.testing.assert_array_equal(half, full)
    assert len(set(half.tolist())) > 50
    # Largest and smallest float16: the noise neither overflows nor makes a NaN that argmax would take.
    logits[:] = -65504
    logits[:, 123] = 65504
    assert set(sample_pieces(paddle.to_tensor(logits), batch).tolist()) == {123}
    # One piece has half of the probability, 29 999 others share the rest.
    rare = np.zeros((200, 30_000), dtype=np.float16)
    rare[:, 0] = math.log(30_000)
    assert 60 < (sample_pieces(paddle.to_tensor(rare), batch) == 0).sum() < 140


# --- one set of embeddings -------------------------------------------------------------------------


def embeddings_of(model: Detector) -> tuple[Any, Any]:
    return model.encoder.embeddings, model.generator.encoder.embeddings


def assert_shared(model: Detector) -> None:
    ours, generators = (dict(part.named_parameters()) for part in embeddings_of(model))
    for name in SHARED:
        assert ours[name] is generators[name], name
    assert ours["projection.weight"].shape != generators["projection.weight"].shape


def test_both_learn_the_same_embeddings(objective: Detection) -> None:
    assert_shared(objective.model)
    names = [name for name, _ in objective.model.named_parameters()]
    assert len(names) == len(set(names))
    assert [n for n in names if "embeddings" in n and n.startswith("generator.")] == [
        "generator.encoder.embeddings.projection.weight", "generator.encoder.embeddings.projection.bias"
    ]  # fmt: skip
    batch = objective.prepare(some_batch(4), (0,))
    objective.weight = 0.0  # the generator's loss alone
    objective.loss(batch).backward()
    ours = dict(objective.model.encoder.embeddings.named_parameters())
    for name in SHARED:
        assert np.abs(ours[name].grad.numpy()).max() > 0, name


def test_new_weights_are_small_in_both(config: EncoderConfig) -> None:
    config = dataclasses.replace(config, initializer_range=0.01)
    for name, array in arrays_of(Detector(config, generator_config(config, 0.25))).items():
        if ".norm." not in name:
            deviation = 0.0 if name.endswith("bias") else 0.01
            assert np.std(array) == pytest.approx(deviation, rel=0.5), name


def test_no_gradient_goes_through_the_samples(objective: Detection) -> None:
    objective.share = math.inf  # the detection loss alone
    objective.loss(objective.prepare(some_batch(4), (0,))).backward()
    for name, parameter in objective.model.named_parameters():
        moved = parameter.grad is not None and np.abs(parameter.grad.numpy()).max() > 0
        assert moved == (not name.startswith("generator.")) or name == "head.projection.bias", name


def test_embeddings_are_shared_after_saving_and_loading(
    objective: Detection, config: EncoderConfig, tiny_folder: Path, tmp_path: Path
) -> None:
    write_pretrained(tmp_path, config, objective.model, Tokenizer(tiny_folder))
    again = Detector(config, generator_config(config, 0.25))
    fill_pretrained(again, tmp_path, config)
    assert_shared(again)
    wanted = arrays_of(objective.model)
    for name, array in arrays_of(again).items():
        np.testing.assert_array_equal(array, wanted[name], err_msg=name)


def test_the_encoder_alone_is_exported(
    objective: Detection, config: EncoderConfig, tiny_folder: Path, tmp_path: Path
) -> None:
    write_encoder(tmp_path, config, objective.model, Tokenizer(tiny_folder))
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "config.json", "model.safetensors", "tokenizer_config.json", "vocab.txt"
    ]  # fmt: skip
    wanted = arrays_of(objective.model.encoder)
    for name, array in arrays_of(load_encoder(tmp_path)).items():
        np.testing.assert_array_equal(array, wanted[name])


# --- sizes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "width", "heads", "rate", "batch"),
    [("small", 64, 1, 3e-4, 128), ("medium-small", 96, 1, 5e-4, 128), ("base", 256, 4, 2e-4, 256)],
)
def test_the_authors_sizes(size: str, width: int, heads: int, rate: float, batch: int) -> None:
    training = DetectionConfig(**preset_settings("rtd", named(size)))
    generator = generator_config(named(size), training.generator_ratio)
    assert (training.learning_rate, training.batch_size) == (rate, batch)
    assert (generator.hidden_size, generator.num_attention_heads) == (width, heads)
    assert generator.intermediate_size == 4 * width
    kept = ("embedding_size", "num_hidden_layers", "num_groups", "vocab_size", "conv_kernel_size")
    assert all(getattr(generator, name) == SIZES[size].get(name, getattr(named(size), name)) for name in kept)


@pytest.mark.parametrize("model_type", ["convbert", "electra", "bert", "ernie"])
def test_any_width_has_a_generator(model_type: str) -> None:
    shapes = ((24, 1, 1, 2), (1000, 10, 1, 2), (768, 12, 2, 3), (640, 10, 4, 5))
    for hidden, heads, groups, head_ratio in shapes:
        config = EncoderConfig(
            model_type, hidden_size=hidden, embedding_size=hidden, head_ratio=head_ratio,
            num_attention_heads=heads, num_groups=groups, intermediate_size=hidden * 4,
        )  # fmt: skip
        for ratio in (0.01, 0.25, 1 / 3, 0.77, 1.0):
            generator = generator_config(config, ratio)  # which checks itself
            assert abs(generator.hidden_size - hidden * ratio) <= 2 * groups


def test_convbert_mini_stays_as_it_is() -> None:
    """The shipped weights are of this shape."""
    mini = dataclasses.asdict(NETWORKS["convbert-mini"])
    assert {mini[name] for name in ("embedding_size",)} == {128}
    assert (mini["hidden_size"], mini["num_hidden_layers"], mini["num_attention_heads"]) == (256, 6, 8)
    assert (mini["intermediate_size"], mini["head_ratio"], mini["conv_kernel_size"]) == (768, 2, 9)


# --- several processes -----------------------------------------------------------------------------


def test_processes_read_disjoint_parts_masked_alike(
    tmp_path: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer = Tokenizer(tiny_folder)
    path = tmp_path / "train.data"
    path.write_text(
        "\n\n".join(f"{a}{b} c d e f g" for a in "abcdefgh" for b in "ijklmnopq"), encoding="utf-8"
    )
    shards = load_examples(path, tokenizer, 16, "packed").train

    def seen(rank: int, world: int) -> list[dict[int, tuple[Any, ...]]]:
        """Of every batch: example → its ids as they are masked."""
        monkeypatch.setattr(distributed, "rank", lambda: rank)
        monkeypatch.setattr(distributed, "world_size", lambda: world)
        batches = epoch_batches(shards, 96, 7, 0, Masking(tokenizer, 0.15))(2)
        assert len(batches) > 5
        parts = [batches[n : n + 1] for n in range(len(batches))]
        return [{int(row): tuple(filter(None, ids)) for part in actual  # without padding
                 for row, ids in zip(part.original.rows, part.ids.tolist(), strict=True)}
                for actual in parts]  # fmt: skip

    alone, first, second = seen(0, 1), seen(0, 2), seen(1, 2)
    for whole, one, two in zip(alone, first, second, strict=True):
        assert not one.keys() & two.keys()
        assert one | two == whole
    assert len({row for batch in alone for row in batch}) == sum(shard.examples for shard in shards)
