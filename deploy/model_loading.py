"""Opening what can answer: an exported folder, which needs neither training's code nor, with ONNX, Paddle;
or a model folder, which runs in Paddle as it is (``deploy/network_loading.py``)."""

from pathlib import Path

from common.dispatch import dispatch
from common.errors import InputError
from deploy.classification import ClassificationModel
from deploy.model import Model
from deploy.question_answering import QuestionModel
from encoders.tokenizer import Tokenizer
from inference.engine import Engine
from inference.exported import is_exported, read_exported
from inference.graph_engine import open_engine
from squad.windows import saved_cutting


def load(
    folder: str | Path,
    *,
    device: str = "cpu",
    max_seq_length: int | None = None,
    do_lower_case: bool | None = None,
    label_map: str | None = None,
    engine: str | None = None,
) -> Model:
    """Open a trained model, which then answers texts.

    Args:
        folder: A fine-tuned model folder, a run's folder (its ``best/`` is taken), or an exported folder.
        device: ``cpu`` or ``gpu``.
        max_seq_length: The longest input in tokens; None: as in training.
        do_lower_case: Whether texts are lower-cased; None: as the folder says.
        label_map: Names of the labels of a model folder, a comma list in the order of their ids; None: as it
            says.
        engine: Of a model folder, ``dynamic`` (float32, as None) or ``bfloat16`` (a CPU that has it; labels
            are float32's, probabilities nearly). An exported folder has its own.

    Raises:
        InputError: What is wrong with the folder.

    >>> import deploy
    >>> model = deploy.load("runs/rte")
    >>> (answer,) = model([("A man sleeps.", "A man is awake.")])
    >>> answer["label"] in ("entailment", "not_entailment")
    True
    """
    if not is_exported(folder):
        settings = (folder, device, max_seq_length, do_lower_case, label_map, engine)
        return dispatch("deploy.network_loading:open_model_folder", *settings)
    if engine:
        raise InputError(
            f"engine {engine}: an exported folder has its own; name the model folder", path=folder
        )
    if label_map:
        raise InputError(f"label_map {label_map}: an exported folder knows its labels", path=folder)
    return open_exported(folder, device, max_seq_length, lower_case=do_lower_case)


def open_folder(
    folder: str | Path,
    device: str,
    max_length: int | None,
    threads: int,
    lower_case: bool | None,
    engine: str | None,
) -> Model:
    """Open an exported folder, or a model folder; threads: of an exported one, as in ``open_exported``."""
    has_model = any((Path(folder) / name).exists() for name in ("config.json", "best", "args.json"))
    if engine or (has_model and not is_exported(folder)):
        return load(folder, device=device, max_seq_length=max_length, do_lower_case=lower_case, engine=engine)
    return open_exported(folder, device, max_length, threads, lower_case)


def open_exported(
    folder: str | Path,
    device: str = "cpu",
    max_length: int | None = None,
    threads: int = 0,
    lower_case: bool | None = None,
) -> Model:
    """Open the model in an exported folder. threads: to compute with; 0: as the environment says."""
    exported = read_exported(folder)
    engine = open_engine(exported, device, threads)
    return model_for(engine, exported.folder, exported.tokenizer(lower_case), exported.digest, max_length)


def model_for(
    engine: Engine, folder: Path, tokenizer: Tokenizer, digest: str, max_length: int | None
) -> Model:
    if engine.head == "sentence":
        return ClassificationModel(engine, tokenizer, digest, max_length)
    return QuestionModel(engine, tokenizer, digest, max_length, saved_cutting(folder))
