"""run_squad --do_predict without --do_train."""

import json
import re

import numpy as np
import pytest
import safetensors.numpy

from common.errors import InputError
from common.files import write_json, write_text
from squad import run_squad
from squad.answering import answering_config
from tests.squad.colours import predict_argv


def test_answering_needs_a_span_head_of_that_version(files, trained, tmp_path):
    with pytest.raises(InputError, match=r"is SQuAD 1\.1, but .* was trained on SQuAD 2\.0"):
        run_squad.main(predict_argv(files, trained, "1.1", tmp_path / "out"))
    with pytest.raises(InputError, match="no span head"):
        run_squad.main(predict_argv(files, files["model"], "2.0", tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_weights_of_another_head_are_named(files, trained, tmp_path):
    for path in trained.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "manifest.json").unlink()
    config = json.loads((trained / "config.json").read_text(encoding="utf-8"))
    write_json(tmp_path / "config.json", {**config, "qa_head": "joint"})
    with pytest.raises(InputError, match=r"qa_outputs.joint.start.weight is missing"):
        run_squad.main(predict_argv(files, tmp_path, "2.0", tmp_path / "out"))
    write_json(tmp_path / "config.json", {**config, "qa_head": "round"})
    with pytest.raises(InputError, match="qa_head 'round' is neither linear nor joint"):
        run_squad.main(predict_argv(files, tmp_path, "2.0", tmp_path / "out"))


def test_damaged_weights_do_not_pass_for_answers(files, trained, tmp_path):
    for path in trained.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    tensors = safetensors.numpy.load_file(tmp_path / "model.safetensors")
    tensors["qa_outputs.bias"][:] = np.nan
    safetensors.numpy.save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(InputError, match="manifest"):
        run_squad.main(predict_argv(files, tmp_path, "2.0", tmp_path / "out"))
    (tmp_path / "manifest.json").unlink()
    with pytest.raises(InputError, match=r"model\.safetensors: qa_outputs\.bias"):
        run_squad.main(predict_argv(files, tmp_path, "2.0", tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_answering_alone_says_what_it_reads_and_how(files, trained, tmp_path, capsys):
    data = json.loads(files["2.0"][1].read_text(encoding="utf-8"))
    data["data"][0]["paragraphs"][1]["qas"][0]["answers"][0]["answer_start"] += 1  # a wrong start
    write_json(tmp_path / "dev.json", data)
    argv = predict_argv(files, trained, "2.0", tmp_path / "out")
    run_squad.main([*argv, "--predict_file", str(tmp_path / "dev.json")])
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].endswith("dev.json: SQuAD 2.0, 40 questions (14 unanswerable) on 40 texts")
    assert "1 questions: their answer's start was wrong" in lines[1]
    assert lines[1].endswith(": q1")
    assert lines[2].endswith("windows of up to 24 tokens, a step of 6, questions of up to 4")


def test_answering_cuts_as_in_training_unless_told_otherwise(files, trained):
    def recipe(*argv):
        flags = run_squad.make_parser().parse_args(
            ["--do_predict", "--model_name_or_path", str(trained), "--output_dir", "x", "--predict_file",
             str(files["2.0"][1]), *argv]
        )  # fmt: skip
        return answering_config(flags).training

    actual = recipe()
    assert (actual.max_seq_length, actual.doc_stride, actual.max_query_length) == (24, 6, 4)
    actual = recipe("--doc_stride", "9", "--max_answer_length", "3")
    assert (actual.max_seq_length, actual.doc_stride, actual.max_answer_length) == (24, 9, 3)


def test_where_answers_may_go(files, trained, tmp_path, capsys):
    """Not over a file or into another run; what differs from the scores of the model's own run is said."""
    write_text(tmp_path / "file", "")
    with pytest.raises(InputError, match="file: is a file; --output_dir names a folder"):
        run_squad.main(predict_argv(files, trained, "2.0", tmp_path / "file"))
    write_json(tmp_path / "other" / "args.json", {})
    with pytest.raises(InputError, match="is the folder of another model's run"):
        run_squad.main(predict_argv(files, trained, "2.0", tmp_path / "other"))
    run = trained.parent
    argv = predict_argv(files, run, "2.0", run)
    before = (run / "scores.json").read_bytes()
    run_squad.main(argv)
    assert "warning" not in capsys.readouterr().err
    run_squad.main([*argv, "--null_score_diff_threshold=-1e9"])
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith(f"warning: {run / 'scores.json'}: are the scores of the run's best model")
    assert (run / "scores.json").read_bytes() == before


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_the_threshold_is_finite(files, trained, tmp_path, value, capsys):
    argv = predict_argv(files, trained, "2.0", tmp_path / "out")
    with pytest.raises(SystemExit):
        run_squad.main([*argv, f"--null_score_diff_threshold={value}"])
    assert f"expected a finite number, found {value}" in capsys.readouterr().err
    yaml = value.replace("nan", ".nan").replace("inf", ".inf")
    write_text(tmp_path / "a.yaml", f"null_score_diff_threshold: {yaml}")
    with pytest.raises(InputError, match=f"a.yaml:1: .* expected a finite number, found {value}"):
        run_squad.main([*argv, "--config", str(tmp_path / "a.yaml")])


@pytest.mark.parametrize(
    ("argv", "message"),
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
def test_flags_of_training_are_wrong_usage_for_answering_alone(
    files, trained, tmp_path, capsys, argv, message
):
    with pytest.raises(SystemExit) as left:
        run_squad.main([*predict_argv(files, trained, "2.0", tmp_path / "out"), *argv])
    assert left.value.code == 2
    assert re.search(message, capsys.readouterr().err.splitlines()[-1])
    assert not (tmp_path / "out").exists()


def test_a_config_file_may_hold_settings_of_training_too(files, trained, tmp_path, capsys):
    write_text(tmp_path / "both.yaml", "learning_rate: 1e-4\nn_best_size: 2\n")
    argv = predict_argv(files, trained, "2.0", tmp_path / "out")
    run_squad.main([*argv, "--config", str(tmp_path / "both.yaml")])
    assert "both.yaml: of training, and has no part here: learning_rate" in capsys.readouterr().err
    best = json.loads((tmp_path / "out" / "nbest_predictions.json").read_text(encoding="utf-8"))
    assert max(len(rows) for rows in best.values()) == 3  # two, and nothing
