"""Learning from a teacher: the losses by hand, the command from corpus to model folder, and resuming."""

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest

from checkpoints.folder import read_config, save_checkpoint
from checkpoints.network import arrays_of
from common.errors import InputError
from encoders.batching import Batch
from encoders.framework import paddle
from encoders.heads import SentenceClassifier
from encoders.tokenizer import Tokenizer
from pretraining.distillation import cosine_error, squared_error
from pretraining.model_folder import load_encoder
from pretraining.run_pretrain import main
from pretraining.student import isometry, narrowed
from pretraining.teacher import hidden_states, matched_depths, sentence_vectors
from tests.pretraining.runs import interrupt_after


def batch(mask: list[list[float]] | None) -> Batch:
    ids = np.ones((2, 2), dtype=np.int64)
    array = None if mask is None else np.array(mask, dtype=np.float32)
    return Batch(ids, np.zeros_like(ids), array, None, np.arange(2))


def test_squared_error_leaves_padding_out() -> None:
    ours = paddle.to_tensor([[[1.0, 2.0], [0.0, 0.0]], [[3.0, 1.0], [50.0, 50.0]]])
    theirs = paddle.to_tensor([[[0.0, 0.0], [0.0, 4.0]], [[3.0, 3.0], [0.0, 0.0]]])
    # Tokens: (1 + 4)/2, (0 + 16)/2, (0 + 4)/2, and the padded one.
    assert float(squared_error(ours, theirs, batch([[1, 1], [1, 0]]))) == pytest.approx(12.5 / 3)
    assert float(squared_error(ours, theirs, batch(None))) == pytest.approx((12.5 + 2500) / 4)


def test_sentence_vectors_and_their_cosines() -> None:
    states = paddle.to_tensor([[[3.0, 0.0], [3.0, 8.0]], [[0.0, 2.0], [9.0, 9.0]]])
    vectors = sentence_vectors(states, batch([[1, 1], [1, 0]]))  # sums (6, 8) and (0, 2)
    np.testing.assert_allclose(vectors.numpy(), [[0.6, 0.8], [0.0, 1.0]], rtol=1e-6)
    # Cosine 0.8 here, cos 60° there: the same difference on both sides of the diagonal.
    theirs = paddle.to_tensor([[1.0, 0.0], [0.5, math.sqrt(0.75)]])
    assert float(cosine_error(vectors, theirs)) == pytest.approx(0.3**2, rel=1e-5)
    assert float(cosine_error(vectors[:1], theirs[:1])) == 0.0


@pytest.mark.parametrize(
    ("layers", "matched", "depths"), [(6, 2, [3, 6]), (4, 1, [4]), (6, 6, [1, 2, 3, 4, 5, 6])]
)
def test_matched_layers_are_evenly_spread(layers: int, matched: int, depths: list[int]) -> None:
    assert matched_depths(layers, matched) == depths


@pytest.mark.parametrize("model_type", ["bert", "electra", "convbert", "ernie"])
def test_teachers_of_all_types(model_type: str, corpus_dir: Path, tiny_folder: Path, tmp_path: Path) -> None:
    config = dataclasses.replace(
        read_config(tiny_folder),
        model_type=model_type,
        hidden_size=48,
        embedding_size=48,
        num_hidden_layers=4,
    )
    encoder = SentenceClassifier(config)
    save_checkpoint(tmp_path / "teacher", config, arrays_of(encoder), Tokenizer(tiny_folder))
    teacher = load_encoder(tmp_path / "teacher")
    teacher.eval()
    some = batch([[1, 1], [1, 0]])
    first, last = hidden_states(teacher, some, [1, 4])
    whole = teacher(*(paddle.to_tensor(part) for part in (some.ids, some.token_types, some.mask)))
    np.testing.assert_array_equal(last.numpy(), whole.numpy())
    assert not np.allclose(first.numpy(), whole.numpy())
    argv = arguments(corpus_dir, tiny_folder, tmp_path / "teacher", tmp_path / "out")
    main([*argv, "--max_steps", "1", "--eval_examples", "2", "--matched_layers", "1"])
    (scores,) = evaluations(tmp_path / "out")
    assert -1 <= scores["token_cosine"] <= 1


def test_narrowed_embeddings_keep_the_distances_that_lie_in_their_directions() -> None:
    # Words in a plane of a space of 6 dimensions, off the origin: 2 columns hold all there is.
    draw = np.random.default_rng(3)
    plane, _ = np.linalg.qr(draw.normal(size=(6, 2)))
    embeddings = draw.normal(size=(40, 2)) @ plane.T + 5.0
    tables = {"word": embeddings, "position": embeddings[:4] * 0.5, "token_type": np.zeros((2, 6))}
    narrow = narrowed({f"encoder.embeddings.{name}.weight": table for name, table in tables.items()}, 2)
    actual = narrow["encoder.embeddings.word.weight"]
    assert actual.shape == (40, 2)
    before = np.linalg.norm(embeddings[:, None] - embeddings, axis=-1)
    np.testing.assert_allclose(np.linalg.norm(actual[:, None] - actual, axis=-1), before, atol=1e-5)
    # What all words share moved into the token types: sums of word and type are turned as a whole.
    turned = actual + narrow["encoder.embeddings.token_type.weight"][0]
    position = narrow["encoder.embeddings.position.weight"][1]
    np.testing.assert_allclose(
        turned @ position, embeddings @ (embeddings[1] * 0.5) - _outside(embeddings, plane), atol=1e-4
    )


def _outside(embeddings: np.ndarray, plane: np.ndarray) -> np.ndarray:
    """The part of each word's product with half the second word that lies outside the plane."""
    rest = np.eye(6) - plane @ plane.T
    return embeddings @ rest @ (embeddings[1] * 0.5)


@pytest.mark.parametrize("shape", [(3, 7), (5, 5)])
def test_isometry_keeps_lengths(shape: tuple[int, int]) -> None:
    rows = np.random.default_rng(0).normal(size=(4, shape[0]))
    np.testing.assert_allclose(
        np.linalg.norm(rows @ isometry(*shape, seed=1), axis=1), np.linalg.norm(rows, axis=1), rtol=1e-5
    )


def arguments(corpus: Path, student: Path | str, teacher: Path, output: Path, *more: str) -> list[str]:
    values = {"input_dir": corpus, "model_name_or_path": student, "teacher": teacher, "output_dir": output}
    flags = [word for name, value in values.items() for word in (f"--{name}", str(value))]
    fixed = "--max_seq_length 32 --batch_size 16 --max_steps 24 --save_steps 8 --logging_steps 4 --seed 3"
    return ["--objective", "distill", *flags, *fixed.split(), *more]


@pytest.fixture(scope="module")
def finished(
    corpus_dir: Path, tiny_folder: Path, teacher_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    output = tmp_path_factory.mktemp("run") / "out"
    main(arguments(corpus_dir, tiny_folder, teacher_folder, output, "--dropout", "0.1"))
    return output


def evaluations(folder: Path) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in (folder / "history.jsonl").read_text(encoding="utf-8").splitlines()]
    return [line["evaluation"] for line in lines if "evaluation" in line]


def test_both_losses_fall(finished: Path) -> None:
    first, *_, last = evaluations(finished)
    assert last["token_loss"] < first["token_loss"]
    assert last["geometry_loss"] < first["geometry_loss"]
    assert last["token_cosine"] > first["token_cosine"]


def test_a_killed_run_goes_on_to_the_same_bytes(
    corpus_dir: Path, tiny_folder: Path, teacher_folder: Path, finished: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    argv = arguments(corpus_dir, tiny_folder, teacher_folder, tmp_path / "out", "--dropout", "0.1")
    interrupt_after(13, argv, monkeypatch)
    main([*argv, "--resume"])
    for name in ("model.safetensors", "objective.safetensors", "optimizer.safetensors", "state.json"):
        assert (tmp_path / "out/last" / name).read_bytes() == (finished / "last" / name).read_bytes(), name
    assert (tmp_path / "out/history.jsonl").read_text(encoding="utf-8") == (
        finished / "history.jsonl"
    ).read_text(encoding="utf-8")


def test_the_encoder_is_a_model_folder(finished: Path, tiny_folder: Path) -> None:
    config = read_config(finished / "best")
    assert config == read_config(tiny_folder)  # among them the dropout to fine-tune with
    assert json.loads((finished / "best/config.json").read_text(encoding="utf-8"))["architectures"] == [
        "ConvBertModel"
    ]
    load_encoder(finished / "best")


def test_a_named_network_takes_the_teachers_vocabulary_and_embeddings(
    corpus_dir: Path, teacher_folder: Path, tmp_path: Path
) -> None:
    argv = arguments(corpus_dir, "electra-mini", teacher_folder, tmp_path / "out")
    main([*argv, "--max_steps", "1", "--learning_rate", "0", "--eval_examples", "2"])
    assert (tmp_path / "out/best/vocab.txt").read_bytes() == (teacher_folder / "vocab.txt").read_bytes()
    config = read_config(tmp_path / "out/best")
    assert (config.model_type, config.hidden_size) == ("electra", 256)


def test_a_vocabulary_that_is_not_the_teachers(
    corpus_dir: Path, tiny_folder: Path, teacher_folder: Path, tmp_path: Path
) -> None:
    student = tmp_path / "student"
    student.mkdir()
    for name in ("config.json", "tokenizer_config.json", "vocab.txt"):
        (student / name).write_bytes((tiny_folder / name).read_bytes())
    pieces = (student / "vocab.txt").read_text(encoding="utf-8").splitlines()
    pieces[7], pieces[8] = pieces[8], pieces[7]
    (student / "vocab.txt").write_text("\n".join(pieces) + "\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"student/vocab.txt: line 8 is .* both must read the same tokens"):
        main(arguments(corpus_dir, student, teacher_folder, tmp_path / "out"))
    assert not (tmp_path / "out").exists()
