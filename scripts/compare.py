"""Compare our hidden states with those of transformers and PaddleNLP, for one and the same model folder.

Example:
  python -m scripts.compare --model conv-bert-base --against huggingface \\
      --huggingface_python ../transformers-env/bin/python
  python -m scripts.compare --random_weights small --against paddlenlp \\
      --paddlenlp_python ../paddlenlp-env/bin/python

Prints mean and largest difference of the last hidden state over real tokens, for rows without padding and
for a padded batch. The peers need packages that exclude each other (and ours), so each runs in a process of
an environment of its own: transformers 5.23.0 with torch 2.13.0; the `paddlenlp` extra.
Exit 1 if rows without padding, or padded ones computed as the peer pads, differ by more than 1e-5
of the largest number (at least of 1), which rounding does not reach on any processor.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from common.command_line import CommandParser, path, program, run
from common.errors import InputError
from lab.command_chain import last_line

if TYPE_CHECKING:
    import numpy as np

PEERS = ("huggingface", "paddlenlp")
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


def make_parser() -> CommandParser:
    parser = CommandParser(prog="python -m scripts.compare", description=__doc__)
    which = parser.add_mutually_exclusive_group(required=True)
    help_text = "a model folder, a run's, or a published model's name"
    which.add_argument("--model", type=path, metavar="NAME_OR_FOLDER", help=help_text)
    help_text = "a ConvBERT of this size with random weights, where real ones cannot be had"
    which.add_argument("--random_weights", choices=("small", "medium-small", "base"), help=help_text)
    parser.add_argument(
        "--against", nargs="+", choices=PEERS, default=list(PEERS), help="the peers (default: both)"
    )
    for peer in PEERS:
        parser.add_argument(
            f"--{peer}_python", default=sys.executable, type=program, metavar="PYTHON",
            help=f"the Python of an environment with {peer}'s packages (default: this one)",
        )  # fmt: skip
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    flags = make_parser().parse_args(argv)
    from checkpoints.registry import model_folder, resolve

    with tempfile.TemporaryDirectory() as scratch:
        if flags.model:
            folder = model_folder(resolve(flags.model))
        else:
            folder = _random_model(Path(scratch), flags.random_weights)
        apart = []
        for peer in flags.against:
            differences, versions = compare(folder, peer, getattr(flags, f"{peer}_python"), Path(scratch))
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


def compare(folder: Path, peer: str, python: str, scratch: Path) -> tuple[list[Difference], str]:
    """The differences between a peer's hidden states of a folder and ours, and the peer's versions."""
    import numpy as np

    from checkpoints.conversion import convert
    from checkpoints.folder import check_manifest, read_config
    from checkpoints.weight_files import PADDLE, weight_files

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


def _batches(vocabulary: int, positions: int, pad: int) -> "tuple[np.ndarray, np.ndarray]":
    """(4, T) ids without padding, and (6, T) of shrinking rows, padded; the same at every call."""
    import numpy as np

    length = min(64, positions)
    draw = np.random.default_rng(0)
    alone = draw.integers(5, vocabulary, size=(4, length))
    padded = draw.integers(5, vocabulary, size=(6, length))
    padded[np.arange(length) >= (length - np.arange(6) * length // 7)[:, None]] = pad
    return alone, padded


def _hidden(
    folder: Path, ids: "np.ndarray", reference_padding: bool = False, zero_pad: bool = False
) -> "np.ndarray":
    """(B, T, H) last hidden states of our network."""
    from checkpoints.folder import open_checkpoint
    from checkpoints.network import fill, shapes_of
    from common.messages import note_once
    from encoders.encoder import Encoder
    from encoders.framework import paddle

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


def _difference(what: str, theirs: "np.ndarray", ours: "np.ndarray", must_agree: bool = False) -> Difference:
    import numpy as np

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
    from checkpoints.folder import save_checkpoint
    from checkpoints.network import arrays_of
    from encoders.config import named
    from encoders.framework import paddle
    from encoders.heads import SentenceClassifier
    from encoders.tokenizer import Tokenizer
    from scripts.tiny_model import write_model_folder

    paddle.seed(0)
    config = named(size)
    write_model_folder(scratch / "words")
    folder = scratch / size
    save_checkpoint(folder, config, arrays_of(SentenceClassifier(config)), Tokenizer(scratch / "words"))
    return folder


if __name__ == "__main__":
    run(main)
