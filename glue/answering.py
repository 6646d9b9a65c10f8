"""Predicting and scoring a task's files with a fine-tuned model, without training."""

import json
from argparse import Namespace
from pathlib import Path

from checkpoints.registry import model_folder
from common.errors import UsageError
from common.flags import set_workers
from common.messages import say
from encoders import distributed
from encoders.framework import select_device
from glue.arguments import chosen_task, data_folder
from glue.features import SplitFeatures
from glue.predictions import SplitPredictions, write_predictions
from glue.scoring import dev_scores, load_splits, predict_splits
from glue.task_model import TaskModel
from glue.tasks import Task
from inference.exported import is_exported


def print_files(flags: Namespace) -> None:
    """Carry out ``glue.run_predict``."""
    parts = predict_files(flags)
    for file, part in parts.items() if distributed.is_first() else ():
        print(f"{file}: {len(part.values)} rows")


def print_scores(flags: Namespace) -> None:
    """Carry out ``glue.run_eval``."""
    scores = evaluate(flags)
    if distributed.is_first():
        print(json.dumps(scores))


def evaluate(flags: Namespace) -> dict[str, float]:
    """The scores of the model that a command's flags name, on the dev files or a test file of the user's."""
    task = chosen_task(flags)
    task = task.scored_on_test() if flags.split == "test" else task
    checkpoint, splits, predictions = _predict(flags, task, "dev")
    return dev_scores(checkpoint.config, splits, predictions)


def predict_files(flags: Namespace) -> dict[Path, SplitPredictions]:
    """Predict what a command's flags ask for, and write it → each file and its predictions."""
    target = Path(flags.output_dir or _default_folder(flags.ckpt_path) / flags.split)
    checkpoint, splits, predictions = _predict(flags, chosen_task(flags), flags.split)
    digest = checkpoint.digest()
    parts = {target / part.split.submission_file: part.made_by(digest) for part in predictions}
    if not distributed.is_first():
        return parts
    write_predictions(target, list(parts.values()))
    predicted = [split.split for split in splits]
    for split in checkpoint.task.of_kind(flags.split):
        if split not in predicted and (target / split.submission_file).is_file():
            say(f"warning: {target / split.submission_file}: is of an earlier prediction")
    return parts


def _predict(
    flags: Namespace, task: Task, kind: str
) -> tuple[TaskModel, list[SplitFeatures], list[SplitPredictions]]:
    """What a command's flags ask for: the checkpoint, a task's files of a kind, and their predictions."""
    set_workers(flags.num_workers)
    select_device(flags.device)
    distributed.init()
    folder, data = model_folder(flags.ckpt_path), data_folder(flags.data_dir, task)
    checkpoint = TaskModel(folder, task, flags.label_map, flags.do_lower_case)
    splits = load_splits(checkpoint, kind, data, flags.max_seq_length)
    predictions = predict_splits(
        checkpoint, splits, flags.batch_size, flags.engine, flags.device, flags.max_seq_length,
        flags.both_orders,
    )  # fmt: skip
    return checkpoint, splits, predictions


def _default_folder(ckpt_path: str) -> Path:
    """The folder of predictions where no other is named."""
    folder = model_folder(ckpt_path)
    if is_exported(folder):  # the next export to this folder would remove them
        raise UsageError(f"--ckpt_path {folder}: is an exported folder; name the --output_dir")
    parent = folder.resolve().parent
    # best/ of a run is replaced by a better one
    return (parent if (parent / "args.json").is_file() else folder) / "predictions"
