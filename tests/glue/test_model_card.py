"""The model card of a run's best model: complete, true, and never in the way of a training."""

import json
import shutil
from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from checkpoints.conversion import convert_model
from checkpoints.convert import make_parser
from common.files import verify_manifest
from glue import run_eval, run_glue
from glue.file_scoring import read_golds, splits_scored
from glue.tasks import TASKS
from metrics.task_scores import signature
from training import model_card

NAMES = {"matthews": "matthews_correlation", "pearson": "pearsonr", "spearman": "spearmanr"}


def fine_tune(sample: Path, task: str, output: Path, model: Path | None = None) -> ModelCard:
    """Train two steps and read the card."""
    begin = ["--model_name_or_path", str(model)] if model else []
    begin = begin or ["--model_name_or_path", str(sample / "tiny-convbert"), "--from_scratch"]
    run_glue.main([
        "--task_name", task, "--data_dir", str(sample), "--output_dir", str(output), "--max_steps", "2",
        "--save_steps", "1", "--seed", "7", *begin,
    ])  # fmt: skip
    return ModelCard.load(output / "best" / "README.md")


@pytest.fixture(scope="module")
def cola(sample_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cola") / "mini"
    fine_tune(sample_dir, "cola", folder)
    return folder


@pytest.mark.parametrize(("name", "config"), [("sts-b", "stsb"), ("mnli", "mnli")])
def test_the_card_says_what_the_run_says(name: str, config: str, sample_dir: Path, tmp_path: Path) -> None:
    task, run = TASKS[name], tmp_path / "run"
    card = fine_tune(sample_dir, name, run)
    scores = json.loads((run / "scores.json").read_text(encoding="utf-8"))["best"]
    args = json.loads((run / "args.json").read_text(encoding="utf-8"))
    results = {result.metric_name: result for result in card.data.eval_results}
    assert {key: result.metric_value for key, result in results.items()} == {
        key: scores[key] for key in task.score_keys
    }
    for key, result in results.items():
        assert (result.dataset_type, result.dataset_config) == ("nyu-mll/glue", config)
        assert result.metric_type == NAMES.get(key, key.partition("_")[0])
        assert result.dataset_split == "validation" + key.removeprefix(key.partition("_")[0])
    golds = read_golds(task, [str(sample_dir / split.file) for split in task.of_kind("dev")])
    scored = splits_scored(task, golds)
    line = signature(scored, scored.split, [gold.values for gold in golds])  # as glue.score says it
    assert {result.metric_args["signature"] for result in results.values()} == {line}
    text = card.text
    assert line in text
    assert "seed: 7" in text
    assert f"step {scores['step']}" in text
    assert args["model_sha256"] in text
    assert all(entry["sha256"] in text for entry in args["data"].values())
    assert all(f"\n{key}: " in text for key in args["recipe"])
    assert "weights random" in text
    assert (card.data.license, card.data.language, card.data.library_name) == (None, "en", "paddlepaddle")
    assert str(tmp_path) not in str(card)
    assert str(sample_dir) not in str(card)
    assert verify_manifest(run / "best") is None


def test_the_licence_and_the_base_are_those_of_what_it_began_with(
    cola: Path, sample_dir: Path, tmp_path: Path
) -> None:
    base = tmp_path / "models--YituTech--conv-bert-tiny" / "snapshots" / "0123"
    shutil.copytree(cola / "best", base)
    (base / "README.md").write_text("---\nlicense: mit\nlanguage: de\n---\n# A base\n", encoding="utf-8")
    (base / "manifest.json").unlink()
    first = fine_tune(sample_dir, "rte", tmp_path / "first", base)
    assert (first.data.license, first.data.base_model) == ("mit", "YituTech/conv-bert-tiny")
    assert first.data.to_dict()["model-index"][0]["name"] == "conv-bert-tiny-rte"
    second = fine_tune(sample_dir, "mrpc", tmp_path / "second", tmp_path / "first" / "best")
    assert (second.data.license, second.data.base_model) == ("mit", "YituTech/conv-bert-tiny")
    assert second.data.to_dict()["model-index"][0]["name"] == "first-mrpc"


@pytest.mark.parametrize(
    "content",
    [b"---\nlicense: [mit]\nbase_model: {a: b}\n---\n", b"---\n[[[[\n---\n", b"\xff\xfe", b"no front matter"],
)
def test_a_strange_card_of_the_base_says_nothing(content: bytes, cola: Path, tmp_path: Path) -> None:
    args = json.loads((cola / "args.json").read_text(encoding="utf-8"))
    (tmp_path / "README.md").write_bytes(content)
    facts = model_card.CardFacts("T", "text-classification", "", "", "", (), "percent", "s", "c")
    card = ModelCard(model_card.card_text({**args, "model_name_or_path": str(tmp_path)}, facts, {"step": 1}))
    assert (card.data.license, card.data.base_model, card.data.datasets) == (None, None, None)


def test_the_licence_of_a_configuration(cola: Path, tmp_path: Path) -> None:
    args = json.loads((cola / "args.json").read_text(encoding="utf-8"))
    (tmp_path / "config.json").write_text('{"license": "bsd"}', encoding="utf-8")
    facts = model_card.CardFacts("T", "text-classification", "", "", "", (), "percent", "s", "c")
    text = model_card.card_text({**args, "model_name_or_path": str(tmp_path)}, facts, {"step": 1})
    assert ModelCard(text).data.license == "bsd"


def test_a_card_that_fails_is_left_out_and_the_run_goes_on(
    sample_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> str:
        raise RuntimeError("no card today")

    monkeypatch.setattr(model_card, "card_text", fail)
    with pytest.raises(ValueError, match=r"README\.md"):  # of who reads it
        fine_tune(sample_dir, "rte", tmp_path / "run")
    assert "is not written: RuntimeError('no card today')" in capsys.readouterr().err
    assert verify_manifest(tmp_path / "run" / "best") is None
    assert (tmp_path / "run" / "scores.json").is_file()
    run_eval.main([
        "--task_name", "rte", "--ckpt_path", str(tmp_path / "run"), "--data_dir", str(sample_dir)
    ])  # fmt: skip


def test_a_converted_model_keeps_its_card_unless_it_is_rounded(
    cola: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    card = (cola / "best" / "README.md").read_bytes()
    there, rounded = tmp_path / "there", tmp_path / "rounded"
    convert_model(make_parser().parse_args([str(cola), str(there), "--to", "paddlenlp"]))
    assert (there / "README.md").read_bytes() == card
    assert verify_manifest(there) is None
    assert "left in" not in capsys.readouterr().err
    convert_model(
        make_parser().parse_args([str(cola), str(rounded), "--to", "paddlenlp", "--dtype", "float16"])
    )
    assert not (rounded / "README.md").exists()
    assert f"left in {cola / 'best'}: README.md" in capsys.readouterr().err
