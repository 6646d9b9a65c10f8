"""Fine-tuning and answering, end to end, on a made-up language that a tiny ConvBERT can learn."""

import json
import random
import re

import numpy as np
import pytest
import safetensors.numpy

from commands.errors import InputError, UsageError
from commands.files import write_json, write_text
from convbert.span_heads import SpanModel
from convbert.tokenizer import SPECIALS
from squad import evaluate, run_squad
from squad.data import read_squad
from squad.official import score_v11, score_v20

COLOURS = ["red", "green", "blue"]
WORDS = ["cat", "dog", "sun", "sea", "sand", "tree", "which", "colour", "animal"]
TINY = [
    "--batch_size", 16, "--learning_rate", "5e-3", "--max_seq_length", 24, "--max_query_length", 4,
    "--doc_stride", 6, "--layer_lr_decay", 1, "--logging_steps", 1, "--from_scratch",
]  # fmt: skip


def make_data(path, count, version_2, seed):
    """Texts of words, of which one is a colour; with a 2.0 file also texts without one."""
    draw = random.Random(seed)
    paragraphs = []
    for number in range(count):
        words = [draw.choice(WORDS[:6]) for _ in range(draw.randrange(4, 24))]
        answers = []
        if not version_2 or number % 3:
            place = draw.randrange(len(words))
            words[place] = draw.choice(COLOURS)
            answers = [{"text": words[place], "answer_start": len("".join(f"{w}  " for w in words[:place]))}]
        entry = {"id": f"q{number}", "question": "which colour", "answers": answers}
        if version_2:
            entry["is_impossible"] = not answers
        paragraphs.append({"context": "  ".join(words), "qas": [entry]})
    write_json(path, {"version": "x", "data": [{"title": "t", "paragraphs": paragraphs}]})
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """By version: training and dev file; and the model folder, without weights."""
    folder = tmp_path_factory.mktemp("squad")
    write_text(folder / "model" / "vocab.txt", "".join(f"{w}\n" for w in [*SPECIALS, *COLOURS, *WORDS]))
    write_json(folder / "model" / "config.json", {
        "model_type": "convbert", "vocab_size": 17, "embedding_size": 16, "hidden_size": 32,
        "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32, "initializer_range": 0.2,
        "hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.0, "max_position_embeddings": 32,
    })  # fmt: skip
    made = {"model": folder / "model"}
    for version in ("1.1", "2.0"):
        made[version] = [
            make_data(folder / f"{part}-v{version}.json", count, version == "2.0", seed)
            for part, count, seed in (("train", 96, 1), ("dev", 40, 2))
        ]
    return made


def words_of(files, version, *more):
    train, dev = files[version]
    words = [
        "--model_name_or_path",
        files["model"],
        "--train_file",
        train,
        "--predict_file",
        dev,
        *TINY,
        *more,
    ]
    return [str(word) for word in words]


def history(folder):
    return [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("version", ["1.1", "2.0"])
@pytest.mark.parametrize("head", ["linear", "joint"])
def test_it_learns_and_says_what_the_official_script_says(files, tmp_path, capsys, version, head):
    run, dev = tmp_path / "run", files[version][1]
    steps = ["--num_train_epochs", 12, "--save_steps", 25, "--qa_head", head]
    more = ["--do_train", "--do_predict", "--output_dir", run, *steps]
    run_squad.main(words_of(files, version, *more))
    capsys.readouterr()
    scores = json.loads((run / "scores.json").read_text())
    assert scores["task"] == f"squad_{version}"
    evaluations = [line["evaluation"] for line in history(run) if "evaluation" in line]
    last = evaluations[-1]["step"]
    assert scores["last"] == evaluations[-1]  # the last step is evaluated, though 25 does not divide it
    assert last % 25
    assert scores["best"]["main"] == max(line["main"] for line in evaluations)
    assert scores["best"]["f1"] > 90

    line = (run / "train.log").read_text().splitlines()[-1]
    assert f"step {last}  dev  exact" in line
    assert line.endswith(f"  main {scores['last']['main']:.2f} %")

    # to the last digit what the official numbers of the file are
    evaluate.main([str(dev), str(run / "predictions.json"), "--script", f"v{version}"])
    official = json.loads(capsys.readouterr().out)
    assert {key: scores["best"][key] for key in official} == official
    if version == "2.0":
        # best thresholds are those of answers that were not emptied
        nots = [str(run / name) for name in ("predictions_not_null.json", "null_odds.json")]
        evaluate.main([str(dev), nots[0], "-n", nots[1], "-t", "0"])
        again = json.loads(capsys.readouterr().out)
        assert {key: scores["best"][key] for key in again} == again
        assert scores["best"]["always_null_exact"] == pytest.approx(100 * 14 / 40)

    # answering alone gives the same files, by the run's folder as by its best model
    run_squad.main([
        "--do_predict", "--model_name_or_path", str(run), "--predict_file", str(dev), "--output_dir",
        str(tmp_path / "again"),
    ])  # fmt: skip
    printed = json.loads(capsys.readouterr().out)
    assert printed == {key: value for key, value in scores["best"].items() if key != "step"}
    for path in (tmp_path / "again").iterdir():
        if path.name != "scores.json":
            assert path.read_bytes() == (run / path.name).read_bytes()
    golds, predictions = read_squad(dev).golds, json.loads((run / "predictions.json").read_text())
    direct = score_v11(golds, predictions) if version == "1.1" else score_v20(golds, predictions)
    assert direct["f1"] == printed["f1"]


def test_the_folder_is_hugging_faces(files, tmp_path):
    run = tmp_path / "run"
    run_squad.main(words_of(files, "1.1", "--do_train", "--output_dir", run, "--max_steps", 1))
    tensors = safetensors.numpy.load_file(run / "best" / "model.safetensors")
    assert tensors["qa_outputs.weight"].shape == (2, 32)
    assert tensors["qa_outputs.bias"].shape == (2,)
    assert all(name.startswith(("convbert.", "qa_outputs.")) for name in tensors)
    config = json.loads((run / "best" / "config.json").read_text())
    assert config["architectures"] == ["ConvBertForQuestionAnswering"]
    assert len(config["id2label"]) == 2  # transformers makes as many outputs
    assert not (run / "predictions.json").exists()


def test_a_stopped_run_goes_on_to_the_same_bits(files, tmp_path, monkeypatch):
    words = words_of(files, "2.0", "--do_train", "--max_steps", 8, "--save_steps", 3)
    run_squad.main([*words, "--output_dir", str(tmp_path / "whole")])
    loss, calls = SpanModel.loss, [0]

    def stopping(self, *inputs):
        calls[0] += 1
        if calls[0] > 5:
            raise KeyboardInterrupt
        return loss(self, *inputs)

    monkeypatch.setattr(SpanModel, "loss", stopping)
    with pytest.raises(KeyboardInterrupt):
        run_squad.main([*words, "--output_dir", str(tmp_path / "stopped")])
    monkeypatch.setattr(SpanModel, "loss", loss)
    run_squad.main([*words, "--output_dir", str(tmp_path / "stopped"), "--resume"])
    whole, stopped = (tmp_path / name for name in ("whole", "stopped"))
    for part in ("last/model.safetensors", "best/model.safetensors", "scores.json", "history.jsonl"):
        assert (whole / part).read_bytes() == (stopped / part).read_bytes(), part
    with pytest.raises(InputError, match="recipe: max_answer_length 30, not 5"):
        run_squad.main([*words, "--max_answer_length", "5", "--output_dir", str(stopped), "--resume"])


def test_presets_are_the_papers(files):
    def recipe(*words):
        flags = run_squad.make_parser().parse_args(
            [*map(str, words), "--do_train", "--model_name_or_path", str(files["model"]), "--output_dir", "x"]
        )
        return run_squad.choose_training(flags, config)[1]

    from convbert.config import named

    for size, rate in (("small", 3e-4), ("medium-small", 3e-4), ("base", 1e-4)):
        config = named(size, **({"num_groups": 2} if size == "medium-small" else {}))
        found = recipe()
        assert (found.learning_rate, found.num_train_epochs, found.max_seq_length) == (rate, 2, 512)
        assert (found.layer_lr_decay, found.bias_correction, found.max_grad_norm) == (0.8, False, 1.0)
        assert (found.weight_decay, found.adam_epsilon, found.warmup_proportion) == (0.01, 1e-6, 0.1)
        assert recipe("--preset", "reference").learning_rate == 1e-4
        assert recipe("--learning_rate", "7e-5").learning_rate == 7e-5


def test_lower_casing_can_be_chosen_and_is_kept(files, tmp_path):
    run = tmp_path / "run"
    words = words_of(
        files, "1.1", "--do_train", "--do_lower_case", False, "--output_dir", run, "--max_steps", 1
    )
    run_squad.main(words)
    assert json.loads((run / "best" / "tokenizer_config.json").read_text())["do_lower_case"] is False


@pytest.fixture(scope="module")
def trained(files, tmp_path_factory):
    run = tmp_path_factory.mktemp("trained") / "run"
    run_squad.main(words_of(files, "2.0", "--do_train", "--output_dir", run, "--max_steps", 1))
    return run / "best"


def test_a_trained_head_is_kept_for_more_training(files, trained, tmp_path):
    words = words_of(files, "2.0", "--do_train", "--output_dir", tmp_path / "run", "--max_steps", 1)
    words[1] = str(trained)
    words.remove("--from_scratch")
    run_squad.main([*words, "--learning_rate", "0"])
    before, after = (
        safetensors.numpy.load_file(folder / "model.safetensors")
        for folder in (trained, tmp_path / "run" / "best")
    )
    assert all(np.array_equal(before[name], after[name]) for name in before)
    run_squad.main([*words[:-3], str(tmp_path / "joint"), "--max_steps", "1", "--qa_head", "joint"])
    assert "begins new: the joint span head" in (tmp_path / "joint" / "train.log").read_text()


def test_the_training_options_go_with_the_linear_head(files, trained, tmp_path):
    words = words_of(files, "2.0", "--do_train", "--max_steps", 2)
    words[1] = str(trained)
    words.remove("--from_scratch")
    options = ["--r_drop", "0.5", "--fgm", "0.4", "--ema", "0.9", "--reinit_layers", "1"]
    first = {}
    for name, more in (("plain", []), ("r_drop", options[:2]), ("fgm", options[2:4]), ("all", options)):
        run_squad.main([*words, *more, "--output_dir", str(tmp_path / name)])
        first[name] = next(line["loss"] for line in history(tmp_path / name) if "loss" in line)
    assert first["r_drop"] > 1.5 * first["plain"]  # both passes' losses, and their disagreement
    assert first["fgm"] > 2 * first["plain"]  # the perturbed loss is the larger one
    last = safetensors.numpy.load_file(tmp_path / "all" / "last" / "optimizer.safetensors")
    assert "span_head.projection.weight:weight" in last
    with pytest.raises(UsageError, match="--r_drop: goes with --qa_head linear"):
        run_squad.main([*words, "--r_drop", "1", "--qa_head", "joint", "--output_dir", str(tmp_path / "no")])
    with pytest.raises(InputError, match="--reinit_layers 2: the model has 1 layers"):
        run_squad.main([*words, "--reinit_layers", "2", "--output_dir", str(tmp_path / "no")])
    assert not (tmp_path / "no").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"--version_2_with_negative": "true"}, "train-v1.1.json: is SQuAD 1.1"),
        ({"--predict_file": "2.0"}, "train-v1.1.json is SQuAD 1.1, but .*dev-v2.0.json is SQuAD 2.0"),
        ({"--train_file": "nowhere.json"}, "nowhere.json: no such file"),
        ({"--max_seq_length": "33"}, "--max_seq_length 33: this model has 32 positions"),
        ({"--max_seq_length": "7"}, "--max_seq_length 7: leaves no room"),
        ({"--model_type": "bert"}, "config.json says convbert"),
        ({"--qa_head": "round"}, None),
        ({"--null_score_diff_threshold": "0.5"}, "1.1, where every question has an answer"),
        (
            {"--beam_size": "5", "--answerable_weight": "1"},
            "--beam_size, --answerable_weight: of the joint head",
        ),
    ],
)
def test_a_contradiction_stops_before_anything_is_written(files, tmp_path, change, message):
    words = words_of(files, "1.1", "--do_train", "--output_dir", tmp_path / "run")
    for flag, value in change.items():
        words += [flag, str(files[value][1]) if value in files else value]
    with pytest.raises(InputError if message else SystemExit, match=message):
        run_squad.main(words)
    assert not (tmp_path / "run").exists()


def predict_words(files, folder, version, output):
    return [
        "--do_predict", "--model_name_or_path", str(folder), "--predict_file", str(files[version][1]),
        "--output_dir", str(output),
    ]  # fmt: skip


def test_answering_needs_a_span_head_of_that_version(files, trained, tmp_path):
    with pytest.raises(InputError, match=r"is SQuAD 1\.1, but .* was trained on SQuAD 2\.0"):
        run_squad.main(predict_words(files, trained, "1.1", tmp_path / "out"))
    with pytest.raises(InputError, match="no span head"):
        run_squad.main(predict_words(files, files["model"], "2.0", tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_weights_of_another_head_are_named(files, trained, tmp_path):
    for path in trained.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "manifest.json").unlink()
    config = json.loads((trained / "config.json").read_text())
    write_json(tmp_path / "config.json", {**config, "qa_head": "joint"})
    with pytest.raises(InputError, match=r"qa_outputs.joint.start.weight is missing"):
        run_squad.main(predict_words(files, tmp_path, "2.0", tmp_path / "out"))
    write_json(tmp_path / "config.json", {**config, "qa_head": "round"})
    with pytest.raises(InputError, match="qa_head 'round' is neither linear nor joint"):
        run_squad.main(predict_words(files, tmp_path, "2.0", tmp_path / "out"))


def test_damaged_weights_do_not_pass_for_answers(files, trained, tmp_path):
    for path in trained.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    tensors = safetensors.numpy.load_file(tmp_path / "model.safetensors")
    tensors["qa_outputs.bias"][:] = np.nan
    safetensors.numpy.save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(InputError, match="manifest"):
        run_squad.main(predict_words(files, tmp_path, "2.0", tmp_path / "out"))
    (tmp_path / "manifest.json").unlink()
    with pytest.raises(InputError, match=r"model\.safetensors: qa_outputs\.bias"):
        run_squad.main(predict_words(files, tmp_path, "2.0", tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_answering_alone_says_what_it_reads_and_how(files, trained, tmp_path, capsys):
    data = json.loads(files["2.0"][1].read_text())
    data["data"][0]["paragraphs"][1]["qas"][0]["answers"][0]["answer_start"] += 1  # a wrong start
    write_json(tmp_path / "dev.json", data)
    words = predict_words(files, trained, "2.0", tmp_path / "out")
    run_squad.main([*words, "--predict_file", str(tmp_path / "dev.json")])
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].endswith("dev.json: SQuAD 2.0, 40 questions (14 unanswerable) on 40 texts")
    assert "1 questions: their answer's start was wrong" in lines[1]
    assert lines[1].endswith(": q1")
    assert lines[2].endswith("windows of up to 24 tokens, a step of 6, questions of up to 4")


def test_answering_cuts_as_in_training_unless_told_otherwise(trained):
    from checkpoints.folder import read_config

    def recipe(*words):
        flags = run_squad.make_parser().parse_args(
            ["--do_predict", "--model_name_or_path", str(trained), "--output_dir", "x", *words]
        )
        return run_squad.choose_answering(flags, read_config(trained))

    found = recipe()
    assert (found.max_seq_length, found.doc_stride, found.max_query_length) == (24, 6, 4)
    found = recipe("--doc_stride", "9", "--max_answer_length", "3")
    assert (found.max_seq_length, found.doc_stride, found.max_answer_length) == (24, 9, 3)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--learning_rate", "1e-4"], "--learning_rate: of training"),
        (["--batch_size", "8"], "--batch_size: of training.*--eval_batch_size is for answering"),
        (
            ["--train_file", "x", "--preset", "authors", "--seed", "1"],
            "--train_file, --preset, --seed: of",
        ),
        (["--resume"], "--resume: of training"),
        (["--overwrite_output_dir"], "--overwrite_output_dir: of training"),
        (["--from_scratch"], "--from_scratch: of training"),
        (["--qa_head", "joint"], "--qa_head: of training"),
    ],
)
def test_flags_of_training_are_wrong_usage_for_answering_alone(files, trained, tmp_path, capsys, words, said):
    with pytest.raises(SystemExit) as left:
        run_squad.main([*predict_words(files, trained, "2.0", tmp_path / "out"), *words])
    assert left.value.code == 2
    assert re.search(said, capsys.readouterr().err.splitlines()[-1])
    assert not (tmp_path / "out").exists()


def test_a_config_file_may_hold_settings_of_training_too(files, trained, tmp_path, capsys):
    write_text(tmp_path / "both.yaml", "learning_rate: 1e-4\nn_best_size: 2\n")
    words = predict_words(files, trained, "2.0", tmp_path / "out")
    run_squad.main([*words, "--config", str(tmp_path / "both.yaml")])
    assert "both.yaml: of training, and has no part here: learning_rate" in capsys.readouterr().err
    best = json.loads((tmp_path / "out" / "nbest_predictions.json").read_text())
    assert max(len(rows) for rows in best.values()) == 3  # two, and nothing


def test_help_shows_what_the_presets_set(capsys):
    with pytest.raises(SystemExit):
        run_squad.main(["--help"])
    shown = capsys.readouterr().out
    assert "preset authors: batch_size 32" in shown
    assert "learning_rate small 0.0003, medium-small 0.0003, base 0.0001" in shown


def test_nothing_to_do_is_wrong_usage(files, tmp_path):
    with pytest.raises(SystemExit) as left:
        run_squad.main(words_of(files, "1.1", "--output_dir", tmp_path / "run"))
    assert left.value.code == 2
