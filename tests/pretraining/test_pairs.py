"""Telling from both texts at once what the teacher tells from each alone."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest

from checkpoints.folder import read_config
from common.errors import InputError
from encoders.batching import Batch, pack, pad
from encoders.framework import paddle
from encoders.tokenizer import Tokenizer
from pretraining.batches import tokens_of
from pretraining.config import DistillationConfig
from pretraining.distillation import make_distillation
from pretraining.model_folder import load_encoder
from pretraining.pairs import has_pairs, pair_similarity, separate_texts
from pretraining.run_pretrain import main
from pretraining.teacher import hidden_states

TEXTS: list[tuple[str, ...]] = [
    ("a good film", "the film was long"),
    ("a dull story",),
    ("no", "a day to see it"),
]


def batch_of(texts: list[tuple[str, ...]], folder: Path) -> Batch:
    return pad(pack(Tokenizer(folder).encode(texts, 32)), np.arange(len(texts)))


def test_the_texts_of_pairs_stand_apart() -> None:
    ids = np.array([[2, 7, 8, 3, 9, 3], [2, 5, 3, 0, 0, 0], [2, 4, 3, 6, 6, 3]])
    types = np.array([[0, 0, 0, 0, 1, 1], [0] * 6, [0, 0, 0, 1, 1, 1]])
    batch = Batch(ids, types, (ids != 0).astype(np.float32), None, np.arange(3))
    texts, rows = separate_texts(batch, pad_id=0)
    np.testing.assert_array_equal(rows, [0, 2])
    np.testing.assert_array_equal(texts.ids, [[2, 7, 8, 3], [2, 4, 3, 0], [2, 9, 3, 0], [2, 6, 6, 3]])
    np.testing.assert_array_equal(texts.mask, [[1, 1, 1, 1], [1, 1, 1, 0], [1, 1, 1, 0], [1, 1, 1, 1]])
    assert not texts.token_types.any()
    assert has_pairs(batch)
    single = Batch(ids[1:2], types[1:2], batch.mask[1:2], None, np.arange(1))
    assert not has_pairs(single)


def test_of_two_separators_the_first_text_keeps_one() -> None:
    """As RoBERTa's: <s> a b </s></s> c </s>."""
    ids = np.array([[0, 7, 8, 2, 2, 9, 2], [0, 5, 2, 2, 6, 2, 1]])
    types = np.array([[0, 0, 0, 0, 0, 1, 1], [0, 0, 0, 0, 1, 1, 0]])
    batch = Batch(ids, types, (ids != 1).astype(np.float32), None, np.arange(2))
    texts, rows = separate_texts(batch, pad_id=1, separators=2)
    np.testing.assert_array_equal(texts.ids, [[0, 7, 8, 2], [0, 5, 2, 1], [0, 9, 2, 1], [0, 6, 2, 1]])
    near = pair_similarity(batch, rows, texts, np.ones((4, 4, 2)), separators=2)
    np.testing.assert_array_equal(near.positions, [1, 2, 5, 8, 11])
    np.testing.assert_array_equal(batch.ids.reshape(-1)[near.positions], [7, 8, 9, 5, 6])


def cosine(u: np.ndarray, v: np.ndarray) -> float:
    return float(u @ v / np.sqrt(u @ u * (v @ v)))


def standard(values: list[float]) -> np.ndarray:
    return (np.array(values) - np.mean(values)) / np.std(values)


def test_places_of_tokens_and_their_nearest() -> None:
    # [CLS] a b [SEP] c [SEP], and a pair whose second text is empty; states of the texts in two dimensions.
    ids = np.array([[2, 7, 8, 3, 9, 3], [2, 5, 3, 3, 0, 0]])
    types = np.array([[0, 0, 0, 0, 1, 1], [0, 0, 0, 1, 0, 0]])
    batch = Batch(ids, types, (ids != 0).astype(np.float32), None, np.arange(2))
    texts, rows = separate_texts(batch, pad_id=0)
    states = np.zeros((4, 4, 2))
    states[0] = [[1, 0], [2, 0], [0, 3], [0, 0]]  # a along x, b along y; their mean (3, 3)
    states[2, :3] = [[0, 0], [3, 4], [0, 0]]  # c
    near = pair_similarity(batch, rows, texts, states)
    np.testing.assert_array_equal(near.rows, [0, 1])
    np.testing.assert_array_equal(near.positions, [1, 2, 4])
    np.testing.assert_allclose(near.token_cosines, [0.6, 0.8, 0.8])
    np.testing.assert_allclose(near.text_cosines, [7 / (5 * np.sqrt(2)), 0.0])


def test_the_loss_is_against_the_teachers_cosine_of_each_text_alone(
    tiny_folder: Path, teacher_folder: Path
) -> None:
    training = DistillationConfig(max_seq_length=32, pair_weight=2.0, geometry_weight=0.0)
    objective = make_distillation(read_config(tiny_folder), training, str(teacher_folder), "", "teacher")
    objective.model.eval()
    batch = batch_of(TEXTS, tiny_folder)
    objective.hold_out([batch])

    teacher = load_encoder(teacher_folder)
    teacher.eval()
    texts, tokens = [], []
    for pair in (TEXTS[0], TEXTS[2]):
        first, second = (
            hidden_states(teacher, batch_of([(text,)], tiny_folder), [len(teacher.layers)])[0].numpy()[0]
            for text in pair
        )
        texts.append(cosine(first.mean(axis=0), second.mean(axis=0)))
        tokens += [max(cosine(u, v) for v in second[1:-1]) for u in first[1:-1]]
        tokens += [max(cosine(u, v) for u in first[1:-1]) for v in second[1:-1]]

    head = objective.model.pair_head
    head.weight.set_value(paddle.zeros_like(head.weight))  # it says the same of every pair and token
    head.bias.set_value(paddle.to_tensor([0.5, -0.25]))
    wanted = (np.mean((0.5 - standard(texts)) ** 2) + np.mean((-0.25 - standard(tokens)) ** 2)) / 2
    scores = objective.evaluate()
    assert scores["pair_loss"] == pytest.approx(wanted, rel=1e-4)
    assert scores["loss"] == pytest.approx(scores["token_loss"] + 2 * scores["pair_loss"], rel=1e-5)
    assert float(objective.loss(batch)) == pytest.approx(scores["loss"] * batch.mask.sum(), rel=1e-5)

    objective.loss(batch).backward()
    assert (paddle.abs(head.weight.grad).sum(axis=0) > 0).all()
    single = batch_of([("a dull story",)], tiny_folder)
    assert float(objective.loss(single)) > 0  # of tokens alone


def test_pairs_weigh_alike_however_they_fall_into_batches(tiny_folder: Path, teacher_folder: Path) -> None:
    training = DistillationConfig(max_seq_length=32, pair_weight=2.0, geometry_weight=0.0)
    objective = make_distillation(read_config(tiny_folder), training, str(teacher_folder), "", "teacher")
    objective.model.eval()
    texts = [*TEXTS, ("the film", "a good day was seen by no film"), ("dull",), ("a day to see a long film",)]
    actual = []
    for cuts in ((0, 6), (0, 1, 6), (0, 2, 4, 6)):
        batches = [batch_of(texts[start:end], tiny_folder) for start, end in itertools.pairwise(cuts)]
        objective.hold_out(batches)
        scores = objective.evaluate()
        summed = sum(float(objective.loss(batch)) for batch in batches) / sum(map(tokens_of, batches))
        assert summed == pytest.approx(scores["loss"], rel=1e-5)
        actual.append((scores["pair_loss"], scores["token_loss"]))
    for other in actual[1:]:
        assert other == pytest.approx(actual[0], rel=1e-5)


def arguments(corpus: Path, tiny_folder: Path, teacher: Path, output: Path, *more: str) -> list[str]:
    return [
        "--objective", "distill", "--input_dir", str(corpus), "--model_name_or_path", str(tiny_folder),
        "--teacher", str(teacher), "--output_dir", str(output), "--pair_weight", "1", "--batch_size", "16",
        "--max_seq_length", "32", "--save_steps", "20", *more,
    ]  # fmt: skip


def test_it_is_learnt(corpus_dir: Path, tiny_folder: Path, teacher_folder: Path, tmp_path: Path) -> None:
    main([*arguments(corpus_dir, tiny_folder, teacher_folder, tmp_path / "out"), "--max_steps", "60"])
    lines = [
        json.loads(line) for line in (tmp_path / "out/history.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    losses = [line["evaluation"]["pair_loss"] for line in lines if "evaluation" in line]
    assert losses[-1] < min(1.0, losses[0])


def test_a_corpus_without_pairs(
    corpus_dir: Path, tiny_folder: Path, teacher_folder: Path, tmp_path: Path
) -> None:
    lines = [
        line
        for line in (corpus_dir / "train.data").read_text(encoding="utf-8").splitlines()
        if "\t" not in line
    ]
    (tmp_path / "train.data").write_text("\n".join(lines) + "\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"^--pair_weight: no held-out example has two texts; "):
        main(arguments(tmp_path, tiny_folder, teacher_folder, tmp_path / "out"))
