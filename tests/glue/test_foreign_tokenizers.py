"""The commands on model folders whose tokenizer is tokenizer.json alone, and --do_lower_case."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from checkpoints.folder import digest_of, read_config
from common.errors import InputError
from common.provenance import recorded_digest
from encoders.tokenizer import SPECIALS, Tokenizer
from glue import run_eval, run_glue, run_predict
from tests.golden.tokenizer_folders import library_tokenizer

TEXT = "The Quiet sailor, Unheard-of [MASK] x<ent>y"


@pytest.fixture(scope="module")
def workplace(sample_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """RTE, a model with tokenizer.json alone, and a run that began with it."""
    folder = tmp_path_factory.mktemp("foreign")
    shutil.copytree(sample_dir / "RTE", folder / "RTE")
    (folder / "model").mkdir()
    vocabulary = list(Tokenizer(sample_dir / "tiny-convbert").vocabulary)
    config = json.loads((sample_dir / "tiny-convbert" / "config.json").read_text(encoding="utf-8"))
    config["vocab_size"] = len(vocabulary) + 1
    (folder / "model" / "config.json").write_text(json.dumps(config), encoding="utf-8")
    tokenizer = library_tokenizer(vocabulary, SPECIALS)
    tokenizer.add_tokens(["<ent>"])
    tokenizer.enable_truncation(4)
    tokenizer.save(str(folder / "model" / "tokenizer.json"))
    fine_tune(folder, "run")
    return folder


def fine_tune(workplace: Path, run: str, *more: str) -> dict[str, Any]:
    """Fine-tune a step; what args.json says."""
    run_glue.main(
        ["--task_name", "rte", "--model_name_or_path", str(workplace / "model"), "--from_scratch",
         "--data_dir", str(workplace), "--output_dir", str(workplace / run), "--max_steps", "1", *more]
    )  # fmt: skip
    args: dict[str, Any] = json.loads((workplace / run / "args.json").read_text(encoding="utf-8"))
    return args


def of(workplace: Path, model: Path | str, *more: object) -> list[str]:
    argv = ["--task_name", "rte", "--ckpt_path", workplace / model, "--data_dir", workplace, *more]
    return [str(word) for word in argv]


@pytest.mark.parametrize("model", ["best", "last"])
def test_a_run_keeps_the_tokenizer(workplace: Path, model: str) -> None:
    before, after = Tokenizer(workplace / "model"), Tokenizer(workplace / "run" / model)
    assert after.encode_plain([TEXT]) == before.encode_plain([TEXT])
    assert after.vocabulary == before.vocabulary
    assert "<ent>" in after.vocabulary
    assert (workplace / "run" / model / "tokenizer.json").is_file()


def test_the_digest_of_the_manifest_is_the_folders(workplace: Path) -> None:
    best = workplace / "run" / "best"
    assert recorded_digest(best) == digest_of(best)
    args = json.loads((workplace / "run" / "args.json").read_text(encoding="utf-8"))
    assert args["do_lower_case"] is None


def test_evaluation_and_prediction(
    workplace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_eval.main(of(workplace, "run"))
    scores = json.loads(capsys.readouterr().out)
    assert (
        scores["main"]
        == json.loads((workplace / "run" / "scores.json").read_text(encoding="utf-8"))["best"]["main"]
    )
    run_predict.main(of(workplace, "run", "--output_dir", tmp_path))
    with np.load(tmp_path / "RTE.npz") as stored:
        assert str(stored["checkpoint_digest"]) == digest_of(workplace / "run" / "best")


def test_a_flag_at_training_is_kept(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is recorded, in force in the folders of the run, and the same where the run goes on."""
    args = fine_tune(workplace, "cased", "--do-lower-case", "false")
    assert args["do_lower_case"] is False
    assert "do_lower_case is false" in capsys.readouterr().err  # the sample's vocabulary has no capitals
    best = Tokenizer(workplace / "cased" / "best")
    assert best.settings["do_lower_case"] is False
    assert best.encode_plain(["The"]) == Tokenizer(workplace / "model", do_lower_case=False).encode_plain(
        ["The"]
    )
    assert best.encode_plain(["The"]) != Tokenizer(workplace / "model").encode_plain(["The"])
    common = ["--output_dir", str(workplace / "cased"), "--resume"]
    run_glue.main(common)
    with pytest.raises(InputError, match="do_lower_case"):
        run_glue.main([*common, "--do_lower_case"])


def test_a_flag_at_prediction_wins_over_the_folder(workplace: Path, tmp_path: Path) -> None:
    logits = []
    for number, more in enumerate([[], ["--do_lower_case"], ["--do_lower_case", "false"]]):
        run_predict.main(of(workplace, "run", "--output_dir", tmp_path / str(number), *more))
        with np.load(tmp_path / str(number) / "RTE.npz") as stored:
            logits.append(stored["logits"])
    np.testing.assert_array_equal(logits[0], logits[1])
    assert np.abs(logits[0] - logits[2]).max() > 1e-4


def test_a_flag_at_evaluation_wins_over_the_folder(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    losses = []
    for more in ([], ["--do_lower_case=false"]):
        run_eval.main(of(workplace, "run", *more))
        losses.append(json.loads(capsys.readouterr().out)["loss"])
    assert losses[0] != losses[1]


def test_the_whole_word_list_has_embeddings(workplace: Path) -> None:
    assert read_config(workplace / "run" / "best").vocab_size == len(Tokenizer(workplace / "run" / "best"))
