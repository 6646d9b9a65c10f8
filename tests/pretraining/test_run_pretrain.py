"""The command with its default objective: what it learns, leaves, and what it refuses."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from checkpoints import registry
from checkpoints.folder import read_config
from common.errors import InputError, UsageError
from encoders.cpu import onednn
from encoders.tokenizer import SPECIALS, Tokenizer
from pretraining.model_folder import load_encoder
from pretraining.run_pretrain import main
from tests.golden.tokenizer_folders import library_tokenizer
from tests.pretraining.runs import SHORT, arguments, lines_of, start

# --- what it learns and leaves ---------------------------------------------------------------------


def test_what_a_run_leaves(finished: Path, tiny_folder: Path) -> None:
    assert json.loads((finished / "args.json").read_text(encoding="utf-8"))["task_name"] == "rtd"
    assert not (finished / "best" / "objective.safetensors").exists()  # the encoder alone
    assert (finished / "last" / "objective.safetensors").is_file()
    assert read_config(finished / "best") == read_config(tiny_folder)
    load_encoder(finished / "best")
    assert json.loads((finished / "scores.json").read_text(encoding="utf-8"))["main"] == "detection_auc"


@pytest.mark.long
def test_two_hundred_steps_lower_both_losses_and_beat_chance(
    corpus_dir: Path, tiny_folder: Path, sample_dir: Path, tmp_path: Path
) -> None:
    settings = "--max_seq_length 64 --batch_size 32 --max_steps 200 --save_steps 50 --learning_rate 1e-3"
    main(arguments(corpus_dir, tiny_folder, tmp_path / "out", settings))
    first, *_, last = lines_of(tmp_path / "out", "evaluation")
    assert last["mlm_loss"] < 0.9 * first["mlm_loss"]
    assert last["detection_loss"] < 0.97 * first["detection_loss"]
    assert last["mlm_accuracy"] > first["mlm_accuracy"]
    assert last["detection_auc"] > 0.75  # chance: 0.5
    # Precision of guessing is the share of replaced tokens.
    assert last["detection_recall"] == 0 or last["detection_precision"] > 2 * last["replaced_share"]
    from glue.run_glue import main as run_glue

    argv = f"--task_name rte --data_dir {sample_dir} --max_steps 2 --output_dir {tmp_path / 'rte'}"
    run_glue([*argv.split(), "--model_name_or_path", str(tmp_path / "out" / "best")])
    assert "accuracy" in json.loads((tmp_path / "rte" / "scores.json").read_text(encoding="utf-8"))["best"]


def test_batches_of_one_accumulation_and_mixed_precision(
    corpus_dir: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    argv = (corpus_dir / "train.data").read_text(encoding="utf-8").splitlines()[:8]
    (corpus / "train.data").write_text(
        "\n".join(["[MASK]", *argv, "[SEP]", "[MASK] [MASK]"]), encoding="utf-8"
    )
    settings = (
        "--train_batch_size 1 --gradient_accumulation_steps 2 --use_amp --max_seq_length 16 --max_steps 10 "
        "--logging_steps 1 --eval_batch_size 1 --mask_prob 0.3 --eval-examples 3 --packing lines"
    )
    main(arguments(corpus, tiny_folder, tmp_path / "out", settings))
    losses = [line["loss"] for line in lines_of(tmp_path / "out", "loss")]
    assert len(losses) == 10
    assert np.isfinite(losses).all()
    precision = json.loads((tmp_path / "out" / "args.json").read_text(encoding="utf-8"))["precision"]
    if fault := onednn.status().fault:
        assert f"--use_amp: {fault}" in (tmp_path / "out" / "train.log").read_text(encoding="utf-8")
        assert precision == {}
    else:
        assert precision["instructions"] in ("amx", "avx512_bf16")


def test_what_cannot_be_is_said_before_anything_is_read_or_written(
    corpus_dir: Path, tiny_folder: Path, teacher_folder: Path, finished: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    plain = tmp_path / "plain"
    plain.mkdir()
    (plain / "train.data").write_text("".join(f"no pair {n}\n" for n in range(60)), encoding="utf-8")
    distill = f"{SHORT} --objective distill --teacher {teacher_folder} --pair_weight 1"
    with pytest.raises(InputError, match="pair"):
        main(arguments(plain, tiny_folder, tmp_path / "out", distill))
    assert not (tmp_path / "out").exists()
    monkeypatch.setattr("pretraining.pre_training.load_examples", None)
    with pytest.raises(InputError, match="is not empty; give --resume"):
        main(arguments(corpus_dir, tiny_folder, finished))
    with pytest.raises(InputError, match="is a file; --output_dir names a folder"):
        main(arguments(corpus_dir, tiny_folder, plain / "train.data"))
    one_kind = tmp_path / "one"
    shutil.copytree(tiny_folder, one_kind)
    config = json.loads((one_kind / "config.json").read_text(encoding="utf-8"))
    (one_kind / "config.json").write_text(json.dumps({**config, "type_vocab_size": 1}), encoding="utf-8")
    with pytest.raises(InputError, match=r"one/config\.json: type_vocab_size 1: pairs and packed"):
        main(arguments(corpus_dir, one_kind, tmp_path / "out"))
    longer = tmp_path / "longer"
    shutil.copytree(teacher_folder, longer)
    with open(longer / "vocab.txt", "a", encoding="utf-8") as file:
        file.write("zzz\n" * 1)
    (longer / "manifest.json").unlink()
    with pytest.raises(InputError, match=r"longer/vocab\.txt: has \d+ pieces, config\.json says vocab_size"):
        main(
            arguments(
                corpus_dir, "convbert-mini", tmp_path / "out", f"--objective distill --teacher {longer}"
            )
        )


@pytest.mark.long
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the launcher and gloo need Linux")
def test_two_processes_learn_as_one(
    project_dir: Path, corpus_dir: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    """Dropout draws its masks a process, so without; all else must agree, masks and samples too."""
    fixed = (
        "--max_seq_length 32 --max_steps 12 --save_steps 6 --logging_steps 1 --dropout 0 --eval_batch_size 8"
    )
    runs = [
        start(
            project_dir,
            arguments(corpus_dir, tiny_folder, tmp_path / f"{n}", f"{fixed} --batch_size {16 // n}"),
            tmp_path,
            n,
        )
        for n in (1, 2)
    ]
    for run in runs:
        message, _ = run.communicate(timeout=600)
        assert run.returncode == 0, message
    one, two = ([line["loss"] for line in lines_of(tmp_path / name, "loss")] for name in ("1", "2"))
    np.testing.assert_allclose(two, one, rtol=1e-4)
    assert len({round(loss, 2) for loss in one}) > 6
    for ours, theirs in zip(*(lines_of(tmp_path / n, "evaluation") for n in ("1", "2")), strict=True):
        assert theirs == pytest.approx(ours, rel=1e-3, abs=2e-3)
    args = json.loads((tmp_path / "2" / "args.json").read_text(encoding="utf-8"))
    assert (args["processes"], args["recipe"]["batch_size"]) == (2, 8)


# --- what it starts from ---------------------------------------------------------------------------

ONE_STEP = "--max_seq_length 16 --batch_size 4 --max_steps 1 --learning_rate 0 --eval_examples 2"


def same_weights(a: Path, b: Path) -> bool:
    return (a / "model.safetensors").read_bytes() == (b / "model.safetensors").read_bytes()


@pytest.mark.parametrize(
    ("argv", "begins_there"),
    [("--init_from_ckpt", True), ("--init_from_ckpt True", True), ("--init_from_ckpt {folder}", True),
     ("--init_from_ckpt false", False), ("", False)],
)  # fmt: skip
def test_weights_to_begin_with(
    corpus_dir: Path, finished: Path, tmp_path: Path, argv: str, begins_there: bool
) -> None:
    """At a rate of 0 what is saved is what was begun with."""
    settings = f"{ONE_STEP} {argv.format(folder=finished)}"  # a run's folder stands for its best/
    main(arguments(corpus_dir, finished / "best", tmp_path / "out", settings))
    assert same_weights(tmp_path / "out" / "best", finished / "best") == begins_there
    message = json.loads((tmp_path / "out" / "args.json").read_text(encoding="utf-8"))["init_from_ckpt"]
    assert message == (str(finished / "best") if begins_there else "")


def test_convbert_mini_names_a_shape_or_with_init_from_ckpt_the_shipped_weights(
    corpus_dir: Path, finished: Path, tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = tmp_path / "shipped"  # here a tiny one
    shutil.copytree(finished / "best", shipped / "convbert-mini")
    monkeypatch.setattr(registry, "__file__", str(shipped / "registry.py"))
    settings = f"{ONE_STEP} --init_from_ckpt"
    main(arguments(corpus_dir, "convbert-mini", tmp_path / "weights", settings))
    assert same_weights(tmp_path / "weights" / "best", finished / "best")
    main(arguments(corpus_dir, "convbert-mini", tmp_path / "shape", ONE_STEP))
    shape = read_config(tmp_path / "shape" / "best")
    assert (shape.hidden_size, shape.num_hidden_layers) == (256, 6)
    vocabulary = (tmp_path / "shape" / "best" / "vocab.txt").read_bytes()
    assert vocabulary == (tiny_folder / "vocab.txt").read_bytes()


def test_the_vocabulary_of_a_network_by_name(
    corpus_dir: Path, tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "__file__", str(tmp_path / "registry.py"))  # convbert-mini is absent
    with pytest.raises(InputError, match=r"^convbert-small: name its vocabulary, --tokenizer FOLDER \("):
        main(arguments(corpus_dir, "convbert-small", tmp_path / "out"))
    settings = f"{ONE_STEP} --tokenizer {tiny_folder}"
    main(arguments(corpus_dir, "electra-mini", tmp_path / "out", settings))
    assert read_config(tmp_path / "out" / "best").vocab_size == read_config(tiny_folder).vocab_size


def test_weights_of_other_tokens(corpus_dir: Path, tiny_folder: Path, finished: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(tiny_folder, other)
    pieces = (other / "vocab.txt").read_text(encoding="utf-8").splitlines()
    (other / "vocab.txt").write_text(
        "\n".join([*pieces[:-2], pieces[-1], pieces[-2]]) + "\n", encoding="utf-8"
    )
    with pytest.raises(InputError, match="both must read the same tokens: these weights are of other tokens"):
        main(arguments(corpus_dir, other, tmp_path / "out", f"{SHORT} --init_from_ckpt {finished}"))


def test_a_vocabulary_of_tokenizer_json_and_its_case(
    corpus_dir: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    """The flag is recorded and in force in the model that is written."""
    model = tmp_path / "model"
    shutil.copytree(tiny_folder, model)
    vocabulary = list(Tokenizer(tiny_folder).vocabulary)
    library_tokenizer(vocabulary, SPECIALS).save(str(model / "tokenizer.json"))
    for name in ("vocab.txt", "tokenizer_config.json"):
        (model / name).unlink()
    main(arguments(corpus_dir, model, tmp_path / "out", f"{ONE_STEP} --do_lower_case false"))
    assert json.loads((tmp_path / "out" / "args.json").read_text(encoding="utf-8"))["do_lower_case"] is False
    best = Tokenizer(tmp_path / "out" / "best")
    assert best.vocabulary == Tokenizer(model).vocabulary
    assert best.settings["do_lower_case"] is False
    settings = f"{ONE_STEP} --init_from_ckpt {tmp_path / 'out'}"  # vocab.txt and tokenizer.json of one model
    main(arguments(corpus_dir, tiny_folder, tmp_path / "more", settings))


# --- what it refuses -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ("--geometry_weight 2", "--geometry_weight: goes with --objective distill, this is rtd"),
        ("--teacher x", "--teacher: goes with --objective distill, this is rtd"),
        ("--embeddings random", "--embeddings: goes with --objective distill, this is rtd"),
        ("--objective distill --teacher x --mask_prob 0.2", "--mask_prob: goes with --objective rtd"),
        ("--objective distill", "--objective distill: name the --teacher's model folder"),
        ("--objective distill --teacher x --embeddings random --init_from_ckpt y", "--embeddings: with"),
        ("--tokenizer x", "--tokenizer: the vocabulary is that of the folder of --model_name_or_path"),
    ],
)  # fmt: skip
def test_flags_that_would_be_ignored(
    corpus_dir: Path, tiny_folder: Path, tmp_path: Path, argv: str, message: str
) -> None:
    with pytest.raises(UsageError) as caught:
        main(arguments(corpus_dir, tiny_folder, tmp_path / "out", argv))
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("flag", ["--length_pool", "--r_drop"])
def test_settings_of_fine_tuning_are_no_flags_here(
    corpus_dir: Path, tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], flag: str
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments(corpus_dir, tiny_folder, tmp_path / "out", f"{flag} 7"))
    assert caught.value.code == 2
    assert flag in capsys.readouterr().err


def test_the_model_type_is_checked(corpus_dir: Path, tiny_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--model_type bert"):
        main(arguments(corpus_dir, tiny_folder, tmp_path / "out", f"{SHORT} --model_type bert"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "train.data: is empty"),
        (b"\n \n\n", "train.data: is too small"),
        (b"\x7fELF\x02\x01\x01\0\0\0 \xff\xfe", "train.data:1: holds a NUL byte"),
        (b"fine\nfine\n" + b"word " * 2**18, "train.data:3: is longer than 524288 bytes"),
    ],
)
def test_what_is_no_corpus(tiny_folder: Path, tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "train.data").write_bytes(content)
    with pytest.raises(InputError) as caught:
        main(arguments(tmp_path, tiny_folder, tmp_path / "out"))
    assert message in str(caught.value)
    assert not (tmp_path / "out").exists()
