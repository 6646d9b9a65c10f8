"""Opening a fine-tuned model folder as it is, in Paddle."""

from pathlib import Path

from checkpoints.folder import check_manifest, digest_of, open_checkpoint
from checkpoints.network import load_classifier
from checkpoints.registry import model_folder
from checkpoints.tokenizer import tokenizer_of
from common.errors import InputError
from common.messages import say
from deploy.model import Model
from deploy.model_loading import model_for
from encoders.framework import paddle, select_device
from encoders.heads import SentenceClassifier
from glue.model import named_labels
from inference.bfloat16_engine import Bfloat16Engine
from inference.engine import Engine
from inference.engine_choice import choose_engine
from inference.exported import is_exported
from inference.network_engine import NetworkEngine
from squad import model as squad_model


def open_model_folder(
    path: str | Path,
    device: str = "cpu",
    max_length: int | None = None,
    lower_case: bool | None = None,
    label_map: str | None = None,
    engine: str | None = None,
) -> Model:
    """Open the fine-tuned model in a model folder, or in ``best/`` of a run's, in float32 or bfloat16."""
    if is_exported(path):
        raise InputError("is an exported folder; deploy.infer answers with it", path=path)
    select_device(device)
    folder, network, tokenizer = load_network(path, lower_case, label_map)
    return model_for(_engine(network, engine, device), folder, tokenizer, digest_of(folder), max_length)


def _engine(network: "paddle.nn.Layer", requested: str | None, device: str) -> Engine:
    """The network's engine: in bfloat16 if that is requested and there are labels to leave as they are."""
    if isinstance(network, SentenceClassifier) and network.outputs > 1:
        if choose_engine(requested or "dynamic", device, tokens=0) == "dynamic":
            return NetworkEngine(network)
        say("note: computes in bfloat16: the labels are those of float32, the probabilities nearly")
        return Bfloat16Engine(network)
    if requested == "bfloat16":
        say("note: computes in float32: this model has no labels that bfloat16 could leave as they are")
    return NetworkEngine(network)


def load_network(  # type: ignore[no-untyped-def]
    path: str | Path, lower_case: bool | None = None, label_map: str | None = None
):
    """A fine-tuned model's folder, its network in evaluation mode, and its tokenizer."""
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
