"""Hidden states of our network beside those of a peer that runs in a process of its own."""

import json
import subprocess
import tempfile
from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from checkpoints.conversion import convert
from checkpoints.folder import check_manifest, open_checkpoint, read_config, save_checkpoint
from checkpoints.network import arrays_of, fill, shapes_of
from checkpoints.registry import model_folder, resolve
from checkpoints.weight_files import PADDLE, weight_files
from common.errors import InputError
from common.messages import note_once
from encoders.config import named
from encoders.encoder import Encoder
from encoders.framework import paddle
from encoders.heads import SentenceClassifier
from encoders.tokenizer import Tokenizer
from lab.command_chain import last_line
from scripts.tiny_model import write_model_folder

TOLERANCE = 1e-5  # of the largest number, at least of 1
WHY = {
    "huggingface": "Padded rows differ by design: published code lets padding reach real tokens through "
    "the convolution, ours does not; with reference_padding ours does too.",
    "paddlenlp": "PaddleNLP 2.8.1 lets padding reach real tokens as well, and besides embeds [PAD] as zeros, "
    "whatever the weights say; with reference_padding and that row of the embedding at zero ours agrees. "
    "Its sequence classifier goes through an extra dense + tanh pooler that the published weights do not "
    "have; it ignores position_ids; a head_ratio other than 2 stops it.",
}


@dataclass(frozen=True)
class Difference:
    """Of two sets of hidden states, over the real tokens."""

    what: str
    mean: float
    largest: float
    size: float  # of the largest number
    must_agree: bool


def compare(flags: Namespace) -> None:
    """Carry out ``scripts.compare``."""
    with tempfile.TemporaryDirectory() as scratch:
        if flags.model:
            folder = model_folder(resolve(flags.model))
        else:
            folder = _random_model(Path(scratch), flags.random_weights)
        apart = []
        for peer in flags.against:
            python = getattr(flags, f"{peer}_python")
            differences, versions = differences_from(folder, peer, python, Path(scratch))
            print(f"{flags.model or 'random ' + flags.random_weights} against {versions}")
            for difference in differences:
                print(f"  {difference.what:<58} mean {difference.mean:.1e}  max {difference.largest:.1e}")
                if difference.must_agree and not difference.largest <= TOLERANCE * max(1.0, difference.size):
                    apart.append(f"{peer}: {difference.what}: {difference.largest:.1e}")
            if len(differences) > 2:  # a ConvBERT: the others have no convolution for padding to pass through
                print(f"  {WHY[peer]}")
    if apart:
        limit = f"over {TOLERANCE:g} of the largest number apart"
        raise InputError(f"{flags.model or flags.random_weights}: {limit}: {'; '.join(apart)}")


def differences_from(folder: Path, peer: str, python: str, scratch: Path) -> tuple[list[Difference], str]:
    """The differences between a peer's hidden states of a folder and ours, and the peer's versions."""
    check_manifest(folder)
    config = read_config(folder)
    theirs_folder = folder
    # transformers reads its own layout as it stands, and nothing else.
    if peer == "paddlenlp" or weight_files(folder)[:1] == [folder / PADDLE]:
        theirs_folder = scratch / peer
        convert(folder, theirs_folder, peer)
    alone, padded = _batches(config.vocab_size, config.max_position_embeddings, config.pad_token_id)
    np.savez(scratch / "batches.npz", alone=alone, padded=padded, pad=config.pad_token_id)
    versions = _run_peer(peer, python, theirs_folder, scratch)
    with np.load(scratch / "hidden.npz") as stored:
        theirs = {name: stored[name] for name in ("alone", "padded")}
    real = padded != config.pad_token_id
    differences = [
        _difference("rows without padding", theirs["alone"], _hidden(folder, alone), must_agree=True),
        _difference("padded rows, ours as it is", theirs["padded"][real], _hidden(folder, padded)[real]),
    ]
    variants = [("padded rows, reference_padding", False)]
    if peer == "paddlenlp":
        variants.append(("padded rows, reference_padding, [PAD] embedded as zeros", True))
    for what, zero_pad in variants if config.is_conv else []:
        ours = _hidden(folder, padded, reference_padding=True, zero_pad=zero_pad)[real]
        must_agree = (what, zero_pad) == variants[-1]  # the way in which the peer pads
        differences.append(_difference(what, theirs["padded"][real], ours, must_agree))
    return differences, versions


def _batches(vocabulary: int, positions: int, pad: int) -> tuple[np.ndarray, np.ndarray]:
    """(4, T) ids without padding, and (6, T) of shrinking rows, padded; the same at every call."""
    length = min(64, positions)
    draw = np.random.default_rng(0)
    alone = draw.integers(5, vocabulary, size=(4, length))
    padded = draw.integers(5, vocabulary, size=(6, length))
    padded[np.arange(length) >= (length - np.arange(6) * length // 7)[:, None]] = pad
    return alone, padded


def _hidden(
    folder: Path, ids: np.ndarray, reference_padding: bool = False, zero_pad: bool = False
) -> np.ndarray:
    """(B, T, H) last hidden states of our network."""
    checkpoint = open_checkpoint(folder, reference_padding=reference_padding)
    config, encoder = checkpoint.config, Encoder(checkpoint.config)
    state = checkpoint.read(shapes_of(encoder, prefix="encoder."))
    for text in state.notes:
        note_once(text)
    if zero_pad:
        state.arrays["encoder.embeddings.word.weight"][config.pad_token_id] = 0.0
    fill(encoder, state, prefix="encoder.")
    encoder.eval()
    mask = paddle.to_tensor((ids != config.pad_token_id).astype("float32"))
    tokens = paddle.to_tensor(ids.astype("int64"))
    with paddle.no_grad():
        return encoder(tokens, paddle.zeros_like(tokens), mask).numpy()


def _difference(what: str, theirs: np.ndarray, ours: np.ndarray, must_agree: bool = False) -> Difference:
    apart = np.abs(theirs.astype(np.float64) - ours)
    size = float(np.abs(theirs).max())
    return Difference(what, float(apart.mean()), float(apart.max()), size, must_agree)


def _run_peer(peer: str, python: str, folder: Path, scratch: Path) -> str:
    """Let the peer's process write hidden.npz; returns its versions."""
    files = [folder.resolve(), scratch / "batches.npz", scratch / "hidden.npz"]
    command = [python, str(Path(__file__).with_name(f"hidden_states_{peer}.py")), *map(str, files)]
    flag = f"--{peer}_python {python}"
    try:
        done = subprocess.run(command, cwd=scratch, capture_output=True, encoding="utf-8", errors="replace")
    except OSError as error:
        raise InputError(f"{flag}: {error.strerror}; name an environment's bin/python") from None
    if done.returncode:
        raise InputError(f"{flag}: {last_line(done.stderr)} (exit {done.returncode})")
    try:
        return str(json.loads(done.stdout.strip().splitlines()[-1])["versions"])
    except (ValueError, LookupError, TypeError):
        raise InputError(f"{flag}: does not answer as a Python with {peer} would") from None


def _random_model(scratch: Path, size: str) -> Path:
    """A model folder of a published size with random weights."""
    paddle.seed(0)
    config = named(size)
    write_model_folder(scratch / "words")
    folder = scratch / size
    save_checkpoint(folder, config, arrays_of(SentenceClassifier(config)), Tokenizer(scratch / "words"))
    return folder
