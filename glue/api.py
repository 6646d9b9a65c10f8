"""Fine-tuning, prediction and scoring of sentence tasks as Python functions.

Settings are the flags of the command that does the same (``python -m glue.run_glue --help``), by name, with
the same defaults and checks: ``fine_tune(…, learning_rate=1e-4, use_amp=True)``.
"""

from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.dispatch import dispatch
from common.python_api import arguments, parse, raising
from glue import run_eval, run_glue, run_predict
from glue.tasks import Task, register

if TYPE_CHECKING:
    from glue.predictions import SplitPredictions
    from training.run_result import RunResult

Folder = str | PathLike[str]


def fine_tune(
    task: str | Task, model: Folder, data_dir: Folder | None = None, *, output_dir: Folder, **settings: Any
) -> "RunResult":
    """Fine-tune a model on a task, as ``python -m glue.run_glue`` does.

    Args:
        task: The task's name, in any usual spelling; or of a task of your own its file (``.yaml``), or what
            ``glue.Task.from_files`` made.
        model: A model folder, or the name of a published model.
        data_dir: The folder of the official files; None: the download cache.
        output_dir: The run's folder, which must be empty or new unless ``resume`` or ``overwrite_output_dir``
            is true.
        **settings: Any other flag of the command, without its dashes.

    Returns:
        The run's folder, its dev scores (``scores``) and its curves (``history``, a DataFrame).

    Raises:
        InputError: The model, the data or a setting is wrong.

    >>> import glue
    >>> run = glue.fine_tune("rte", "convbert-mini", data_dir="glue_data", output_dir="runs/rte", max_steps=2)
    >>> sorted(run.scores)
    ['accuracy', 'loss', 'main']
    >>> print(run.folder, list(run.history["step"]))
    runs/rte [2]
    """
    flags = {"model_name_or_path": model, "data_dir": data_dir, "output_dir": output_dir, **settings}
    return run_glue.train(raising(run_glue.make_parser()), arguments({**_task(task), **flags}))


def predict(
    task: str | Task,
    model: Folder,
    data_dir: Folder | None = None,
    output_dir: Folder | None = None,
    split: str = "test",
    **settings: Any,
) -> "dict[Path, SplitPredictions]":
    """Predict a task's test files and write the leaderboard's, as ``python -m glue.run_predict`` does.

    Args:
        task: The task's name, in any usual spelling; or of a task of your own its file (``.yaml``), or what
            ``glue.Task.from_files`` made.
        model: A fine-tuned model folder, a run's folder, or an exported folder.
        data_dir: The folder of the official files; None: the download cache.
        output_dir: Where to; None: ``predictions/`` and the split's name, in the run's folder.
        split: ``test`` or ``dev``.
        **settings: Any other flag of the command, without its dashes.

    Returns:
        Each file that was written → its predictions: ``values`` as in the file, and the ``logits`` (rows ×
        ``labels``) that they were made from.

    Raises:
        InputError: The model, the data or a setting is wrong.

    >>> import glue
    >>> files = glue.predict("rte", "runs/rte", data_dir="glue_data", output_dir="predictions")
    >>> for path, predicted in files.items():
    ...     print(path, sorted(predicted.labels), len(predicted.values) == len(predicted.logits))
    predictions/RTE.tsv ['entailment', 'not_entailment'] True
    """
    flags = {"ckpt_path": model, "data_dir": data_dir, "output_dir": output_dir, "split": split, **settings}
    return dispatch("glue.answering:predict_files", parse(run_predict.make_parser(), **_task(task), **flags))


def evaluate(
    task: str | Task, model: Folder, data_dir: Folder | None = None, **settings: Any
) -> dict[str, float]:
    """Score a fine-tuned model on a task's dev files, as ``python -m glue.run_eval`` does.

    Args:
        task: The task's name, in any usual spelling; or of a task of your own its file (``.yaml``), or what
            ``glue.Task.from_files`` made.
        model: A fine-tuned model folder, a run's folder, or an exported folder.
        data_dir: The folder of the official files; None: the download cache.
        **settings: Any other flag of the command, without its dashes.

    Returns:
        The task's scores as fractions of 1, ``main`` (what the leaderboard counts) and ``loss``.

    Raises:
        InputError: The model, the data or a setting is wrong.

    >>> import glue
    >>> scores = glue.evaluate("rte", "runs/rte", data_dir="glue_data")
    >>> scores["main"] == scores["accuracy"]
    True
    """
    flags = {**_task(task), "ckpt_path": model, "data_dir": data_dir, **settings}
    return dispatch("glue.answering:evaluate", parse(run_eval.make_parser(), **flags))


def _task(task: str | Task) -> dict[str, str]:
    """The flag that names a task; one of the user's own is known by its name from then on."""
    if isinstance(task, Task):
        return {"task_name": register(task).name}
    return {"task_file" if task.endswith((".yaml", ".yml")) else "task_name": task}
