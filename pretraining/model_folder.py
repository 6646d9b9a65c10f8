"""What pre-training reads and leaves as model folders: the encoder alone, and beside it what only the
objective needs (``objective.safetensors``), so that a run can go on."""

from pathlib import Path

import safetensors
import safetensors.numpy

from checkpoints.folder import read_checkpoint, read_config, write_model
from checkpoints.model_config import CONFIG
from checkpoints.network import arrays_of, fill, shapes_of
from checkpoints.validation import check_manifest
from common.errors import InputError
from common.files import atomic_write, write_json
from common.json_files import read_json_object
from common.messages import note_once
from encoders.config import EncoderConfig
from encoders.encoder import Encoder
from encoders.framework import paddle
from encoders.tokenizer import Tokenizer

OBJECTIVE = "objective.safetensors"
_CLASSES = {
    "convbert": "ConvBertModel",
    "electra": "ElectraModel",
    "bert": "BertModel",
    "ernie": "ErnieModel",
}


class _Bare(paddle.nn.Layer):
    """An encoder under the parameter names that model folders know."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder


def load_encoder(folder: str | Path) -> Encoder:
    """The encoder of any model folder, with or without a head."""
    check_manifest(folder)
    config = read_config(folder)
    encoder = Encoder(config)
    fill_encoder(encoder, folder, config)
    return encoder


def fill_encoder(encoder: Encoder, folder: str | Path, config: EncoderConfig) -> None:
    """Put a folder's weights into an encoder of this configuration."""
    network = _Bare(encoder)
    checkpoint = read_checkpoint(folder, config, shapes_of(network), may_lack_head=True)
    for text in checkpoint.notes:
        note_once(text)
    fill(network, checkpoint)


def write_encoder(folder: Path, config: EncoderConfig, model: paddle.nn.Layer, tokenizer: Tokenizer) -> None:
    """Write the encoder alone as a model folder, to be fine-tuned."""
    write_model(folder, config, arrays_of(_Bare(model.encoder)), tokenizer)
    values = read_json_object(folder / CONFIG)
    for key in ("id2label", "label2id", "finetuning_task", "max_seq_length"):
        values.pop(key, None)
    write_json(folder / CONFIG, {**values, "architectures": [_CLASSES[config.model_type]]})


def write_pretrained(
    folder: Path, config: EncoderConfig, model: paddle.nn.Layer, tokenizer: Tokenizer
) -> None:
    """Write the encoder as a model folder, and beside it what else the model has, without which no run
    goes on. Embeddings that a generator shares with the encoder are there once, as the encoder's."""
    write_encoder(folder, config, model, tokenizer)
    rest = {name: array for name, array in arrays_of(model).items() if not name.startswith("encoder.")}
    with atomic_write(folder / OBJECTIVE) as file:
        file.write(safetensors.numpy.save(rest))


def fill_pretrained(model: paddle.nn.Layer, folder: Path, config: EncoderConfig) -> None:
    """Put back what ``write_pretrained`` wrote; InputError if the rest is missing or of another objective."""
    fill_encoder(model.encoder, folder, config)
    path = folder / OBJECTIVE
    try:
        found = safetensors.numpy.load_file(path)
    except (OSError, safetensors.SafetensorError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from None
    rest = {name: p for name, p in model.named_parameters() if not name.startswith("encoder.")}
    if {name: list(array.shape) for name, array in found.items()} != {n: p.shape for n, p in rest.items()}:
        raise InputError(
            f"{path}: does not fit this objective's network; resume with the settings of the run"
        )
    for name, parameter in rest.items():
        parameter.set_value(found[name])
