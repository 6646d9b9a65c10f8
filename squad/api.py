"""Fine-tuning on SQuAD and answering as Python functions; settings are the flags of ``squad.run_squad``."""

from os import PathLike
from typing import TYPE_CHECKING, Any

from common.dispatch import dispatch
from common.python_api import arguments, raising
from squad import run_squad

if TYPE_CHECKING:
    from training.run_result import RunResult

File = str | PathLike[str]


def fine_tune(
    model: File, train_file: File | None = None, predict_file: File | None = None, *, output_dir: File,
    **settings: Any,
) -> "RunResult":  # fmt: skip
    """Fine-tune a model on SQuAD, as ``python -m squad.run_squad --do_train`` does.

    Args:
        model: A model folder, or the name of a published model.
        train_file: Questions to train on; None: the official file in the download cache.
        predict_file: Questions to score on meanwhile; None: likewise.
        output_dir: The run's folder, which must be empty or new unless ``resume`` or ``overwrite_output_dir``
            is true.
        **settings: Any other flag of the command, without its dashes.

    Returns:
        The run's folder, its dev scores in percent (``scores``) and its curves (``history``, a DataFrame).

    Raises:
        InputError: The model, a file or a setting is wrong.

    >>> import squad
    >>> run = squad.fine_tune("convbert-mini", "train.json", "dev.json", output_dir="runs/squad", max_steps=2)
    >>> run.scores["main"] == run.scores["f1"]
    True
    """
    files = {"train_file": train_file, "predict_file": predict_file, "output_dir": output_dir}
    values = {"model_name_or_path": model, "do_train": True, **files, **settings}
    return dispatch("squad.fine_tuning:train", _parse(values))


def predict(
    model: File, predict_file: File | None = None, *, output_dir: File, **settings: Any
) -> dict[str, str]:
    """Answer a file's questions, as ``python -m squad.run_squad --do_predict`` does.

    Args:
        model: A fine-tuned model folder, or a run's folder.
        predict_file: The questions; None: the official dev file in the download cache.
        output_dir: Where ``predictions.json`` and the other files go.
        **settings: Any other flag of the command, without its dashes.

    Returns:
        Question id → answer, as in ``predictions.json``; "" is no answer.

    Raises:
        InputError: The model, the file or a setting is wrong.

    >>> import squad
    >>> answers = squad.predict("runs/squad", "dev.json", output_dir="answers")
    >>> squad.evaluate("dev.json", "answers/predictions.json")["total"] == len(answers)
    True
    """
    values = {"model_name_or_path": model, "predict_file": predict_file, "output_dir": output_dir}
    answers = dispatch("squad.answering:answer", _parse({**values, "do_predict": True, **settings}))
    return answers.predictions()


def _parse(values: dict[str, Any]) -> Any:
    return run_squad.parse(raising(run_squad.make_parser()), arguments(values))
