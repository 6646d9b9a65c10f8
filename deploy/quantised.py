"""Weights of an ONNX graph in 8 bits, and what that costs: the dev scores before and after.

Activations are scaled by the largest of the whole batch, so that with 8 bits a row's answer depends a little
on the rows beside it.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, cast

from commands.errors import InputError
from convbert.config import EncoderConfig
from deploy.questions import QuestionModel
from engines.exported import Exported
from engines.running import open_engine
from glue.arguments import data_folder
from glue.features import load_split
from glue.scoring import dev_scores, predict
from glue.tasks import TASKS
from squad.data import read_squad

if TYPE_CHECKING:
    from convbert.heads import SentenceClassifier

BATCH = 64


def quantiser(config: EncoderConfig, data_dir: str | None) -> Callable[[Exported], dict[str, object]]:
    """What ``engines.export.export`` is to finish with: it scores, quantises, scores again and prints both.

    A model whose task is not known, or whose dev files are not there: InputError, before anything is done.
    """
    task = config.finetuning_task
    if task.lower() not in TASKS and not task.startswith("squad_"):
        raise InputError(f"--int8: the model's task {task!r} has no dev score here, so its cost is unknown")
    score = _squad_score if task.startswith("squad_") else _glue_scores
    data = Path(data_dir) if data_dir and task.startswith("squad_") else data_folder(data_dir)

    def finish(exported: Exported) -> dict[str, object]:
        before = score(exported, data)
        quantise(exported.path)
        after = score(exported, data)
        for name in before:
            print(f"{task} dev {name}: {before[name]:.4f} before, {after[name]:.4f} in 8 bits")
        return {"int8": True, "dev_before": before, "dev_after": after}

    return finish


def quantise(path: Path) -> None:
    """Replace a graph by one whose linear layers have 8-bit weights; activations are scaled while
    it runs (ONNX Runtime's dynamic quantisation)."""
    import logging

    from onnxruntime.quantization import QuantType, quantize_dynamic

    logging.getLogger().setLevel(logging.ERROR)  # it advises a preparation that changes nothing here
    beside = path.with_suffix(".int8")
    quantize_dynamic(
        path, beside, per_channel=True, weight_type=QuantType.QInt8, op_types_to_quantize=["MatMul"]
    )
    os.replace(beside, path)


def _glue_scores(exported: Exported, data: Path) -> dict[str, float]:
    task, config, tokenizer = (
        TASKS[exported.config.finetuning_task.lower()],
        exported.config,
        exported.tokenizer(),
    )
    engine = cast("SentenceClassifier", open_engine(exported))  # predict_logits takes either
    length = config.max_seq_length or min(128, config.max_position_embeddings)
    splits = [load_split(task, split, data, tokenizer, length) for split in task.of_kind("dev")]
    return dev_scores(task, config, [predict(engine, config, task, split, BATCH) for split in splits])


def _squad_score(exported: Exported, data: Path) -> dict[str, float]:
    from squad import prediction

    name = f"dev-v{exported.config.finetuning_task.removeprefix('squad_')}.json"
    model = QuestionModel(open_engine(exported), exported.tokenizer(), exported.digest)
    return prediction.dev_scores(model.answers(read_squad(data / name), BATCH, name))
