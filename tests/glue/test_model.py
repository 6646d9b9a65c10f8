"""Which head is kept, and which label each output means: never the table's order by default."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from checkpoints.folder import open_checkpoint, read_config, save_checkpoint, write_model
from checkpoints.labels import label_names
from checkpoints.network import arrays_of
from checkpoints.registry import model_folder
from common.errors import InputError
from common.files import MANIFEST
from encoders.config import EncoderConfig
from encoders.heads import SentenceClassifier
from encoders.tokenizer import Tokenizer
from glue.config import GlueTrainingConfig
from glue.model import config_for, prepare, with_labels
from glue.task_model import TaskModel
from glue.tasks import TASKS

TINY = EncoderConfig(
    model_type="convbert", vocab_size=343, embedding_size=8, hidden_size=16, num_hidden_layers=1,
    num_attention_heads=2, intermediate_size=16, max_position_embeddings=128,
)  # fmt: skip


def save(folder: Path, golden_dir: Path, config: EncoderConfig) -> SentenceClassifier:
    folder.mkdir(parents=True)
    model = SentenceClassifier(config)
    write_model(folder, config, arrays_of(model), Tokenizer(golden_dir / "tokenizer"))
    return model


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
@pytest.mark.parametrize("model_type", ["convbert", "electra", "bert", "ernie"])
def test_a_pretrained_model_gets_the_tasks_labels_and_its_types_head(task, model_type: str) -> None:
    pretrained = dataclasses.replace(
        TINY, model_type=model_type, classifier_head="", embedding_size=16 if model_type[0] in "be" else 8
    )
    config, keeps = config_for(task, pretrained, GlueTrainingConfig(), None)
    assert not keeps
    assert label_names(config) == (list(task.labels) or ["score"])
    assert config.classifier_head == ("pooler" if model_type in ("bert", "ernie") else "dense")
    assert config.finetuning_task == task.name


def test_targets_are_scaled_only_where_asked_and_only_in_a_regression() -> None:
    scaled = GlueTrainingConfig(scale_targets=True)
    assert config_for(TASKS["sts-b"], TINY, scaled, None)[0].target_scale == 5.0
    assert config_for(TASKS["sts-b"], TINY, GlueTrainingConfig(), None)[0].target_scale == 1.0
    with pytest.raises(InputError, match="--scale_targets: rte is no regression"):
        config_for(TASKS["rte"], TINY, scaled, None)


def test_a_checkpoint_of_the_same_task_keeps_its_head_and_its_order(tmp_path: Path, golden_dir: Path) -> None:
    # Hugging Face's order of the MNLI labels, which is not the table's.
    order = {0: "entailment", 1: "neutral", 2: "contradiction"}
    model = save(
        tmp_path / "m", golden_dir, dataclasses.replace(TINY, id2label=order, finetuning_task="mnli")
    )
    config, keeps = config_for(TASKS["mnli"], read_config(tmp_path / "m"), GlueTrainingConfig(), None)
    assert keeps
    assert config.id2label == order
    prepared, notes = prepare(open_checkpoint(tmp_path / "m"), config, keeps, from_scratch=False)
    assert np.array_equal(prepared.head.projection.weight.numpy(), model.head.projection.weight.numpy())
    assert notes == []


def test_a_checkpoint_of_another_task_gets_a_new_head_and_says_so(tmp_path: Path, golden_dir: Path) -> None:
    labels = {0: "entailment", 1: "not_entailment"}  # QNLI's labels are RTE's too
    save(tmp_path / "m", golden_dir, dataclasses.replace(TINY, id2label=labels, finetuning_task="qnli"))
    config, keeps = config_for(TASKS["rte"], read_config(tmp_path / "m"), GlueTrainingConfig(), None)
    assert not keeps
    _, notes = prepare(open_checkpoint(tmp_path / "m"), config, keeps, from_scratch=False)
    assert notes[0].startswith("begins new: head.")
    assert "head.projection.weight" in notes[0]


def test_prediction_refuses_a_checkpoint_of_another_task(tmp_path: Path, golden_dir: Path) -> None:
    labels = {0: "entailment", 1: "not_entailment"}
    save(tmp_path / "m", golden_dir, dataclasses.replace(TINY, id2label=labels, finetuning_task="qnli"))
    with pytest.raises(InputError, match="is a checkpoint of qnli, not of rte"):
        TaskModel(tmp_path / "m", TASKS["rte"], None)


def test_label_0_needs_a_label_map(tmp_path: Path, golden_dir: Path) -> None:
    save(tmp_path / "m", golden_dir, dataclasses.replace(TINY, id2label={0: "LABEL_0", 1: "LABEL_1"}))
    with pytest.raises(InputError, match=r"its labels are LABEL_0, LABEL_1; rte has .*--label_map"):
        TaskModel(tmp_path / "m", TASKS["rte"], None)
    config = TaskModel(tmp_path / "m", TASKS["rte"], "not_entailment,entailment").config
    assert label_names(config) == ["not_entailment", "entailment"]


def test_the_order_of_label2id_is_the_checkpoints(tmp_path: Path, golden_dir: Path) -> None:
    """Names written by hand into the second of the two maps alone."""
    save(tmp_path / "m", golden_dir, dataclasses.replace(TINY, id2label={0: "LABEL_0", 1: "LABEL_1"}))
    path = tmp_path / "m" / "config.json"
    values = json.loads(path.read_text(encoding="utf-8"))
    values["label2id"] = {"not_entailment": 0, "entailment": 1}
    path.write_text(json.dumps(values), encoding="utf-8")
    (tmp_path / "m" / MANIFEST).unlink(missing_ok=True)
    assert label_names(TaskModel(tmp_path / "m", TASKS["rte"], None).config) == [
        "not_entailment", "entailment",
    ]  # fmt: skip
    with pytest.raises(InputError, match="the checkpoint itself says not_entailment, entailment"):
        TaskModel(tmp_path / "m", TASKS["rte"], "entailment,not_entailment")


def test_a_label_map_cannot_contradict_the_checkpoints_own_names() -> None:
    named = dataclasses.replace(TINY, id2label={0: "entailment", 1: "not_entailment"})
    with pytest.raises(InputError, match="the checkpoint itself says entailment, not_entailment"):
        with_labels(named, TASKS["rte"], "not_entailment,entailment")
    assert with_labels(named, TASKS["rte"], "entailment, not_entailment") == named
    foreign = dataclasses.replace(TINY, id2label={0: "duplicate", 1: "different"})
    assert with_labels(foreign, TASKS["qqp"], "1,0").id2label == {0: "1", 1: "0"}


def test_a_label_map_for_a_head_that_is_not_kept_is_refused() -> None:
    foreign = dataclasses.replace(TINY, id2label={0: "LABEL_0", 1: "LABEL_1"}, classifier_head="dense")
    with pytest.raises(InputError, match="this run's linear; --classifier_head dense keeps it"):
        config_for(
            TASKS["rte"], foreign, GlueTrainingConfig(classifier_head="linear"), "not_entailment,entailment"
        )
    config, keeps = config_for(TASKS["rte"], foreign, GlueTrainingConfig(), "not_entailment,entailment")
    assert keeps
    assert label_names(config) == ["not_entailment", "entailment"]


def test_a_regression_takes_no_label_map() -> None:
    with pytest.raises(InputError, match="--label_map score: sts-b is a regression and has no labels"):
        with_labels(TINY, TASKS["sts-b"], "score")


def test_a_damaged_model_of_ours_is_refused(tmp_path: Path, golden_dir: Path) -> None:
    labels = {0: "entailment", 1: "not_entailment"}
    config = dataclasses.replace(TINY, id2label=labels, finetuning_task="rte")
    model = SentenceClassifier(config)
    save_checkpoint(tmp_path / "m", config, arrays_of(model), Tokenizer(golden_dir / "tokenizer"))
    TaskModel(tmp_path / "m", TASKS["rte"], None)
    weights = tmp_path / "m" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(InputError, match=r"model\.safetensors: is not what manifest\.json says"):
        TaskModel(tmp_path / "m", TASKS["rte"], None)
    with pytest.raises(InputError, match=r"model\.safetensors: is not what manifest\.json says"):
        prepare(open_checkpoint(tmp_path / "m"), config, True, from_scratch=False)


@pytest.mark.parametrize(
    "label_map", ["entailment", "entailment,entailment", "entailment,neutral", "entailment,not_entailment,x"]
)
def test_a_label_map_names_every_label_once(label_map: str) -> None:
    with pytest.raises(InputError, match="each once"):
        with_labels(TINY, TASKS["rte"], label_map)


def test_a_convolution_model_has_no_pooler() -> None:
    with pytest.raises(InputError, match="--classifier_head pooler: convbert has no pretrained pooler"):
        config_for(TASKS["rte"], TINY, GlueTrainingConfig(classifier_head="pooler"), None)


def test_a_runs_folder_stands_for_its_best(tmp_path: Path, golden_dir: Path) -> None:
    save(tmp_path / "run" / "best", golden_dir, TINY)
    assert model_folder(tmp_path / "run") == tmp_path / "run" / "best"
    assert model_folder(tmp_path / "run" / "best") == tmp_path / "run" / "best"


def test_from_scratch_and_weights_contradict(tmp_path: Path, golden_dir: Path) -> None:
    save(tmp_path / "m", golden_dir, TINY)
    with pytest.raises(InputError, match="holds weights; leave out --from_scratch"):
        prepare(open_checkpoint(tmp_path / "m"), TINY, False, from_scratch=True)


@pytest.mark.parametrize("saved_for", ["sst2", "SST-2", "sst", "glue/sst2", "", "text-classification"])
def test_a_checkpoint_of_another_toolkit_is_read_by_its_names(
    tmp_path: Path, golden_dir: Path, saved_for: str, capsys: pytest.CaptureFixture[str]
) -> None:
    foreign = dataclasses.replace(TINY, id2label={0: "POSITIVE", 1: "negative"}, finetuning_task=saved_for)
    save(tmp_path / "m", golden_dir, foreign)
    config = TaskModel(tmp_path / "m", TASKS["sst-2"], None).config
    assert label_names(config) == ["1", "0"]
    assert "POSITIVE is 1, negative is 0" in capsys.readouterr().err
    kept, keeps = config_for(TASKS["sst-2"], read_config(tmp_path / "m"), GlueTrainingConfig(), None)
    assert keeps
    assert (label_names(kept), kept.finetuning_task) == (["1", "0"], "sst-2")


def test_names_that_mean_another_tasks_labels_are_not_taken(tmp_path: Path, golden_dir: Path) -> None:
    foreign = dataclasses.replace(TINY, id2label={0: "negative", 1: "positive"})
    save(tmp_path / "m", golden_dir, foreign)
    with pytest.raises(InputError, match="its labels are negative, positive; qqp has 0, 1"):
        TaskModel(tmp_path / "m", TASKS["qqp"], None)
    save(tmp_path / "imdb", golden_dir, dataclasses.replace(foreign, finetuning_task="imdb"))
    with pytest.raises(InputError, match="is a checkpoint of imdb, not of sst-2"):
        TaskModel(tmp_path / "imdb", TASKS["sst-2"], None)


def test_a_regression_of_another_toolkit(tmp_path: Path, golden_dir: Path) -> None:
    save(
        tmp_path / "m", golden_dir, dataclasses.replace(TINY, id2label={0: "LABEL_0"}, finetuning_task="stsb")
    )
    assert TaskModel(tmp_path / "m", TASKS["sts-b"], None).config.finetuning_task == "sts-b"
    assert config_for(TASKS["sts-b"], read_config(tmp_path / "m"), GlueTrainingConfig(), None)[1]


def test_a_label_map_takes_names_that_mean_the_same() -> None:
    unnamed = dataclasses.replace(TINY, id2label={0: "LABEL_0", 1: "LABEL_1"})
    assert label_names(with_labels(unnamed, TASKS["sst-2"], "Positive, negative")) == ["1", "0"]


def test_what_to_type_says_what_a_number_means(tmp_path: Path, golden_dir: Path) -> None:
    unnamed = dataclasses.replace(TINY, id2label={0: "LABEL_0", 1: "LABEL_1"})
    save(tmp_path / "m", golden_dir, unnamed)
    with pytest.raises(InputError, match=r"--label_map 0,1 where id 0 means 0 \(not_duplicate\)"):
        TaskModel(tmp_path / "m", TASKS["qqp"], None)
