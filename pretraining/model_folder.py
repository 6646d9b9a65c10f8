"""What pre-training reads and leaves as model folders: the encoder alone, and beside it what only the
objective needs (``objective.safetensors``), so that a run can go on."""

from pathlib import Path

import safetensors
import safetensors.numpy

from checkpoints.folder import check_manifest, open_checkpoint, write_model
from checkpoints.network import arrays_of, load_weights, shapes_of
from common.errors import InputError
from common.files import atomic_write
from encoders.config import EncoderConfig
from encoders.encoder import Encoder
from encoders.framework import paddle
from encoders.tokenizer import Tokenizer

OBJECTIVE = "objective.safetensors"
_ENCODER = "encoder."  # what its parameters' names begin with in every network


def load_encoder(folder: str | Path) -> Encoder:
    """The encoder of any model folder, with or without a head."""
    check_manifest(folder)
    checkpoint = open_checkpoint(folder)
    encoder = Encoder(checkpoint.config)
    load_weights(encoder, checkpoint, prefix=_ENCODER)
    return encoder


def fill_encoder(encoder: Encoder, folder: str | Path, config: EncoderConfig) -> None:
    """Put a folder's weights into an encoder of this configuration."""
    load_weights(encoder, open_checkpoint(folder).with_config(config), prefix=_ENCODER)


def write_encoder(folder: Path, config: EncoderConfig, model: paddle.nn.Layer, tokenizer: Tokenizer) -> None:
    """Write the encoder alone as a model folder, to be fine-tuned."""
    write_model(folder, config, arrays_of(model.encoder, prefix=_ENCODER), tokenizer)


def write_pretrained(
    folder: Path, config: EncoderConfig, model: paddle.nn.Layer, tokenizer: Tokenizer
) -> None:
    """Write the encoder as a model folder, and beside it what else the model has, without which no run
    goes on. Embeddings that a generator shares with the encoder are there once, as the encoder's."""
    write_encoder(folder, config, model, tokenizer)
    rest = {name: array for name, array in arrays_of(model).items() if not name.startswith(_ENCODER)}
    with atomic_write(folder / OBJECTIVE) as file:
        file.write(safetensors.numpy.save(rest))


def fill_pretrained(model: paddle.nn.Layer, folder: Path, config: EncoderConfig) -> None:
    """Put back what ``write_pretrained`` wrote; InputError if the rest is missing or of another objective."""
    fill_encoder(model.encoder, folder, config)
    path = folder / OBJECTIVE
    try:
        arrays = safetensors.numpy.load_file(path)
    except (OSError, safetensors.SafetensorError) as error:
        raise InputError(f"cannot be read: {error}", path=path) from None
    rest = {name: shape for name, shape in shapes_of(model).items() if not name.startswith(_ENCODER)}
    if {name: array.shape for name, array in arrays.items()} != rest:
        message = "does not fit this objective's network; resume with the settings of the run"
        raise InputError(message, path=path)
    for name, parameter in model.named_parameters():
        if name in rest:
            parameter.set_value(arrays[name])
