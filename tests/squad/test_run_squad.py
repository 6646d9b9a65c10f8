"""Fine-tuning and answering, end to end, on a made-up language that a tiny ConvBERT can learn."""

import json

import numpy as np
import pytest
import safetensors.numpy

from common.errors import InputError, UsageError
from common.files import write_json
from encoders.span_heads import SpanModel
from squad import evaluate, run_squad
from squad.config import SquadRunConfig, preset_settings
from squad.data import read_squad
from squad.official import score_v11, score_v20
from tests.squad.colours import TINY, make_argv
from training.run_config import resolve_run


def history(folder):
    return [json.loads(line) for line in (folder / "history.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("version", ["1.1", "2.0"])
@pytest.mark.parametrize("head", ["linear", "joint"])
def test_it_learns_and_says_what_the_official_script_says(files, tmp_path, capsys, version, head):
    run, dev = tmp_path / "run", files[version][1]
    steps = ["--num_train_epochs", 12, "--save_steps", 25, "--qa_head", head]
    more = ["--do_train", "--do_predict", "--output_dir", run, *steps]
    run_squad.main(make_argv(files, version, *more))
    phases = capsys.readouterr().err.count("answering: ")
    scores = json.loads((run / "scores.json").read_text(encoding="utf-8"))
    assert scores["task"] == f"squad_{version}"
    evaluations = [line["evaluation"] for line in history(run) if "evaluation" in line]
    assert phases == len(evaluations)  # each is named as it begins, and the best one is not run again
    last = evaluations[-1]["step"]
    assert scores["last"] == evaluations[-1]  # the last step is evaluated, though 25 does not divide it
    assert last % 25
    assert scores["best"]["main"] == max(line["main"] for line in evaluations)
    assert scores["best"]["f1"] > 90

    line = (run / "train.log").read_text(encoding="utf-8").splitlines()[-1]
    assert f"step {last}  dev  exact" in line
    assert line.endswith(f"  main {scores['last']['main']:.2f} %")
    assert " windows/s\n" in (run / "train.log").read_text(encoding="utf-8")

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
    golds, predictions = (
        read_squad(dev).golds,
        json.loads((run / "predictions.json").read_text(encoding="utf-8")),
    )
    direct = score_v11(golds, predictions) if version == "1.1" else score_v20(golds, predictions)
    assert direct["f1"] == printed["f1"]


def test_the_folder_is_hugging_faces(files, tmp_path):
    run = tmp_path / "run"
    run_squad.main(make_argv(files, "1.1", "--do_train", "--output_dir", run, "--max_steps", 1))
    tensors = safetensors.numpy.load_file(run / "best" / "model.safetensors")
    assert tensors["qa_outputs.weight"].shape == (2, 32)
    assert tensors["qa_outputs.bias"].shape == (2,)
    assert all(name.startswith(("convbert.", "qa_outputs.")) for name in tensors)
    config = json.loads((run / "best" / "config.json").read_text(encoding="utf-8"))
    assert config["architectures"] == ["ConvBertForQuestionAnswering"]
    assert len(config["id2label"]) == 2  # transformers makes as many outputs
    assert not (run / "predictions.json").exists()


@pytest.mark.parametrize("alone", [True, False])
def test_a_stopped_run_goes_on_to_the_same_bits(files, tmp_path, monkeypatch, alone):
    """With the same flags, and with none but ``--resume``."""
    argv = make_argv(files, "2.0", "--do_train", "--do_predict", "--max_steps", 8, "--save_steps", 3)
    run_squad.main([*argv, "--output_dir", str(tmp_path / "whole")])
    loss, calls = SpanModel.loss, [0]

    def stopping(self, *inputs):
        calls[0] += 1
        if calls[0] > 5:
            raise KeyboardInterrupt
        return loss(self, *inputs)

    monkeypatch.setattr(SpanModel, "loss", stopping)
    with pytest.raises(KeyboardInterrupt):
        run_squad.main([*argv, "--output_dir", str(tmp_path / "stopped")])
    monkeypatch.setattr(SpanModel, "loss", loss)
    run_squad.main([*([] if alone else argv), "--output_dir", str(tmp_path / "stopped"), "--resume"])
    whole, stopped = (tmp_path / name for name in ("whole", "stopped"))
    for part in (
        "last/model.safetensors",
        "best/model.safetensors",
        "scores.json",
        "history.jsonl",
        "predictions.json",
    ):
        assert (whole / part).read_bytes() == (stopped / part).read_bytes(), part
    with pytest.raises(InputError, match=r"recipe\.max_answer_length 30, not 5"):
        run_squad.main([*argv, "--max_answer_length", "5", "--output_dir", str(stopped), "--resume"])


def test_presets_are_the_papers(files):
    def recipe(*argv):
        flags = run_squad.make_parser().parse_args(
            [*map(str, argv), "--do_train", "--model_name_or_path", str(files["model"]), "--output_dir", "x"]
        )
        return resolve_run(SquadRunConfig, vars(flags), config, preset_settings).training

    from encoders.config import named

    for size, rate in (("small", 3e-4), ("medium-small", 3e-4), ("base", 1e-4)):
        config = named(size, **({"num_groups": 2} if size == "medium-small" else {}))
        actual = recipe()
        assert (actual.learning_rate, actual.num_train_epochs, actual.max_seq_length) == (rate, 2, 512)
        assert (actual.layer_lr_decay, actual.bias_correction, actual.max_grad_norm) == (0.8, False, 1.0)
        assert (actual.weight_decay, actual.adam_epsilon, actual.warmup_proportion) == (0.01, 1e-6, 0.1)
        assert recipe("--preset", "reference").learning_rate == 1e-4
        assert recipe("--learning_rate", "7e-5").learning_rate == 7e-5


def test_lower_casing_can_be_chosen_and_is_kept(files, tmp_path):
    run = tmp_path / "run"
    argv = make_argv(
        files, "1.1", "--do_train", "--do_lower_case", False, "--output_dir", run, "--max_steps", 1
    )
    run_squad.main(argv)
    assert (
        json.loads((run / "best" / "tokenizer_config.json").read_text(encoding="utf-8"))["do_lower_case"]
        is False
    )


def test_a_trained_head_is_kept_for_more_training(files, trained, tmp_path):
    argv = make_argv(files, "2.0", "--do_train", "--output_dir", tmp_path / "run", "--max_steps", 1)
    argv[1] = str(trained)
    argv.remove("--from_scratch")
    run_squad.main([*argv, "--learning_rate", "0"])
    before, after = (
        safetensors.numpy.load_file(folder / "model.safetensors")
        for folder in (trained, tmp_path / "run" / "best")
    )
    assert all(np.array_equal(before[name], after[name]) for name in before)
    run_squad.main([*argv[:-3], str(tmp_path / "joint"), "--max_steps", "1", "--qa_head", "joint"])
    assert "begins new: span_head.start.weight" in (tmp_path / "joint" / "train.log").read_text(
        encoding="utf-8"
    )


def test_the_training_options_go_with_the_linear_head(files, trained, tmp_path):
    argv = make_argv(files, "2.0", "--do_train", "--max_steps", 2)
    argv[1] = str(trained)
    argv.remove("--from_scratch")
    options = ["--r_drop", "0.5", "--fgm", "0.4", "--ema", "0.9", "--reinit_layers", "1"]
    first = {}
    for name, more in (("plain", []), ("r_drop", options[:2]), ("fgm", options[2:4]), ("all", options)):
        run_squad.main([*argv, *more, "--output_dir", str(tmp_path / name)])
        first[name] = next(line["loss"] for line in history(tmp_path / name) if "loss" in line)
    assert first["r_drop"] > 1.5 * first["plain"]  # both passes' losses, and their disagreement
    assert first["fgm"] > 2 * first["plain"]  # the perturbed loss is the larger one
    last = safetensors.numpy.load_file(tmp_path / "all" / "last" / "optimizer.safetensors")
    assert "span_head.projection.weight:weight" in last
    with pytest.raises(UsageError, match="--r_drop: goes with --qa_head linear"):
        run_squad.main([*argv, "--r_drop", "1", "--qa_head", "joint", "--output_dir", str(tmp_path / "no")])
    with pytest.raises(InputError, match="--reinit_layers 2: the model has 1 layers"):
        run_squad.main([*argv, "--reinit_layers", "2", "--output_dir", str(tmp_path / "no")])
    assert not (tmp_path / "no").exists()


def test_texts_that_hold_no_answer_leave_nothing_to_train_on(files, tmp_path):
    data = json.loads(files["1.1"][0].read_text(encoding="utf-8"))
    for paragraph in data["data"][0]["paragraphs"]:
        paragraph["qas"][0]["answers"][0]["text"] = "mouse"
    write_json(tmp_path / "train.json", data)
    argv = make_argv(files, "1.1", "--do_train", "--output_dir", tmp_path / "run")
    with pytest.raises(InputError, match="no window is left to train on: 96 of 96 questions"):
        run_squad.main([*argv, "--train_file", str(tmp_path / "train.json")])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"--version_2_with_negative": "true"}, "train-v1.1.json: is SQuAD 1.1"),
        ({"--predict_file": "2.0"}, "train-v1.1.json: is SQuAD 1.1, but .*dev-v2.0.json is SQuAD 2.0"),
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
    argv = make_argv(files, "1.1", "--do_train", "--output_dir", tmp_path / "run")
    for flag, value in change.items():
        argv += [flag, str(files[value][1]) if value in files else value]
    with pytest.raises(InputError if message else SystemExit, match=message):
        run_squad.main(argv)
    assert not (tmp_path / "run").exists()


def test_help_shows_what_the_presets_set(capsys):
    with pytest.raises(SystemExit):
        run_squad.main(["--help"])
    text = capsys.readouterr().out
    assert "preset authors: batch_size 32" in text
    assert "learning_rate 0.0003 up to hidden size 384, 0.0001 above" in text


@pytest.mark.parametrize(("more", "version"), [([], "1.1"), (["--version_2_with_negative"], "2.0")])
def test_without_files_the_download_caches_are_taken(files, tmp_path, monkeypatch, more, version):
    monkeypatch.setenv("CONVBERT_GLUE_CACHE", str(tmp_path))
    cache = tmp_path / "squad"
    argv = ["--do_train", "--output_dir", str(tmp_path / "run"), "--max_steps", "1"]
    argv += ["--model_name_or_path", str(files["model"]), *map(str, TINY), *more]
    with pytest.raises(
        InputError, match=rf"train-v{version}.json: no such file; fetch .* name one with --tr"
    ):
        run_squad.main(argv)
    cache.mkdir()
    for path in files[version]:
        (cache / path.name).write_bytes(path.read_bytes())
    run_squad.main(argv)
    assert (
        json.loads((tmp_path / "run" / "scores.json").read_text(encoding="utf-8"))["task"]
        == f"squad_{version}"
    )


def test_nothing_to_do_is_wrong_usage(files, tmp_path):
    with pytest.raises(SystemExit) as left:
        run_squad.main(make_argv(files, "1.1", "--output_dir", tmp_path / "run"))
    assert left.value.code == 2
