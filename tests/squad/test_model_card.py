"""The model card of a model of SQuAD."""

import json
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard

from squad import run_squad
from tests.squad.colours import make_argv, make_data


@pytest.mark.parametrize(
    ("version", "dataset", "exact"),
    [("1.1", "rajpurkar/squad", "exact_match"), ("2.0", "rajpurkar/squad_v2", "exact")],
)
def test_the_card_of_a_model_of_squad(
    version: str, dataset: str, exact: str, files: dict[str, Any], tmp_path: Path
) -> None:
    def read(dev: Path, run: Path) -> ModelCard:
        made = {**files, version: [files[version][0], dev]}
        run_squad.main(make_argv(made, version, "--do_train", "--output_dir", run, "--max_steps", 1))
        return ModelCard.load(run / "best" / "README.md")

    card = read(files[version][1], tmp_path / "run")
    scores = json.loads((tmp_path / "run" / "scores.json").read_text(encoding="utf-8"))["best"]
    values = {result.metric_type: result.metric_value for result in card.data.eval_results}
    assert values == {"exact_match": scores[exact], "f1": scores["f1"]}
    assert card.data.datasets == dataset
    other = read(make_data(tmp_path / "dev.json", 40, version == "2.0", 3), tmp_path / "other")
    signatures = {each.data.eval_results[0].metric_args["signature"] for each in (card, other)}
    assert len(signatures) == 2  # another dev file
    assert all("|questions:40|" in line for line in signatures)
