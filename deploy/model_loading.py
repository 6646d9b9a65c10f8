"""Opening what can answer: an exported folder, which needs neither training's code nor, with ONNX, Paddle;
or a model folder, which runs in Paddle as it is."""

from pathlib import Path

from checkpoints.folder import check_manifest, digest_of, open_checkpoint
from checkpoints.registry import model_folder
from checkpoints.tokenizer import tokenizer_of
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
) -> Model:
    """Open a trained model, which then answers texts.

    Args:
        folder: A fine-tuned model folder, a run's folder (its ``best/`` is taken), or an exported folder.
        device: ``cpu`` or ``gpu``.
        max_seq_length: The longest input in tokens; None: as in training.
        do_lower_case: Whether texts are lower-cased; None: as the folder says.
        label_map: Names of the labels of a model folder, a comma list in the order of their ids; None: as it
            says.

    Raises:
        InputError: What is wrong with the folder.

    >>> import deploy
    >>> model = deploy.load("runs/rte")
    >>> (answer,) = model([("A man sleeps.", "A man is awake.")])
    >>> answer["label"] in ("entailment", "not_entailment")
    True
    """
    if not is_exported(folder):
        return open_model_folder(folder, device, max_seq_length, do_lower_case, label_map)
    if label_map:
        raise InputError(f"label_map {label_map}: an exported folder knows its labels", path=folder)
    return open_exported(folder, device, max_seq_length, lower_case=do_lower_case)


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
    return _model(engine, exported.folder, exported.tokenizer(lower_case), exported.digest, max_length)


def open_model_folder(
    path: str | Path,
    device: str = "cpu",
    max_length: int | None = None,
    lower_case: bool | None = None,
    label_map: str | None = None,
) -> Model:
    """Open the fine-tuned model in a model folder, or in ``best/`` of a run's, on the dynamic engine."""
    if is_exported(path):
        raise InputError("is an exported folder; deploy.infer answers with it", path=path)
    from encoders.framework import select_device
    from inference.network_engine import NetworkEngine

    select_device(device)
    folder, network, tokenizer = load_network(path, lower_case, label_map)
    return _model(NetworkEngine(network), folder, tokenizer, digest_of(folder), max_length)


def load_network(  # type: ignore[no-untyped-def]
    path: str | Path, lower_case: bool | None = None, label_map: str | None = None
):
    """A fine-tuned model's folder, its network in evaluation mode, and its tokenizer."""
    from checkpoints.network import load_classifier
    from glue.model import named_labels
    from squad import model as squad_model

    folder = model_folder(path)
    check_manifest(folder)
    checkpoint = open_checkpoint(folder)
    has_spans = bool(squad_model.saved_head(checkpoint).kind)
    if has_spans and label_map:
        raise InputError(f"answers questions and has no labels: --label_map {label_map}", path=folder)
    if not has_spans:
        checkpoint = checkpoint.with_config(named_labels(folder, checkpoint.config, label_map))
    network = squad_model.load(checkpoint) if has_spans else load_classifier(checkpoint)
    return folder, network, tokenizer_of(folder, checkpoint.config, lower_case)


def _model(engine: Engine, folder: Path, tokenizer: Tokenizer, digest: str, max_length: int | None) -> Model:
    if engine.head == "sentence":
        return ClassificationModel(engine, tokenizer, digest, max_length)
    return QuestionModel(engine, tokenizer, digest, max_length, saved_cutting(folder))
