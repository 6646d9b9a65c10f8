"""Bad input to the commands: exit 1, one line that names the file and the fault, nothing half-written."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from checkpoints.folder import read_config, write_model
from checkpoints.network import arrays_of
from common.command_line import run
from common.files import write_json
from encoders.heads import SentenceClassifier
from encoders.tokenizer import Tokenizer
from glue import run_eval, run_glue, run_predict


def edit(path: Path, change: Callable[[bytes], bytes]) -> None:
    path.write_bytes(change(path.read_bytes()))


def cell(path: Path, line: int, column: int, value: str) -> None:
    lines = path.read_text("utf-8").split("\n")
    cells = lines[line - 1].split("\t")
    cells[column] = value
    lines[line - 1] = "\t".join(cells)
    path.write_text("\n".join(lines), "utf-8")


def set_in_config(folder: Path, key: str, value: object) -> None:
    path = folder / "model" / "config.json"
    path.write_text(
        json.dumps({**json.loads(path.read_text(encoding="utf-8")), key: value}), encoding="utf-8"
    )


# What is done to a copy of the sample → what the one line must say.
FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "truncated": (lambda d: edit(d / "RTE/train.tsv", lambda b: b[: len(b) // 2]), "RTE/train.tsv:"),
    "wrong column": (
        lambda d: edit(d / "RTE/train.tsv", lambda b: b.replace(b"sentence2", b"hypothesis", 1)),
        "RTE/train.tsv:1: no column 'sentence2'",
    ),
    "unknown label": (
        lambda d: cell(d / "RTE/dev.tsv", 5, 3, "maybe"), "RTE/dev.tsv:5: unknown label 'maybe'",
    ),
    "empty file": (lambda d: edit(d / "RTE/dev.tsv", lambda b: b""), "RTE/dev.tsv: the file is empty"),
    "not UTF-8": (
        lambda d: edit(d / "RTE/train.tsv", lambda b: b.replace(b"\n1\t", b"\n1\t\xff", 1)),
        "RTE/train.tsv:3: byte 0xff is not UTF-8",
    ),
    "missing folder": (lambda d: shutil.rmtree(d / "RTE"), "RTE/train.tsv: no such file"),
    "no model": (lambda d: shutil.rmtree(d / "model"), "model: no such model folder"),
    "no vocabulary": (lambda d: (d / "model/vocab.txt").unlink(), "model/vocab.txt: no such file"),
    "no weights": (
        lambda d: (d / "model/model.safetensors").unlink(), "model/model.safetensors: no such file",
    ),
    "cut weights": (
        lambda d: edit(d / "model/model.safetensors", lambda b: b[:-100]),
        "model/model.safetensors: is cut short",
    ),
    "config that contradicts its weights": (
        lambda d: set_in_config(d, "hidden_size", 32),
        "model/model.safetensors: does not fit config.json",
    ),
    "config of another type": (
        lambda d: set_in_config(d, "model_type", "gpt2"),
        "model/config.json: model_type 'gpt2' is not one of convbert",
    ),
    "other tensors": (
        lambda d: safetensors.numpy.save_file({"x": np.zeros(2, np.float32)}, d / "model/model.safetensors"),
        "is missing",
    ),
}  # fmt: skip


@pytest.fixture
def workplace(sample_dir: Path, tmp_path: Path) -> Path:
    """A copy of one task's files, and a model folder with weights."""
    shutil.copytree(sample_dir / "RTE", tmp_path / "RTE")
    source = sample_dir / "tiny-convbert"
    config = read_config(source, id2label={0: "entailment", 1: "not_entailment"})
    (tmp_path / "model").mkdir()
    write_model(tmp_path / "model", config, arrays_of(SentenceClassifier(config)), Tokenizer(source))
    return tmp_path


def stopped(main: Callable, capsys: pytest.CaptureFixture[str], *argv: object) -> str:
    """Run a command as from a shell; it must exit with 1, print nothing, and say why in the line returned."""
    with pytest.raises(SystemExit) as left:
        run(lambda _: main([str(word) for word in argv]))
    out, err = capsys.readouterr()
    assert (left.value.code, out, err.count("\n")) == (1, "", 1), err
    assert err.startswith("error: ")
    return err


def fine_tuning(folder: Path, *more: str) -> list[object]:
    return [
        "--task_name", "rte", "--model_name_or_path", folder / "model", "--data_dir", folder,
        "--output_dir", folder / "run", "--max_steps", "1", *more,
    ]  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_fine_tuning_stops_with_one_line(
    workplace: Path, fault: str, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil, wanted = FAULTS[fault]
    spoil(workplace)
    assert wanted in stopped(run_glue.main, capsys, *fine_tuning(workplace))
    assert not (workplace / "run").exists()


def test_the_same_from_a_shell(workplace: Path, run_module) -> None:
    shutil.rmtree(workplace / "RTE")
    done = run_module("glue.run_glue", *fine_tuning(workplace))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"error: {workplace / 'RTE/train.tsv'}: no such file; ")
    assert f"python -m scripts.download_glue --data_dir {workplace} --task_name rte" in done.stderr
    assert done.stderr.count("\n") == 1


def test_predicting_with_a_checkpoint_of_another_task(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    set_in_config(workplace, "finetuning_task", "qnli")
    line = stopped(
        run_predict.main, capsys, "--task_name", "rte", "--ckpt_path", workplace / "model",
        "--data_dir", workplace, "--output_dir", workplace / "p",
    )  # fmt: skip
    assert line == f"error: {workplace / 'model'}: is a checkpoint of qnli, not of rte\n"
    assert not (workplace / "p").exists()


def test_a_run_that_has_no_best_model_yet(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = workplace / "run"
    write_json(run / "args.json", {})
    for main, more in ((run_eval.main, []), (run_predict.main, ["--output_dir", workplace / "p"])):
        line = stopped(main, capsys, "--task_name", "rte", "--ckpt_path", run, "--data_dir", workplace, *more)
        assert line.startswith(f"error: {run}: is the folder of a run that has no best/ yet")


@pytest.mark.parametrize(
    ("flags", "wanted"),
    [
        (["--model_type", "bert"], "--model_type bert: "),
        (
            ["--label_map", "not_entailment,entailment"],
            "itself says entailment, not_entailment; leave",
        ),
        (["--max_seq_length", "4096"], "--max_seq_length 4096: this model has 128 positions"),
        (["--max_seq_length", "4"], "--max_seq_length 4: the pairs of rte need at least 5"),
        (["--classifier_head", "pooler"], "convbert has no pretrained pooler"),
        (["--scale_targets"], "--scale_targets: rte is no regression"),
        (["--from_scratch"], "holds weights; leave out --from_scratch"),
        (["--label_map", "yes,no"], "--label_map yes,no: expected entailment, not_entailment"),
    ],
)
def test_settings_that_cannot_be(
    workplace: Path, flags: list[str], wanted: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert wanted in stopped(run_glue.main, capsys, *fine_tuning(workplace, *flags))
    assert not (workplace / "run").exists()


def test_predicting_with_a_vocabulary_larger_than_the_network(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with open(workplace / "model" / "vocab.txt", "a", encoding="utf-8") as file:
        file.write("onemore\n")
    line = stopped(
        run_predict.main, capsys, "--task_name", "rte", "--ckpt_path", workplace / "model",
        "--data_dir", workplace, "--output_dir", workplace / "p",
    )  # fmt: skip
    assert "vocab.txt: has" in line
    assert "config.json says vocab_size" in line
