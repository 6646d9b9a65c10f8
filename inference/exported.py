"""The exported folder: a graph with all that answering needs. Reading one needs no Paddle.

========================== ==================================================================
``model.onnx``             the graph, or ``model.json`` (Paddle 2: ``model.pdmodel``) and
                           ``model.pdiparams``
``config.json``            the model's: sizes, label map, task, longest input
``vocab.txt``              or ``tokenizer.json``, and ``tokenizer_config.json``: the tokenizer
``export.json``            format, head, digest of the model folder, the largest difference found
``manifest.json``          the SHA-256 of every other file
========================== ==================================================================
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from checkpoints.folder import read_config
from checkpoints.tokenizer import tokenizer_of
from common.errors import InputError
from common.files import verify_manifest
from common.json_files import read_json_object
from encoders.config import EncoderConfig
from encoders.tokenizer import Tokenizer

DESCRIPTION = "export.json"
FORMATS = ("paddle", "onnx")
INPUTS: dict[str, tuple[Literal["int64", "float32"], list[str | int]]] = {
    "ids": ("int64", ["batch", "length"]),
    "token_types": ("int64", ["batch", "length"]),
    "mask": ("float32", ["batch", "length"]),  # 1 real, 0 padding
}
# Head → its outputs' names. B rows, T tokens, L labels, K beam: logits (B, L); start, end (B, T); the joint
# span head's as encoders.span_heads.Beams.
HEADS = {
    "sentence": ("logits",),
    "spans": ("start", "end"),
    "beams": ("start", "start_at", "end", "end_at", "impossible"),
}


@dataclass(frozen=True)
class ExportedModel:
    """An exported folder as read."""

    folder: Path
    config: EncoderConfig
    format: str  # one of FORMATS
    head: str  # one of HEADS
    graph: str  # name of the graph's file
    digest: str  # of the model folder it was made from, as in the .npz of predictions

    @property
    def path(self) -> Path:
        """The graph's file."""
        return self.folder / self.graph

    def tokenizer(self, lower_case: bool | None = None) -> Tokenizer:
        """The folder's tokenizer; InputError if it does not fit the network."""
        return tokenizer_of(self.folder, self.config, lower_case)


def is_exported(folder: str | Path) -> bool:
    """Whether this is an exported folder (and not a model folder)."""
    return (Path(folder) / DESCRIPTION).is_file()


def read_exported(folder: str | Path) -> ExportedModel:
    """Read an exported folder; InputError if it is none, or not as its manifest says."""
    folder = Path(folder)
    if not folder.is_dir():
        before = folder.absolute().with_name(f".{folder.absolute().name}.before")
        kept = f" (an export was killed; {before} is the one before it)" if before.is_dir() else ""
        raise InputError(f"no such folder; deploy.export makes one{kept}", path=folder)
    if not is_exported(folder):
        raise InputError(f"holds no {DESCRIPTION}; make an exported folder with deploy.export", path=folder)
    if fault := verify_manifest(folder):
        raise fault.with_remedy("export the model again")
    path = folder / DESCRIPTION
    values = read_json_object(path)
    fields = [values.get(key) for key in ("format", "head", "graph", "checkpoint_digest")]
    kind, head, graph, digest = (value if isinstance(value, str) else "" for value in fields)
    if kind not in FORMATS or head not in HEADS or not graph or Path(graph).name != graph:
        raise InputError("is not what deploy.export writes; export the model again", path=path)
    return ExportedModel(folder, read_config(folder), kind, head, graph, digest)
