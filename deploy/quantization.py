"""Weights of an ONNX graph in 8 bits, and what that costs: the dev scores before and after.

Activations are scaled by the largest of the whole batch, so that with 8 bits a row's answer depends a little
on the rows beside it.
"""

import logging
import os
from collections.abc import Callable
from pathlib import Path

from checkpoints.config_file import config_path
from common.cache import cache_dir
from common.errors import InputError
from deploy.classification import ClassificationModel
from deploy.question_answering import QuestionModel
from encoders.config import EncoderConfig
from glue.arguments import data_folder
from glue.data import read_split
from glue.features import load_split
from glue.model import config_for_task
from glue.scoring import dev_scores, predict
from glue.tasks import TASKS, Task, find_task
from inference.exported import ExportedModel
from inference.graph_engine import open_engine
from squad import prediction
from squad.data import Dataset, read_squad, version_of
from squad.windows import saved_cutting

_BATCH_SIZE = 64
_UNPRINTED = ("main", "loss")  # of scores: the first is printed under its own name
_Scorer = Callable[[ExportedModel], dict[str, float]]


def quantizer(
    folder: Path, config: EncoderConfig, data_dir: str | None
) -> Callable[[ExportedModel], dict[str, object]]:
    """What ``inference.export.export`` is to finish with: it scores, quantizes, scores again and prints both.

    InputError, before anything is done, where task, labels or dev files are not there. Without ``data_dir``
    they are the download cache's.
    """
    task, score = config.finetuning_task, _scorer(folder, config, data_dir)

    def finish(exported: ExportedModel) -> dict[str, object]:
        before = score(exported)
        quantize(exported.path)
        after = score(exported)
        for name in before:
            if name not in _UNPRINTED:
                print(f"{task} dev {name}: {before[name]:.4f} before, {after[name]:.4f} in 8 bits")
        return {"int8": True, "dev_before": before, "dev_after": after}

    return finish


def quantize(path: Path) -> None:
    """Replace a graph by one whose linear layers have 8-bit weights (ONNX Runtime's dynamic quantization).

    Weights are unsigned: products of signed ones overflow on processors with AVX2 and without VNNI, where
    answers would be others.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    logging.getLogger().setLevel(logging.ERROR)  # it advises a preparation that changes nothing here
    beside = path.with_suffix(".int8")
    quantize_dynamic(
        path, beside, per_channel=True, weight_type=QuantType.QUInt8, op_types_to_quantize=["MatMul"]
    )
    os.replace(beside, path)


def _scorer(folder: Path, config: EncoderConfig, data_dir: str | None) -> _Scorer:
    """Exported folder → dev scores of its task; the task's files are read now."""
    name = config.finetuning_task
    if version := version_of(name):
        path = (Path(data_dir) if data_dir else cache_dir() / "squad") / f"dev-v{version}.json"
        if not path.is_file():
            remedy = "fetch it with `python -m scripts.download_squad`, or name the --data_dir"
            raise InputError(f"no such file; {remedy}", path=path)
        questions = read_squad(path)
        return lambda exported: _squad_scores(exported, questions)
    task = find_task(name)
    if task is None:
        fault = f"finetuning_task is {name!r}" if name else "there is no finetuning_task"
        remedy = (
            f"write the task's name there ({', '.join(TASKS)}) or name your --task_file, or leave --int8 out"
        )
        reason = f"{fault}, so that --int8 cannot tell what it costs; {remedy}"
        raise InputError(reason, path=config_path(folder))
    config_for_task(folder, config, task, None)
    data = data_folder(data_dir, task)
    for split in task.of_kind("dev"):
        read_split(task, split, data)
    return lambda exported: _glue_scores(exported, task, data)


def _glue_scores(exported: ExportedModel, task: Task, data: Path) -> dict[str, float]:
    config = config_for_task(exported.folder, exported.config, task, None)
    model = ClassificationModel(open_engine(exported), exported.tokenizer(), exported.digest)
    splits = [
        load_split(task, split, data, model.tokenizer, model.max_length) for split in task.of_kind("dev")
    ]
    predictions = [predict(model.engine, config, task, split, _BATCH_SIZE) for split in splits]
    return dev_scores(config, splits, predictions)


def _squad_scores(exported: ExportedModel, questions: Dataset) -> dict[str, float]:
    cutting = saved_cutting(exported.folder)
    model = QuestionModel(open_engine(exported), exported.tokenizer(), exported.digest, cutting=cutting)
    return prediction.dev_scores(model.answers(questions, _BATCH_SIZE, "dev"))
