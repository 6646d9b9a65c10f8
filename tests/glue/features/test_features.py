"""Rows → tokens and targets."""

from pathlib import Path

import numpy as np
import pytest

from checkpoints.folder import check_length
from common.errors import InputError
from common.files import sha256_of
from encoders.config import EncoderConfig
from encoders.tokenizer import Tokenizer
from glue import features
from glue.data import Example
from glue.features import in_both_orders, load_split, targets_of
from glue.tasks import TASKS
from tests.glue.features.mrpc_rows import PAIRS, TRAIN, assert_equal, load, rows_of, texts

# --- a split --------------------------------------------------------------------------------------


def test_a_split_is_its_rows_in_order(data: Path, tokenizer: Tokenizer) -> None:
    split = load(data, tokenizer, 16)
    assert rows_of(split.features) == tokenizer.encode(texts(PAIRS), 16)
    assert split.features.lengths.max() == 16  # the third is cut
    assert [example.texts for example in split.examples] == texts(PAIRS)
    assert split.path == data / "MRPC" / "train.tsv"
    assert split.digest == sha256_of(split.path)
    assert (split.split, split.rows, split.notes) == (TRAIN, 3, ())
    assert split.features.targets is None


def test_skipped_lines_are_not_tokenised(tmp_path: Path, tokenizer: Tokenizer) -> None:
    (tmp_path / "QQP").mkdir()
    (tmp_path / "QQP" / "train.tsv").write_text(
        "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n"
        "0\t1\t2\tgood film\tbad film\t0\n"
        "1\t1\t2\tgood film\n"
        "2\t1\t2\twhat\twho\t1\n",
        encoding="utf-8",
    )
    qqp = TASKS["qqp"]
    split = load_split(qqp, qqp.of_kind("train")[0], tmp_path, tokenizer, 128)
    assert (split.rows, split.notes) == (2, (f"{split.path}: skipped 1 defective rows, lines 3",))
    assert rows_of(split.features) == tokenizer.encode([("good film", "bad film"), ("what", "who")], 128)


def test_tokenising_in_parts_changes_nothing(
    data: Path, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(features, "_CHUNK", 2)
    assert rows_of(load(data, tokenizer).features) == tokenizer.encode(texts(PAIRS), 128)
    assert capsys.readouterr().err == "tokenising train.tsv: 3 rows\n"  # progress is for terminals


# --- both orders ----------------------------------------------------------------------------------


def test_both_orders(data: Path, tokenizer: Tokenizer, cache: Path, tokenised: list[int]) -> None:
    split = load(data, tokenizer, 16)
    both = in_both_orders(split, tokenizer, 16)
    turned = [(second, first) for first, second in texts(PAIRS)]
    assert rows_of(both.features) == tokenizer.encode(texts(PAIRS) + turned, 16)
    assert [example.texts for example in both.examples] == texts(PAIRS) + turned
    assert [example.label for example in both.examples] == ["1", "0", "0"] * 2
    assert len(both.features) == 6
    assert (both.digest, both.path, both.rows) == (
        split.digest,
        split.path,
        3,
    )  # still one file of three rows
    assert len(split.examples) == 3  # and the split itself is as it was
    assert len(list(cache.iterdir())) == 2
    assert_equal(in_both_orders(load(data, tokenizer, 16), tokenizer, 16).features, both.features)
    assert tokenised == [3, 3]


# --- targets and length ---------------------------------------------------------------------------


def test_targets_follow_the_models_labels() -> None:
    rows = [Example(("a",), label) for label in ("neutral", "contradiction", "entailment", "neutral")]
    table = targets_of(rows, ["contradiction", "entailment", "neutral"], 1.0)
    assert (table.tolist(), str(table.dtype)) == ([2, 0, 1, 2], "int64")
    assert targets_of(rows, ["entailment", "neutral", "contradiction"], 1.0).tolist() == [1, 2, 0, 1]


def test_regression_targets_are_scaled() -> None:
    rows = [Example(("a",), score) for score in (0.0, 2.5, 5.0, 3.2)]
    scaled = targets_of(rows, [], 5.0)
    assert str(scaled.dtype) == "float32"
    np.testing.assert_allclose(scaled, [0, 0.5, 1, 0.64], rtol=1e-6)
    np.testing.assert_array_equal(targets_of(rows, [], 1.0), np.array([0, 2.5, 5, 3.2], np.float32))


def test_inputs_longer_than_the_model() -> None:
    config = EncoderConfig(max_position_embeddings=40)
    check_length(40, config)
    with pytest.raises(InputError, match="--max_seq_length 41: this model has 40 positions at the most"):
        check_length(41, config)
